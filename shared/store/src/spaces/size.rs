//! Estimates the space that records take, to plan the hardware before there is anything to measure.

use serde::Serialize;

/// Size of a memory of about fifty words without its vector, measured over 100,000 of them with two
/// labels each: row, passage, finished job and labels here, and 37 postings with their two indexes
/// below.
const RECORD_BYTES: u64 = 2_000;
const POSTINGS_BYTES: u64 = 6_400;
/// The part of the postings that a keyword search reads: their index.
const POSTINGS_READ_BYTES: u64 = 3_500;

const PAGE_BYTES: u64 = 8192;
/// Usable bytes of a page: without its header and, for HNSW, without the data at its end.
const USABLE_BYTES: u64 = PAGE_BYTES - 24;
const USABLE_BY_HNSW: u64 = USABLE_BYTES - 8;
/// A longer row is stored out of line (TOAST), in pieces.
const LARGEST_ROW: u64 = 2032;
const TOAST_CHUNK_BYTES: u64 = 1996;

/// Space that records take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Number of passages. A memory has one, a document one for each 180 words.
    pub passages: u64,
    /// Dimension of a vector.
    pub dimension: u64,
    /// Rows, passages, labels and postings.
    pub text: u64,
    /// The table of vectors.
    pub vectors: u64,
    /// Its HNSW index.
    pub index: u64,
    /// Data that every recall reads. Recalls are fast while it stays in Postgres' buffers and the
    /// system's cache.
    pub memory: u64,
    /// Recommended `maintenance_work_mem` while an index is built.
    pub build: u64,
}

impl Size {
    /// Estimates the space for a number of passages, with vectors of a dimension.
    pub fn of(passages: u64, dimension: u64) -> Self {
        let index = passages * index_bytes(dimension);
        Self {
            passages,
            dimension,
            text: passages * (RECORD_BYTES + POSTINGS_BYTES),
            vectors: passages * vector_bytes(dimension),
            index,
            memory: index + passages * POSTINGS_READ_BYTES,
            build: passages * build_bytes(dimension),
        }
    }

    /// Returns the space on disk, without the write-ahead log.
    pub fn disk(&self) -> u64 {
        self.text + self.vectors + self.index
    }
}

/// Returns the bytes that a vector takes in the graph while its index is built: its numbers, its
/// links, and a fifth for the allocator.
pub(super) fn build_bytes(dimension: u64) -> u64 {
    (2 * dimension + 400) * 6 / 5
}

/// Returns the bytes of a row of a space's table, with its entries in two B-trees.
fn vector_bytes(dimension: u64) -> u64 {
    // Header, two numbers, tenant, kind, hash, and the vector's own header.
    let row = 4 + (24 + 16 + 12 + 33 + 16 + 2 * dimension).next_multiple_of(8);
    let in_table = if row <= LARGEST_ROW {
        PAGE_BYTES / (USABLE_BYTES / row)
    } else {
        // Stored out of line in pieces, each with a header and an index entry; the rest of the row
        // stays in the table.
        let pieces = (8 + 2 * dimension).div_ceil(TOAST_CHUNK_BYTES);
        let kept = 8 + 2 * dimension + pieces * 40;
        130 + PAGE_BYTES / (USABLE_BYTES / kept).max(1) + pieces * 28
    };
    in_table + 64
}

/// Returns the bytes of an element of the HNSW index (m = 16): its vector and its neighbor list, on
/// one page if they fit.
fn index_bytes(dimension: u64) -> u64 {
    let element = 4 + (72 + 8 + 2 * dimension).next_multiple_of(8);
    // 32 neighbors of six bytes on the lowest level, and on average two thirds of a higher level
    // with 16 more.
    let neighbours = 4 + 200 + 7;
    match USABLE_BY_HNSW / (element + neighbours) {
        0 => PAGE_BYTES + PAGE_BYTES / (USABLE_BY_HNSW / neighbours),
        fitting => PAGE_BYTES / fitting,
    }
}

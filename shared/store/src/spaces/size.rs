//! How much room records take: for whoever buys a disk before there is anything to measure.

use serde::Serialize;

/// What a memory of about fifty words takes besides its vector, measured over 100,000 of them with two labels each: its row, its passage,
/// its finished job, its labels, and 37 postings with their two indexes.
const RECORD_BYTES: u64 = 2_000;
const POSTINGS_BYTES: u64 = 6_400;
/// Of the postings, what a search by words reads: their index.
const POSTINGS_READ_BYTES: u64 = 3_500;

const PAGE: u64 = 8192;
/// A page without its header, and without what HNSW keeps at a page's end.
const USABLE: u64 = PAGE - 24;
const USABLE_BY_HNSW: u64 = USABLE - 8;
/// A row beyond this is kept outside its table, in pieces.
const LARGEST_ROW: u64 = 2032;
const PIECE: u64 = 1996;

/// How much room some records take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// How many passages there are. A memory is one, as is each 180 words of a document.
    pub passages: u64,
    /// How many numbers a vector has.
    pub dimension: u64,
    /// Rows, passages, labels and postings.
    pub text: u64,
    /// The table of vectors.
    pub vectors: u64,
    /// Their HNSW index.
    pub index: u64,
    /// What a recall reads again and again. It is fast while this stays in Postgres' buffers and the system's cache.
    pub memory: u64,
    /// What `maintenance_work_mem` should be while an index is built.
    pub build: u64,
}

impl Size {
    /// Of so many passages, with vectors of so many numbers.
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

    /// What all of it takes on disk, without the write-ahead log.
    pub fn disk(&self) -> u64 {
        self.text + self.vectors + self.index
    }
}

/// What a vector takes in the graph while its index is built: its numbers, its place, and a fifth for the allocator.
pub(super) fn build_bytes(dimension: u64) -> u64 {
    (2 * dimension + 400) * 6 / 5
}

/// A row of a space's table, with its entries in two B-trees.
fn vector_bytes(dimension: u64) -> u64 {
    // Header, two numbers, tenant, kind, hash, and the vector's own header.
    let row = 4 + (24 + 16 + 12 + 33 + 16 + 2 * dimension).next_multiple_of(8);
    let in_table = if row <= LARGEST_ROW {
        PAGE / (USABLE / row)
    } else {
        // Kept outside in pieces, each with its header and its entry in an index; the rest of the row stays in the table.
        let pieces = (8 + 2 * dimension).div_ceil(PIECE);
        let kept = 8 + 2 * dimension + pieces * 40;
        130 + PAGE / (USABLE / kept).max(1) + pieces * 28
    };
    in_table + 64
}

/// An element of the HNSW index (m = 16): its vector and its place among its neighbours, which lie on one page where they fit.
fn index_bytes(dimension: u64) -> u64 {
    let element = 4 + (72 + 8 + 2 * dimension).next_multiple_of(8);
    // On the lowest level 32 neighbours of six bytes, and on the average two thirds of a level above with 16 more.
    let neighbours = 4 + 200 + 7;
    match USABLE_BY_HNSW / (element + neighbours) {
        0 => PAGE + PAGE / (USABLE_BY_HNSW / neighbours),
        fitting => PAGE / fitting,
    }
}

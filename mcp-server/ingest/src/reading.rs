//! The reading thread: walks the paths, asks which files are known as they are, and reads the others.

use std::{mem, path::PathBuf};

use super::{
    Format, Options, Part,
    batch::{Batcher, Closed},
    document, html, jsonl,
    known::{self, Hashing},
    origin::{Origin, unreadable},
    pdf, structured,
    walk::{Found, Walk},
};

/// Files of which is asked at once whether they are known, and bytes of them that are hashed before anything is read.
const ASKED_FILES: usize = 200;
const ASKED_BYTES: u64 = 64 * 1024 * 1024;

/// The reading thread. Ends early when nobody takes the batches any more.
pub(super) fn read_all(paths: &[PathBuf], options: &Options, out: &mut Batcher) {
    let _: Result<(), Closed> = (|| {
        let (files, bytes) = Walk::new(paths).count();
        out.counted(files, bytes)?;
        let (mut origins, mut bytes) = (Vec::new(), 0);
        for found in Walk::new(paths) {
            match found {
                Found::File(file) => {
                    bytes += file.bytes;
                    origins.push(Origin::of(file));
                }
                Found::Other => out.other_file(),
                Found::Refused(place, problem) => out.problem(place, problem)?,
            }
            if origins.len() >= ASKED_FILES || bytes >= ASKED_BYTES {
                read_changed(&mem::take(&mut origins), options, out)?;
                bytes = 0;
            }
        }
        read_changed(&origins, options, out)?;
        out.flush()
    })();
}

/// Reads those of these files that are not known as they are.
fn read_changed(origins: &[Origin], options: &Options, out: &mut Batcher) -> Result<(), Closed> {
    let versions: Vec<_> = origins.iter().map(|origin| known::version(origin, options)).collect();
    let mut known = out.ask(versions.iter().flatten().cloned().collect())?.into_iter();
    for (origin, version) in origins.iter().zip(versions) {
        match version.as_ref().and_then(|_| known.next().flatten()) {
            Some(records) => out.unchanged(records),
            None => {
                out.file_begins(version)?;
                read_origin(origin, options, out)?;
            }
        }
        out.file_ends(origin.bytes)?;
    }
    Ok(())
}

pub(super) fn read_origin(origin: &Origin, options: &Options, out: &mut Batcher) -> Result<(), Closed> {
    let format = match origin.format(options) {
        Ok(format) => format,
        Err(problem) => return out.problem(origin.place(Part::Whole), problem),
    };
    let mut opened = match origin.open() {
        Ok(opened) => Hashing::new(opened, format, options),
        Err(error) => return out.problem(origin.place(Part::Whole), unreadable(&error)),
    };
    if format == Format::JsonLines {
        jsonl::read(origin, &mut opened, options, out)?;
        return out.file_was(origin.place(Part::Whole), opened.finish());
    }
    let bytes = match origin.whole(&mut opened, format) {
        Ok(bytes) => bytes,
        Err(problem) => return out.problem(origin.place(Part::Whole), problem),
    };
    match format {
        Format::Markdown | Format::Text | Format::JsonLines => document::read(origin, bytes, format, options, out)?,
        Format::Html => html::read(origin, bytes, options, out)?,
        Format::Pdf => pdf::read(origin, bytes, options, out)?,
        Format::Structured => structured::read(origin, bytes, options, out)?,
    }
    out.file_was(origin.place(Part::Whole), opened.finish())
}

//! Reads the safetensors format: eight bytes with the length of a JSON header, the header, and the tensors' bytes.
//!
//! The file is held in memory as a whole and tensors are slices of it. Every offset of the header is checked before
//! it is used, so a damaged file gives an error and never a panic.

use std::{collections::HashMap, ops::Range};

use serde::Deserialize;

/// What is wrong with a safetensors file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SafetensorsError {
    #[error("the file is too short for its header")]
    Truncated,
    #[error("the header is not valid JSON of the expected form")]
    Header(#[source] serde_json::Error),
    #[error("tensor {0} is missing")]
    Missing(String),
    #[error("tensor {name} is {found}, expected f32 {expected:?}")]
    Unexpected { name: String, found: String, expected: Vec<usize> },
}

/// A parsed file.
pub(super) struct Safetensors {
    data: Vec<u8>,
    body: usize,
    tensors: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Safetensors {
    /// Parses the header of `data`.
    pub(super) fn parse(data: Vec<u8>) -> Result<Self, SafetensorsError> {
        let length = data.first_chunk().ok_or(SafetensorsError::Truncated)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| SafetensorsError::Truncated)?;
        let body = length.checked_add(8).ok_or(SafetensorsError::Truncated)?;
        let header = data.get(8..body).ok_or(SafetensorsError::Truncated)?;
        // `__metadata__` is the one key of the header that describes no tensor.
        let mut header: HashMap<String, serde_json::Value> =
            serde_json::from_slice(header).map_err(SafetensorsError::Header)?;
        header.remove("__metadata__");
        let tensors = header
            .into_iter()
            .map(|(name, entry)| Ok((name, serde_json::from_value(entry).map_err(SafetensorsError::Header)?)))
            .collect::<Result<_, SafetensorsError>>()?;
        Ok(Self { data, body, tensors })
    }

    /// The little-endian bytes of the f32 tensor `name`, which must have exactly this shape.
    pub(super) fn f32(&self, name: &str, shape: &[usize]) -> Result<&[u8], SafetensorsError> {
        let entry = self.tensors.get(name).ok_or_else(|| SafetensorsError::Missing(name.to_owned()))?;
        if entry.dtype != "F32" || entry.shape != shape {
            return Err(SafetensorsError::Unexpected {
                name: name.to_owned(),
                found: format!("{} {:?}", entry.dtype, entry.shape),
                expected: shape.to_vec(),
            });
        }
        let range = self.range(entry).ok_or(SafetensorsError::Truncated)?;
        let bytes = self.data.get(range).ok_or(SafetensorsError::Truncated)?;
        if bytes.len() != shape.iter().product::<usize>() * size_of::<f32>() {
            return Err(SafetensorsError::Truncated);
        }
        Ok(bytes)
    }

    fn range(&self, entry: &Entry) -> Option<Range<usize>> {
        let [start, end] = entry.data_offsets;
        Some(self.body.checked_add(start)?..self.body.checked_add(end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, body: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), body].concat()
    }

    #[test]
    fn a_tensor_is_found_by_name_and_shape() {
        let header = r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]}}"#;
        let parsed = Safetensors::parse(file(header, &(0..12).collect::<Vec<u8>>())).unwrap();
        assert_eq!(parsed.f32("w", &[1, 2]).unwrap(), (4..12).collect::<Vec<u8>>());
        assert!(matches!(parsed.f32("w", &[2, 1]), Err(SafetensorsError::Unexpected { .. })));
        assert!(matches!(parsed.f32("v", &[1]), Err(SafetensorsError::Missing(_))));
    }

    #[test]
    fn damaged_files_are_refused() {
        for data in [vec![], vec![1; 9], u64::MAX.to_le_bytes().to_vec(), file("{", b"")] {
            assert!(Safetensors::parse(data).is_err());
        }
        for offsets in ["[0,8]", "[8,0]", "[18446744073709551615,4]"] {
            let header = format!(r#"{{"w":{{"dtype":"F32","shape":[1],"data_offsets":{offsets}}}}}"#);
            let parsed = Safetensors::parse(file(&header, &[0; 4])).unwrap();
            assert!(matches!(parsed.f32("w", &[1]), Err(SafetensorsError::Truncated)), "{offsets}");
        }
    }
}

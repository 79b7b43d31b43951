//! SHA-256 of texts, as bytes for the database and as digits for people.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The hash of several texts, each with its length before it, so that no two lists run into one.
pub fn of_parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// The first half of a text's hash, in digits: enough to tell texts from each other where nobody tries to make two alike.
pub fn short(text: &[u8]) -> String {
    hex(&of_parts(&[text])[..16])
}

/// The hash of bytes as they come, shortened to what fits into an id.
pub struct Running(Sha256);

impl Running {
    /// A hash that begins with these texts.
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(Sha256::new_with_prefix(of_parts(parts)))
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash.
    pub fn finish(self) -> Uuid {
        let hash = self.0.finalize();
        Uuid::from_slice(&hash[..16]).expect("half of a hash is sixteen bytes")
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(of_parts(&[b"ab", b"c"]), of_parts(&[b"a", b"bc"]));
        assert_eq!(hex(&of_parts(&[b"a"])).len(), 64);
    }
}

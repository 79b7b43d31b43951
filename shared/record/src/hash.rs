//! SHA-256 hashes, as bytes for the database and as hexadecimal digits for display.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Returns the hash of several texts. Each is hashed with its length before it, so that no two
/// lists of texts have the same input.
pub fn of_parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// Returns the first 128 bits of a text's hash in hexadecimal: enough to distinguish texts where no
/// attacker searches for collisions.
pub fn short(text: &[u8]) -> String {
    hex(&of_parts(&[text])[..16])
}

/// An incremental hash, truncated to the 128 bits of a UUID.
pub struct Running(Sha256);

impl Running {
    /// Starts a hash with these texts.
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(Sha256::new_with_prefix(of_parts(parts)))
    }

    /// Adds bytes to the hash.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the first 128 bits of the hash.
    pub fn finish(self) -> Uuid {
        let hash = self.0.finalize();
        Uuid::from_slice(&hash[..16]).expect("half of a hash is sixteen bytes")
    }
}

/// Returns bytes as hexadecimal digits.
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

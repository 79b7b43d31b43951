//! SHA-256 of texts, as bytes for the database and as digits for people.

use sha2::{Digest, Sha256};

/// The hash of several texts, each with its length before it, so that no two lists run into one.
pub(crate) fn of_parts(parts: &[&[u8]]) -> Vec<u8> {
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

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
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

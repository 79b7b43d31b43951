//! Lookup of options by name, with conversion to libpq's types.

use std::time::Duration;

use super::DsnError;

/// Options by name. The last option with a name applies.
pub(super) struct Given<'a>(pub(super) &'a [(String, String)]);

impl Given<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    /// Parses an option as one of a list of words.
    pub(super) fn word<T: Copy>(
        &self,
        option: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, DsnError> {
        let Some(given) = self.get(option) else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == given) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(DsnError::BadValue { option, expected: format!("one of {}", words.join(", ")) })
            }
        }
    }

    /// Parses an option as a whole number. As in libpq, zero and less mean the default for times
    /// and counts.
    pub(super) fn positive(&self, option: &'static str) -> Result<Option<u32>, DsnError> {
        let Some(given) = self.get(option) else { return Ok(None) };
        let number: i32 =
            given.trim().parse().map_err(|_| DsnError::BadValue { option, expected: "a whole number".to_owned() })?;
        Ok(u32::try_from(number).ok().filter(|number| *number > 0))
    }

    pub(super) fn seconds(&self, option: &'static str) -> Result<Option<Duration>, DsnError> {
        Ok(self.positive(option)?.map(|seconds| Duration::from_secs(seconds.into())))
    }
}

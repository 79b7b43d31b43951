//! Options by name, read as the types that libpq has for them.

use std::time::Duration;

use super::DsnError;

/// Options by name, the last of each winning.
pub(super) struct Given<'a>(pub(super) &'a [(String, String)]);

impl Given<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    /// One of a list of words.
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

    /// A whole number; libpq takes zero and less as "the default" wherever a time or a count is meant.
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

//! The accumulated counts of all runs, kept in a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::faults::Fault;

/// The sums over all runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Runs, of one or several rounds.
    pub runs: u64,
    /// Rounds, each with its comparison.
    pub rounds: u64,
    /// Processes that were killed with SIGKILL.
    pub kills: u64,
    /// All other faults.
    pub other_faults: u64,
    /// The number of times of each fault, by its name.
    pub faults: BTreeMap<String, u64>,
    /// Jobs that were settled, as the job history counts them.
    pub jobs_settled: u64,
    /// Writes that were acknowledged.
    pub writes_acknowledged: u64,
    /// Writes whose outcome is unknown to the writer.
    pub writes_unheard: u64,
    /// Deadlocks that Postgres resolved.
    pub deadlocks: u64,
    /// Workers that exited unexpectedly, or not in time after SIGTERM.
    pub workers_gave_up: u64,
    /// Expired lease tokens that were tried, in the scenario of the zombies.
    pub zombies: u64,
    /// Violations over all runs.
    pub violations: u64,
}

impl Totals {
    /// Reads the file; the totals are zero if it cannot be read, as before the first run.
    ///
    /// # Errors
    /// If the file exists and is not one of this program's.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", file.display())),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Adds a run to the file. The file is replaced atomically, so a run that is killed while it
    /// writes leaves the old one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn add_to(&self, file: &Path) -> anyhow::Result<Self> {
        let mut all = Self::read(file)?;
        all.add(self);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let fresh = file.with_extension("json.new");
        std::fs::write(&fresh, serde_json::to_string_pretty(&all)? + "\n")?;
        std::fs::rename(&fresh, file)?;
        Ok(all)
    }

    /// Adds the counts of faults, by their names.
    pub fn count(&mut self, faults: &BTreeMap<&'static str, u64>) {
        for (name, times) in faults {
            *self.faults.entry((*name).to_owned()).or_default() += times;
            *(if Fault::is_kill(name) { &mut self.kills } else { &mut self.other_faults }) += times;
        }
    }

    fn add(&mut self, run: &Self) {
        for (sum, one) in [
            (&mut self.runs, run.runs),
            (&mut self.rounds, run.rounds),
            (&mut self.kills, run.kills),
            (&mut self.other_faults, run.other_faults),
            (&mut self.jobs_settled, run.jobs_settled),
            (&mut self.writes_acknowledged, run.writes_acknowledged),
            (&mut self.writes_unheard, run.writes_unheard),
            (&mut self.deadlocks, run.deadlocks),
            (&mut self.workers_gave_up, run.workers_gave_up),
            (&mut self.zombies, run.zombies),
            (&mut self.violations, run.violations),
        ] {
            *sum += one;
        }
        run.faults.iter().for_each(|(name, times)| *self.faults.entry(name.clone()).or_default() += times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_add_up() {
        let mut run = Totals { runs: 1, jobs_settled: 10, ..Totals::default() };
        run.count(&BTreeMap::from([("kill -9 of a worker", 2), ("wire slow", 3)]));
        let mut all = run.clone();
        all.add(&run);
        assert_eq!((all.runs, all.kills, all.other_faults, all.jobs_settled), (2, 4, 6, 20));
        assert_eq!(all.faults["wire slow"], 6);
    }
}

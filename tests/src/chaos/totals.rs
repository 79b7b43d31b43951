//! What all runs came to, kept in a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::faults::Fault;

/// The sums over all runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Runs, of one round or several.
    pub runs: u64,
    /// Rounds, each with its verdict.
    pub rounds: u64,
    /// Processes that were killed on the spot.
    pub kills: u64,
    /// All that happened otherwise.
    pub other_faults: u64,
    /// Each fault by its name.
    pub faults: BTreeMap<String, u64>,
    /// Jobs that went into the history.
    pub jobs_settled: u64,
    /// Writes whose acknowledgement was heard.
    pub writes_acknowledged: u64,
    /// Writes of which nobody heard what became.
    pub writes_unheard: u64,
    /// Deadlocks that Postgres resolved.
    pub deadlocks: u64,
    /// Workers that ended by themselves.
    pub workers_gave_up: u64,
    /// Stale tokens that were tried in vain, in the scenario of the zombies.
    pub zombies: u64,
    /// What must not be and was, over all runs.
    pub violations: u64,
}

impl Totals {
    /// Reads what was kept; nothing, the first time.
    ///
    /// # Errors
    /// When the file is there and is none of this program's.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", file.display())),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Adds a run to what was kept. A run that is killed while it writes leaves the file as it was.
    ///
    /// # Errors
    /// When the file cannot be read or written.
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

    /// Counts faults by their names.
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

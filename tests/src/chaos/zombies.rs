//! Zombies.

use super::totals::Totals;

/// Later.
pub fn run(_times: usize, _seed: u64) -> anyhow::Result<Totals> {
    Ok(Totals::default())
}

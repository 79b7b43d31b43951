//! How long a caller stays authenticated. Each request is checked; a stream that stays open has to check again.

use std::time::{Duration, Instant};

use pgrecall_access::keys::Hash;

use super::{Gate, Reason};

/// How long a stream stays open while its key cannot be checked. A database that is started again takes less.
const UNCHECKED: Duration = Duration::from_secs(60);
/// The pause before a key that could not be checked is checked again.
const PAUSE: Duration = Duration::from_secs(2);

/// For how long a caller stays known.
#[derive(Clone)]
pub enum Standing {
    /// As long as the server runs.
    Lasting,
    /// Until its token expires.
    Until(Instant),
    /// As long as its key is good.
    Key(Gate, Hash),
}

impl Standing {
    /// Waits until the caller is not known any more: its token has expired, or its key was revoked or has expired. A revoked key is noticed as soon as
    /// its entry in the cache ends.
    pub async fn ended(&self) {
        match self {
            Self::Lasting => std::future::pending().await,
            Self::Until(until) => tokio::time::sleep_until((*until).into()).await,
            Self::Key(gate, hash) => key_ended(gate, hash).await,
        }
    }
}

async fn key_ended(gate: &Gate, hash: &Hash) {
    let Some(keys) = &gate.0.keys else { return };
    let mut good_at = Instant::now();
    loop {
        match keys.look_up(hash, None).await {
            Ok((_, until)) => {
                good_at = Instant::now();
                tokio::time::sleep_until(until.into()).await;
            }
            Err(refused) if refused.reason == Reason::Unavailable && good_at.elapsed() < UNCHECKED => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => return,
        }
    }
}

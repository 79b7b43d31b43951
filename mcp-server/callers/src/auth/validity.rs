//! How long a caller stays authenticated. Each request is checked; an open stream must be checked
//! repeatedly.

use std::time::{Duration, Instant};

use pgrecall_access::keys::Hash;

use super::{Gate, Reason};

/// How long a stream stays open while its key cannot be checked. A restart of the database takes
/// less.
const MAX_UNCHECKED: Duration = Duration::from_secs(60);
/// The delay before a key that could not be checked is checked again.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a caller stays authenticated.
#[derive(Clone)]
pub enum AuthValidity {
    /// For as long as the server runs.
    Lasting,
    /// Until its token expires.
    Until(Instant),
    /// For as long as its key is valid.
    Key(Gate, Hash),
}

impl AuthValidity {
    /// Waits until the caller is no longer authenticated: its token has expired, or its key has
    /// expired or was revoked. A revoked key is detected as soon as its cache entry expires.
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
            Err(refused) if refused.reason == Reason::Unavailable && good_at.elapsed() < MAX_UNCHECKED => {
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
            Err(_) => return,
        }
    }
}

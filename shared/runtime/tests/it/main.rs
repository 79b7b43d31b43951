//! Tests of the private Postgres and of setup.
//!
//! The programs are in the folder `PGRECALL_RUNTIME`, by default one under /tmp, which the tests
//! fill if it is incomplete. Every test has its own home.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;
mod failures;
mod guards;
mod setup;

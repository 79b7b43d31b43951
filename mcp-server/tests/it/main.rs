//! Tests of the real program, run as a host and as a person would.
//!
//! `protocol` needs no database: it runs with nothing set up. The others start the private Postgres
//! in a home of their own, with the runtime that `PGRECALL_RUNTIME` names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod command_line;
mod files;
mod formats;
mod home;
mod importing;
mod keeping;
mod marking;
mod offers;
mod old_home;
mod owners;
mod protocol;
mod records;
mod session;
mod setting_up;
mod trouble;
mod upgrade;

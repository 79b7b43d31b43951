//! The harness of the tests that need real parts: Postgres with pgvector, an embedder that tests
//! can script, and programs over stdio.
//!
//! Each test gets a database cloned from a migrated template, so tests neither wait for nor see
//! each other.

pub mod collector;
pub mod embedder;
pub mod home;
pub mod http;
pub mod issuer;
pub mod mcp;
pub mod nginx;
pub mod node;
pub mod pdf;
pub mod pgbouncer;
pub mod postgres;
pub mod programs;
pub mod proxy;
pub mod python;
pub mod scripted;
pub mod wait;

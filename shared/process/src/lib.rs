//! What a process of ours stands on: named tasks that are stopped in order, logs, files that no other user can redirect, and lines
//! of bounded length.

pub mod lines;
pub mod nofollow;
pub mod open_files;
pub mod tasks;
pub mod telemetry;
pub mod ttl_map;

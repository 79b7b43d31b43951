//! Building blocks of every process: named tasks with an ordered shutdown, child processes, logs, files that another
//! user cannot redirect, and lines of bounded length.

pub mod child;
pub mod lines;
pub mod nofollow;
pub mod open_files;
pub mod tasks;
pub mod telemetry;
pub mod ttl_map;

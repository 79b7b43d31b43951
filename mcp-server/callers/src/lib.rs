//! The callers of the server: authentication, fair shares of the permits, and the audit log.

pub mod audit;
pub mod auth;
pub mod caller;
pub mod fair;

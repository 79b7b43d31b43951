//! System tests: both programs with real parts, and how they behave when a part fails.
//!
//! The tests start the built programs as people and hosts do. The programs' code does not run in
//! this process.

mod access;
mod audit;
mod backup;
mod chaos;
mod chart;
mod clients;
mod clock;
mod conformance;
mod coverage;
mod degrade;
mod embedding_servers;
mod fair;
mod flood;
mod http;
mod identities;
mod inspector;
mod layers;
mod observe;
mod pooler;
mod quotas;
mod remodel;
mod replicas;
mod rerank;
mod rights;
mod runbook;
mod sources;
mod stages;
mod storm;
mod tour;
mod traces;

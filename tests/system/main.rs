//! Both programs against real parts, and what they do when a part fails.
//!
//! The programs are the built ones, run as people and hosts run them; nothing of them runs in this process.

mod access;
mod audit;
mod backup;
mod chaos;
mod chart;
mod clock;
mod conformance;
mod degrade;
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

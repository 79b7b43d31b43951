//! The section `apigateway`: the queue of texts to embed.

use std::{net::SocketAddr, time::Duration};

use super::{
    keys::{Key, Kind, key},
    read::Reader,
    value::{Setting, Shown},
};

section! {
    /// The gateway's settings; the reference platform has a section of the same name.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ApiGateway {
        /// The queue of texts to embed.
        pub embed_jobs: EmbedJobs = EmbedJobs::SECTION,
    }
}

section! {
    /// Settings of the queue of texts to embed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EmbedJobs {
        /// Number of batches that one process embeds at the same time.
        pub workers: usize = key("apigateway.embed_jobs.workers", Kind::Number(1, 64)).default("1"),
        /// Maximum time that the embedder may take for one batch.
        pub embed_timeout: Duration = key("apigateway.embed_jobs.embed_timeout", Kind::Duration(1)).default("5m"),
        /// How long a claim lasts without a heartbeat. Heartbeats come at a third of this time, so
        /// it may be shorter than `embed_timeout`.
        pub lease_duration: Duration = key("apigateway.embed_jobs.lease_duration", Kind::Duration(1000)).default("10m"),
        /// Maximum number of texts in one call to the embedder. A claim takes up to four times as
        /// many jobs.
        pub batch_size: usize = key("apigateway.embed_jobs.batch_size", Kind::Number(1, 512)).default("32"),
        /// Number of days for which finished jobs are kept. Open failures are kept until they are
        /// resolved.
        pub retention_days: u32 = key("apigateway.embed_jobs.retention_days", Kind::Number(1, 3650)).default("14"),
        /// Interval at which the worker polls the queue while no notification arrives.
        pub poll_interval: Duration = key("apigateway.embed_jobs.poll_interval", Kind::Duration(10)).default("30s"),
        /// Address at which `embed-worker` serves `/healthz`, `/readyz` and `/metrics`. In a pod:
        /// `0.0.0.0:9091`.
        pub address: SocketAddr = key("apigateway.embed_jobs.address", Kind::Address).default("127.0.0.1:9091"),
    }
}

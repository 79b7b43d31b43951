//! The `embed-worker` program: parses the command line and exits with the exit code of the run.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use embed_worker::program::{self, Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("embed-worker")
        .enable_all()
        .build()
        .expect("the threads of the runtime can be started");
    let code = runtime.block_on(program::run(arguments));
    // A thread may be in an embedder's call that cannot be canceled; it must not delay the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

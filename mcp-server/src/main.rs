//! The `mcp-server` program: parses the command line, and exits with the code of the run.

use std::{process::ExitCode, time::Duration};

use pgrecall_cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("mcp-server")
        .enable_all()
        .build()
        .expect("the threads of the runtime can be started");
    let code = runtime.block_on(pgrecall_cli::run(cli));
    // A thread may be blocked in a read of stdin, or in an embedder that cannot be cancelled.
    // Neither may delay the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

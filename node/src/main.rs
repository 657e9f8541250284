//! The program `hubbub`.

use std::process::ExitCode;

use clap::Parser;
use hubbub::cli::{Cli, Command, output};

/// Gives memory back: hashing a password takes 19 MiB for a moment, on whichever thread is free, and
/// the system's allocator keeps that much for each of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that run the tasks of a node: one core is left to the store, which works on a thread or in a process of
/// its own and would else take turns with them.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1)
}

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        output::tell("hubbub: another TLS provider was installed first; this is a fault in the program");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if matches!(cli.command, Command::Serve(_)) && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads(workers());
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::tell(&format!("hubbub: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell(&format!("hubbub: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

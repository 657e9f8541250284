//! The program `hubbub`.

use std::process::ExitCode;

use clap::Parser;
use hubbub::cli::{Cli, output};

/// Gives memory back: hashing a password takes 19 MiB for a moment, on whichever thread is free, and
/// the system's allocator keeps that much for each of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        output::tell("hubbub: another TLS provider was installed first; this is a fault in the program");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
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

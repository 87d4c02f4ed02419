//! The load generator as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hubbub_load::cli::main(std::env::args_os()))
}

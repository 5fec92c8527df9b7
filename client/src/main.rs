//! The command line of mosd.

use std::process::ExitCode;

fn main() -> ExitCode {
    mosctl::run(std::env::args_os())
}

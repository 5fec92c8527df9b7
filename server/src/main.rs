//! From the command line to an exit code: 0 after an end in order, 2 where the command line, the
//! configuration or the machine's set-up is at fault, 1 otherwise. A panic of a worker aborts.

use std::process::ExitCode;

use clap::Parser as _;
use mosd::{
    boot::{
        self, Failure,
        args::{Cli, Command},
    },
    replay,
};

const _: () = assert!(cfg!(panic = "unwind"), "a panic of the control plane must be contained");

fn main() -> ExitCode {
    boot::begin();
    let outcome = match Cli::parse().command {
        Command::Run(args) => boot::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => boot::check(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(&args).map_err(Failure::from),
    };
    let code = outcome.unwrap_or_else(Failure::report);
    boot::end();
    code
}

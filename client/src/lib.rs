//! Client library of mosd, and the command line built on it.
//!
//! ```text
//! args ──▶ request ──▶ verb ──▶ client ──▶ mosd
//! (typed)  (meant)      │  ▲
//!                       ▼  └── error: status -> words and exit code
//!                     render (the only place that prints)
//! ```
//!
//! A program that talks to mosd needs [`connect::Endpoint`] and [`client::Client`] alone.

pub mod args;
pub mod client;
pub mod connect;
pub mod error;
pub mod flow_name;
pub mod raw_option;
mod reflection;
mod render;
pub mod request;
pub mod units;
mod verb;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser as _;
use tokio::runtime;

use crate::{
    args::Cli,
    error::{Exit, Failure},
    render::Output,
};

/// Runs one command line, prints its result, and returns the exit code of [`Exit`].
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help, version and complaints about the command line. If the pipe is closed there is
            // nobody to tell.
            error.print().unwrap_or_default();
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return ExitCode::from(code.code());
        }
    };
    let mut output = Output::new(&cli.global);
    let exit = match verb::without_server(&cli.verb, &mut output) {
        Some(Ok(exit)) => output.finish(exit),
        Some(Err(failure)) => {
            output.failure(None, &failure);
            failure.exit()
        }
        None => with_runtime(cli, output),
    };
    ExitCode::from(exit.code())
}

/// Runs a command that talks to mosd, until it ends or Ctrl-C.
///
/// The command has a task of its own, so that Ctrl-C works even while it waits for a full pipe.
fn with_runtime(cli: Cli, mut output: Output) -> Exit {
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::Contract(format!("cannot start: {error}"));
            output.failure(None, &failure);
            return failure.exit();
        }
    };
    let exit = runtime.block_on(async {
        let work = tokio::spawn(verb::with_server(cli, output));
        tokio::select! {
            ended = work => ended.unwrap_or(Exit::Other),
            Ok(()) = tokio::signal::ctrl_c() => Exit::Interrupted,
        }
    });
    runtime.shutdown_background();
    exit
}

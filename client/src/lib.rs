//! Client library of mosd, and the command line built on it.
//!
//! ```text
//! args ──▶ request ──▶ verb ──▶ client ──▶ mosd
//! (typed)  (meant)      │  ▲
//!                       ▼  └── error: status -> words and exit code
//!                     render (the only place that prints)
//! ```
//!
//! A program that talks to mosd needs only [`mos_text::Endpoint`] and [`client::Client`].

pub mod args;
pub mod client;
pub mod connect;
pub mod error;
mod lab;
pub mod raw_option;
mod reflection;
mod render;
pub mod request;
mod settings;
pub mod tls;
pub mod units;
mod verb;

use std::{ffi::OsString, io, process::ExitCode};

use clap::Parser as _;
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
};

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
            // Help, version, or an error in the command line. A failure to print it could not be
            // reported anywhere, so it is ignored.
            error.print().unwrap_or_default();
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return ExitCode::from(code.code());
        }
    };
    let mut output = Output::new(&cli.global);
    let exit = match verb::without_server(&cli, &mut output) {
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
/// The command has a thread and a runtime of its own, so that this thread handles Ctrl-C even while
/// the command is blocked on a full pipe.
fn with_runtime(cli: Cli, mut output: Output) -> Exit {
    let (waiting, working) = match (runtime(), runtime()) {
        (Ok(waiting), Ok(working)) => (waiting, working),
        (Err(error), _) | (_, Err(error)) => {
            let failure = Failure::Contract(format!("cannot start: {error}"));
            output.failure(None, &failure);
            return failure.exit();
        }
    };
    let exit = waiting.block_on(async {
        // Registered before the work begins, so that no signal is missed. If this fails, the signal
        // keeps its default action, which also ends the process.
        let mut interrupts = signal(SignalKind::interrupt()).ok();
        let interrupted = async {
            match &mut interrupts {
                Some(interrupts) => interrupts.recv().await,
                None => std::future::pending().await,
            }
        };
        let work =
            tokio::task::spawn_blocking(move || working.block_on(verb::with_server(cli, output)));
        tokio::select! {
            ended = work => ended.unwrap_or(Exit::Other),
            _ = interrupted => Exit::Interrupted,
        }
    });
    waiting.shutdown_background();
    exit
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

//! `mosd replay`: a capture through the same workers as live traffic, one record for each flow.
//!
//! Records go to stdout, in the order of the flows' first packets; events to a file, if one is
//! named; everything else to stderr.

mod args;
mod events;
mod interrupt;
mod output;
mod progress;
mod rate;
mod record;
mod warnings;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use mos_dataplane::{
    replay::{Replay, ReplayError, ReplayOutcome},
    rerun::Rerun,
    source::capture::{Findings, Interrupt},
};
use mos_stack::{EventKinds, LimitsError};

pub use self::args::{Output, ReplayArgs};
use self::{
    events::EventFile,
    rate::{Rate, Reader},
    record::{FlowRecord, Records},
    warnings::warn,
};

/// The command line or the file is at fault.
const USER_ERROR: u8 = 2;

/// The output is incomplete.
const INCOMPLETE: u8 = 1;

/// Replays the capture and prints its records. The exit code is 0, 1 if the records are incomplete
/// because a part of the capture could not be read, used or tracked, and 2 if the command line or
/// the file is at fault.
///
/// # Errors
///
/// When memory, a thread or stdout fails: errors that are not the user's fault.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let interrupt = interrupt::on_signals().context("cannot wait for signals")?;
    // Stderr is not locked: the progress bar writes to it from another thread.
    replay(args, &interrupt, &mut out, &mut Stderr(io::stderr())).map(ExitCode::from)
}

fn replay(
    args: &ReplayArgs,
    interrupt: &Interrupt,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<u8> {
    if args.preload {
        return rerun(args, interrupt, out, err);
    }
    let Some(replay) = opened(Replay::open(&args.config(), &args.file, interrupt), err)? else {
        return Ok(USER_ERROR);
    };
    let event_file = match args.events.as_deref().map(|path| (path, EventFile::create(path))) {
        None => None,
        Some((_, Ok(file))) => Some(file),
        Some((path, Err(error))) => {
            writeln!(err, "error: cannot write {}: {error}", path.display())?;
            return Ok(USER_ERROR);
        }
    };
    let watched = replay.progress();
    let keep = if event_file.is_some() { EventKinds::ALL } else { EventKinds::NONE };
    let ReplayOutcome { sinks, stats, problem, findings } =
        progress::shown(&watched, || replay.run(|steps| Records::keeping(keep, steps)))
            .context("cannot start the workers")?;
    let (flows, events): (Vec<_>, Vec<_>) =
        sinks.into_iter().map(|sink| (sink.flows, sink.events)).unzip();
    if let Some(file) = event_file {
        file.write(events.concat()).context("cannot write the events")?;
    }
    let mut records = flows.concat();
    records.sort_by_cached_key(FlowRecord::order);
    match output::print(&records, args.output, out) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
        result => result.context("cannot write the records")?,
    }
    Ok(warn(args, problem.as_ref(), &findings, &stats, err)?)
}

/// Replays the capture from memory, and prints the rate.
fn rerun(
    args: &ReplayArgs,
    interrupt: &Interrupt,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(rerun) = opened(Rerun::load(&args.config(), &args.file, interrupt), err)? else {
        return Ok(USER_ERROR);
    };
    let outcome = rerun.run(args.repeat, Reader::default).context("cannot start the workers")?;
    let rate = Rate::new(&outcome, args.repeat);
    match rate.print(args.output, out) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
        result => result.context("cannot write the record")?,
    }
    Ok(warn(args, outcome.problem.as_ref(), &Findings::default(), &outcome.stats, err)?)
}

/// Stderr as far as it can be written: where it cannot, the exit code has to do.
struct Stderr(io::Stderr);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The opened replay; `None` if the user is at fault, which is printed.
fn opened<T>(result: Result<T, ReplayError>, err: &mut impl Write) -> anyhow::Result<Option<T>> {
    match result {
        Ok(opened) => Ok(Some(opened)),
        Err(error @ (ReplayError::Limits(LimitsError::Memory(_)) | ReplayError::Thread(_))) => {
            Err(error.into())
        }
        Err(
            error @ (ReplayError::Capture(_) | ReplayError::Workers(_) | ReplayError::Limits(_)),
        ) => {
            writeln!(err, "error: {error}")?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;

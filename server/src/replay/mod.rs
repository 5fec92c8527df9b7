//! `mosd replay`: a capture through the same workers as live traffic, one record for each flow.
//!
//! Records go to stdout, in the order of the flows' first packets; events to a file where one is
//! named; everything else to stderr.

mod args;
mod events;
mod output;
mod progress;
mod record;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use mos_dataplane::replay::{Replay, ReplayError, ReplayOutcome};
use mos_stack::{EventKinds, LimitsError, Stat, Stats};

pub use self::args::{Output, Overlap, ReplayArgs};
use self::{
    events::EventFile,
    record::{FlowRecord, Records},
};

/// What the user asked for cannot be done.
const USER_ERROR: u8 = 2;

/// What was printed is not all that there is.
const INCOMPLETE: u8 = 1;

/// Replays the capture and prints its records. The exit code is 0, 1 where not all of the capture
/// could be read or tracked, and 2 where the command line or the file is at fault.
///
/// # Errors
///
/// Those that are not the user's fault: no memory, no thread, a failing stdout.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    // Not locked: the progress bar writes to it from another thread.
    replay(args, &mut out, &mut io::stderr()).map(ExitCode::from)
}

fn replay(args: &ReplayArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<u8> {
    let replay = match Replay::open(&args.config(), &args.file) {
        Ok(replay) => replay,
        Err(error @ ReplayError::Limits(LimitsError::Memory(_))) => return Err(error.into()),
        Err(
            error @ (ReplayError::Capture(_) | ReplayError::Workers(_) | ReplayError::Limits(_)),
        ) => {
            writeln!(err, "error: {error}")?;
            return Ok(USER_ERROR);
        }
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
    let ReplayOutcome { sinks, stats, problem } =
        progress::shown(&watched, || replay.run(|| Records::keeping(keep)))
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
    let mut code = 0;
    if let Some(problem) = problem {
        writeln!(err, "warning: {}: {problem}", args.file.display())?;
        code = INCOMPLETE;
    }
    for warning in shortages(&stats, args) {
        writeln!(err, "warning: {warning}")?;
        code = INCOMPLETE;
    }
    Ok(code)
}

/// What the given bounds left out.
fn shortages(stats: &Stats, args: &ReplayArgs) -> Vec<String> {
    let mut warnings = Vec::new();
    let untracked = stats.get(Stat::PacketsTableFull);
    if untracked > 0 {
        let flows = args.flows;
        warnings.push(format!(
            "{untracked} packets are of flows that found no room among {flows}; raise --flows"
        ));
    }
    let refused = stats.get(Stat::RefusedBytes);
    if refused > 0 {
        warnings.push(format!(
            "{refused} bytes were not stored; raise --pool (now {}), or the flow has more holes \
             than are tracked",
            args.pool
        ));
    }
    warnings
}

#[cfg(test)]
mod tests;

//! `mosd replay`: a capture through the same workers as live traffic, one record for each flow.
//!
//! Records, or their summary, go to stdout, in the order of the flows' first packets; events to a
//! file and streams to a folder, if one is named; everything else to stderr.

mod args;
mod csv;
mod events;
mod follow;
mod interrupt;
mod output;
mod progress;
mod rate;
mod record;
mod sink;
mod streams;
mod summary;
mod time;
mod warnings;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::Context as _;
use mos_dataplane::{
    replay::{Replay, ReplayError, ReplayOutcome},
    rerun::Rerun,
    source::capture::{Findings, Interrupt},
};
use mos_stack::{Event, EventKinds, LimitsError};

pub use self::args::{Output, ReplayArgs};
use self::{
    events::EventFile,
    follow::Follower,
    rate::{Rate, Reader},
    record::FlowRecord,
    sink::{Printer, Records},
    streams::{StreamFolder, StreamLimits, StreamWriter},
    summary::Summary,
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
    let mut out = io::BufWriter::new(io::stdout());
    let interrupt = interrupt::on_signals().context("cannot wait for signals")?;
    // Stderr is not locked: the progress bar writes to it from another thread.
    replay(args, &interrupt, &mut out, &mut Stderr(io::stderr())).map(ExitCode::from)
}

fn replay(
    args: &ReplayArgs,
    interrupt: &Interrupt,
    out: &mut (impl Write + Send),
    err: &mut impl Write,
) -> anyhow::Result<u8> {
    if let Some(contradiction) = args.contradiction() {
        writeln!(err, "error: {contradiction}")?;
        return Ok(USER_ERROR);
    }
    if args.preload {
        return rerun(args, interrupt, out, err);
    }
    let Some(replay) = opened(Replay::open(&args.config(), &args.file, interrupt), err)? else {
        return Ok(USER_ERROR);
    };
    let Some(outputs) = Outputs::create(args, err)? else {
        return Ok(USER_ERROR);
    };
    if args.follow {
        return follow(args, replay, &outputs, interrupt, out, err);
    }
    let watched = replay.progress();
    let ReplayOutcome { sinks, stats, problem, findings, unread } =
        progress::shown(&watched, || replay.run(|steps| outputs.sink(args, None, steps)))
            .context("cannot start the workers")?;
    let mut collected = Collected::of(sinks);
    outputs.write(&mut collected)?;
    let printed = if args.prints_events() {
        events::print(collected.events, out)
    } else if args.summary {
        Summary::new(&collected.records, &stats).print(args.output, out)
    } else {
        output::print(&collected.records, args.output, out)
    };
    if !is_printed(printed)? {
        return Ok(0);
    }
    let code = warn(args, problem.as_ref(), &findings, (&stats, unread), err)?;
    let streams = outputs.streams.as_deref().map_or(0, StreamFolder::left_out);
    Ok(code.max(warnings::of_streams(streams, collected.failure.as_ref(), err)?))
}

/// Prints each record when its flow ends.
fn follow(
    args: &ReplayArgs,
    replay: Replay,
    outputs: &Outputs,
    interrupt: &Interrupt,
    out: &mut (impl Write + Send),
    err: &mut impl Write,
) -> anyhow::Result<u8> {
    let follower = Follower::begin(args.output, out, interrupt).context("cannot write")?;
    let print = |record: &FlowRecord| follower.print(record);
    let outcome = replay.run(|steps| outputs.sink(args, Some(&print), steps));
    let outcome = outcome.map(|of| (of.stats, of.problem, of.findings, of.unread));
    let (stats, problem, findings, unread) = outcome.context("cannot start the workers")?;
    if !is_printed(follower.end())? {
        return Ok(0);
    }
    Ok(warn(args, problem.as_ref(), &findings, (&stats, unread), err)?)
}

/// Whether the output was printed; false if nobody reads it any more.
fn is_printed(result: io::Result<()>) -> anyhow::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true).context("cannot write the records"),
    }
}

/// The files that are written besides the records.
struct Outputs {
    events: Option<EventFile>,
    streams: Option<Arc<StreamFolder>>,
}

/// What all workers have collected.
struct Collected {
    /// In the order of the flows' first packets.
    records: Vec<FlowRecord>,
    events: Vec<Event>,
    /// Why the streams of some worker could not be written.
    failure: Option<io::Error>,
}

impl Outputs {
    /// Makes the files that the user wants; `None` if one cannot be made, which is printed.
    fn create(args: &ReplayArgs, err: &mut impl Write) -> io::Result<Option<Self>> {
        let events = args
            .events
            .as_deref()
            .filter(|_| !args.prints_events())
            .map(|path| (path, EventFile::create(path)));
        let limits = StreamLimits { files: args.streams_files, bytes: args.streams_bytes.0 };
        let streams = args.write_streams.as_deref();
        let streams = streams.map(|path| (path, StreamFolder::create(path, limits)));
        let failures = [
            events.as_ref().and_then(|(path, made)| Some((path, made.as_ref().err()?))),
            streams.as_ref().and_then(|(path, made)| Some((path, made.as_ref().err()?))),
        ];
        if let Some((path, error)) = failures.into_iter().flatten().next() {
            writeln!(err, "error: cannot write {}: {error}", path.display())?;
            return Ok(None);
        }
        let events = events.and_then(|(_, made)| made.ok());
        let streams = streams.and_then(|(_, made)| made.ok()).map(Arc::new);
        Ok(Some(Self { events, streams }))
    }

    /// What one worker collects for them.
    fn sink<'a>(
        &self,
        args: &ReplayArgs,
        follower: Option<Printer<'a>>,
        steps_back: Arc<AtomicU64>,
    ) -> Records<'a> {
        let keep = if args.events.is_some() { EventKinds::ALL } else { EventKinds::NONE };
        let filter = args.filter.clone().unwrap_or_default();
        let streams = self.streams.as_ref().map(StreamWriter::new);
        Records::keeping(keep, filter, streams, follower, steps_back)
    }

    /// Writes what is written at the end.
    fn write(&self, collected: &mut Collected) -> anyhow::Result<()> {
        if let Some(file) = &self.events {
            file.write(std::mem::take(&mut collected.events)).context("cannot write the events")?;
        }
        if let Some(folder) = &self.streams {
            folder.write_index(&collected.records).context("cannot write the index of streams")?;
        }
        Ok(())
    }
}

impl Collected {
    fn of(sinks: Vec<Records<'_>>) -> Self {
        let mut all = Self { records: Vec::new(), events: Vec::new(), failure: None };
        for sink in sinks {
            all.records.extend(sink.flows);
            all.events.extend(sink.events);
            all.failure = all.failure.or_else(|| sink.streams.and_then(StreamWriter::failure));
        }
        all.records.sort_by_cached_key(FlowRecord::order);
        all
    }
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
    if !is_printed(rate.print(args.output, out))? {
        return Ok(0);
    }
    Ok(warn(args, outcome.problem.as_ref(), &Findings::default(), (&outcome.stats, None), err)?)
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

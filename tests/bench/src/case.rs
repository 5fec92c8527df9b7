//! The cases of a run: every traffic with every mode.

use std::{
    panic,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use mos_bench::{
    arena::Arena,
    measure::{Measured, Plan, Timing, Together, measure},
    memory::{available_bytes, held_bytes},
    mode::{Mode, Setup, Verification},
    port::{self, PortPlan, REPEATED_FRAMES_MAX, measure_port, write_capture},
    report::Row,
    subject::{Numbers, Subject},
    traffic::Traffic,
};
use mos_dataplane::{
    config::{LoopedFrames, PortConfig},
    cpu,
};
use mos_stack::{Stat, WorkerId};

use crate::{
    args::{Args, Source},
    spec::{Spec, specs},
};

/// One row to measure.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    spec: Spec,
    source: Source,
    mode: Mode,
    checksums: Verification,
    workers: u16,
}

/// All cases that the command line asks for, in its order.
pub(crate) fn cases(args: &Args) -> Vec<Case> {
    specs(args).into_iter().flat_map(|spec| of_spec(&spec, args)).collect()
}

fn of_spec(spec: &Spec, args: &Args) -> Vec<Case> {
    let (modes, sources) = if spec.null_bytes().is_some() {
        // Frames of zeros cannot be tracked, and have one source.
        (&[Mode::Rx][..], &[Source::Memory][..])
    } else {
        (chosen(&args.mode, spec.usual_modes(args)), chosen(&args.source, spec.usual_sources(args)))
    };
    let checksums = chosen(&args.checksums, &[Verification::On]);
    let workers = chosen(&args.workers, &[1]);
    let mut cases = Vec::new();
    for mode in modes.iter().copied() {
        for source in sources.iter().copied() {
            for (checksums, workers) in
                checksums.iter().flat_map(|c| workers.iter().map(|w| (*c, *w)))
            {
                let case = Case { spec: spec.clone(), source, mode, checksums, workers };
                cases.extend(Some(case).filter(Case::is_possible));
            }
        }
    }
    cases
}

/// What the command line names, or else the default.
const fn chosen<'a, T>(asked: &'a [T], usual: &'a [T]) -> &'a [T] {
    if asked.is_empty() { usual } else { asked }
}

/// One worker, ready to be measured.
struct Bench {
    arena: Arena,
    traffic: Box<dyn Traffic>,
    setup: Setup,
    subjects: Vec<Box<dyn Subject>>,
}

impl Case {
    /// Whether the source supports the case: a running dataplane is measured with one worker,
    /// always tracks, and has no reader within it.
    fn is_possible(&self) -> bool {
        let is_tracked = matches!(self.mode, Mode::Track | Mode::Reassemble);
        let is_port = self.source != Source::Memory || self.spec.null_bytes().is_some();
        !is_port || self.workers == 1 && (is_tracked || self.source == Source::Memory)
    }

    /// What is measured, in a few words.
    pub(crate) fn title(&self) -> String {
        let Self { spec, source, mode, checksums, workers } = self;
        format!("{spec}, from {source}, {mode}, checksums {checksums}, workers {workers}")
    }

    /// Measures the case in a process of its own, so that no memory of another case is left. `None`
    /// as [`Self::measure`].
    ///
    /// # Errors
    ///
    /// Why that process failed.
    pub(crate) fn measure_apart(&self, args: &Args) -> anyhow::Result<Option<Row>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(self.spec.arguments())
            .arg(format!("--source={}", self.source))
            .arg(format!("--mode={}", self.mode))
            .arg(format!("--checksums={}", self.checksums))
            .arg(format!("--workers={}", self.workers))
            .arg(format!("--arena-mib={}", args.arena_mib))
            .args(args.quick.then_some("--quick"))
            .arg("--here");
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("{}: {}", self.title(), output.status);
        }
        let line = output.stdout.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(line).map(Some).with_context(|| self.title())
    }

    /// Measures the case in this process. `None` if the machine has too little memory, or no CPU to
    /// fill the port.
    ///
    /// # Errors
    ///
    /// Why it cannot be measured.
    pub(crate) fn measure(&self, args: &Args) -> anyhow::Result<Option<Row>> {
        let needed = |setup: &Setup| setup.memory_bytes() * u64::from(self.workers);
        let (mut benches, mut ceilings) = (Vec::new(), Vec::new());
        for index in 0..self.workers {
            let worker = WorkerId::new(index).context("too many workers")?;
            let traffic = self.spec.make(self.workers)?;
            let (mode, checksums, shape) = (self.mode, self.checksums, traffic.shape());
            let setup = Setup { mode, checksums, worker, shape };
            if index == 0 && needed(&setup) > available_bytes() / 10 * 8 {
                return Ok(None);
            }
            ceilings.push(setup.ceiling()?);
            let arena = Arena::new(args.arena_mib << 20)?;
            benches.push(Bench { arena, traffic, setup, subjects: Vec::new() });
        }
        // All other memory is touched by now, so what grows from here on is the stack.
        let before = held_bytes();
        for (bench, ceiling) in benches.iter_mut().zip(ceilings) {
            bench.subjects = vec![bench.setup.subject()?, Box::new(ceiling)];
        }
        let mut measured = run(&mut benches, args)?;
        let memory_bytes = held_bytes().saturating_sub(before);
        let folder = tempfile::tempdir()?;
        if let Some(plan) = self.port(&benches[0].setup, args, folder.path())? {
            let Some(port) = measure_port(&plan)? else { return Ok(None) };
            let of_worker = &mut measured[0];
            of_worker.timings[0] = port.timings[0];
            (of_worker.packets, of_worker.wire_bytes) = (port.packets, port.wire_bytes);
        }
        Ok(Some(self.row(&measured, memory_bytes, &benches)))
    }

    /// The plan to measure the running dataplane, if the packets come from a port. Writes the
    /// capture to `folder` if the port needs one.
    fn port(&self, setup: &Setup, args: &Args, folder: &Path) -> anyhow::Result<Option<PortPlan>> {
        let frames = (2 * setup.shape.life_frames).min(REPEATED_FRAMES_MAX.into());
        let frames = u32::try_from(frames)?;
        let (port, kept_mbufs) = match (self.source, self.spec.null_bytes()) {
            (_, Some(bytes)) => (PortConfig::Dpdk(format!("net_null0,size={bytes},copy=0")), 0),
            (Source::Memory, None) => return Ok(None),
            (Source::Pcap, None) => {
                let path = folder.join("traffic.pcap");
                write_capture(&path, self.spec.make(1)?.as_mut(), frames)?;
                let devargs = format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display());
                (PortConfig::Dpdk(devargs), frames)
            }
            (Source::Ring, None) => {
                let frames = port::frames(self.spec.make(1)?.as_mut(), frames);
                (PortConfig::Looped(LoopedFrames(frames.into())), 0)
            }
        };
        let spans = if args.quick { [300, 500] } else { [1000, 2000] };
        let (spans, limits) = (spans.map(Duration::from_millis), setup.limits());
        Ok(Some(PortPlan { port, kept_mbufs, limits, spans }))
    }

    /// Where the packets come from, in a word.
    fn source_name(&self) -> &'static str {
        match (self.source, self.spec.null_bytes()) {
            (_, Some(_)) => "net_null",
            (Source::Memory, None) => "memory",
            (Source::Pcap, None) => "net_pcap",
            (Source::Ring, None) => "net_ring",
        }
    }

    fn row(&self, measured: &[Measured], memory_bytes: u64, benches: &[Bench]) -> Row {
        let mean = |subject: usize| Timing::mean(measured.iter().map(|of| of.timings[subject]));
        let numbers: Vec<_> = benches.iter().filter_map(|of| of.subjects[0].numbers()).collect();
        let workers = f64::from(self.workers);
        Row {
            traffic: self.spec.to_string(),
            source: self.source_name().to_owned(),
            mode: self.mode,
            checksums: self.checksums,
            workers: self.workers,
            timing: mean(0),
            ceiling: mean(1),
            packets: measured.iter().map(|of| of.packets).sum(),
            wire_bytes: measured.iter().map(|of| of.wire_bytes).sum::<f64>() / workers,
            memory_bytes,
            note: note(&numbers),
        }
    }
}

/// Measures all workers at the same time, each on a CPU of its own if there are enough.
fn run(benches: &mut [Bench], args: &Args) -> anyhow::Result<Vec<Measured>> {
    let together = Together::new(benches.len());
    let cpus = cpu::allowed();
    let is_tied = benches.len() > 1 && benches.len() <= cpus.len();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, bench) in benches.iter_mut().enumerate() {
            let (together, cpu) = (&together, cpus.get(index).filter(|_| is_tied));
            let plan = plan(&bench.setup, args);
            threads.push(thread::Builder::new().spawn_scoped(scope, move || {
                // If this fails, the worker may share a CPU: it is slower then, and not wrong.
                let _is_there = cpu.is_none_or(|cpu| cpu::tie_this_thread(&[*cpu]).is_ok());
                let Bench { arena, traffic, subjects, .. } = bench;
                measure(arena, traffic.as_mut(), subjects, &plan, &together.of_worker(index))
            })?);
        }
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        Ok(joined.collect())
    })
}

fn plan(setup: &Setup, args: &Args) -> Plan {
    let (span, packets_max, lives) =
        if args.quick { (150, 2_000_000, 1) } else { (1000, 20_000_000, 2) };
    Plan {
        span: Duration::from_millis(span),
        packets_max,
        warm_up_frames: lives * setup.shape.life_frames,
        spacing: setup.shape.spacing(),
    }
}

/// Remarks on the row: packets that were not tracked, bytes that were not stored.
fn note(numbers: &[Numbers]) -> String {
    let sum = |stat| numbers.iter().map(|of| of.stats.get(stat)).sum::<u64>();
    let unmonitored =
        Stat::ALL.into_iter().filter(|stat| stat.is_outcome() && *stat != Stat::PacketsMonitored);
    let counted = unmonitored
        .chain([Stat::FlowsEndedEvicted, Stat::RefusedBytes])
        .map(|stat| (stat.name(), sum(stat)))
        .map(|((family, label), count)| (format!("{family} {label}"), count));
    counted
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{}: {count}", name.trim_end()))
        .collect::<Vec<_>>()
        .join(", ")
}

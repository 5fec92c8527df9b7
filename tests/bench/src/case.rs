//! The cases of a run: every traffic with every mode.

use std::{
    panic,
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
    report::Row,
    subject::{Numbers, Subject},
    traffic::Traffic,
};
use mos_dataplane::cpu;
use mos_stack::{Stat, WorkerId};

use crate::{
    args::Args,
    spec::{Spec, specs},
};

/// One row to be.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    spec: Spec,
    mode: Mode,
    checksums: Verification,
    workers: u16,
}

/// All cases that the command line asks for, in its order.
pub(crate) fn cases(args: &Args) -> Vec<Case> {
    specs(args).into_iter().flat_map(|spec| of_spec(&spec, args)).collect()
}

fn of_spec(spec: &Spec, args: &Args) -> Vec<Case> {
    let modes = if args.mode.is_empty() { spec.usual_modes(args) } else { &args.mode };
    let checksums =
        if args.checksums.is_empty() { &[Verification::On][..] } else { &args.checksums };
    let workers = if args.workers.is_empty() { &[1][..] } else { &args.workers };
    let mut cases = Vec::new();
    for mode in modes.iter().copied() {
        for checksums in checksums.iter().copied() {
            let case =
                |workers: &u16| Case { spec: spec.clone(), mode, checksums, workers: *workers };
            cases.extend(workers.iter().map(case));
        }
    }
    cases
}

/// One worker, ready to be measured.
struct Bench {
    arena: Arena,
    traffic: Box<dyn Traffic>,
    setup: Setup,
    subjects: Vec<Box<dyn Subject>>,
}

impl Case {
    /// What is measured, in a few words.
    pub(crate) fn title(&self) -> String {
        let Self { spec, mode, checksums, workers } = self;
        format!("{spec}, {mode}, checksums {checksums}, workers {workers}")
    }

    /// Measures it in a process of its own, so that no memory is left over from another one.
    /// `None` where the machine has not enough memory.
    ///
    /// # Errors
    ///
    /// Why that process failed.
    pub(crate) fn measure_apart(&self, args: &Args) -> anyhow::Result<Option<Row>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(self.spec.arguments())
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

    /// Measures it in this process. `None` where the machine has not enough memory.
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
        // Everything else is touched by now: what grows from here on is the stack.
        let before = held_bytes();
        for (bench, ceiling) in benches.iter_mut().zip(ceilings) {
            bench.subjects = vec![bench.setup.subject()?, Box::new(ceiling)];
        }
        let measured = run(&mut benches, args)?;
        let memory_bytes = held_bytes().saturating_sub(before);
        Ok(Some(self.row(&measured, memory_bytes, &benches)))
    }

    fn row(&self, measured: &[Measured], memory_bytes: u64, benches: &[Bench]) -> Row {
        let mean = |subject: usize| Timing::mean(measured.iter().map(|of| of.timings[subject]));
        let numbers: Vec<_> = benches.iter().filter_map(|of| of.subjects[0].numbers()).collect();
        let workers = f64::from(self.workers);
        Row {
            traffic: self.spec.to_string(),
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

/// Measures all workers at the same time, each on a CPU where there are enough.
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
                // On another CPU it is slower, if another worker is there; and just as right.
                let _is_there = cpu.is_none_or(|cpu| cpu::pin_this_thread(*cpu).is_ok());
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

/// What a reader of the row should know: packets that were not tracked, bytes that were not read.
fn note(numbers: &[Numbers]) -> String {
    let sum = |stat| numbers.iter().map(|of| of.stats.get(stat)).sum::<u64>();
    let unmonitored = Stat::ALL
        .into_iter()
        .filter(|stat| stat.name().0 == "packets" && *stat != Stat::PacketsMonitored);
    let counted = unmonitored
        .chain([Stat::FlowsEndedEvicted, Stat::RefusedBytes])
        .map(|stat| (stat.name(), sum(stat)))
        .map(|((family, label), count)| (format!("{family} {label}"), count));
    let unread = numbers.iter().map(|of| of.unread_bytes).sum();
    counted
        .chain([("bytes not read".to_owned(), unread)])
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{}: {count}", name.trim_end()))
        .collect::<Vec<_>>()
        .join(", ")
}

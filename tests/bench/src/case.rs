//! The cases of a run: every traffic with every mode.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use mos_bench::{
    arena::Arena,
    measure::{Plan, measure},
    memory::{available_bytes, held_bytes},
    mode::{Mode, Setup, Verification},
    report::Row,
    subject::Numbers,
    traffic::{Steady, Traffic},
};
use mos_stack::WorkerId;

use crate::args::{Args, Kind};

/// A traffic.
#[derive(Debug, Clone, Copy)]
enum Spec {
    Steady { payload: u16, flows: u32 },
}

/// One row to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    spec: Spec,
    mode: Mode,
    checksums: Verification,
}

/// All cases that the command line asks for, in its order.
pub(crate) fn cases(args: &Args) -> Vec<Case> {
    let specs = args.traffic.iter().flat_map(|kind| specs(*kind, args));
    specs.flat_map(|spec| with_modes(spec, args)).collect()
}

fn specs(kind: Kind, args: &Args) -> Vec<Spec> {
    let each = |payload| args.flows.iter().map(move |flows| (payload, *flows));
    match kind {
        Kind::T1 => args
            .payload
            .iter()
            .flat_map(|payload| each(*payload))
            .map(|(payload, flows)| Spec::Steady { payload, flows })
            .collect(),
    }
}

fn with_modes(spec: Spec, args: &Args) -> impl Iterator<Item = Case> {
    args.mode.iter().flat_map(move |mode| {
        args.checksums.iter().map(move |checksums| Case {
            spec,
            mode: *mode,
            checksums: *checksums,
        })
    })
}

impl Spec {
    /// The traffic from its beginning.
    fn make(self) -> Box<dyn Traffic> {
        match self {
            Self::Steady { payload, flows } => {
                let segments = if flows >= 100_000 && payload >= 1460 { 10 } else { 20 };
                Box::new(Steady::new(flows, payload.into(), segments))
            }
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady { payload, flows } => write!(f, "T1 {payload} B, {flows} flows"),
        }
    }
}

impl Case {
    /// Measures it; `None` where the machine has not enough memory.
    pub(crate) fn measure(self, args: &Args, arena: &mut Arena) -> anyhow::Result<Option<Row>> {
        let worker = WorkerId::new(0).context("no worker")?;
        let mut traffic = self.spec.make();
        let shape = traffic.shape();
        let Self { mode, checksums, .. } = self;
        let setup = Setup { mode, checksums, worker, shape };
        if setup.memory_bytes() > available_bytes() / 10 * 8 {
            return Ok(None);
        }
        let (span, packets_max, lives) =
            if args.quick { (150, 2_000_000, 1) } else { (1000, 20_000_000, 2) };
        let plan = Plan {
            span: Duration::from_millis(span),
            packets_max,
            warm_up_frames: lives * shape.life_frames,
            spacing: setup.spacing(),
        };
        let ceiling = Box::new(setup.ceiling()?);
        let before = held_bytes();
        let mut subjects = [setup.subject()?, ceiling];
        let measured = measure(arena, traffic.as_mut(), &mut subjects, plan);
        let memory_bytes = held_bytes().saturating_sub(before);
        let [timing, ceiling] = measured.timings[..] else { return Ok(None) };
        Ok(Some(Row {
            traffic: self.spec.to_string(),
            mode,
            checksums,
            timing,
            ceiling,
            wire_bytes: measured.wire_bytes,
            memory_bytes,
            note: subjects[0].numbers().as_ref().map(note).unwrap_or_default(),
        }))
    }
}

/// What was not as it should be.
fn note(numbers: &Numbers) -> String {
    match (numbers.refused_packets(), numbers.unread_bytes) {
        (0, 0) => String::new(),
        (packets, bytes) => format!("{packets} packets refused, {bytes} bytes not read"),
    }
}

//! The traffics, their numbers, and how each is made.

use std::{fmt, path::PathBuf};

use mos_bench::{
    mode::Mode,
    traffic::{Disorder, Flood, Flooding, Lockstep, Recorded, Scripted, Steady, Talk, Traffic},
};

use crate::args::{Args, Kind, Source};

/// One traffic with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spec {
    /// A traffic of the generator.
    Made {
        kind: Kind,
        /// Bytes of a data segment; `None` if the traffic has no choice.
        payload: Option<u16>,
        /// Flows open at once; `None` if the traffic has no choice.
        flows: Option<u32>,
    },
    /// The packets of a file.
    Recorded(PathBuf),
}

/// T2: numbers per 1000 data segments.
const REORDERED: Disorder = Disorder { late: 20, lost: 0, twice: 0 };
const LOSSY: Disorder = Disorder { late: 20, lost: 10, twice: 10 };

/// Flows of the traffics that have no choice.
const FLOWS: u32 = 10_000;

/// All traffics that the command line asks for, in its order.
pub(crate) fn specs(args: &Args) -> Vec<Spec> {
    let everything = args.traffic.is_empty() && args.capture.is_empty();
    let kinds = match (everything, args.quick) {
        (false, _) => args.traffic.clone(),
        (true, true) => {
            vec![Kind::T1, Kind::T2Loss, Kind::T3, Kind::T4, Kind::T6Syn, Kind::Null]
        }
        (true, false) => vec![
            Kind::T1,
            Kind::T2,
            Kind::T2Loss,
            Kind::T3,
            Kind::T3Together,
            Kind::T4,
            Kind::T5,
            Kind::T6Syn,
            Kind::T6SynAck,
            Kind::T6Ack,
            Kind::Null,
        ],
    };
    let made = kinds.into_iter().flat_map(|kind| with_numbers(kind, args));
    made.chain(args.capture.iter().cloned().map(Spec::Recorded)).collect()
}

fn with_numbers(kind: Kind, args: &Args) -> Vec<Spec> {
    let payloads: &[u16] = match (kind, args.quick) {
        (Kind::T1, false) => &[6, 512, 1460],
        (Kind::T1, true) | (Kind::Null, _) => &[6, 1460],
        (Kind::T2 | Kind::T2Loss, false) => &[512, 1460],
        (Kind::T2 | Kind::T2Loss, true) => &[1460],
        _ => &[],
    };
    let flows: &[u32] = match (kind, args.quick) {
        (Kind::T1, false) => &[100, 1000, 10_000, 100_000, 1_000_000],
        (Kind::T1, true) => &[1000, 100_000, 1_000_000],
        (Kind::T2 | Kind::T2Loss, _) => &[FLOWS],
        (Kind::T3 | Kind::T3Together, false) => &[1000, 50_000, 1_000_000],
        (Kind::T3 | Kind::T3Together, true) => &[50_000],
        (Kind::T5, false) => &[1_000_000, 4_000_000],
        (Kind::T5, true) => &[1_000_000],
        _ => &[],
    };
    let mut specs = Vec::new();
    for payload in chosen(payloads, &args.payload) {
        for flows in chosen(flows, &args.flows) {
            specs.push(Spec::Made { kind, payload, flows });
        }
    }
    specs
}

/// What the command line names, or else the default; `None` if there is no choice.
fn chosen<T: Copy>(usual: &[T], asked: &[T]) -> Vec<Option<T>> {
    match (usual, asked) {
        ([], _) => vec![None],
        (usual, []) => usual.iter().copied().map(Some).collect(),
        (_, asked) => asked.iter().copied().map(Some).collect(),
    }
}

impl Spec {
    /// The modes, if the command line names none.
    pub(crate) fn usual_modes(&self, args: &Args) -> &'static [Mode] {
        match (self, args.quick) {
            (Self::Made { kind: Kind::T1, .. }, false) => {
                &[Mode::Rx, Mode::Parse, Mode::Track, Mode::Reassemble, Mode::Read]
            }
            // A million flows take most of the time, so there is only one row of them.
            (Self::Made { kind: Kind::T1, payload: Some(6), flows: Some(1_000_000..) }, true) => {
                &[Mode::Track]
            }
            (Self::Made { kind: Kind::T1, flows: Some(1_000_000..), .. }, true) => &[],
            (Self::Made { kind: Kind::T1, .. }, true) => &[Mode::Track, Mode::Read],
            (Self::Made { kind: Kind::T2 | Kind::T2Loss | Kind::T4, .. }, true) => &[Mode::Read],
            (Self::Made { kind: Kind::T2 | Kind::T2Loss | Kind::T4, .. }, false)
            | (Self::Recorded(_), _) => &[Mode::Track, Mode::Reassemble, Mode::Read],
            (Self::Made { kind: Kind::Null, .. }, _) => &[Mode::Rx],
            (Self::Made { .. }, true) => &[Mode::Track],
            (Self::Made { .. }, false) => &[Mode::Track, Mode::Reassemble],
        }
    }

    /// The traffic of one of `workers` workers, from its beginning.
    ///
    /// # Errors
    ///
    /// A capture cannot be read.
    pub(crate) fn make(&self, workers: u16) -> anyhow::Result<Box<dyn Traffic>> {
        let (kind, payload, flows) = match self {
            Self::Recorded(path) => return Ok(Box::new(Recorded::open(path)?)),
            Self::Made { kind, payload, flows } => {
                (*kind, payload.unwrap_or_default(), flows.unwrap_or(FLOWS))
            }
        };
        let flows = flows.div_ceil(workers.into());
        let even = Talk::Even { payload };
        Ok(match kind {
            // Shorter flows are enough if there are very many.
            Kind::T1 if flows >= 100_000 && payload >= 1460 => {
                Box::new(Steady::new(flows, payload, 10))
            }
            Kind::T1 | Kind::Null => Box::new(Steady::new(flows, payload, 20)),
            Kind::T2 => Box::new(Scripted::new(flows, even, REORDERED)),
            Kind::T2Loss => Box::new(Scripted::new(flows, even, LOSSY)),
            Kind::T3 => Box::new(Steady::new(flows, 0, 0)),
            Kind::T3Together => Box::new(Lockstep::new(flows, 0, 0)),
            Kind::T4 => Box::new(Scripted::new(flows, Talk::Mixed, REORDERED)),
            Kind::T5 => Box::new(Lockstep::new(flows, 6, 4)),
            Kind::T6Syn => Box::new(Flood::new(Flooding::Syn)),
            Kind::T6SynAck => Box::new(Flood::new(Flooding::SynAck)),
            Kind::T6Ack => Box::new(Flood::new(Flooding::Ack)),
        })
    }

    /// Length of the frames that `net_null` makes, if that is the source.
    pub(crate) fn null_bytes(&self) -> Option<u16> {
        const HEADERS: u16 = 54;
        match self {
            Self::Made { kind: Kind::Null, payload, .. } => {
                Some(HEADERS + payload.unwrap_or_default())
            }
            Self::Made { .. } | Self::Recorded(_) => None,
        }
    }

    /// The sources, if the command line names none.
    pub(crate) fn usual_sources(&self, args: &Args) -> &'static [Source] {
        match self {
            Self::Made { kind: Kind::T1, flows: Some(1000), .. } if args.traffic.is_empty() => {
                &[Source::Memory, Source::Pcap, Source::Ring]
            }
            Self::Made { .. } | Self::Recorded(_) => &[Source::Memory],
        }
    }

    /// The arguments that select only this traffic.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Recorded(path) => vec![format!("--capture={}", path.display())],
            Self::Made { kind, payload, flows } => {
                let name = clap::ValueEnum::to_possible_value(kind);
                let name = name.map(|value| format!("--traffic={}", value.get_name()));
                let payload = payload.map(|payload| format!("--payload={payload}"));
                let flows = flows.map(|flows| format!("--flows={flows}"));
                name.into_iter().chain(payload).chain(flows).collect()
            }
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded(path) => path.display().fmt(f),
            Self::Made { kind, payload, flows } => {
                kind.fmt(f)?;
                payload.map_or(Ok(()), |payload| write!(f, " {payload} B"))?;
                flows.map_or(Ok(()), |flows| write!(f, " x {flows}"))
            }
        }
    }
}

//! A worker that is a script, and the services over it: no DPDK, no dataplane.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use mos_control::{
    Answer, Board, Command, CommandPort, Phase, PortMonitor, PortStatus, Refusal, Reply,
    WorkerLink, WorkerPort, event_ring, link,
};
use mos_stack::{
    FlowId, FlowSummary, FlowTuple, Gauges, Instant, Limits, OptionsOrigin, SideSummary, Sides,
    SockOpts, Stats, TcpState, WorkerId,
};
use mosd::{Control, Grants, Policies, Service, Settings};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What a scripted worker does with a command: answers, or (`None`) never does.
pub(crate) type Outcome = Option<Result<Reply, Refusal>>;

#[derive(Debug)]
struct NoPorts;

impl PortMonitor for NoPorts {
    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        audit: mosd::Audit::off(),
        tls: None,
        exposed: Vec::new(),
        limits: Limits::default(),
        grants: Grants::built_in(rustix::process::geteuid().as_raw()),
        policies: Arc::new(Policies::in_memory(Limits::default(), 4).unwrap()),
        payload: true,
        connections_max: 8,
        descriptors: mosd::Descriptors { needed: 264, available: 1024 },
        node: "test".to_owned(),
    }
}

pub(crate) fn worker_id(index: u16) -> WorkerId {
    WorkerId::new(index).unwrap()
}

/// A worker that runs on this thread, between the awaits of the test.
pub(crate) fn worker(
    index: u16,
    mut script: impl FnMut(Command) -> Outcome + 'static,
) -> CommandPort {
    let (port, mut worker) = link(worker_id(index));
    worker.board().set_phase(Phase::Running);
    tokio::task::spawn_local(async move {
        loop {
            turn(&mut worker, &mut script);
            tokio::task::yield_now().await;
        }
    });
    port
}

fn turn(worker: &mut WorkerPort, script: &mut impl FnMut(Command) -> Outcome) {
    let board = worker.board();
    board.turn(board.now(), 0);
    while let Some(request) = worker.take().or_else(|| worker.take_scan()) {
        if let Some(outcome) = script(request.command) {
            worker.answer(Answer { id: request.id, outcome });
        }
    }
}

pub(crate) fn control(ports: Vec<CommandPort>, settings: Settings) -> Arc<Control> {
    let quiet = |commands| WorkerLink { commands, events: event_ring(1).1 };
    control_of(ports.into_iter().map(quiet).collect(), settings)
}

/// As [`control`], for workers that tell events.
pub(crate) fn control_of(links: Vec<WorkerLink>, settings: Settings) -> Arc<Control> {
    Arc::new(Control::new(links, Arc::new(NoPorts), settings))
}

pub(crate) fn service(ports: Vec<CommandPort>) -> Service {
    Service::new(control(ports, settings()))
}

/// Runs a test on one thread, with its workers.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// A flow in this slot.
pub(crate) fn flow(worker: u16, slot: u32, generation: u32, started: u64) -> FlowSummary {
    let side = SideSummary {
        state: TcpState::Established,
        packets: 0,
        payload_bytes: 0,
        acknowledged: None,
        retransmits: 0,
        suspicious_segments: 0,
        buffer: mos_stack::BufferSummary::default(),
    };
    FlowSummary {
        id: FlowId::from_parts(worker_id(worker), slot, generation),
        inner_vlan: None,
        tuple: FlowTuple {
            client: "10.0.0.1:1000".parse().unwrap(),
            server: "10.0.0.2:80".parse().unwrap(),
            vlan: None,
        },
        sides: Sides::both(side),
        is_one_sided: false,
        options: SockOpts::default(),
        origin: OptionsOrigin::Default,
        revision: 0,
        started: Instant::from_nanos(started),
        last_packet: Instant::from_nanos(started),
    }
}

/// The table of one scripted worker.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) slots: Vec<Option<FlowSummary>>,
    pub(crate) now: u64,
}

impl Table {
    /// Answers what a list asks.
    pub(crate) fn answer(&self, command: Command) -> Outcome {
        Some(Ok(match command {
            Command::Clock => Reply::Clock(Instant::from_nanos(self.now)),
            Command::Scan { cursor, mut page } => {
                let first = cursor.0 as usize;
                let end = (first + mos_control::FLOW_PAGE).min(self.slots.len());
                page.extend(self.slots.iter().take(end).skip(first).flatten().copied());
                let next = u32::try_from(end).unwrap();
                let is_end = end >= self.slots.len();
                let next = (!is_end).then_some(mos_stack::SlotCursor(next));
                Reply::Scanned { page, next, last_event: 0 }
            }
            other @ (Command::Find { .. }
            | Command::Get { .. }
            | Command::Inspect { .. }
            | Command::SetSockOpt { .. }
            | Command::SetSockOpts { .. }
            | Command::SetPolicies { .. }
            | Command::Peek { .. }
            | Command::Read { .. }) => panic!("a list does not ask {other:?}"),
        }))
    }

    /// Says on the board what a worker would.
    pub(crate) fn publish(&self, board: &Board) {
        let gauges = Gauges {
            flows: self.slots.iter().flatten().count() as u64,
            flow_slots: self.slots.len() as u64,
            ..Gauges::default()
        };
        board.turn(Instant::from_nanos(self.now), 0);
        board.publish(&Stats::default(), gauges);
    }
}

/// Workers over these tables.
pub(crate) fn over(tables: &[Shared<Table>]) -> Service {
    let ports = tables
        .iter()
        .zip(0..)
        .map(|(table, index)| {
            let table = Rc::clone(table);
            let port = worker(index, {
                let table = Rc::clone(&table);
                move |command| table.borrow().answer(command)
            });
            table.borrow().publish(port.board());
            port
        })
        .collect();
    Service::new(control(ports, settings()))
}

/// A table without a free slot.
pub(crate) fn full(worker: u16, slots: u32) -> Table {
    Table { slots: (0..slots).map(|slot| Some(flow(worker, slot, 1, 0))).collect(), now: 10 }
}

pub(crate) type Shared<T> = Rc<RefCell<T>>;

pub(crate) fn shared<T>(value: T) -> Shared<T> {
    Rc::new(RefCell::new(value))
}

/// What a client decides by: code, reason, errno.
pub(crate) fn row(status: &Status) -> (Code, String, String) {
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has an ErrorInfo");
    assert_eq!(info.domain, "mos.v1");
    let errno = info.metadata.get("errno").cloned().unwrap_or_default();
    (status.code(), info.reason.clone(), errno)
}

pub(crate) fn metadata(status: &Status, key: &str) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap().metadata.get(key).cloned().unwrap_or_default()
}

pub(crate) fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let request = details.bad_request().expect("a BadRequest");
    request.field_violations.iter().map(|violation| violation.field.clone()).collect()
}

//! Walks against scripted workers on real rings.

use std::time::Duration;

use mos_control::{Answer, Command, FLOW_PAGE, Phase, Reply, SCAN_RING, WorkerPort, link};
use mos_stack::{
    BufferSummary, FlowId, Gauges, OptionsOrigin, SideSummary, Sides, SockOpts, Stats, TcpState,
};

use super::*;
use crate::workers::ScanPlace;

fn flow(core: WorkerId, slot: u32, started: u64) -> FlowSummary {
    let side = SideSummary {
        state: TcpState::Established,
        packets: 0,
        payload_bytes: 0,
        acknowledged: None,
        retransmits: 0,
        suspicious_segments: 0,
        buffer: BufferSummary::default(),
    };
    FlowSummary {
        id: FlowId::from_parts(core, slot, 1),
        inner_vlan: None,
        tuple: mos_stack::FlowTuple {
            client: "10.0.0.1:1000".parse().unwrap(),
            server: "10.0.0.2:80".parse().unwrap(),
            vlan: None,
        },
        sides: Sides::both(side),
        is_one_sided: false,
        options: SockOpts::default(),
        origin: OptionsOrigin::Default,
        revision: 0,
        started: WorkerTime::from_nanos(started),
        last_packet: WorkerTime::from_nanos(started),
    }
}

/// Answers what a walk asks, from a table with a flow in each slot; one scan a turn, as a worker
/// does.
fn serve_one(port: &mut WorkerPort, slots: u32) {
    let Some(request) = port.take().or_else(|| port.take_scan()) else { return };
    let reply = match request.command {
        Command::Clock => Reply::Clock(WorkerTime::from_nanos(10)),
        Command::Scan { cursor: SlotCursor(first), mut page } => {
            let end = (first + u32::try_from(FLOW_PAGE).unwrap()).min(slots);
            page.extend((first..end).map(|slot| flow(port.worker(), slot, 5)));
            let next = (end < slots).then_some(SlotCursor(end));
            Reply::Scanned { page, next, last_event: 0 }
        }
        Command::Find { .. } => Reply::Found(Default::default()),
        other @ (Command::Get { .. }
        | Command::Inspect { .. }
        | Command::SetSockOpt { .. }
        | Command::SetSockOpts { .. }
        | Command::SetPolicies { .. }
        | Command::Peek { .. }
        | Command::Read { .. }) => panic!("not asked: {other:?}"),
    };
    port.answer(Answer { id: request.id, outcome: Ok(reply) });
}

/// Workers of which those named in `hung` never answer, with `slots` flows each.
fn workers(count: u16, slots: u32, hung: &'static [u16]) -> Workers {
    let ports = (0..count).map(|index| {
        let (port, mut worker) = link(WorkerId::new(index).unwrap());
        worker.board().set_phase(Phase::Running);
        let gauges = Gauges { flow_slots: slots.into(), ..Gauges::default() };
        worker.board().publish(&Stats::default(), gauges);
        drop(tokio::task::spawn_local(async move {
            while !hung.contains(&index) {
                serve_one(&mut worker, slots);
                tokio::task::yield_now().await;
            }
            // A worker that hangs holds its end of the rings.
            std::future::pending::<()>().await;
            drop(worker);
        }));
        port
    });
    Workers::spawn(ports.collect())
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn after(span: Duration) -> Instant {
    Instant::now() + span
}

/// Notes each flow, up to a number.
struct Notes {
    flows: Vec<FlowId>,
    max: usize,
}

impl Notes {
    fn up_to(max: usize) -> Self {
        Self { flows: Vec::new(), max }
    }
}

impl Visitor for Notes {
    fn visit(&mut self, flow: &FlowSummary) -> ControlFlow<()> {
        if self.room() == 0 {
            return ControlFlow::Break(());
        }
        self.flows.push(flow.id);
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        self.max - self.flows.len()
    }
}

fn all(workers: &Workers) -> Vec<FlowId> {
    let slots = |client: &WorkerClient| {
        u32::try_from(client.board().gauges().flow_slots).expect("a small table")
    };
    workers
        .iter()
        .flat_map(|client| (0..slots(client)).map(|slot| flow(client.worker(), slot, 5).id))
        .collect()
}

/// A whole walk in stretches of at most `max` flows and `span` each.
async fn walk(workers: &Workers, max: usize, span: Duration) -> (Vec<FlowId>, Vec<WorkerId>) {
    let filter = Filter::parse("").unwrap();
    let (mut from, mut flows, mut unreachable) = (None, Vec::new(), Vec::new());
    loop {
        let walk = Walk { workers, filter: &filter, slots_max: 1000, deadline: after(span) };
        let mut notes = Notes::up_to(max);
        let stretch = walk.stretch(from, &mut notes).await.unwrap();
        flows.append(&mut notes.flows);
        unreachable.extend(stretch.unreachable);
        if stretch.next.is_none() {
            return (flows, unreachable);
        }
        from = stretch.next;
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn every_flow_is_visited_once_in_slot_order_however_the_walk_is_cut() {
    run(async {
        let workers = workers(3, 150, &[]);
        for max in [1, 7, 64, 1000] {
            assert_eq!(walk(&workers, max, LONG).await, (all(&workers), Vec::new()), "{max}");
        }
    });
}

#[test]
fn a_filter_chooses_and_both_kinds_are_counted() {
    run(async {
        let workers = workers(2, 100, &[]);
        let filter = Filter::parse("core = 1").unwrap();
        let walk =
            Walk { workers: &workers, filter: &filter, slots_max: 1000, deadline: after(LONG) };
        let mut notes = Notes::up_to(1000);
        let stretch = walk.stretch(None, &mut notes).await.unwrap();
        assert_eq!((stretch.seen, stretch.matched, notes.flows.len()), (200, 100, 100));
        assert_eq!(stretch.next, None);
    });
}

#[test]
fn a_stretch_ends_when_it_has_visited_enough_slots() {
    run(async {
        let workers = workers(1, 1000, &[]);
        let filter = Filter::parse("").unwrap();
        let walk =
            Walk { workers: &workers, filter: &filter, slots_max: 128, deadline: after(LONG) };
        let stretch = walk.stretch(None, &mut Notes::up_to(1000)).await.unwrap();
        assert_eq!((stretch.seen, stretch.next.map(|next| next.slot)), (128, Some(128)));
    });
}

#[test]
fn many_walks_at_once_are_all_complete_and_push_no_command_out() {
    run(async {
        let workers = workers(1, 3000, &[]);
        let expected = all(&workers);
        let mut walks = JoinSet::new();
        for _ in 0..4 * SCAN_RING {
            let workers = workers.clone();
            drop(walks.spawn_local(async move { walk(&workers, 1000, LONG).await }));
        }
        let (mut left, end) = (4 * SCAN_RING, "10.0.0.1:1".parse().unwrap());
        while left > 0 {
            tokio::select! {
                Some(outcome) = walks.join_next() => {
                    let (flows, unreachable) = outcome.unwrap();
                    assert_eq!((flows.len(), unreachable.len()), (expected.len(), 0));
                    assert_eq!(flows, expected);
                    left -= 1;
                }
                // A command meanwhile is never refused for what the walks have under way.
                outcome = workers.iter().next().unwrap().find(end, end, None).reply() => {
                    assert_eq!(outcome, Ok(Vec::new()));
                }
            }
        }
    });
}

/// Takes every place on a worker's ring of scans.
fn all_places(client: &WorkerClient) -> Vec<ScanPlace> {
    let places: Vec<_> = std::iter::from_fn(|| client.try_scan_place()).collect();
    assert_eq!(places.len(), SCAN_RING);
    places
}

#[test]
fn a_walk_waits_its_turn_where_another_could_take_every_place() {
    run(async {
        let workers = workers(1, 64, &[]);
        let client = workers.iter().next().unwrap();
        let mut places = all_places(client);
        let filter = Filter::parse("").unwrap();
        let from = Position { start: WorkerTime::from_nanos(10), core: client.worker(), slot: 0 };
        let deadline = after(Duration::from_millis(400));
        let walk = Walk { workers: &workers, filter: &filter, slots_max: 1000, deadline };
        let mut notes = Notes::up_to(100);
        let (stretch, ()) = tokio::join!(walk.stretch(Some(from), &mut notes), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            places.pop();
        });
        assert_eq!((stretch.unwrap().unreachable, notes.flows.len()), (Vec::new(), 64));
    });
}

#[test]
fn a_worker_that_serves_others_all_the_time_is_not_unreachable() {
    run(async {
        let workers = workers(1, 64, &[]);
        let client = workers.iter().next().unwrap();
        let mut places = all_places(client);
        let others = async {
            loop {
                // Each place goes on to the next of the same crowd.
                let place = places.pop().unwrap();
                let _asked = client.clock(place).reply().await.unwrap();
                places.push(client.scan_place().await.unwrap());
            }
        };
        let filter = Filter::parse("").unwrap();
        let from = Position { start: WorkerTime::from_nanos(10), core: client.worker(), slot: 0 };
        let deadline = after(Duration::from_millis(300));
        let walk = Walk { workers: &workers, filter: &filter, slots_max: 1000, deadline };
        let mut notes = Notes::up_to(100);
        tokio::select! {
            stretch = walk.stretch(Some(from), &mut notes) => {
                assert_eq!(stretch.unwrap().unreachable, Vec::new());
            }
            () = others => {}
        }
        assert_eq!(notes.flows.len(), 64);
    });
}

#[test]
fn a_hung_worker_is_named_and_the_others_are_visited_in_full() {
    run(async {
        let workers = workers(4, 100, &[0, 2]);
        let (flows, unreachable) = walk(&workers, 1000, Duration::from_secs(5)).await;
        let hung = |id: &FlowId| [0, 2].contains(&id.worker().index());
        let expected: Vec<_> = all(&workers).into_iter().filter(|id| !hung(id)).collect();
        assert_eq!(flows, expected);
        let named: Vec<u16> = unreachable.iter().map(|core| core.index()).collect();
        assert_eq!(named, [0, 2]);
    });
}

#[test]
fn what_a_hung_worker_takes_of_a_short_time_is_not_charged_to_the_others() {
    run(async {
        let workers = workers(3, 100, &[0]);
        let (flows, unreachable) = walk(&workers, 1000, Duration::from_millis(300)).await;
        assert_eq!((flows.len(), unreachable.len()), (200, 1));
        // Nor on a page that begins with the hung worker.
        let filter = Filter::parse("").unwrap();
        let core = WorkerId::default();
        let from = Position { start: WorkerTime::from_nanos(10), core, slot: 0 };
        let deadline = after(Duration::from_millis(300));
        let walk = Walk { workers: &workers, filter: &filter, slots_max: 1000, deadline };
        let stretch = walk.stretch(Some(from), &mut Notes::up_to(1000)).await.unwrap();
        assert_eq!(stretch.unreachable, [core]);
        let next = stretch.next.map(|next| (next.core.index(), next.slot));
        assert_eq!(next, Some((1, 0)));
    });
}

#[test]
fn a_worker_that_has_stopped_is_passed_over() {
    run(async {
        let workers = workers(2, 10, &[]);
        let (port, stopped) = link(WorkerId::new(2).unwrap());
        stopped.board().set_phase(Phase::Stopped);
        let mixed = Workers::spawn(vec![port]);
        let (flows, unreachable) = walk(&mixed, 10, LONG).await;
        assert_eq!((flows.len(), unreachable.len()), (0, 1));
        assert_eq!(walk(&workers, 10, LONG).await.0.len(), 20);
    });
}

//! The loop of a worker, with frames from memory: commands between bursts, its phases, its end.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]
#![expect(clippy::expect_used, reason = "a helper of tests fails its test")]

mod common;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use common::{ask, capture_begin, frames, wait_for};
use mos_control::{
    COMMAND_RING, Command, CommandPort, Phase, Refusal, Reply, Request, SCAN_RING, SockOptBatch,
    SockOptItem, link,
};
use mos_dataplane::{
    clock::SourceTime,
    config::IdleMode,
    idle::Idle,
    pace::SCAN_EVERY,
    source::memory::{MemoryFrame, MemorySource},
    worker::{AtEnd, COMMAND_BURST, Worker},
};
use mos_stack::{
    EndCause, EventSink, FlowId, FlowRef, Instant, Limits, LookupError, SlotCursor, SockOptChange,
    SockOptError, Stack, Stat, WorkerId, limits::BURST,
};

/// Counts the flows that end.
#[derive(Debug, Default)]
struct Ends {
    ended: usize,
    open: usize,
}

impl EventSink for Ends {
    fn flow_ended(&mut self, _flow: &FlowRef<'_>, cause: Option<EndCause>) {
        match cause {
            Some(_) => self.ended += 1,
            None => self.open += 1,
        }
    }
}

type TestWorker = Worker<MemorySource, SourceTime, Ends>;

/// A worker that gets the first `count` frames of the demo traffic, a microsecond apart.
fn worker(count: usize, at_end: AtEnd) -> (CommandPort, TestWorker) {
    let id = WorkerId::new(3).expect("a worker");
    let (commands, port) = link(id);
    let limits = Limits { flows_max: 512, pool_bytes: 8 << 20, ..Limits::default() };
    let begin = capture_begin().as_nanos();
    let frames = (0_u64..).zip(frames(count)).map(|(index, bytes)| MemoryFrame {
        arrival: Some(Instant::from_nanos(begin + index * 1000)),
        bytes,
    });
    let worker = Worker {
        port,
        stack: Stack::new(id, limits, 1).expect("a stack"),
        sources: vec![MemorySource::new(frames.collect())],
        clock: SourceTime,
        sink: Ends::default(),
        idle: Idle::new(IdleMode::Adaptive),
        at_end,
    };
    (commands, worker)
}

/// Stops the worker even when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs a worker on a thread of its own while `body` talks to it.
fn while_running(worker: TestWorker, body: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        scope.spawn(|| worker.run(&stop));
        body();
    });
}

#[test]
fn commands_are_answered_when_the_sources_have_ended() {
    let (mut commands, worker) = worker(2000, AtEnd::Serve);
    assert_eq!(commands.board().phase(), Phase::Starting);
    while_running(worker, || {
        wait_for("the end", || commands.board().phase() == Phase::Drained);
        let Reply::Clock(now) = ask(&mut commands, Command::Clock) else { unreachable!() };
        assert_eq!(now.as_nanos() - capture_begin().as_nanos(), 1999 * 1000);
        let (mut cursor, mut listed) = (Some(SlotCursor(0)), Vec::new());
        while let Some(at) = cursor {
            let scan = Command::Scan { cursor: at, page: Box::default() };
            let Reply::Scanned { page, next, .. } = ask(&mut commands, scan) else {
                unreachable!()
            };
            listed.extend(page.iter().map(|flow| flow.id));
            cursor = next;
        }
        assert_eq!(listed.len() as u64, commands.board().gauges().flows);
        let flow = listed[0];
        let Reply::Flow(summary) = ask(&mut commands, Command::Get { flow }) else {
            unreachable!()
        };
        let (a, b): (SocketAddr, SocketAddr) = (summary.tuple.server, summary.tuple.client);
        let find = Command::Find { a, b, vlan: None };
        let Reply::Found(found) = ask(&mut commands, find) else { unreachable!() };
        assert!(found.iter().any(|found| found.id == flow));
    });
    assert_eq!(commands.board().phase(), Phase::Stopped);
}

#[test]
fn a_batch_changes_flows_of_this_worker_and_says_what_came_of_each() {
    let (mut commands, worker) = worker(2000, AtEnd::Serve);
    while_running(worker, || {
        wait_for("the end", || commands.board().phase() == Phase::Drained);
        let scan = Command::Scan { cursor: SlotCursor(0), page: Box::default() };
        let Reply::Scanned { page, .. } = ask(&mut commands, scan) else { unreachable!() };
        let mut change = SockOptChange::default();
        change.buffer_bytes.client = Some(1 << 16);
        let item = |flow| SockOptItem { flow, change, expected_revision: None };
        let mut batch = Box::new(SockOptBatch::default());
        let elsewhere = FlowId::from_parts(WorkerId::default(), 0, 0);
        batch.items.extend(page.iter().take(2).map(|flow| item(flow.id)));
        batch.items.push(item(elsewhere));
        let stale = SockOptItem { expected_revision: Some(7), ..batch.items[0] };
        batch.items.extend([batch.items[0], stale]);
        let command = Command::SetSockOpts { batch };
        let Reply::SockOpts { batch } = ask(&mut commands, command) else { unreachable!() };
        let outcomes: Vec<_> = batch.outcomes.iter().map(|one| one.map(|a| a.unchanged)).collect();
        let unknown = SockOptError::Lookup(LookupError::NotFound);
        let mismatch = SockOptError::RevisionMismatch { current: 1 };
        assert_eq!(outcomes, [Ok(false), Ok(false), Err(unknown), Ok(true), Err(mismatch)]);
        let previous = batch.outcomes[0].expect("it was changed").previous;
        assert_eq!(previous, page[0].options);
        let flow = page[0].id;
        let Reply::Flow(now) = ask(&mut commands, Command::Get { flow }) else { unreachable!() };
        assert_eq!(now.options.buffer_bytes.client, 1 << 16);
    });
}

#[test]
fn a_checked_change_changes_nothing_and_an_applied_one_does() {
    let (mut commands, worker) = worker(2000, AtEnd::Serve);
    while_running(worker, || {
        wait_for("the end", || commands.board().phase() == Phase::Drained);
        let scan = Command::Scan { cursor: SlotCursor(0), page: Box::default() };
        let Reply::Scanned { page, .. } = ask(&mut commands, scan) else { unreachable!() };
        let flow = page.first().expect("a flow").id;
        let mut change = SockOptChange::default();
        change.buffer_bytes.client = Some(1 << 20);
        let mut set = |validate_only| {
            let expected_revision = None;
            let command = Command::SetSockOpt { flow, change, expected_revision, validate_only };
            let Reply::SockOpt(applied) = ask(&mut commands, command) else { unreachable!() };
            (applied.options.buffer_bytes.client, applied.unchanged)
        };
        assert_eq!(set(true), (1 << 20, false));
        assert_eq!(set(false), (1 << 20, false));
        assert_eq!(set(false), (1 << 20, true));
    });
}

#[test]
fn a_worker_that_finishes_tells_of_every_flow_once() {
    let (commands, worker) = worker(3000, AtEnd::Finish);
    let finished = worker.run(&AtomicBool::new(false));
    let stats = finished.stack.stats();
    assert_eq!(stats.packets(), 3000);
    assert_eq!(commands.board().stat(Stat::FlowsStarted), stats.get(Stat::FlowsStarted));
    let told = finished.sink.ended + finished.sink.open;
    assert_eq!(told as u64, stats.get(Stat::FlowsStarted));
    assert!(finished.sink.open > 0, "some flows are open at the end");
    assert_eq!(commands.board().phase(), Phase::Stopped);
}

#[test]
fn commands_that_come_too_late_are_refused_and_none_is_lost() {
    let (mut commands, worker) = worker(10, AtEnd::Serve);
    for id in 0..COMMAND_RING as u64 {
        commands.try_submit(Request { id, command: Command::Clock }).expect("room");
    }
    let full = commands.try_submit(Request { id: 999, command: Command::Clock });
    assert_eq!(full.expect_err("a full ring").id, 999);
    worker.run(&AtomicBool::new(true));
    for id in 0..COMMAND_RING as u64 {
        let answer = commands.try_receive().expect("an answer to every command");
        assert_eq!(answer.id, id);
        let refusal = answer.outcome.expect_err("a refusal");
        assert_eq!(refusal, Refusal::WorkerStopping(WorkerId::new(3).expect("a worker")));
    }
    assert!(commands.try_receive().is_none());
    assert!(commands.is_abandoned());
}

#[test]
fn commands_do_not_hold_up_packets() {
    let (mut commands, worker) = worker(320, AtEnd::Finish);
    for id in 0..COMMAND_RING as u64 {
        let flow = FlowId::from_parts(WorkerId::default(), 1, 1);
        commands.try_submit(Request { id, command: Command::Get { flow } }).expect("room");
    }
    let finished = worker.run(&AtomicBool::new(false));
    assert_eq!(finished.stack.stats().packets(), 320);
    // Ten turns with a burst each, and the turn that finds the end.
    let answered = std::iter::from_fn(|| commands.try_receive());
    let looked_up = answered
        .filter(|answer| matches!(answer.outcome, Err(Refusal::Lookup(LookupError::NotFound))));
    assert_eq!(looked_up.count(), 11 * COMMAND_BURST);
}

#[test]
fn lists_hold_up_a_busy_worker_now_and_then_and_no_other_command_at_all() {
    let turns = 2 * SCAN_EVERY as usize;
    let (mut commands, worker) = worker(turns * BURST, AtEnd::Finish);
    let (scans, others) = (0..SCAN_RING as u64, 100..104_u64);
    for id in scans.chain(others.clone()) {
        let command = match id {
            100.. => Command::Clock,
            _ => Command::Scan { cursor: SlotCursor::default(), page: Box::default() },
        };
        commands.try_submit(Request { id, command }).expect("room");
    }
    let scan = Command::Scan { cursor: SlotCursor::default(), page: Box::default() };
    let full = commands.try_submit(Request { id: 999, command: scan });
    assert_eq!(full.expect_err("a full ring").id, 999);
    assert_eq!(commands.depth(), SCAN_RING + others.clone().count());
    worker.run(&AtomicBool::new(false));
    let (applied, refused): (Vec<_>, Vec<_>) =
        std::iter::from_fn(|| commands.try_receive()).partition(|answer| answer.outcome.is_ok());
    // A scan in the first turn, in the middle, and in the turn that finds the end.
    let expected = others.chain(0..3).collect::<Vec<_>>();
    assert_eq!(applied.iter().map(|answer| answer.id).collect::<Vec<_>>(), expected);
    assert_eq!(refused.len(), SCAN_RING - 3);
}

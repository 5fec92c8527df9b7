//! `WatchFlows` over a real stack whose flows come and go.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mos_control::{WorkerLink, event_ring, link};
use mos_dataplane::{
    clock::MonotonicClock,
    config::IdleMode,
    idle::Idle,
    source::{PacketSource, Received},
    worker::{AtEnd, Worker},
};
use mos_proto::v1::{
    Bookmark, FlowOptions, FlowUpdate, ListFlowsRequest, SetSockOptRequest, SlowPolicy,
    WatchFlowsRequest, WatchFlowsResponse, flow_service_client::FlowServiceClient,
    flow_update::Kind, lost::Reason, set_sock_opt_request::Change, watch_flows_response::Message,
};
use mos_stack::{Checksums, Frame, FrameSet, Instant, Limits, Link, Stack, Timeouts};
use tokio::time::timeout;
use tonic::{Code, Streaming, transport::Channel};

use crate::{
    support::{control_of, fields, row, run, settings, worker_id},
    transport::Served,
};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection that both have closed stays.
const TIME_WAIT: Duration = Duration::from_millis(20);

/// Packets of one connection, from its SYN to the last acknowledgement.
const STEPS: u64 = 6;

/// Connections that are open at once.
const OPEN: u64 = 40;
const OPENED: usize = 40;

/// Connections that come and go, each a client address of its own, as many packets as are allowed.
struct Churn {
    allowed: Arc<AtomicU64>,
    sent: u64,
}

impl PacketSource for Churn {
    fn receive(
        &mut self,
        now: Instant,
        mut handle: impl FnMut(&[Frame<'_>]) -> FrameSet,
    ) -> Received {
        if self.sent >= self.allowed.load(Relaxed) {
            return Received::Nothing;
        }
        // In turn the next packet of each of the connections that are open together.
        let (batch, within) = (self.sent / (OPEN * STEPS), self.sent % (OPEN * STEPS));
        let bytes = segment(batch * OPEN + within % OPEN, within / OPEN);
        self.sent += 1;
        handle(&[Frame {
            arrival: now,
            link: Link::Ethernet,
            bytes: &bytes,
            wire_length: 54,
            checksums: Checksums::Good,
        }]);
        Received::Frames(1)
    }
}

/// One packet of a connection.
fn segment(flow: u64, step: u64) -> [u8; 54] {
    const FIN_ACK: u8 = 0x11;
    let (from_client, flags, seq, ack): (bool, u8, u32, u32) = match step {
        0 => (true, 0x02, 0, 0),
        1 => (false, 0x12, 0, 1),
        2 => (true, 0x10, 1, 1),
        3 => (true, FIN_ACK, 1, 1),
        4 => (false, FIN_ACK, 1, 2),
        _ => (true, 0x10, 2, 2),
    };
    let client = (Ipv4Addr::from_bits((10 << 24) + u32::try_from(flow).unwrap()), 40_000_u16);
    let server = (Ipv4Addr::new(192, 0, 2, 1), 80);
    let (source, target) = if from_client { (client, server) } else { (server, client) };
    let mut bytes = [0; 54];
    bytes[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    bytes[17] = 40;
    bytes[22..24].copy_from_slice(&[64, 6]);
    bytes[26..30].copy_from_slice(&source.0.octets());
    bytes[30..34].copy_from_slice(&target.0.octets());
    bytes[34..36].copy_from_slice(&source.1.to_be_bytes());
    bytes[36..38].copy_from_slice(&target.1.to_be_bytes());
    bytes[38..42].copy_from_slice(&seq.to_be_bytes());
    bytes[42..46].copy_from_slice(&ack.to_be_bytes());
    bytes[46..50].copy_from_slice(&[5 << 4, flags, 0xff, 0xff]);
    bytes
}

/// A worker with connections that come and go, and the services over it.
struct Scene {
    served: Served,
    client: FlowServiceClient<Channel>,
    allowed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    worker: JoinHandle<()>,
}

impl Scene {
    async fn start() -> Self {
        let (commands, port) = link(worker_id(0));
        let (sink, events) = event_ring(1 << 14);
        let (allowed, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let sources = vec![Churn { allowed: Arc::clone(&allowed), sent: 0 }];
        let timeouts = Timeouts { time_wait: TIME_WAIT, ..Timeouts::default() };
        let limits =
            Limits { flows_max: 1 << 14, pool_bytes: 1 << 20, timeouts, ..Limits::default() };
        let until = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            let stack = Stack::new(port.worker(), limits, 1).unwrap();
            let (clock, idle) = (MonotonicClock::start(), Idle::new(IdleMode::suiting(1, 1)));
            let worker = Worker { port, stack, sources, clock, sink, idle, at_end: AtEnd::Serve };
            drop(worker.run(&until));
        });
        let control = control_of(vec![WorkerLink { commands, events }], settings());
        let served = Served::over(control).await;
        let client = FlowServiceClient::new(served.connect().await);
        Self { served, client, allowed, stop, worker }
    }

    fn end(self) {
        self.stop.store(true, Relaxed);
        self.worker.join().unwrap();
    }

    async fn watch(&mut self, request: WatchFlowsRequest) -> Known {
        // Of its own: what nobody reads of one stream fills the window of its connection.
        let mut client = FlowServiceClient::new(self.served.connect().await);
        let stream = client.watch_flows(request).await.unwrap().into_inner();
        let mut known = Known { stream, flows: BTreeMap::new(), ended: 0, lost: Vec::new() };
        let Message::Subscribed(_) = known.message().await else { panic!("the first message") };
        known
    }

    /// Lets so many packets pass, in all.
    fn allow(&self, packets: u64) {
        self.allowed.store(packets, Relaxed);
    }

    /// The names of the flows that are there.
    async fn listed(&mut self) -> Vec<String> {
        let request = ListFlowsRequest { page_size: 1000, ..ListFlowsRequest::default() };
        let listed = self.client.list_flows(request).await.unwrap().into_inner();
        assert_eq!(listed.next_page_token, "");
        listed.flows.into_iter().map(|flow| flow.name).collect()
    }
}

/// What one knows who watches.
struct Known {
    stream: Streaming<WatchFlowsResponse>,
    /// Flows that were told of: the number of the last update, or `None` after the end.
    flows: BTreeMap<String, Option<i64>>,
    ended: usize,
    lost: Vec<Reason>,
}

impl Known {
    async fn message(&mut self) -> Message {
        let message = timeout(PATIENCE, self.stream.message()).await.expect("something comes");
        message.unwrap().expect("it goes on").message.expect("a message")
    }

    fn learn(&mut self, update: FlowUpdate) {
        let kind = update.kind();
        let flow = update.flow.expect("an update has a flow");
        assert!(flow.options.is_some() && flow.start_time.is_some(), "{flow:?}");
        let before = self.flows.get(&flow.name);
        match kind {
            Kind::Existing | Kind::Added => assert_eq!(before, None, "twice: {flow:?}"),
            Kind::Changed | Kind::Ended => {
                let before = before.copied().flatten().expect("it was told of, and lives");
                assert!(update.core_sequence > before, "in its order");
            }
            Kind::Unspecified => panic!("{flow:?}"),
        }
        let has_ended = kind == Kind::Ended;
        assert_eq!(update.cause.is_empty(), !has_ended);
        self.ended += usize::from(has_ended);
        self.flows.insert(flow.name, (!has_ended).then_some(update.core_sequence));
    }

    /// Learns until the next bookmark.
    async fn bookmark(&mut self) -> Bookmark {
        loop {
            match self.message().await {
                Message::Update(update) => self.learn(update),
                Message::Bookmark(bookmark) => return bookmark,
                Message::Lost(lost) => self.lost.push(lost.reason()),
                other @ (Message::Subscribed(_) | Message::Unreachable(_)) => panic!("{other:?}"),
            }
        }
    }

    /// Learns of the next change, losses apart.
    async fn change(&mut self) {
        match self.message().await {
            Message::Update(update) => self.learn(update),
            Message::Bookmark(_) => {}
            other @ (Message::Subscribed(_) | Message::Lost(_) | Message::Unreachable(_)) => {
                panic!("{other:?} with {} known, {} ended", self.flows.len(), self.ended)
            }
        }
    }

    /// Learns until so many flows are known, and so many of them have ended.
    async fn until(&mut self, known: usize, ended: usize) {
        while (self.flows.len(), self.ended) != (known, ended) {
            self.change().await;
        }
    }

    fn living(&self) -> Vec<&String> {
        let lives = self.flows.iter().filter(|(_, last)| last.is_some());
        lives.map(|(name, _)| name).collect()
    }
}

fn watching(slow: SlowPolicy) -> WatchFlowsRequest {
    WatchFlowsRequest { slow_policy: slow.into(), ..WatchFlowsRequest::default() }
}

#[test]
fn every_flow_is_told_once_and_its_end_once_whenever_one_begins_to_watch() {
    run(async {
        let mut scene = Scene::start().await;
        let mut watchers = Vec::new();
        for (round, slow) in
            (1..).zip([SlowPolicy::Coalesce, SlowPolicy::Drop, SlowPolicy::Disconnect].repeat(2))
        {
            // It begins while packets pass. What all of them tell fits into a queue.
            scene.allow(round * 2 * OPEN * STEPS - 3 * OPEN);
            watchers.push(scene.watch(watching(slow)).await);
        }
        for known in &mut watchers {
            assert!(known.bookmark().await.snapshot_complete);
            // The last ones stay open.
            while known.living().len() != OPENED || scene.listed().await.iter().ne(known.living()) {
                known.change().await;
            }
        }
        let first = watchers.first().unwrap();
        assert!(first.flows.len() > 200, "{}", first.flows.len());
        scene.end();
    });
}

#[test]
fn one_who_comes_back_with_a_bookmark_is_told_what_has_changed_and_nothing_else() {
    run(async {
        let mut scene = Scene::start().await;
        scene.allow(OPEN * 3);
        while scene.listed().await.len() < OPENED {}
        let mut known = scene.watch(WatchFlowsRequest::default()).await;
        assert!(known.bookmark().await.snapshot_complete);
        assert_eq!(known.living().len(), OPENED);
        let bookmark = known.bookmark().await;
        assert!(!bookmark.snapshot_complete && !bookmark.resume_token.is_empty());
        let Known { stream, flows, .. } = known;
        drop(stream);
        // They change while nobody watches, and others come.
        scene.allow(OPEN * STEPS + OPEN);
        let options = FlowOptions { client_buffer_bytes: Some(0), ..FlowOptions::default() };
        let is_new = |name: &String| !flows.contains_key(name);
        let mut new = Vec::new();
        while new.len() < OPENED {
            new = scene.listed().await.into_iter().filter(is_new).collect();
        }
        let name = new.remove(0);
        let change = Some(Change::Options(options));
        let set = SetSockOptRequest { flow: name.clone(), change, ..SetSockOptRequest::default() };
        scene.client.set_sock_opt(set).await.unwrap();

        let resume_token = bookmark.resume_token.clone();
        let again = WatchFlowsRequest { resume_token, ..WatchFlowsRequest::default() };
        let mut back = scene.watch(again.clone()).await;
        back.flows = flows;
        assert!(back.bookmark().await.snapshot_complete);
        back.until(2 * OPENED, OPENED).await;
        assert!(back.flows.contains_key(&name));
        let other = WatchFlowsRequest { filter: "core = 0".to_owned(), ..again };
        let refused = scene.client.watch_flows(other).await.unwrap_err();
        assert_eq!(row(&refused).1, "RESUME_TOKEN_INVALID");
        scene.end();
    });
}

#[test]
fn who_comes_back_after_a_restart_is_told_so_and_given_all_flows() {
    run(async {
        let mut before = Scene::start().await;
        let mut known = before.watch(WatchFlowsRequest::default()).await;
        assert!(known.bookmark().await.snapshot_complete);
        let resume_token = known.bookmark().await.resume_token;
        before.end();
        let mut scene = Scene::start().await;
        scene.allow(OPEN);
        while scene.listed().await.len() < OPENED {}
        let again = WatchFlowsRequest { resume_token, ..WatchFlowsRequest::default() };
        let mut known = scene.watch(again).await;
        assert!(known.bookmark().await.snapshot_complete);
        assert_eq!(known.lost, [Reason::HistoryExpired]);
        assert_eq!(known.living().len(), OPENED);
        scene.end();
    });
}

#[test]
fn who_wants_updates_only_is_given_no_snapshot_and_a_filter_holds_for_both() {
    run(async {
        let mut scene = Scene::start().await;
        scene.allow(OPEN);
        while scene.listed().await.len() < OPENED {}
        let only = WatchFlowsRequest { updates_only: true, ..WatchFlowsRequest::default() };
        let mut only = scene.watch(only).await;
        let filter = "client.address = 10.0.0.0/31 OR client.address = 10.0.0.40/31".to_owned();
        let chosen = WatchFlowsRequest { filter, ..WatchFlowsRequest::default() };
        let mut chosen = scene.watch(chosen).await;
        assert!(only.bookmark().await.snapshot_complete);
        assert!(chosen.bookmark().await.snapshot_complete);
        assert_eq!((only.flows.len(), chosen.flows.len()), (0, 2));
        // What follows is of flows that it was never told of.
        only.flows = scene.listed().await.into_iter().map(|name| (name, Some(0))).collect();
        scene.allow(OPEN * STEPS + OPEN);
        only.until(2 * OPENED, OPENED).await;
        chosen.until(4, 2).await;
        scene.end();
    });
}

#[test]
fn bad_requests_are_refused_before_anything_is_watched() {
    run(async {
        let mut scene = Scene::start().await;
        let good = WatchFlowsRequest::default;
        for (request, reason, field) in [
            (
                WatchFlowsRequest { filter: "age > 1s".to_owned(), ..good() },
                "FILTER_FIELD_UNAVAILABLE",
                "filter",
            ),
            (WatchFlowsRequest { slow_policy: 9, ..good() }, "ARGUMENT_INVALID", "slow_policy"),
            (
                WatchFlowsRequest { resume_token: "x".to_owned(), ..good() },
                "RESUME_TOKEN_INVALID",
                "resume_token",
            ),
        ] {
            let refused = scene.client.watch_flows(request).await.unwrap_err();
            let (code, found, _) = row(&refused);
            assert_eq!((code, found.as_str()), (Code::InvalidArgument, reason));
            assert_eq!(fields(&refused), [field]);
        }
        scene.end();
    });
}

//! A stack, a clock and a script: what passes between one client and one server, as text.
//!
//! ```text
//! C> S 100            client, flags as tcpdump prints them, sequence number
//! S> S. 300 101       server, sequence and acknowledgement number
//! C> . 101 301 hello  and a payload
//! +1500               1500 ms pass
//! ```

use arrayvec::ArrayVec;
use core::time::Duration;
use std::{collections::BTreeMap, net::SocketAddr, string::String, vec::Vec};

use super::FrameBuilder;
use crate::{
    EndCause, Event, EventKind, EventKinds, EventSink, Fact, FlowId, FlowRef, FlowStatus,
    FlowSummary, Head, Instant, Limits, Side, SlotCursor, Stack, StatusChange, StreamOffset,
    WorkerId,
};

pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) ended: Ended,
}

/// What the stack has emitted.
#[derive(Default)]
pub(crate) struct Ended {
    /// The flows that have ended: their summaries, their causes, and what each side had received.
    pub(crate) flows: Vec<(FlowSummary, Option<EndCause>, [String; 2])>,
    /// Every event, as one line of text.
    pub(crate) events: Vec<String>,
    /// What was heard of streams: whose, from which offset on, and the bytes.
    pub(crate) heard: Vec<(Side, u64, Vec<u8>)>,
    /// The flows that are there, as one knows who follows them.
    pub(crate) followed: BTreeMap<FlowId, FlowStatus>,
}

impl EventSink for Ended {
    fn wanted(&self) -> EventKinds {
        EventKinds::ALL.with(EventKind::FlowStatus)
    }

    fn on_event(&mut self, event: &Event) {
        if let Fact::FlowStatus { change, status } = event.fact {
            return self.follow(event.flow.expect("a status has a flow"), change, status);
        }
        let side = match event.fact.side() {
            Some(Side::Client) => "client ",
            Some(Side::Server) => "server ",
            None => "",
        };
        self.events.push(match event.fact {
            Fact::StateChanged { to, .. } => std::format!("{side}{to}"),
            Fact::NewData { offset, end, .. } => std::format!("{side}new_data {offset}..{end}"),
            Fact::Retransmission { offset, length, .. }
            | Fact::BufferOverrun { offset, length, .. }
            | Fact::Gap { offset, length, .. } => {
                std::format!("{side}{} {offset}+{length}", event.fact.kind().as_str())
            }
            Fact::OverlapConflict { offset, length, held, arrived, rule, .. } => {
                let text = |head: &Head| String::from_utf8_lossy(head.as_bytes()).into_owned();
                let (held, arrived, rule) = (text(&held), text(&arrived), rule.as_str());
                std::format!("{side}conflict {offset}+{length} {held} {arrived} {rule}")
            }
            Fact::SuspiciousSegment { reason, .. } => {
                std::format!("{side}suspicious {}", reason.as_str())
            }
            Fact::FlowEnded(cause) => {
                std::format!("flow_ended {}", cause.map_or("open", EndCause::as_str))
            }
            Fact::FlowStarted
            | Fact::FlowEstablished
            | Fact::OrphanPacket
            | Fact::OptionsChanged { .. }
            | Fact::FlowStatus { .. } => event.fact.kind().as_str().into(),
        });
    }

    fn wants_streams(&self) -> bool {
        true
    }

    fn on_stream(&mut self, _flow: FlowId, side: Side, offset: StreamOffset, bytes: &[u8]) {
        self.heard.push((side, offset.0, bytes.to_vec()));
    }

    fn flow_ended(&mut self, flow: &FlowRef<'_>, cause: Option<EndCause>) {
        let streams = Side::BOTH.map(|side| {
            let mut stream = Vec::new();
            flow.read_beginning(side, |piece| stream.extend_from_slice(piece));
            String::from_utf8_lossy(&stream).into_owned()
        });
        self.flows.push((flow.summary(), cause, streams));
    }
}

impl Ended {
    fn follow(&mut self, id: FlowId, change: StatusChange, status: FlowStatus) {
        let before = match change {
            StatusChange::Began | StatusChange::Changed => self.followed.insert(id, status),
            StatusChange::Ended(_) => self.followed.remove(&id),
        };
        assert_eq!(before.is_none(), change == StatusChange::Began, "{id:?} {change:?}");
        if change == StatusChange::Changed {
            let told = |status: FlowStatus| FlowStatus { last_packet: Instant::EPOCH, ..status };
            assert_ne!(before.map(told), Some(told(status)), "nothing has changed");
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Limits {
            flows_max: 64,
            half_open_max: 64,
            pool_bytes: 1 << 20,
            ..Limits::default()
        })
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self {
            stack: Stack::new(WorkerId::default(), limits, 1).expect("limits"),
            now: Instant::from_nanos(1_700_000_000_000_000_000),
            client: SocketAddr::from(([10, 0, 0, 1], 4000)),
            server: SocketAddr::from(([192, 0, 2, 1], 80)),
            ended: Ended::default(),
        }
    }

    /// The same world with the two addresses exchanged.
    pub(crate) fn mirrored(mut self) -> Self {
        core::mem::swap(&mut self.client, &mut self.server);
        self
    }

    /// Plays a script. Every packet must end in exactly one counter.
    pub(crate) fn play(&mut self, script: &str) -> &mut Self {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(millis) = line.strip_prefix('+') {
                self.wait(Duration::from_millis(millis.parse().expect("milliseconds")));
            } else {
                self.line(line);
            }
        }
        self
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now = self.now.after(span);
        while self.stack.handle_timeout(self.now, 1000, &mut self.ended) > 0 {}
        // The wheel's hand passes a bounded number of empty buckets in one call.
        for _ in 0..20 {
            self.stack.handle_timeout(self.now, 1000, &mut self.ended);
        }
    }

    pub(crate) fn send(&mut self, frame: &FrameBuilder) {
        self.receive(&frame.build());
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let before = self.stack.stats().packets();
        let frame = FrameBuilder::arriving(bytes, self.now);
        self.stack.handle_burst(&[frame], &mut self.ended);
        assert_eq!(self.stack.stats().packets(), before + 1, "every packet is counted once");
        self.check_followed();
    }

    /// Who follows the flows knows of each what a list shows. Only where these are few: it looks
    /// at all of them.
    fn check_followed(&self) {
        if self.stack.gauges().flows > 64 {
            return;
        }
        let (mut page, mut cursor) = (ArrayVec::<FlowSummary, 64>::new(), Some(SlotCursor(0)));
        let mut listed = BTreeMap::new();
        while let Some(at) = cursor {
            page.clear();
            cursor = self.stack.scan(at, 64, &mut page);
            listed.extend(page.iter().map(|flow| (flow.id, *flow)));
        }
        assert!(self.ended.followed.keys().eq(listed.keys()));
        for (status, flow) in self.ended.followed.values().zip(listed.values()) {
            // The last packet is not told, nor is what only a predicted one can show.
            let told = FlowStatus {
                last_packet: flow.last_packet,
                is_one_sided: flow.is_one_sided,
                ..*status
            };
            assert_eq!(told, flow.status(), "{:?}", flow.tuple);
        }
    }

    /// The flow between client and server.
    #[track_caller]
    pub(crate) fn flow(&self) -> FlowSummary {
        *self.stack.find(self.client, self.server, None).first().expect("a live flow")
    }

    pub(crate) fn id(&self) -> FlowId {
        self.flow().id
    }

    /// Everything held of what `side` has received, holes left out.
    pub(crate) fn received(&self, side: Side) -> String {
        let mut bytes = Vec::new();
        let (mut at, mut chunk) = (None, [0; 512]);
        while let Ok(peeked) = self.stack.peek(self.id(), side, at, &mut chunk) {
            bytes.extend_from_slice(&chunk[..peeked.length]);
            at = peeked.next_held;
            if at.is_none() {
                break;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The events since the last call, one a line.
    pub(crate) fn events(&mut self) -> String {
        core::mem::take(&mut self.ended.events).join("\n")
    }

    /// Both sides' states, client first.
    pub(crate) fn states(&self) -> String {
        let sides = self.flow().sides;
        std::format!("{} {}", sides.client.state, sides.server.state)
    }

    fn line(&mut self, line: &str) {
        let (who, rest) = line.split_once("> ").expect("C> or S>");
        let mut words = rest.splitn(4, ' ');
        let flags = words.next().expect("flags");
        let mut number = || words.next().map_or(0, |word| word.parse().expect("a number"));
        let (seq, ack) = (number(), number());
        let (source, destination) =
            if who == "C" { (self.client, self.server) } else { (self.server, self.client) };
        let frame = FrameBuilder::between(source, destination)
            .flags(flags)
            .seq(seq, ack)
            .payload(words.next().unwrap_or_default().as_bytes());
        self.send(&frame);
    }
}

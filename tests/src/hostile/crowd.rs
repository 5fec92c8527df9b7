//! Many TCP connections of the kernel at once over a bad wire: mosd holds of each what the two
//! programs sent, and reports its end as it was. A monitor at a mirror also misses segments, and
//! reports every missing byte as a gap.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use mos_proto::v1::{Event, EventType, Side};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    events::Chronicle,
    lab::{Helper, Lab, Wire},
    program::within,
    rpc::Rpc,
    service::{Mosd, Setup, number},
};

const WIRE: Wire = Wire { loss: 1, reorder: 5, duplicate: 1, corrupt: 1 };
const PORT: &str = "8090";
const ADDRESSES: [&str; 2] = ["10.77.0.2", "fd77::2"];
const SEED: &str = "5";
/// Ways in which a connection ends, as `tools/crowd.py` numbers them; the last is a reset.
const WAYS: usize = 4;
const RESET: usize = 3;
const ALL_DONE_MAX: Duration = Duration::from_secs(300);
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Where mosd monitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the client's own interface, where it sees everything.
    Client,
    /// At a mirror of the wire that drops a part of the segments with data.
    Mirror {
        /// Percentage of the segments with data that are dropped.
        blind: u32,
    },
}

/// Figures of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Bytes of complete streams, compared.
    pub complete: usize,
    /// Bytes of streams that a reset cut, compared.
    pub cut: usize,
    /// Reported gaps, and the bytes in them.
    pub gaps: [u64; 2],
    /// Packets with a wrong checksum, of those that mosd saw.
    pub corrupt: i64,
    /// Packets that mosd saw.
    pub packets: i64,
    /// Flows that ended by FIN and by RST.
    pub ended: [u64; 2],
    /// How long the transfers took.
    pub time: Duration,
}

/// Runs `count` connections at once. Ended flows are kept for `hold`, which is long enough to read
/// them. `None`, with a message, if namespaces cannot be created.
///
/// # Panics
///
/// When a byte is wrong, or missing without a reported gap, or a flow ends with another cause.
#[must_use]
pub fn run(count: usize, hold: Duration, place: Place) -> Option<Figures> {
    let lab = match place {
        Place::Client => Lab::new(WIRE),
        Place::Mirror { blind } => Lab::mirrored(WIRE, blind),
    }?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let setup = Setup::default()
        .configured(&config(hold))
        .inside(lab.monitor())
        .with(&["--port", "net_af_packet0,iface=veth0"]);
    let mosd = Mosd::start(&setup);
    let chronicle = Chronicle::begin(&mosd, &[EventType::FlowEnded, EventType::Gap]);
    let here = folder.path().to_string_lossy().into_owned();
    let how_many = count.to_string();
    let arguments = |role| [role, ADDRESSES[0], ADDRESSES[1], PORT, &here, &how_many, SEED];
    let server = Helper::start(lab.server(), "crowd.py", &arguments("server"));
    let began = Instant::now();
    Helper::start(lab.client(), "crowd.py", &arguments("client")).finish(ALL_DONE_MAX);
    let mut figures = Figures { time: began.elapsed(), ..Figures::default() };
    let flows = await_ends(&mosd, count);
    let gaps = Gaps::told(&chronicle.news(), &mut figures);
    let names = compare_all(&mosd, folder.path(), &flows, &gaps, &mut figures);
    assert_eq!(mosd.packets_lost(), 0, "{}", mosd.status());
    assert_eq!(figures.gaps[0] > 0, place != Place::Client, "{figures:?}");
    let outcomes = mosd.status();
    figures.corrupt = number(outcomes.pointer("/cores/0/packetOutcomes/checksum"));
    figures.packets = mosd.core_total("rxPacketCount");
    let mut causes = HashMap::new();
    let told = within(hold + SETTLE_MAX, || {
        causes.extend(chronicle.news().into_iter().filter_map(end_of));
        causes.len() >= count
    });
    assert!(told, "{} ends of {count}", causes.len());
    for (connection, name) in names.iter().enumerate() {
        let (index, cause) = if way(connection) == RESET { (1, "rst") } else { (0, "fin") };
        let told = causes.get(name).map(String::as_str);
        assert_eq!(told, Some(cause), "connection {connection}, {name}");
        figures.ended[index] += 1;
    }
    drop(server);
    mosd.stop(Signal::INT).in_order();
    chronicle.end();
    Some(figures)
}

/// The flow whose end an event reports, and the cause.
fn end_of(event: Event) -> Option<(String, String)> {
    let cause = event.attributes.get("cause").cloned().unwrap_or_default();
    let is_end = event.r#type() == EventType::FlowEnded;
    event.flow.filter(|_| is_end).map(|flow| (flow.name, cause))
}

/// The reported gaps of each flow's sides.
#[derive(Debug, Default)]
struct Gaps(HashMap<(String, Side), Vec<Range<usize>>>);

impl Gaps {
    #[track_caller]
    fn told(events: &[Event], figures: &mut Figures) -> Self {
        let mut gaps = Self::default();
        for event in events.iter().filter(|event| event.r#type() == EventType::Gap) {
            let attribute = |key: &str| -> usize {
                event.attributes.get(key).and_then(|text| text.parse().ok()).expect("a number")
            };
            let (offset, length) = (attribute("offset"), attribute("length"));
            let name = event.flow.as_ref().map(|flow| flow.name.clone()).unwrap_or_default();
            gaps.0.entry((name, event.side())).or_default().push(offset..offset + length);
            figures.gaps[0] += 1;
            figures.gaps[1] += length as u64;
        }
        gaps
    }

    fn of(&self, name: &str, side: Side) -> &[Range<usize>] {
        self.0.get(&(name.to_owned(), side)).map_or(&[], Vec::as_slice)
    }
}

/// Asserts that the held bytes and the gaps cover a stream of `length` bytes, and that no gap was
/// reported twice. Late bytes may have filled some of the gaps.
#[track_caller]
fn check_whole(length: usize, held: &[(usize, Vec<u8>)], gaps: &[Range<usize>], what: &str) {
    let mut told = 0;
    for gap in gaps {
        assert!(told <= gap.start && gap.end <= length, "gap {gap:?}: {what}");
        told = gap.end;
    }
    let held = held.iter().map(|(at, run)| *at..at + run.len());
    let mut pieces: Vec<_> = held.chain(gaps.iter().cloned()).collect();
    pieces.sort_by_key(|piece| piece.start);
    let mut known = 0;
    for piece in pieces {
        assert!(piece.start <= known, "nothing was told of {known}..{}: {what}", piece.start);
        known = known.max(piece.end);
    }
    assert_eq!(known, length, "{what}");
}

/// Bytes of a gap that did not come late.
fn missing_in(gap: &Range<usize>, held: &[(usize, Vec<u8>)]) -> usize {
    let filled =
        held.iter().map(|(at, run)| gap.end.min(at + run.len()).saturating_sub(gap.start.max(*at)));
    gap.len() - filled.sum::<usize>()
}

const fn way(number: usize) -> usize {
    number / 2 % WAYS
}

fn config(hold: Duration) -> String {
    let hold = hold.as_secs();
    format!(
        r#"
[server]
payload = true
[limits]
flows_max = 4096
pool = "512MiB"
[options]
client_buffer = "1MiB"
server_buffer = "1MiB"
[timeouts]
closing = "120s"
time_wait = "{hold}s"
"#
    )
}

/// Waits until each connection has ended on the wire; returns the flows by the client's port.
#[track_caller]
fn await_ends(mosd: &Mosd, count: usize) -> Vec<(i64, Value)> {
    let mut flows = Vec::new();
    let ended = within(SETTLE_MAX, || {
        flows = mosd.flows(&["--port", PORT]);
        let is_over = |flow: &Value| {
            let state = |name| flow.get(name).and_then(Value::as_str).unwrap_or_default();
            [state("clientState"), state("serverState")]
                .iter()
                .all(|state| state.ends_with("CLOSED") || state.ends_with("TIME_WAIT"))
        };
        flows.len() == count && flows.iter().all(is_over)
    });
    let states: Vec<_> = flows
        .iter()
        .map(|flow| (flow.get("clientState").cloned(), flow.get("serverState").cloned()))
        .collect();
    assert!(ended, "{} flows of {count}: {states:?}\n{}", flows.len(), mosd.log());
    let port = |flow: &Value| number(flow.pointer("/tuple/clientPort"));
    flows.into_iter().map(|flow| (port(&flow), flow)).collect()
}

/// Compares both streams of each connection with what its programs sent; returns the names of the
/// flows in the order of the connections.
#[track_caller]
fn compare_all(
    mosd: &Mosd,
    folder: &Path,
    flows: &[(i64, Value)],
    gaps: &Gaps,
    figures: &mut Figures,
) -> Vec<String> {
    let mut rpc = Rpc::connect(mosd);
    let mut names = Vec::new();
    for connection in 0..flows.len() {
        let read = |what: &str| {
            fs::read(folder.join(format!("{connection}.{what}"))).expect("a program's notes")
        };
        let port: i64 = String::from_utf8_lossy(&read("port")).parse().expect("a port");
        // Connections of IPv4 and IPv6 may share a port, so the address is compared, too.
        let server = Value::from(ADDRESSES[connection % 2]);
        let is_it = |flow: &&(i64, Value)| {
            flow.0 == port && flow.1.pointer("/tuple/serverAddress") == Some(&server)
        };
        let (_, flow) = flows.iter().find(is_it).expect("each connection is a flow");
        let name = flow.get("name").and_then(Value::as_str).expect("a flow has a name");
        let details = mosd.json(&["flows", "get", name]);
        for (side, sender, stats) in
            [(Side::Server, "client", "serverStats"), (Side::Client, "server", "clientStats")]
        {
            let (sent, runs) = (read(sender), rpc.held(name, side));
            let shape: Vec<_> = runs.iter().map(|(at, run)| (*at, run.len())).collect();
            let gaps = gaps.of(name, side);
            let stats = details.get(stats).expect("a full view has both sides");
            let length = sent.len();
            let what = format!(
                "connection {connection}, {sender}: {shape:?} of {length}, {gaps:?}, {stats}"
            );
            for (at, run) in &runs {
                assert!(sent.get(*at..at + run.len()) == Some(run), "wrong bytes: {what}");
            }
            assert_eq!(number(stats.get("conflictingBytes")), 0, "{what}");
            let missing: usize = gaps.iter().map(|gap| missing_in(gap, &runs)).sum();
            assert_eq!(usize::try_from(number(stats.get("missingBytes"))), Ok(missing), "{what}");
            let held: usize = runs.iter().map(|(_, run)| run.len()).sum();
            if way(connection) == RESET {
                figures.cut += held;
            } else {
                check_whole(length, &runs, gaps, &what);
                figures.complete += held;
            }
        }
        names.push(name.to_owned());
    }
    names
}

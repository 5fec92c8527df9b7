//! Many TCP connections of the kernel at once over a bad wire: what mosd holds of each is what the
//! two programs sent, and each ends as it did.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use mos_proto::v1::Side;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    lab::{Helper, Lab, Wire},
    program::within,
    rpc::Rpc,
    service::{Mosd, Setup, number},
};

const WIRE: Wire = Wire { loss: 1, reorder: 5, duplicate: 1, corrupt: 1 };
const PORT: &str = "8090";
const ADDRESSES: [&str; 2] = ["10.77.0.2", "fd77::2"];
const SEED: &str = "5";
/// Ways in which a connection ends, as `tools/crowd.py` counts them; the last is by a reset.
const WAYS: usize = 4;
const RESET: usize = 3;
const ALL_DONE_MAX: Duration = Duration::from_secs(300);
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// Figures of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Bytes of complete streams, compared.
    pub complete: usize,
    /// Bytes of streams that a reset cut, compared; and those missing in them.
    pub cut: usize,
    /// Bytes reported missing in streams that were cut.
    pub missing: i64,
    /// Packets with a wrong checksum, of those that mosd saw.
    pub corrupt: i64,
    /// Packets that mosd saw.
    pub packets: i64,
    /// Flows that ended by FIN and by RST.
    pub ended: [u64; 2],
    /// How long the transfers took.
    pub time: Duration,
}

/// Runs `count` connections at once. Ended flows are kept for `hold`: reading takes no longer.
/// `None`, said aloud, where namespaces cannot be made.
///
/// # Panics
///
/// When a byte is wrong or missing, or a flow ends with another cause.
#[must_use]
pub fn run(count: usize, hold: Duration) -> Option<Figures> {
    let lab = Lab::new(WIRE)?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let metrics = "127.0.0.1:9491";
    let setup = Setup::default()
        .configured(&config(hold, metrics))
        .inside(lab.client())
        .with(&["--port", "net_af_packet0,iface=veth0"]);
    let mosd = Mosd::start(&setup);
    let here = folder.path().to_string_lossy().into_owned();
    let how_many = count.to_string();
    let arguments = |role| [role, ADDRESSES[0], ADDRESSES[1], PORT, &here, &how_many, SEED];
    let server = Helper::start(lab.server(), "crowd.py", &arguments("server"));
    let began = Instant::now();
    Helper::start(lab.client(), "crowd.py", &arguments("client")).finish(ALL_DONE_MAX);
    let mut figures = Figures { time: began.elapsed(), ..Figures::default() };
    let flows = await_ends(&mosd, count);
    compare_all(&mosd, folder.path(), &flows, &mut figures);
    assert_eq!(mosd.packets_lost(), 0, "{}", mosd.status());
    let outcomes = mosd.status();
    figures.corrupt = number(outcomes.pointer("/cores/0/packetOutcomes/checksum"));
    figures.packets = mosd.core_total("rxPacketCount");
    let resets = (0..count).filter(|number| way(*number) == RESET).count() as u64;
    let expected = [count as u64 - resets, resets];
    let ended = || ["fin", "rst"].map(|cause| ended_by(&lab, metrics, cause));
    let right = within(hold + SETTLE_MAX, || ended().iter().sum::<u64>() >= count as u64);
    assert!(right && ended() == expected, "ended {:?}, expected {expected:?}", ended());
    figures.ended = expected;
    drop(server);
    mosd.stop(Signal::INT).in_order();
    Some(figures)
}

const fn way(number: usize) -> usize {
    number / 2 % WAYS
}

fn config(hold: Duration, metrics: &str) -> String {
    let hold = hold.as_secs();
    format!(
        r#"
[server]
payload = true
[metrics]
listen = "{metrics}"
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

/// Compares both streams of each connection with what its programs sent.
#[track_caller]
fn compare_all(mosd: &Mosd, folder: &Path, flows: &[(i64, Value)], figures: &mut Figures) {
    let mut rpc = Rpc::connect(mosd);
    for connection in 0..flows.len() {
        let read = |what: &str| {
            fs::read(folder.join(format!("{connection}.{what}"))).expect("a program's notes")
        };
        let port: i64 = String::from_utf8_lossy(&read("port")).parse().expect("a port");
        // The address tells those of IPv4 and IPv6 apart, which may share a port.
        let server = Value::from(ADDRESSES[connection % 2]);
        let is_it = |flow: &&(i64, Value)| {
            flow.0 == port && flow.1.pointer("/tuple/serverAddress") == Some(&server)
        };
        let (_, flow) = flows.iter().find(is_it).expect("each connection is a flow");
        let name = flow.get("name").and_then(Value::as_str).expect("a flow has a name");
        for (side, sender, peer) in
            [(Side::Server, "client", "clientStats"), (Side::Client, "server", "serverStats")]
        {
            let (sent, runs) = (read(sender), rpc.held(name, side));
            let shape: Vec<_> = runs.iter().map(|(at, run)| (*at, run.len())).collect();
            let what = format!("connection {connection}, {sender}: {shape:?} of {}", sent.len());
            for (at, run) in &runs {
                assert!(sent.get(*at..at + run.len()) == Some(run), "wrong bytes: {what}");
            }
            let held: usize = runs.iter().map(|(_, run)| run.len()).sum();
            let details = mosd.json(&["flows", "get", name]);
            let details = details.get("flow").cloned().unwrap_or(details);
            let receiver = if peer == "clientStats" { "serverStats" } else { "clientStats" };
            let stats = details.get(receiver).expect("a full view has both sides");
            let missing = number(stats.get("missingBytes"));
            assert_eq!(number(stats.get("conflictingBytes")), 0, "{what}: {stats}");
            if way(connection) == RESET {
                figures.cut += held;
                figures.missing += missing;
            } else {
                assert!(held == sent.len() && missing == 0, "{what}: {stats}");
                figures.complete += held;
            }
        }
    }
}

/// Flows that ended with this cause, as the metrics say.
#[track_caller]
fn ended_by(lab: &Lab, metrics: &str, cause: &str) -> u64 {
    let url = format!("http://{metrics}/metrics");
    let mut curl = crate::lab::inside(lab.client(), "curl", &["--silent", "--max-time", "5", &url]);
    let text = crate::program::run(&mut curl, SETTLE_MAX).text();
    let label = format!("cause=\"{cause}\"");
    text.lines()
        .filter(|line| line.starts_with("mosd_flows_ended_total") && line.contains(&label))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}

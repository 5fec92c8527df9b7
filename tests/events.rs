//! Events from the workers to the subscribers: complete, in order, and exact about losses.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use mos_proto::v1::Event;
use mos_tests::events::{Watch, Window};
use mos_tests::program;
use mos_tests::service::{Mosd, Setup};
use mos_tests::traffic::{MARKER, Traffic};
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Semaphore;

/// Events that a fast reader reads next to a slow one: several times the capacity of all queues on
/// the way to the slow one.
const EVENTS: i64 = 40_000;

/// Events that the fast reader reads while the slow one reads one.
const FASTER: i64 = 20;

/// A wait that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

fn has_ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)))
}

/// The number of the piece of traffic whose end the event marks.
fn marked(event: &Event) -> Option<u16> {
    let tuple = event.flow.as_ref()?.tuple.as_ref()?;
    let is_marker = tuple.client_address.parse() == Ok(MARKER);
    u16::try_from(tuple.client_port).ok().filter(|_| is_marker)
}

/// The same for the last such event in lines of JSON; 0 if there is none.
fn last_marked(lines: &str) -> u16 {
    let marker = format!("\"clientAddress\":\"{MARKER}\",\"clientPort\":");
    let number = lines.rsplit_once(&marker).and_then(|(_, rest)| rest.split_once(','));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn each_flow_begins_before_everything_else_and_ends_last() {
    let (traffic, mosd) = Traffic::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.path().join(name));
    let types = ["flow-started", "flow-established", "state-changed", "flow-ended"];
    let types: Vec<_> = types.iter().flat_map(|one| ["--type", one]).collect();
    let endpoint = format!("unix://{}", mosd.socket().display());
    let mut watching = program::command(program::ours("mosctl"), ["--endpoint", &endpoint]);
    watching.args(["events", "-o", "jsonl", "--limit", "6000", "--fail-on-loss"]).args(types);
    watching.stdout(File::create(&stdout).expect("a file"));
    watching.stderr(File::create(&stderr).expect("a file"));
    let mut child = watching.spawn().expect("mosctl starts");
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    assert!(program::within(PATIENCE, || read(&stderr).contains("watching: ")), "no subscription");
    traffic.run(|| (!has_ended(&mut child)).then(|| last_marked(&read(&stdout))));
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "{status}: {}", read(&stderr));
    let lines = read(&stdout);
    let (mut begun, mut ended, mut last) = (HashMap::new(), 0, 0);
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).expect("each line is an event");
        let number: i64 = text(&event, "/coreSequence").parse().expect("a number");
        assert!(number > last, "{event} after {last}");
        last = number;
        let flow = text(&event, "/flow/name").to_owned();
        match text(&event, "/type") {
            "EVENT_TYPE_FLOW_STARTED" => {
                let before = begun.insert(flow, "open");
                assert_eq!(before, None, "{event} of a flow that was there");
            }
            "EVENT_TYPE_FLOW_ENDED" => {
                // Flows that began before the subscription have no start event here.
                let state = begun.insert(flow, "ended");
                assert_ne!(state, Some("ended"), "{event} of a flow that has ended");
                ended += i32::from(state == Some("open"));
                assert!(!text(&event, "/attributes/cause").is_empty(), "{event}");
            }
            _ => assert_ne!(begun.get(&flow), Some(&"ended"), "{event} of a flow that has ended"),
        }
    }
    assert_eq!(lines.lines().count(), 6000);
    assert!(ended > 50, "{ended} flows from beginning to end");
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn a_changed_option_is_told_to_who_watches_that_flow() {
    let mosd = Mosd::start(&Setup::demo());
    let flow = mosd.lasting_flow();
    let endpoint = format!("unix://{}", mosd.socket().display());
    let shown = mosd.json(&["flows", "get", &flow]);
    let address = text(&shown, "/tuple/clientAddress");
    let port = shown.pointer("/tuple/clientPort").map(Value::to_string).unwrap_or_default();
    let filter = format!("client.address = \"{address}\" AND client.port = {port}");
    let arguments = ["events", "--type", "options-changed", "--limit", "1", "-o", "json", &filter];
    let mut watching = program::command(program::ours("mosctl"), ["--endpoint", &endpoint]);
    watching.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = watching.spawn().expect("mosctl starts");
    // Repeated, because `mosctl` does not show here when the subscription has begun.
    let mut size = 64;
    let told = program::within(PATIENCE, || {
        size += 2;
        mosd.mosctl(&["setopt", "--flow", &flow, "--clibuf", &format!("{size}KiB")]).succeeded();
        has_ended(&mut child)
    });
    assert!(told, "the change was not told");
    let output = child.wait_with_output().expect("its output");
    let event: Value = serde_json::from_slice(&output.stdout).expect("an event");
    assert_eq!(text(&event, "/flow/name"), flow);
    let bytes: u64 =
        text(&event, "/attributes/client_buffer_bytes").parse().expect("a number of bytes");
    assert!(bytes >= 66 * 1024, "{event}");
    mosd.stop(Signal::INT).in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_its_losses_exactly_and_a_fast_one_beside_it_loses_nothing() {
    let (traffic, mosd) = Traffic::start();
    let mut fast = Watch::all(&mosd, Window::Wide).await;
    let mut slow = Watch::all(&mosd, Window::Narrow).await;
    let packets_before = mosd.core_total("rxPacketCount");
    let (seen, enough) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicBool::new(false)));
    let (has_seen, is_enough) = (Arc::clone(&seen), Arc::clone(&enough));
    let traffic = std::thread::spawn(move || {
        traffic.run(|| (!is_enough.load(Relaxed)).then(|| has_seen.load(Relaxed)));
    });
    let turns = Arc::new(Semaphore::new(0));
    let turn = Arc::clone(&turns);
    let slow_one = tokio::spawn(async move {
        while let Ok(permit) = turn.acquire().await {
            permit.forget();
            slow.read().await.expect("the stream goes on");
        }
        slow.read_past_a_loss().await.expect("the stream goes on");
        slow
    });
    let fast_one = async {
        while !slow_one.is_finished() && fast.losses.is_empty() {
            let event = fast.read().await.expect("the stream goes on");
            seen.fetch_max(event.as_ref().and_then(marked).unwrap_or(0), Relaxed);
            match fast.delivered {
                EVENTS => turns.close(),
                count => turns.add_permits(usize::from(count % FASTER == 0)),
            }
        }
    };
    tokio::time::timeout(PATIENCE, fast_one).await.expect("enough events, and a loss");
    enough.store(true, Relaxed);
    traffic.join().expect("the traffic ends");
    let packets = mosd.core_total("rxPacketCount");
    let slow = slow_one.await.expect("the slow one");
    assert_eq!((fast.losses.len(), fast.lost), (0, 0), "{:?}", fast.losses);
    assert_eq!(fast.delivered, fast.happened());
    assert_eq!(slow.delivered + slow.lost, slow.happened());
    assert!(slow.lost > 0, "{slow:?}");
    assert!(packets > packets_before + 1000, "{packets_before} to {packets}");
    assert_eq!(mosd.packets_lost(), 0);
    mosd.stop(Signal::INT).in_order();
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let mosd = Mosd::start(&Setup::demo());
    let mut watch = Watch::all(&mosd, Window::Wide).await;
    let stopping = tokio::task::spawn_blocking(move || mosd.stop(Signal::TERM));
    let ended = loop {
        if let Err(status) = watch.read().await {
            break status;
        }
    };
    assert_eq!(ended.code(), tonic::Code::Unavailable, "{ended:?}");
    stopping.await.expect("an end").in_order();
}

//! Events from the workers to those who watch: complete, in order, and exact about what is lost.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use mos_tests::events::{Watch, Window};
use mos_tests::program;
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;
use serde_json::Value;

/// Events that a fast reader reads beside a slow one: several times what all queues on the way to
/// the slow one hold together.
const EVENTS: i64 = 40_000;

/// Time for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

fn busy(packets_per_second: &str) -> Mosd {
    Mosd::start(&Setup::demo().with(&["--rate", packets_per_second]))
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn each_flow_begins_before_everything_else_and_ends_last() {
    let mosd = busy("20000");
    let types = ["flow-started", "flow-established", "state-changed", "flow-ended"];
    let types: Vec<_> = types.iter().flat_map(|one| ["--type", one]).collect();
    let watched =
        [&["events", "-o", "jsonl", "--limit", "6000", "--fail-on-loss"], &*types].concat();
    let lines = mosd.mosctl(&watched).succeeded().text();
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
                // Flows that were there before have no beginning here.
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
    let child = watching.spawn().expect("mosctl starts");
    // Again and again, because nobody says here when the subscription is there.
    let mut size = 64;
    let done = |child: &mut std::process::Child| {
        child.try_wait().expect("a child can be waited for").is_some()
    };
    let mut child = child;
    let told = program::within(PATIENCE, || {
        size += 2;
        mosd.mosctl(&["setopt", "--flow", &flow, "--clibuf", &format!("{size}KiB")]).succeeded();
        done(&mut child)
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
    // Slow enough for a fast reader to be fast on a busy machine, too.
    let mosd = busy("10000");
    let mut fast = Watch::all(&mosd, Window::Wide).await;
    let mut slow = Watch::all(&mosd, Window::Narrow).await;
    let packets_before = mosd.core_total("rxPacketCount");
    let enough = Arc::new(AtomicBool::new(false));
    let is_enough = Arc::clone(&enough);
    let slow_one = tokio::spawn(async move {
        while !is_enough.load(Relaxed) {
            slow.read().await.expect("the stream goes on");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        slow.read_past_a_loss().await.expect("the stream goes on");
        slow
    });
    let fast_one = async {
        while fast.delivered < EVENTS && fast.losses.is_empty() {
            fast.read().await.expect("the stream goes on");
        }
    };
    tokio::time::timeout(PATIENCE, fast_one).await.expect("enough events");
    enough.store(true, Relaxed);
    let packets = mosd.core_total("rxPacketCount");
    let slow = tokio::time::timeout(PATIENCE, slow_one).await.expect("losses").expect("the slow");
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

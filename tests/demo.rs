//! The main job on generated traffic: flows are listed, an option changes while packets keep
//! arriving, nothing is lost, and the service ends in order.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::time::Duration;

use mos_tests::program::{self, within};
use mos_tests::service::{Mosd, Setup, free_address, number};
use rustix::process::Signal;
use serde_json::Value;

/// Time until the traffic has everything that a test waits for.
const TRAFFIC_MAX: Duration = Duration::from_secs(60);

fn client_address(flow: &Value) -> &str {
    flow.pointer("/tuple/clientAddress").and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn flows_of_both_ip_versions_are_listed() {
    let mosd = Mosd::start(&Setup::demo());
    let listed = within(TRAFFIC_MAX, || {
        let flows = mosd.flows(&[]);
        let (ipv6, ipv4): (Vec<_>, Vec<_>) =
            flows.iter().partition(|flow| client_address(flow).contains(':'));
        !ipv6.is_empty() && ipv4.iter().any(|flow| client_address(flow).contains('.'))
    });
    assert!(listed, "{}", mosd.mosctl(&["flows", "list"]).text());
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn flows_are_counted_in_groups_that_make_the_whole() {
    let mosd = Mosd::start(&Setup::demo());
    let mut answer = Value::Null;
    let grouped = within(TRAFFIC_MAX, || {
        answer = mosd.json(&["flows", "count", "--by", "server.port", "--by", "core"]);
        answer.get("groups").and_then(Value::as_array).is_some_and(|groups| groups.len() > 1)
    });
    assert!(grouped, "{answer}");
    let groups = answer.get("groups").and_then(Value::as_array).expect("groups");
    let counts: Vec<i64> = groups.iter().map(|group| number(group.get("flowCount"))).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{answer}");
    assert_eq!(counts.iter().sum::<i64>(), number(answer.get("flowCount")), "{answer}");
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn flows_are_exported_whole_and_ranked_by_what_they_carry() {
    let mosd = Mosd::start(&Setup::demo().with(&["--workers", "2"]));
    let of = |answer: &Value| answer.get("flows").and_then(Value::as_array).map_or(0, Vec::len);
    let mut exported = Value::Null;
    let many = within(TRAFFIC_MAX, || {
        exported = mosd.json(&["flows", "export"]);
        of(&exported) > 10
    });
    assert!(many, "{exported}");
    assert_eq!(exported.get("complete"), Some(&Value::Bool(true)), "{exported}");
    let top = mosd.json(&["flows", "top", "--limit", "5"]);
    let payload = |flow: &Value| {
        let side = |side: &str| number(flow.pointer(&format!("/{side}/payloadBytes")));
        side("clientStats") + side("serverStats")
    };
    let flows = top.get("flows").and_then(Value::as_array).expect("flows");
    assert!(
        flows.len() == 5 && flows.iter().is_sorted_by(|a, b| payload(a) >= payload(b)),
        "{top}"
    );
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn the_flows_that_a_filter_matches_take_an_option_and_give_it_back() {
    let mosd = Mosd::start(&Setup::demo().with(&["--workers", "2"]));
    // Flows that last: a bulk transfer, and a session of a terminal.
    let filter = "server.port = 22";
    let there =
        within(TRAFFIC_MAX, || number(mosd.json(&["flows", "count", filter]).get("flowCount")) > 0);
    assert!(there, "{}", mosd.mosctl(&["flows", "list"]).text());
    let changed = mosd.json(&["setopt", "--selector", filter, "--clibuf", "64KiB", "--yes"]);
    let count = |key: &str| number(changed.get(key));
    let sum = ["appliedCount", "unchangedCount", "endedCount", "failedCount", "unreachedCount"];
    assert_eq!(sum.map(count).iter().sum::<i64>(), count("matchedCount"), "{changed}");
    assert!(count("appliedCount") > 0, "{changed}");
    assert_eq!((count("failedCount"), count("unreachedCount")), (0, 0), "{changed}");
    let token = changed.get("undoToken").and_then(Value::as_str).expect("a token");
    let undone = mosd.json(&["undo", token]);
    let gone = number(undone.get("endedCount"));
    assert_eq!(number(undone.get("restoredCount")) + gone, count("appliedCount"), "{undone}");
    for flow in mosd.flows(&[filter]) {
        let bytes = number(flow.pointer("/options/clientBufferBytes"));
        assert_eq!(bytes, 8192, "{flow}");
    }
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn a_live_flow_takes_a_new_option_while_packets_keep_coming() {
    let mosd = Mosd::start(&Setup::demo());
    let flow = mosd.lasting_flow();
    let packets_before = mosd.core_total("rxPacketCount");

    let before = mosd.json(&["getopt", &flow]);
    assert_eq!(number(before.pointer("/options/clientBufferBytes")), 8192, "{before}");
    let answer = mosd.json(&["setopt", "--flow", &flow, "--clibuf", "65536"]);
    assert_eq!(number(answer.pointer("/options/clientBufferBytes")), 65536, "{answer}");
    let after = mosd.json(&["getopt", &flow]);
    assert_eq!(number(after.pointer("/options/clientBufferBytes")), 65536, "{after}");
    assert_eq!(number(after.pointer("/options/serverBufferBytes")), 8192, "{after}");
    assert_ne!(before.get("etag"), after.get("etag"));

    let grew = within(TRAFFIC_MAX, || mosd.core_total("rxPacketCount") > packets_before + 100);
    assert!(grew, "packets stopped coming: {}", mosd.mosctl(&["status"]).text());
    assert_eq!(mosd.packets_lost(), 0);
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn packets_in_are_packets_accounted_for() {
    let mosd = Mosd::start(&Setup::demo());
    assert!(within(TRAFFIC_MAX, || mosd.core_total("rxPacketCount") > 1000));
    let status = mosd.status();
    let cores = status.get("cores").and_then(Value::as_array).expect("a status has cores");
    for core in cores {
        let outcomes = core.get("packetOutcomes").and_then(Value::as_object).expect("outcomes");
        let accounted: i64 = outcomes.values().map(|count| number(Some(count))).sum();
        assert_eq!(accounted, number(core.get("rxPacketCount")), "{core}");
    }
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn a_stopped_flow_leaves_the_list_and_its_packets_are_counted() {
    let mosd = Mosd::start(&Setup::demo());
    let flow = mosd.lasting_flow();
    mosd.mosctl(&["setopt", "--flow", &flow, "--stop", "both", "--yes"]).succeeded();
    let names: Vec<_> =
        mosd.flows(&[]).iter().filter_map(|flow| flow.get("name")).cloned().collect();
    assert!(!names.contains(&Value::from(flow.as_str())), "{flow} is still listed: {names:?}");
    let gone = mosd.mosctl(&["getopt", &flow]);
    assert_eq!(gone.code(), Some(8), "{}", gone.stderr);
    assert!(gone.stderr.contains("ENOTSOCK"), "{}", gone.stderr);
    let counted = within(TRAFFIC_MAX, || {
        number(mosd.status().pointer("/cores/0/packetOutcomes/stopped")) > 0
    });
    assert!(counted, "packets of a stopped flow are not counted: {}", mosd.status());
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn metrics_are_served_on_a_listener_of_their_own() {
    let address = free_address();
    let mosd = Mosd::start(&Setup::demo().with(&["--metrics", &address]));
    let url = format!("http://{address}/metrics");
    let mut page = String::new();
    let complete = within(TRAFFIC_MAX, || {
        let mut curl = program::command("curl", ["--silent", "--fail", &url]);
        page = program::run(&mut curl, TRAFFIC_MAX).text();
        let flows = page.lines().find_map(|line| line.strip_prefix("mosd_flows{core=\"0\"} "));
        flows.is_some_and(|count| count.parse::<f64>().is_ok_and(|count| count > 0.0))
    });
    assert!(complete, "{page}");
    for metric in ["mosd_packets_total{", "mosd_buffer_bytes{", "mosd_rx_missed_total{"] {
        assert!(page.contains(metric), "{metric} is not in {page}");
    }
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn no_other_thread_comes_near_the_cpu_of_a_worker() {
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return program::skip("the only CPU belongs to everybody");
    }
    let metrics = free_address();
    let mosd = Mosd::start(&Setup::demo().with(&["--workers", "1", "--metrics", &metrics]));
    let threads = mosd.threads();
    let (workers, others): (Vec<_>, Vec<_>) =
        threads.iter().partition(|thread| thread.name.starts_with("mos-worker"));
    let [worker] = &workers[..] else { panic!("not one worker: {threads:?}") };
    let [cpu] = &worker.cpus[..] else { panic!("not tied to one CPU: {worker:?}") };
    let near: Vec<_> = others.iter().filter(|thread| thread.cpus.contains(cpu)).collect();
    assert!(near.is_empty(), "on the worker's CPU {cpu}: {near:?}");
    for name in ["mos-demo", "mos-log", "mos-metrics", "tokio"] {
        assert!(others.iter().any(|thread| thread.name.starts_with(name)), "{name}: {threads:?}");
    }
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn the_service_ends_in_order_on_sigterm() {
    Mosd::start(&Setup::demo()).stop(Signal::TERM).in_order();
}

#[test]
fn two_workers_share_the_traffic() {
    // The ring between the workers holds the packets of 8 s: no worker waits for its CPU that long.
    let mosd = Mosd::start(&Setup::demo().with(&["--workers", "2", "--rate", "500"]));
    // Both directions reach the same worker: else no handshake would be complete.
    let shared = within(TRAFFIC_MAX, || {
        ["0", "1"]
            .iter()
            .all(|core| !mosd.flows(&["--state", "established", "--core", core]).is_empty())
    });
    assert!(shared, "{}", mosd.mosctl(&["flows", "list"]).text());
    assert_eq!(mosd.packets_lost(), 0);
    mosd.stop(Signal::INT).in_order();
}

//! A capture as the only port: its own time, its end, and commands after it. Needs no DPDK.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{
    ask, assert_counted, capture_begin, config, counted_by_one_worker, frames, start, wait_for,
    write_capture,
};
use mos_control::{Command, Phase, Reply};

#[test]
fn a_capture_is_the_clock_and_its_flows_stay_when_it_has_ended() {
    let frames = frames(3000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    write_capture(&path, &frames);
    let (dataplane, mut ports) = start(&config(2, &[path.to_str().unwrap()]));
    wait_for("the end", || dataplane.has_ended());
    assert!(ports.iter().all(|port| port.board().phase() == Phase::Drained));
    assert_counted(&ports, &counted_by_one_worker(&frames));
    let last = capture_begin().after(Duration::from_millis(2999));
    for port in &mut ports {
        assert!(matches!(ask(port, Command::Clock), Reply::Clock(now) if now == last));
        let nobody: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let find = Command::Find { a: nobody, b: nobody, vlan: None };
        assert!(matches!(ask(port, find), Reply::Found(flows) if flows.is_empty()));
        assert!(port.board().gauges().flows > 0);
    }
    let status = &dataplane.monitor().ports()[0];
    assert_eq!((status.driver.as_str(), status.rx_packets, status.lost()), ("capture", 3000, 0));
    dataplane.stop().unwrap();
}

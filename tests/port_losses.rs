//! What a port cannot take is told, to the packet: for each driver that runs on kernel interfaces,
//! frames sent = frames seen by the workers + frames told as lost.
//!
//! The service is stopped by a signal while more frames are sent than all rings on the way hold, so
//! that losses are certain on any machine.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::time::Duration;

use mos_tests::lab::{INTERFACE, Lab, script};
use mos_tests::program::within;
use mos_tests::service::{Mosd, Setup};

/// More than the largest ring holds, which is that of two packet sockets: 2 x 16,384.
const FRAMES: i64 = 60_000;

/// Sending, or taking in what was sent, hangs if it takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// The name of a tap that a port makes.
const TAP: &str = "mon0";

/// Drives a port beyond what it holds, twice.
#[track_caller]
fn losses_are_told(port: &str, driver: &str, workers: u16) {
    let Some(lab) = Lab::silent() else { return };
    let config = format!("[dataplane]\nworkers = {workers}\n");
    let setup = Setup::default().with(&["--port", port]).configured(&config);
    let mosd = Mosd::start(&setup.inside(lab.client()));
    // What is sent to a tap is received by its port, and dropped by it. To an interface it is sent
    // from the other end of the cable; what that end dropped was never on the cable.
    let is_tap = port.contains(TAP);
    let (host, interface) = if is_tap { (lab.client(), TAP) } else { (lab.server(), INTERFACE) };
    let mut sent = 0;
    for round in 1..=2 {
        let burst = || script(host, "burst.py", &[interface, &FRAMES.to_string()], LIMIT);
        let counts = mosd.paused(burst).text();
        let (taken, dropped) = counts.trim().split_once(' ').expect("two numbers");
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let (taken, dropped) = (number(taken), number(dropped));
        sent += if is_tap { taken } else { taken - dropped };
        let accounted = || mosd.core_total("rxPacketCount") + mosd.port_total("lostPacketCount");
        within(LIMIT, || accounted() >= sent);
        assert_eq!(accounted(), sent, "{driver}, round {round}: {}", mosd.status());
    }
    let status = mosd.status();
    assert_eq!(status.pointer("/ports/0/driver").and_then(|name| name.as_str()), Some(driver));
    assert!(mosd.port_total("lostPacketCount") > 0, "the test shows nothing: {status}");
    let seen = mosd.core_total("rxPacketCount");
    assert!(seen > 0, "the test shows nothing: {status}");
}

#[test]
fn a_packet_socket_tells_what_its_ring_could_not_take() {
    losses_are_told(&format!("af_packet:{INTERFACE}"), "net_af_packet", 1);
}

#[test]
fn two_packet_sockets_tell_what_their_rings_could_not_take() {
    let port = format!("net_af_packet0,iface={INTERFACE},qpairs=2");
    losses_are_told(&port, "net_af_packet", 2);
}

#[test]
fn an_xdp_socket_tells_what_its_rings_could_not_take() {
    losses_are_told(&format!("net_af_xdp0,iface={INTERFACE}"), "net_af_xdp", 1);
}

#[test]
fn a_tap_tells_what_its_queue_could_not_take() {
    losses_are_told(&format!("tap:{TAP}"), "net_tap", 1);
}

#[test]
fn libpcap_tells_what_its_ring_could_not_take() {
    losses_are_told(&format!("net_pcap0,iface={INTERFACE}"), "net_pcap", 1);
}

//! Ports of DPDK in normal pages, from the device to the stack. No test needs hugepages.
#![cfg(feature = "dpdk")]
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{
    assert_counted, config, counted_by_one_worker, frames, in_own_process, packets, start, sum,
    wait_for, write_capture,
};
use mos_control::{CommandPort, Phase};
use mos_dataplane::{
    clock::{Clock as _, MonotonicClock},
    config::{DemoConfig, LoopedFrames, PortConfig},
};
use mos_stack::Stat;

#[test]
fn every_packet_of_a_null_port_reaches_the_stack() {
    in_own_process("every_packet_of_a_null_port_reaches_the_stack", || {
        let (dataplane, ports) = start(&config(1, &["net_null0,size=64"]));
        wait_for("packets", || packets(&ports) > 10_000);
        assert!(!dataplane.has_ended(), "a port has no end");
        let monitor = dataplane.monitor();
        dataplane.stop().unwrap();
        let status = &monitor.ports()[0];
        assert_eq!((status.driver.as_str(), status.queues), ("net_null", 1));
        assert_eq!(status.rx_packets, packets(&ports));
        assert_eq!(sum(&ports, Stat::PacketsNotIp), packets(&ports), "frames are zeroes");
        assert!(ports.iter().all(|port| port.board().phase() == Phase::Stopped));
        assert!(ports.iter().all(CommandPort::is_abandoned));
    });
}

/// Starts a port whose pool has that many packet buffers of that many bytes, and receives.
#[track_caller]
fn check_pool(mbufs: u32, mbuf_bytes: u16) {
    let mut config = config(1, &["net_null0,size=64"]);
    (config.memory.mbufs, config.memory.mbuf_bytes) = (mbufs, mbuf_bytes);
    let (dataplane, ports) = start(&config);
    wait_for("packets", || packets(&ports) > 0);
    dataplane.stop().unwrap();
}

#[test]
fn many_packet_buffers_in_normal_pages() {
    in_own_process("many_packet_buffers_in_normal_pages", || check_pool(68_384, 2048));
}

#[test]
fn packet_buffers_of_several_normal_pages_each() {
    in_own_process("packet_buffers_of_several_normal_pages_each", || check_pool(40_000, 9216));
}

#[test]
fn frames_from_memory_go_round_through_a_ring() {
    in_own_process("frames_from_memory_go_round_through_a_ring", || {
        let mut config = config(1, &[]);
        config.ports = vec![PortConfig::Looped(LoopedFrames(frames(1000).into()))];
        let (dataplane, ports) = start(&config);
        wait_for("three rounds", || packets(&ports) > 3000);
        let monitor = dataplane.monitor();
        dataplane.stop().unwrap();
        assert_eq!(monitor.ports()[0].driver, "net_ring");
        let broken = [Stat::PacketsChecksum, Stat::PacketsMalformed, Stat::PacketsNotIp];
        assert!(broken.iter().all(|stat| sum(&ports, *stat) == 0));
        assert!(sum(&ports, Stat::FlowsStarted) > 0);
    });
}

/// Reads 4000 frames through `net_pcap`, and asserts that the workers together count exactly what
/// one worker counts that gets them from memory.
fn check_against_memory(workers: u16, mbuf_bytes: u16) {
    let frames = frames(4000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    write_capture(&path, &frames);
    let port = format!("net_pcap0,rx_pcap={}", path.display());
    let mut config = config(workers, &[&port]);
    config.memory.mbuf_bytes = mbuf_bytes;
    // Room for all frames, however long a worker waits for its CPU: the largest takes 12 of the
    // smallest buffers, and a ring between workers holds 4096 packets.
    config.memory.mbufs = 4000 * 12 + 4096;
    let (dataplane, ports) = start(&config);
    wait_for("all packets", || packets(&ports) == 4000);
    let flows: Vec<u64> = ports.iter().map(|port| port.board().gauges().flows).collect();
    let monitor = dataplane.monitor();
    dataplane.stop().unwrap();
    assert_counted(&ports, &counted_by_one_worker(&frames));
    let status = &monitor.ports()[0];
    assert_eq!((status.rx_packets, status.lost()), (4000, 0));
    assert!(flows.iter().all(|flows| *flows > 0), "a worker has no flow: {flows:?}");
}

#[test]
fn a_worker_counts_the_same_from_a_port_as_from_memory() {
    in_own_process("a_worker_counts_the_same_from_a_port_as_from_memory", || {
        check_against_memory(1, 2048);
    });
}

#[test]
fn both_directions_of_a_flow_meet_on_one_worker() {
    in_own_process("both_directions_of_a_flow_meet_on_one_worker", || {
        check_against_memory(2, 2048);
    });
}

#[test]
fn packets_in_several_buffers_are_read_as_one_frame() {
    in_own_process("packets_in_several_buffers_are_read_as_one_frame", || {
        check_against_memory(3, 128);
    });
}

#[test]
fn the_demo_keeps_its_pace_and_loses_nothing() {
    in_own_process("the_demo_keeps_its_pace_and_loses_nothing", || {
        // Fewer frames than the ring between the workers holds: a worker that waits for its CPU
        // loses none. They come at their pace and no sooner; how much later is up to the machine.
        const RATE: u32 = 2000;
        const FRAMES: u64 = 3000;
        let mut config = config(2, &["net_null0,size=64"]);
        config.ports = vec![PortConfig::Demo(DemoConfig { flows: 40, rate_pps: RATE, seed: 7 })];
        config.memory.mbuf_bytes = 256;
        let clock = MonotonicClock::start();
        let began = clock.now();
        let (dataplane, ports) = start(&config);
        wait_for("frames", || packets(&ports) >= FRAMES);
        let monitor = dataplane.monitor();
        dataplane.stop().unwrap();
        let most = clock.now().since(began).as_secs_f64() * f64::from(RATE);
        let status = &monitor.ports()[0];
        assert_eq!((status.name.as_str(), status.driver.as_str()), ("demo", "net_ring"));
        assert_eq!(status.lost(), 0, "{status:?}");
        let count = u32::try_from(packets(&ports)).unwrap();
        assert!(f64::from(count) <= most, "{count} packets where {most} are due");
        assert_eq!(sum(&ports, Stat::PacketsTruncated), 0, "frames fit into one buffer");
        assert!(sum(&ports, Stat::FlowsEstablished) > 0);
    });
}

#[test]
fn several_ports_and_workers_run_side_by_side() {
    in_own_process("several_ports_and_workers_run_side_by_side", || {
        let mut config = config(2, &["net_null0,size=64", "net_null1,size=128", "demo"]);
        config.memory.mbufs = 1000;
        let (dataplane, ports) = start(&config);
        let monitor = dataplane.monitor();
        wait_for("packets of all ports", || {
            monitor.ports().iter().all(|status| status.rx_packets > 100)
        });
        wait_for("packets on all workers", || {
            ports.iter().all(|port| port.board().turns().busy > 100)
        });
        dataplane.stop().unwrap();
        let received: u64 = monitor.ports().iter().map(|status| status.rx_packets).sum();
        let dropped: u64 = monitor.ports().iter().map(|status| status.handoff_dropped).sum();
        assert!(packets(&ports) + dropped <= received);
    });
}

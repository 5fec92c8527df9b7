//! What the dataplane answers to a configuration that cannot be started: one clear line that
//! names the port and the cause, and nothing left running.
#![cfg(feature = "dpdk")]
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::{fs, path::Path};

use common::{config, frames, in_own_process, packets, start, try_start, wait_for, write_capture};
use mos_dataplane::{
    Config,
    config::{Hugepages, PortConfig},
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Asserts that the configuration is refused in these words, as the user's fault or not, and that
/// no thread of ours is left.
#[track_caller]
fn refused(config: &Config, fault: Fault, words: &[&str]) {
    let Err(error) = try_start(config) else { unreachable!("started: {config:?}") };
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(!text.contains('\n'), "more than a line: {text}");
    assert_eq!(error.is_user_error(), fault == Fault::Users, "{text}");
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten().filter_map(|task| {
        fs::read_to_string(task.path().join("comm")).ok().map(|name| name.trim().to_owned())
    });
    let left: Vec<_> = threads.filter(|name| name.starts_with("mos-")).collect();
    assert!(left.is_empty(), "left running: {left:?}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Users,
    Ours,
}

#[test]
fn configurations_that_contradict_themselves() {
    refused(&config(1, &[]), Fault::Users, &["no port is configured"]);
    refused(&config(0, &["demo"]), Fault::Users, &["workers must be 1 to 512, not 0"]);
    refused(&config(513, &["demo"]), Fault::Users, &["not 513"]);
    let two = ["a.pcap", "demo"];
    refused(&config(1, &two), Fault::Users, &["a.pcap", "must be the only port"]);
    let mut few = config(2, &["demo"]);
    few.cpus = vec![0];
    refused(&few, Fault::Users, &["1 CPUs for 2 workers"]);
    few.cpus = vec![0, 1000];
    refused(&few, Fault::Users, &["may not use CPU 1000"]);
    let mut limits = config(1, &["demo"]);
    limits.limits.flows_max = 0;
    refused(&limits, Fault::Users, &["flows_max 0"]);
}

#[test]
fn captures_and_interfaces_that_are_not_there() {
    refused(&config(1, &["/no/such.pcap"]), Fault::Users, &["/no/such.pcap"]);
    let missing = "net_pcap0,rx_pcap=/no/such.pcap";
    refused(&config(1, &[missing]), Fault::Users, &[missing, "cannot open /no/such.pcap"]);
    refused(
        &config(1, &["af_packet:nothere0"]),
        Fault::Users,
        &["net_af_packet_nothere0", "there is no network interface nothere0"],
    );
    let nonsense = PortConfig::Dpdk("eth0".to_owned());
    let mut config = config(1, &[]);
    config.ports = vec![nonsense];
    refused(&config, Fault::Users, &["port eth0", "neither a PCI address"]);
}

#[test]
fn too_few_hugepages() {
    let mut config = config(1, &["demo"]);
    config.memory.hugepages = Hugepages::On;
    config.memory.mbufs = 1 << 30;
    refused(&config, Fault::Users, &["not enough free hugepages", "MiB are free", "vm.nr_huge"]);
}

#[test]
fn a_packet_socket_without_the_capability_for_it() {
    in_own_process("a_packet_socket_without_the_capability_for_it", || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_RAW);
        set_capabilities(None, sets).unwrap();
        refused(
            &config(1, &["af_packet:lo"]),
            Fault::Users,
            &["net_af_packet_lo", "no permission to open packet sockets on lo", "CAP_NET_RAW"],
        );
    });
}

#[test]
fn a_device_that_no_driver_knows() {
    in_own_process("a_device_that_no_driver_knows", || {
        let config = config(1, &["net_null0,size=64", "net_nonsense0"]);
        refused(&config, Fault::Users, &["port net_nonsense0: DPDK refuses it: ", "net_nonsense0"]);
    });
}

#[test]
fn arguments_that_the_driver_does_not_know() {
    in_own_process("arguments_that_the_driver_does_not_know", || {
        let config = config(1, &["net_af_packet0,iface=lo,framesz=0"]);
        refused(
            &config,
            Fault::Users,
            &["framesz=0: DPDK refuses it: ", "invalid framesize value"],
        );
    });
}

#[test]
fn two_ports_of_one_name() {
    in_own_process("two_ports_of_one_name", || {
        let config = config(1, &["net_null0", "net_null0"]);
        refused(&config, Fault::Users, &["there are two ports named net_null0"]);
    });
}

#[test]
fn more_packet_buffers_than_there_is_memory() {
    in_own_process("more_packet_buffers_than_there_is_memory", || {
        let mut config = config(1, &["net_null0"]);
        config.memory.mbufs = u32::MAX;
        let words = ["not enough memory for packet buffers: ", "MiB are needed", "fewer of them"];
        refused(&config, Fault::Users, &words);
    });
}

#[test]
fn a_second_start_of_dpdk_is_refused_but_a_capture_can_still_be_read() {
    in_own_process("a_second_start_of_dpdk_is_refused_but_a_capture_can_still_be_read", || {
        refused(&config(1, &["net_nonsense0"]), Fault::Users, &["net_nonsense0"]);
        refused(&config(1, &["net_null0"]), Fault::Ours, &["only once"]);
        let folder = tempfile::tempdir().unwrap();
        check_capture(&folder.path().join("x.pcap"));
    });
}

fn check_capture(path: &Path) {
    write_capture(path, &frames(100));
    let (dataplane, ports) = start(&config(1, &[path.to_str().unwrap()]));
    wait_for("the end", || dataplane.has_ended());
    assert_eq!(packets(&ports), 100);
    dataplane.stop().unwrap();
}

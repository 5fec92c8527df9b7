//! TCP of the kernel, watched on one end of a veth pair between two network namespaces.
//!
//! Needs the right to make namespaces; says so and passes where there is none.
#![cfg(feature = "dpdk")]
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;

use std::{
    env,
    fs::File,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
    thread,
};

use common::{ask, config, in_own_process, start, sum, wait_for};
use mos_control::{Command as Ask, CommandPort, Reply};
use mos_stack::{Side, Sides, Stat};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Two namespaces and the veth pair `watched` - `peer` between them; gone with this.
struct Net {
    names: [String; 2],
}

const WATCHED: &str = "watched";
const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

fn run(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    output.is_ok_and(|output| output.status.success())
}

impl Net {
    fn make() -> Option<Self> {
        let id = std::process::id();
        let net = Self { names: [format!("mosd-{id}-a"), format!("mosd-{id}-b")] };
        let [a, b] = &net.names;
        let made = [
            format!("ip netns add {a}"),
            format!("ip netns add {b}"),
            format!("ip -n {a} link add {WATCHED} type veth peer name peer netns {b}"),
            format!("ip -n {a} addr add {}/24 dev {WATCHED}", ADDRESSES[0]),
            format!("ip -n {b} addr add {}/24 dev peer", ADDRESSES[1]),
            format!("ip -n {a} link set {WATCHED} up"),
            format!("ip -n {b} link set peer up"),
            format!("ip netns exec {b} ethtool -K peer tso off gso off gro off tx off"),
        ]
        .iter()
        .all(|command| run(command));
        made.then_some(net)
    }

    /// Moves this thread, and those that it starts, into one of the namespaces.
    fn enter(&self, which: usize) {
        let file = File::open(format!("/run/netns/{}", self.names[which])).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).unwrap();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            run(&format!("ip netns del {name}"));
        }
    }
}

/// Makes the namespaces and enters the watched one; says so where that is not possible.
fn net(test: &str) -> Option<Net> {
    let net = Net::make();
    match &net {
        Some(net) => net.enter(0),
        None if env::var_os("CI").is_some() => unreachable!("no namespaces can be made"),
        None => eprintln!("{test}: SKIPPED: no right to make network namespaces"),
    }
    net
}

/// Whether an offload of the watched interface is on.
fn is_on(net: &Net, offload: &str) -> bool {
    let output = Command::new("ip")
        .args(["netns", "exec", &net.names[0], "ethtool", "-k", WATCHED])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().map(str::trim).find(|line| line.starts_with(offload)).unwrap();
    line.ends_with(": on")
}

/// A TCP connection from the other namespace to a server in this one.
fn connect(net: &Net) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((ADDRESSES[0], 0)).unwrap();
    let server = listener.local_addr().unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            net.enter(1);
            TcpStream::connect(server).unwrap()
        });
        let accepted = listener.accept().unwrap().0;
        (client.join().unwrap(), accepted)
    })
}

/// Sends that many bytes, and receives them at the other end.
fn transfer(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) {
    thread::scope(|scope| {
        scope.spawn(|| from.write_all(&vec![b'x'; bytes]).unwrap());
        to.read_exact(&mut vec![0; bytes]).unwrap();
    });
}

/// The bytes of the connection between `ends` that one side has received, as the stack saw it.
fn seen(ports: &mut [CommandPort], ends: [SocketAddr; 2], side: Side) -> usize {
    let [a, b] = ends;
    let flow = ports.iter_mut().find_map(|port| {
        let Reply::Found(flows) = ask(port, Ask::Find { a, b, vlan: None }) else {
            unreachable!("another answer")
        };
        flows.first().copied()
    });
    flow.map_or(0, |flow| usize::try_from(flow.sides[side].buffer.next.0).unwrap())
}

#[test]
fn every_byte_of_a_kernel_connection_is_seen() {
    const REQUEST: usize = 1 << 20;
    const RESPONSE: usize = 4 << 20;
    // Fits, with its acknowledgements, into every ring on the way, so that nothing is lost however
    // long a worker waits for its processor.
    const PIECE: usize = 256 << 10;
    in_own_process("every_byte_of_a_kernel_connection_is_seen", || {
        let Some(net) = net("every_byte_of_a_kernel_connection_is_seen") else { return };
        assert!(is_on(&net, "tx-tcp-segmentation:"), "the test shows nothing");
        let mut config = config(2, &["af_packet:watched"]);
        // A sender that changes its processor has segments overtake each other by more than the
        // default: what is late must find room, or it leaves a gap.
        config.limits.defaults.buffer_bytes = Sides::both(2 * PIECE as u64);
        let (dataplane, mut ports) = start(&config);
        assert!(!is_on(&net, "tx-tcp-segmentation:"));
        assert!(!is_on(&net, "tx-checksumming"));
        let monitor = dataplane.monitor();
        let (client, server) = connect(&net);
        let ends = [client.local_addr().unwrap(), server.local_addr().unwrap()];
        for piece in 1..=REQUEST / PIECE {
            transfer(&client, &server, PIECE);
            wait_for("the request", || seen(&mut ports, ends, Side::Server) == piece * PIECE);
        }
        for piece in 1..=RESPONSE / PIECE {
            transfer(&server, &client, PIECE);
            wait_for("the response", || seen(&mut ports, ends, Side::Client) == piece * PIECE);
        }
        assert_eq!(monitor.ports()[0].lost(), 0, "{:?}", monitor.ports()[0]);
        assert_eq!(sum(&ports, Stat::Gaps), 0);
        assert_eq!(sum(&ports, Stat::PacketsTruncated), 0);
        dataplane.stop().unwrap();
        let status = &monitor.ports()[0];
        assert_eq!((status.driver.as_str(), status.lost()), ("net_af_packet", 0));
        assert!(is_on(&net, "tx-tcp-segmentation:"), "offloads come back");
        assert!(is_on(&net, "tx-checksumming"), "offloads come back");
    });
}

#[test]
fn packets_that_a_small_ring_loses_are_counted() {
    in_own_process("packets_that_a_small_ring_loses_are_counted", || {
        let Some(net) = net("packets_that_a_small_ring_loses_are_counted") else { return };
        let port = "net_af_packet0,iface=watched,blocksz=4096,framesz=2048,framecnt=8";
        let (dataplane, _ports) = start(&config(1, &[port]));
        let (client, server) = connect(&net);
        let monitor = dataplane.monitor();
        let mut sent = 0;
        // A worker may be quick enough for one transfer, but not for any number of them.
        wait_for("a loss", || {
            transfer(&client, &server, 8 << 20);
            sent += (8 << 20) / 1448;
            monitor.ports()[0].rx_missed > 0
        });
        wait_for("every packet to be received or counted", || {
            let status = &monitor.ports()[0];
            status.rx_packets + status.rx_missed > sent
        });
        dataplane.stop().unwrap();
    });
}

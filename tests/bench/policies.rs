//! What a policy table costs a flow that begins: lookups in a table of 1,024 policies, exact and
//! prefixes, of both IP versions.
//!
//! `cargo run --release -p mos-bench --example policies [POLICIES]` prints the median of 15 rounds.
//! It looks at the clock of the wall: run it when the machine is quiet.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: a step that fails ends it, and the figures are its output"
)]

use std::{
    hint::black_box,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time,
};

use mos_stack::{
    FlowTuple, SockOpts,
    policy::{AddressRanges, Alternative, MatchCount, PolicyRule, PolicyTable, Ranges, Treatment},
};

const ROUNDS: usize = 15;

/// Lookups of one round.
const LOOKUPS: u32 = 16_384;

/// Numbers that look random, the same each time.
fn scatter(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b9).rotate_left(13).wrapping_mul(0x85eb_ca6b)
}

/// Addresses of 10.0.0.0/8 that begin with the same bits.
fn v4(n: u32, host_bits: u32) -> AddressRanges {
    let first = (10 << 24) | (scatter(n) >> 8 >> host_bits << host_bits);
    AddressRanges { v4: Ranges::of(first..=first + ((1 << host_bits) - 1)), v6: Ranges::none() }
}

/// A prefix of 48 bits below `2001:db8::/32`.
fn v6(n: u32) -> AddressRanges {
    let first = (0x2001_0db8 << 96) | (u128::from(scatter(n) & 0xffff) << 80);
    AddressRanges { v4: Ranges::none(), v6: Ranges::of(first..=first + ((1 << 80) - 1)) }
}

fn port(n: u32) -> u16 {
    u16::try_from(scatter(n) & 0x3ff).unwrap_or_default()
}

/// One policy of a kind that its number decides.
fn policy(n: u32) -> PolicyRule {
    let mut fits = Alternative::all();
    let (client, server) = (&mut fits.ends.client, &mut fits.ends.server);
    match n % 4 {
        0 => {
            client.addresses = v4(n, 0);
            server.addresses = v4(!n, 0);
            server.ports = Ranges::of(port(n)..=port(n));
        }
        1 => client.addresses = v4(n, 8 + n % 7),
        2 => {
            server.addresses = v4(n, 12);
            server.ports = Ranges::of(port(n)..=port(n) + 100);
            fits.vlans = Ranges::of(0..=100);
        }
        _ => server.addresses = v6(n),
    }
    let (treatment, matches) =
        (Treatment::Monitor(SockOpts::default()), Arc::new(MatchCount::new(1)));
    PolicyRule { alternatives: vec![fits], treatment, matches }
}

/// A flow; every fourth is one of IPv6.
fn flow(n: u32) -> FlowTuple {
    let bits = scatter(n.wrapping_add(77_777));
    let end = |bits: u32, port: u16| match n % 4 {
        0 => {
            let address = (0x2001_0db8 << 96) | (u128::from(bits & 0xffff) << 80) | 1;
            SocketAddr::from((Ipv6Addr::from_bits(address), port))
        }
        _ => SocketAddr::from((Ipv4Addr::from_bits((10 << 24) | (bits >> 8)), port)),
    };
    let vlan = Some(5).filter(|_| n.is_multiple_of(3));
    FlowTuple { client: end(bits, port(!n)), server: end(!bits, port(n)), vlan }
}

fn main() {
    let count = std::env::args().nth(1).map_or(1024, |text| text.parse().expect("a number"));
    let table = PolicyTable::new(1, (0..count).map(policy).collect()).expect("a table");
    let flows: Vec<FlowTuple> = (0..LOOKUPS).map(flow).collect();
    let mut costs: Vec<u128> = (0..ROUNDS).map(|_| round(&table, &flows)).collect();
    costs.sort_unstable();
    let [least, median, most] = [0, ROUNDS / 2, ROUNDS - 1].map(|index| costs[index]);
    let found = flows.iter().filter(|flow| table.find(flow).is_some()).count();
    println!("{median} ns for a lookup, {least} to {most}; {found} of {LOOKUPS} found a policy");
}

/// One lookup for each flow. Nanoseconds for one.
fn round(table: &PolicyTable, flows: &[FlowTuple]) -> u128 {
    let begin = time::Instant::now();
    for flow in flows {
        black_box(table.find(black_box(flow)));
    }
    begin.elapsed().as_nanos() / u128::from(LOOKUPS)
}

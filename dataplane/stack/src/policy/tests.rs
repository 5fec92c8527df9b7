//! The table against a search through its rules, one after the other.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

fn rule(alternatives: Vec<Alternative>) -> PolicyRule {
    let treatment = Treatment::Monitor(SockOpts::default());
    PolicyRule { alternatives, treatment, matches: Arc::new(MatchCount::new(1)) }
}

fn table(rules: Vec<PolicyRule>) -> PolicyTable {
    PolicyTable::new(7, rules).expect("a table")
}

/// Few values, so that they meet, and those at the ends.
fn number() -> impl Strategy<Value = u16> {
    prop_oneof![0..6u16, Just(u16::MAX - 1), Just(u16::MAX)]
}

fn ports() -> impl Strategy<Value = Ranges<u16>> {
    prop_oneof![
        3 => Just(Ranges::all()),
        3 => number().prop_map(|port| Ranges::of(port..=port)),
        1 => (number(), number()).prop_map(|(a, b)| Ranges::of(a..=b)),
        1 => number().prop_map(|port| Ranges::of(port..=port).complement()),
    ]
}

fn addresses() -> impl Strategy<Value = AddressRanges> {
    let v4 = || {
        (number(), 0..4u16).prop_map(|(low, more)| {
            let low = u32::from(low);
            let v4 = Ranges::of(low..=low + u32::from(more));
            AddressRanges { v4, v6: Ranges::none() }
        })
    };
    let v6 = number().prop_map(|low| {
        let low = u128::from(low);
        AddressRanges { v4: Ranges::none(), v6: Ranges::of(low..=low) }
    });
    prop_oneof![Just(AddressRanges::all()), v4(), v6, v4().prop_map(|v4| v4.complement())]
}

fn alternative() -> impl Strategy<Value = Alternative> {
    let end =
        || (addresses(), ports()).prop_map(|(addresses, ports)| EndRanges { addresses, ports });
    (end(), end(), ports())
        .prop_map(|(client, server, vlans)| Alternative { ends: Sides { client, server }, vlans })
}

fn tuple() -> impl Strategy<Value = FlowTuple> {
    let ends = ((number(), number()), (number(), number()));
    (any::<bool>(), ends, prop::option::of(0..6u16)).prop_map(|(is_v4, (client, server), vlan)| {
        let end = |(address, port): (u16, u16)| match is_v4 {
            true => SocketAddr::from((Ipv4Addr::from_bits(address.into()), port)),
            false => SocketAddr::from((Ipv6Addr::from_bits(address.into()), port)),
        };
        FlowTuple { client: end(client), server: end(server), vlan }
    })
}

proptest! {
    #[test]
    fn the_first_rule_that_fits_is_found(
        rules in prop::collection::vec(prop::collection::vec(alternative(), 0..4), 0..200),
        tuples in prop::collection::vec(tuple(), 1..50),
    ) {
        let table = table(rules.iter().cloned().map(rule).collect());
        for tuple in tuples {
            let fits = |alternatives: &Vec<Alternative>| {
                alternatives.iter().any(|alternative| alternative.contains(&tuple))
            };
            prop_assert_eq!(table.find(&tuple), rules.iter().position(fits), "{:?}", tuple);
        }
    }

    #[test]
    fn what_fits_both_or_either_is_as_logic_says(
        (a, b) in (alternative(), alternative()),
        tuples in prop::collection::vec(tuple(), 1..50),
    ) {
        let (both, merged) = (a.intersection(&b), a.merged(&b));
        for tuple in tuples {
            let (in_a, in_b) = (a.contains(&tuple), b.contains(&tuple));
            let in_both = both.as_ref().is_some_and(|both| both.contains(&tuple));
            prop_assert_eq!(in_both, in_a && in_b);
            if let Some(merged) = &merged {
                prop_assert_eq!(merged.contains(&tuple), in_a || in_b);
            }
        }
    }
}

#[test]
fn a_table_of_every_bit_is_searched_to_its_end() {
    let port = |port: u16| {
        let mut one = Alternative::all();
        one.ends.server.ports = Ranges::of(port..=port);
        one
    };
    let rules: Vec<_> = (0..4096).map(|n| rule(vec![port(n)])).collect();
    let table = table(rules.clone());
    let tuple = |port: u16| FlowTuple {
        client: SocketAddr::from(([10, 0, 0, 1], 1)),
        server: SocketAddr::from(([10, 0, 0, 2], port)),
        vlan: None,
    };
    for port in [0, 63, 64, 4032, 4095] {
        assert_eq!(table.find(&tuple(port)), Some(usize::from(port)));
    }
    assert_eq!(table.find(&tuple(4096)), None);
    let one_more = [rules, vec![rule(vec![port(4096)])]].concat();
    assert_eq!(PolicyTable::new(1, one_more).err(), Some(PolicyTableError::Alternatives(4097)));
}

#[test]
fn a_column_has_bounded_borders() {
    let odd = (0..4200u16).map(|n| Ranges::of(2 * n..=2 * n));
    let mut one = Alternative::all();
    one.vlans = odd.fold(Ranges::none(), |all, one| all.union(&one));
    assert_eq!(PolicyTable::new(1, vec![rule(vec![one])]).err(), Some(PolicyTableError::Borders));
}

#[test]
fn without_rules_nothing_is_found_and_nothing_excluded() {
    let end = SocketAddr::from(([10, 0, 0, 1], 1));
    let tuple = FlowTuple { client: end, server: end, vlan: Some(5) };
    assert_eq!(table(Vec::new()).find(&tuple), None);
    assert_eq!(table(vec![rule(Vec::new())]).find(&tuple), None);
    let mut policies = Policies::default();
    assert_eq!((policies.generation(), policies.excludes(&tuple)), (0, false));
    assert!(policies.swap(Some(Arc::new(table(Vec::new())))).is_none());
    assert_eq!(policies.generation(), 7);
    assert_eq!(policies.swap(None).map(|table| table.generation()), Some(7));
}

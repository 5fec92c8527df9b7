//! The flow table against a map, and the life of its handles.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    vec::Vec,
};

use proptest::prelude::*;

use super::*;

fn key(n: u16) -> FlowKey {
    let client = SocketAddr::from(([10, 0, 0, 1], n));
    FlowKey::new(client, SocketAddr::from(([10, 0, 0, 2], 443))).0
}

fn table(slots: u32) -> FlowTable<u16, ()> {
    FlowTable::new(WorkerId::default(), slots, 7).expect("memory")
}

fn find(table: &FlowTable<u16, ()>, n: u16) -> Option<u32> {
    table.find(&key(n), table.tag(&key(n)))
}

fn insert(table: &mut FlowTable<u16, ()>, n: u16, now: Instant) -> Option<u32> {
    table.insert(key(n), table.tag(&key(n)), || n, now)
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u16),
    Remove(u16),
    Wait,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..40u16).prop_map(Op::Insert),
        3 => (0..40u16).prop_map(Op::Remove),
        1 => Just(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn the_table_equals_a_map_and_handles_never_hit_a_later_flow(
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut table = table(24);
        let mut model = BTreeMap::new();
        let mut ended = Vec::new();
        let mut now = Instant::EPOCH.after(SLOT_REST);
        for op in ops {
            match op {
                Op::Insert(n) if !model.contains_key(&n) => {
                    let slot = insert(&mut table, n, now);
                    prop_assert_eq!(slot.is_some(), model.len() < 24);
                    if let Some(slot) = slot {
                        model.insert(n, table.id(slot));
                    }
                }
                Op::Insert(_) => {}
                Op::Remove(n) => {
                    let slot = find(&table, n);
                    prop_assert_eq!(slot.is_some(), model.contains_key(&n));
                    if let Some(slot) = slot {
                        prop_assert_eq!(table.get(slot), Some((key(n), &n)));
                        table.remove(slot, now, ());
                        prop_assert_eq!(table.get(slot), None);
                        ended.extend(model.remove(&n));
                    }
                }
                Op::Wait => now = now.after(SLOT_REST),
            }
            prop_assert_eq!(table.len() as usize, model.len());
        }
        for n in 0..40 {
            let found = find(&table, n).map(|slot| table.id(slot));
            prop_assert_eq!(found, model.get(&n).copied());
            if let Some(id) = found {
                let slot = table.resolve(id);
                prop_assert_eq!(slot.map(|slot| table.get(slot).map(|(_, n)| *n)), Ok(Some(n)));
            }
        }
        for id in ended {
            prop_assert!(matches!(table.resolve(id), Err(Absent::Gone(_))));
        }
    }
}

#[test]
fn a_slot_rests_while_there_are_others() {
    let mut table = table(2);
    let start = Instant::from_nanos(5);
    let slot = insert(&mut table, 1, start).expect("room");
    let first = table.id(slot);
    table.remove(slot, start, ());
    assert_eq!(insert(&mut table, 2, start), Some(slot + 1));
    assert_eq!(insert(&mut table, 3, start), Some(slot));
    assert_eq!(insert(&mut table, 4, start), None);
    assert_eq!(table.resolve(first), Err(Absent::Gone(None)));
    assert_eq!(table.id(slot).generation(), (first.generation() + 1) & GENERATION_MASK);
    table.remove(slot, start, ());
    assert_eq!(insert(&mut table, 5, start.after(SLOT_REST)), Some(slot));
}

#[test]
fn a_handle_that_was_never_given_out_is_unknown() {
    let mut table = table(2);
    let slot = insert(&mut table, 1, Instant::EPOCH).expect("room");
    let id = table.id(slot);
    let other = |generation| FlowId::from_parts(WorkerId::default(), slot, generation);
    assert_eq!(table.resolve(other(id.generation().wrapping_sub(1))), Err(Absent::Unknown));
    assert_eq!(table.resolve(other(id.generation().wrapping_add(1))), Err(Absent::Unknown));
    let foreign = FlowId::from_parts(WorkerId::new(3).expect("small"), slot, id.generation());
    assert_eq!(table.resolve(foreign), Err(Absent::Unknown));
    assert_eq!(table.resolve(FlowId::from_parts(WorkerId::default(), 1, 0)), Err(Absent::Unknown));
}

/// The 19th fault of mOS 0.3: its hash is not keyed, so a stranger can choose such tuples.
#[test]
fn mos_19_tuples_chosen_to_collide_under_one_seed_spread_under_another() {
    let table = |seed| FlowTable::<u16, ()>::new(WorkerId::default(), 4096, seed).expect("memory");
    let (known, unknown) = (table(7), table(8));
    let home = |table: &FlowTable<u16, ()>, n| table.index.home(table.tag(&key(n)));
    let chosen: Vec<u16> = (0..u16::MAX).filter(|n| home(&known, *n) < 2).collect();
    assert!(chosen.len() > 50, "enough to build one long chain");
    let spread = |table| chosen.iter().map(|n| home(table, *n)).collect::<BTreeSet<_>>().len();
    assert!(spread(&known) <= 2);
    assert!(spread(&unknown) > chosen.len() / 2, "{} of {}", spread(&unknown), chosen.len());
}

//! Against a model: a table that changes while it is walked, and one who keeps a list of it.

use std::{collections::BTreeMap, ops::Range};

use mos_stack::{EndCause, FlowStatus, FlowTuple, OptionsOrigin, Sides, SockOpts, TcpState};
use proptest::prelude::*;

use super::*;

const SLOTS: u32 = 6;
const CORE: u16 = 0;

fn core() -> WorkerId {
    WorkerId::new(CORE).unwrap()
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A flow begins in a slot, or the one that is there changes or ends.
    Begin(u32),
    Change(u32),
    End(u32),
    /// Somebody subscribes to what happens from now on.
    Subscribe,
    /// The worker says its clock: the walk begins.
    Start,
    /// The next slots are shown.
    Page(u32),
    /// What waits is told.
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..SLOTS).prop_map(Step::Begin),
        3 => (0..SLOTS).prop_map(Step::Change),
        4 => (0..SLOTS).prop_map(Step::End),
        1 => Just(Step::Subscribe),
        1 => Just(Step::Start),
        2 => (1..4_u32).prop_map(Step::Page),
        2 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flow {
    id: FlowId,
    started: WorkerTime,
    /// The event that told of it last.
    version: u64,
}

/// The worker, its table, and the list of one who watches.
#[derive(Default)]
struct World {
    table: BTreeMap<u32, Flow>,
    generation: u32,
    /// Events told so far, and steps: the clock.
    number: u64,
    clock: u64,
    joined: Joined,
    waiting: Vec<NumberedEvent>,
    is_subscribed: bool,
    start: Option<WorkerTime>,
    /// Where the walk goes on.
    slot: u32,
    /// What was told of each flow: the version of what is known, and whether it has ended.
    list: BTreeMap<u64, (u64, bool)>,
    /// Flows that began after the subscription.
    born: Vec<FlowId>,
}

impl World {
    fn event(&mut self, flow: Flow, change: StatusChange) {
        let end = ([10, 0, 0, 1], 1).into();
        let status = FlowStatus {
            states: Sides::both(TcpState::Established),
            is_one_sided: false,
            options: SockOpts::default(),
            origin: OptionsOrigin::Default,
            revision: 0,
            started: flow.started,
            last_packet: flow.started,
            inner_vlan: None,
        };
        let tuple = FlowTuple { client: end, server: end, vlan: None };
        let (time, id) = (WorkerTime::from_nanos(self.clock), Some(flow.id));
        let value = Event { time, flow: id, tuple, fact: Fact::FlowStatus { change, status } };
        if self.is_subscribed {
            self.waiting.push(NumberedEvent { sequence: flow.version, value });
        }
    }

    fn step(&mut self, step: Step) {
        self.clock += 1;
        match step {
            Step::Begin(slot) if !self.table.contains_key(&slot) => {
                self.generation += 1;
                self.number += 1;
                let id = FlowId::from_parts(core(), slot, self.generation);
                let started = WorkerTime::from_nanos(self.clock);
                let flow = Flow { id, started, version: self.number };
                self.table.insert(slot, flow);
                self.born.extend(self.is_subscribed.then_some(id));
                self.event(flow, StatusChange::Began);
            }
            Step::Change(slot) | Step::End(slot) => {
                let Some(mut flow) = self.table.get(&slot).copied() else { return };
                self.number += 1;
                flow.version = self.number;
                self.table.insert(slot, flow);
                if matches!(step, Step::End(_)) {
                    self.table.remove(&slot);
                    self.event(flow, StatusChange::Ended(Some(EndCause::Fin)));
                } else {
                    self.event(flow, StatusChange::Changed);
                }
            }
            Step::Subscribe => self.is_subscribed = true,
            Step::Start if self.is_subscribed && self.start.is_none() => {
                self.start = Some(WorkerTime::from_nanos(self.clock));
            }
            Step::Page(slots) => self.page(slots),
            Step::Drain => self.drain(),
            Step::Begin(_) | Step::Start => {}
        }
    }

    fn page(&mut self, slots: u32) {
        let Some(start) = self.start.filter(|_| self.slot < SLOTS) else { return };
        let Range { start: from, end } = self.slot..(self.slot + slots).min(SLOTS);
        for (_, flow) in self.table.range(from..end).filter(|(_, flow)| flow.started <= start) {
            let before = self.list.insert(flow.id.to_bits(), (flow.version, false));
            assert_eq!(before, None, "a flow is there once");
        }
        let shown = if end == SLOTS { u32::MAX } else { end };
        self.joined.scanned(core(), shown, self.number);
        self.joined.begin(start);
        self.slot = end;
        if end == SLOTS {
            self.joined.end();
        }
    }

    fn learn(&mut self, told: NumberedEvent) {
        let Fact::FlowStatus { change, .. } = told.value.fact else { unreachable!() };
        let id = told.value.flow.unwrap().to_bits();
        let known = self.list.get(&id).copied();
        let is_first = change == StatusChange::Began;
        assert_eq!(known.is_none(), is_first, "{change:?} of {known:?}");
        let is_newer = |(version, has_ended): (u64, bool)| version < told.sequence && !has_ended;
        assert!(known.is_none_or(is_newer), "{change:?} of {known:?}");
        let has_ended = matches!(change, StatusChange::Ended(_));
        self.list.insert(id, (told.sequence, has_ended));
    }

    fn drain(&mut self) {
        // Nothing is told before the first page.
        if self.slot == 0 {
            return;
        }
        for event in std::mem::take(&mut self.waiting) {
            for told in self.joined.tell(core(), event) {
                self.learn(told);
            }
        }
        let number = self.number;
        self.joined.forget(|_| number);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_list_that_is_walked_while_it_changes_is_what_is_there(steps in steps()) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
        }
        for step in [Step::Subscribe, Step::Start, Step::Page(SLOTS), Step::Drain] {
            world.step(step);
        }
        let known = |flow: &Flow| (flow.id.to_bits(), flow.version);
        let there: BTreeMap<_, _> = world.table.values().map(known).collect();
        let lives = |(id, (version, has_ended)): (&u64, &(u64, bool))| {
            (!has_ended).then_some((*id, *version))
        };
        prop_assert_eq!(world.list.iter().filter_map(lives).collect::<BTreeMap<_, _>>(), there);
        for flow in &world.born {
            prop_assert!(world.list.contains_key(&flow.to_bits()), "nothing is missing");
        }
    }
}

#[test]
fn a_core_that_was_not_shown_tells_its_changes() {
    let mut world = World::default();
    let mut joined = Joined::default();
    world.is_subscribed = true;
    world.step(Step::Begin(0));
    joined.begin(WorkerTime::from_nanos(5));
    joined.end();
    let event = world.waiting.remove(0);
    assert_eq!(joined.tell(core(), event), [event]);
}

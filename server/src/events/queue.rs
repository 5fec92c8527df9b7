//! The queue of one subscriber: bounded in bytes, and exact about what found no room.
//!
//! ```text
//!          room: queued ──▶ ┌─────────────────┐ ──▶ delivered
//! event ──▶                 │ e e e e Lost e e│
//!          full: counted ─┐ └─────────▲───────┘
//!                         └─ gate of the core: shut until Lost can be told
//! ```
//!
//! Each core has a gate. A loss shuts it, and what comes from that core is counted until a `Lost`
//! may be told: [`LOST_EVERY`] after the previous one, and after an overflow once half the queue is
//! read. Who wants only the latest of flows has one status of each waiting, its beginning and end.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use mos_control::{Delivery, NumberedEvent};
use mos_stack::{Fact, FlowId, Instant as EventTime, StatusChange, WorkerId};
use tokio::time::Instant;

use crate::{
    budgets::{Share, Spent},
    words::bounds::{QUEUE_BYTES, QUEUE_BYTES_MIN},
};

/// Least time between two `Lost` with the same core and reason.
pub(crate) const LOST_EVERY: Duration = Duration::from_secs(1);

/// Items that fit into a queue: at the beginning, and at most.
const CAPACITY_MIN: usize = QUEUE_BYTES_MIN / size_of::<Item>();
pub(super) const CAPACITY: usize = QUEUE_BYTES / size_of::<Item>();

/// Losses of one core that may have to be told at once: one for each reason.
const LOSSES_MAX: usize = 2;

/// What a subscriber is given.
pub(crate) type Item = Delivery<CoreEvent, Loss>;

/// An event of one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoreEvent {
    /// The worker that saw it.
    pub(crate) core: WorkerId,
    /// What happened, with its number.
    pub(crate) event: NumberedEvent,
    /// Earlier statuses of the flow that this one has replaced before anybody saw them.
    pub(crate) replaced: u32,
}

/// What a queue keeps of the statuses of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every one.
    All,
    /// The latest, and that it has begun and ended.
    Latest,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The worker whose events are missing.
    pub core: WorkerId,
    /// Why.
    pub reason: LossReason,
    /// How many are missing.
    pub count: u64,
    /// Time of the first of them, or of the last event before them.
    pub first: Option<EventTime>,
    /// Time of the last of them, or of the first event after them.
    pub last: Option<EventTime>,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossReason {
    /// The subscriber's queue was full.
    SlowConsumer,
    /// The worker's ring was full.
    RingOverflow,
}

/// What a look into the queue found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Popped {
    /// The next item.
    Item(Item),
    /// Nothing; a loss is to be told at this time, unless something comes before.
    Until(Instant),
    /// Nothing.
    Nothing,
}

/// The queue. It is told the time.
#[derive(Debug)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Items that there is memory for.
    capacity: usize,
    /// Items that there may be memory for, as far as is known: [`CAPACITY`], unless there was no
    /// more room since the queue was last read empty.
    most: usize,
    /// Memory beyond [`CAPACITY_MIN`] items.
    room: Share,
    gates: Vec<Gate>,
    /// Something found no room since the queue was last read empty.
    is_behind: bool,
    /// Where the last status of each flow waits, counted from the first item ever; `None`: each is
    /// kept.
    latest: Option<HashMap<FlowId, u64>>,
    /// Items that were ever read.
    read: u64,
}

/// What of one core's events was lost and not told yet. Open as long as that is nothing.
#[derive(Debug)]
struct Gate {
    core: WorkerId,
    slow: Tally,
    ring: Tally,
}

/// Losses of one core for one reason.
#[derive(Debug, Default)]
struct Tally {
    /// Not told yet.
    loss: Option<Loss>,
    /// When the previous one was told.
    told: Option<Instant>,
    /// The previous one still waits in the queue.
    is_queued: bool,
}

impl Queue {
    /// An empty queue for the events of these workers, which grows into `room`.
    pub(super) fn new(
        workers: impl IntoIterator<Item = WorkerId>,
        room: Share,
        keep: Keep,
    ) -> Self {
        Self {
            items: VecDeque::with_capacity(CAPACITY_MIN),
            capacity: CAPACITY_MIN,
            most: CAPACITY,
            room,
            gates: workers.into_iter().map(Gate::new).collect(),
            is_behind: false,
            latest: (keep == Keep::Latest).then(HashMap::new),
            read: 0,
        }
    }

    /// Bytes of what is queued.
    pub(super) fn bytes(&self) -> usize {
        self.items.len() * size_of::<Item>()
    }

    /// Whether the reader is late, and could still be saved from a loss by waiting for it. One
    /// that lost something and has not caught up since is slow, not late: it would only hold up
    /// the others.
    pub(super) fn is_crowded(&self, core: WorkerId) -> bool {
        let is_open = |gate: &Gate| gate.core == core && gate.is_open();
        !self.is_half_read() && !self.is_behind && self.gates.iter().any(is_open)
    }

    /// Whether enough is read to go on after an overflow.
    fn is_half_read(&self) -> bool {
        self.items.len() <= self.most / 2
    }

    /// Makes sure of memory for an event and the losses before it, where there is any.
    fn has_room(&mut self) -> bool {
        let needed = self.items.len() + LOSSES_MAX + 1;
        if needed <= self.capacity {
            return true;
        }
        let larger = (self.capacity * 2).min(self.most);
        if needed > larger {
            return false;
        }
        if self.room.resize((larger - CAPACITY_MIN) * size_of::<Item>()).is_err() {
            self.most = self.capacity;
            return false;
        }
        self.items.reserve_exact(larger - self.items.len());
        self.capacity = larger;
        true
    }

    /// Gives back what an empty queue does not need.
    fn shrink(&mut self) {
        self.most = CAPACITY;
        if self.capacity > CAPACITY_MIN {
            self.items.shrink_to(CAPACITY_MIN);
            self.capacity = CAPACITY_MIN;
            // To shrink is never refused.
            let _given_back: Result<(), Spent> = self.room.resize(0);
        }
    }

    /// Takes an event. Returns whether it found room.
    pub(super) fn offer(&mut self, core: WorkerId, event: &NumberedEvent, now: Instant) -> bool {
        if self.replace(core, event) {
            return true;
        }
        let (has_room, is_half_read) = (self.has_room(), self.is_half_read());
        let Self { items, gates, is_behind, latest, read, .. } = self;
        let Some(gate) = gates.iter_mut().find(|gate| gate.core == core) else { return false };
        let is_read = is_half_read || gate.slow.loss.is_none();
        if has_room && is_read && gate.may_open(now) {
            items.extend(gate.open().into_iter().flatten().map(Item::Lost));
            if let (Some(latest), Some(flow)) = (latest, event.value.flow) {
                latest.insert(flow, *read + items.len() as u64);
            }
            items.push_back(Item::Value(CoreEvent { core, event: *event, replaced: 0 }));
            return true;
        }
        let only_ring = has_room && gate.slow.loss.is_none();
        let reason = if only_ring { LossReason::RingOverflow } else { LossReason::SlowConsumer };
        *is_behind |= !only_ring;
        let time = Some(event.value.time);
        gate.shut(Loss { core, reason, count: 1, first: time, last: time });
        false
    }

    /// Puts a status in the place of the one before of its flow, if that waits and only the latest
    /// is wanted. A flow that begins stays one that begins: its beginning and its end are told.
    fn replace(&mut self, core: WorkerId, event: &NumberedEvent) -> bool {
        let Self { items, gates, latest, read, .. } = self;
        let is_open = gates.iter().any(|gate| gate.core == core && gate.is_open());
        let at = event.value.flow.and_then(|flow| latest.as_ref()?.get(&flow)?.checked_sub(*read));
        let waiting = at.and_then(|at| items.get_mut(usize::try_from(at).ok()?));
        let Some(Item::Value(waiting)) = waiting.filter(|_| is_open) else { return false };
        let (Fact::FlowStatus { change: before, .. }, Fact::FlowStatus { change, status }) =
            (waiting.event.value.fact, event.value.fact)
        else {
            return false;
        };
        let change = match (before, change) {
            (StatusChange::Began, StatusChange::Ended(_)) => return false,
            (StatusChange::Began, _) => StatusChange::Began,
            (StatusChange::Changed | StatusChange::Ended(_), _) => change,
        };
        waiting.event = *event;
        waiting.event.value.fact = Fact::FlowStatus { change, status };
        waiting.replaced = waiting.replaced.saturating_add(1);
        true
    }

    /// Takes note of events that nobody has seen.
    pub(super) fn lose(&mut self, loss: Loss) {
        if loss.count > 0
            && let Some(gate) = self.gates.iter_mut().find(|gate| gate.core == loss.core)
        {
            gate.shut(loss);
        }
    }

    /// The next item.
    pub(super) fn pop(&mut self, now: Instant) -> Popped {
        let Some(item) = self.items.pop_front() else {
            self.is_behind = false;
            self.shrink();
            return self.pop_loss(now);
        };
        if let (Some(latest), Item::Value(CoreEvent { event, .. })) = (&mut self.latest, &item)
            && let Some(flow) = event.value.flow
            && latest.get(&flow) == Some(&self.read)
        {
            latest.remove(&flow);
        }
        self.read += 1;
        if let Item::Lost(Loss { core, reason, .. }) = item
            && let Some(gate) = self.gates.iter_mut().find(|gate| gate.core == core)
        {
            let tally = gate.tally(reason);
            (tally.told, tally.is_queued) = (Some(now), false);
        }
        Popped::Item(item)
    }

    /// A loss that nothing in the queue waits for. The queue is empty.
    fn pop_loss(&mut self, now: Instant) -> Popped {
        let tallies = self.gates.iter_mut().flat_map(|gate| [&mut gate.slow, &mut gate.ring]);
        let mut earliest: Option<Instant> = None;
        for tally in tallies {
            if tally.is_due(now)
                && let Some(loss) = tally.loss.take()
            {
                tally.told = Some(now);
                return Popped::Item(Item::Lost(loss));
            }
            let due = tally.loss.and(tally.told).map(|told| told + LOST_EVERY);
            earliest = earliest.into_iter().chain(due).min();
        }
        earliest.map_or(Popped::Nothing, Popped::Until)
    }
}

impl Gate {
    fn new(core: WorkerId) -> Self {
        Self { core, slow: Tally::default(), ring: Tally::default() }
    }

    const fn is_open(&self) -> bool {
        self.slow.loss.is_none() && self.ring.loss.is_none()
    }

    /// Whether everything that was lost may be told now.
    fn may_open(&self, now: Instant) -> bool {
        [&self.slow, &self.ring].into_iter().all(|tally| tally.loss.is_none() || tally.is_due(now))
    }

    /// What is to be told before the next event.
    fn open(&mut self) -> [Option<Loss>; LOSSES_MAX] {
        [&mut self.slow, &mut self.ring].map(|tally| {
            tally.is_queued |= tally.loss.is_some();
            tally.loss.take()
        })
    }

    fn shut(&mut self, more: Loss) {
        let tally = self.tally(more.reason);
        tally.loss = Some(match tally.loss {
            Some(loss) => Loss { count: loss.count + more.count, last: more.last, ..loss },
            None => more,
        });
    }

    const fn tally(&mut self, reason: LossReason) -> &mut Tally {
        match reason {
            LossReason::SlowConsumer => &mut self.slow,
            LossReason::RingOverflow => &mut self.ring,
        }
    }
}

impl Tally {
    /// Whether the previous loss was told long enough ago.
    fn is_due(&self, now: Instant) -> bool {
        !self.is_queued && self.told.is_none_or(|told| now >= told + LOST_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use mos_stack::{
        EndCause, Event, FlowStatus, FlowTuple, OptionsOrigin, Sides, SockOpts, TcpState,
    };

    use super::*;
    use crate::budgets::Budget;

    /// Items up to which a queue with all its room counts as read again.
    const HALF: usize = CAPACITY / 2;

    fn core() -> WorkerId {
        WorkerId::default()
    }

    /// A queue with all the room that there can be.
    fn queue(workers: impl IntoIterator<Item = WorkerId>) -> Queue {
        Queue::new(workers, Budget::new(QUEUE_BYTES, QUEUE_BYTES).begin(None), Keep::All)
    }

    fn event(sequence: u64) -> NumberedEvent {
        let end = ([10, 0, 0, 1], 1).into();
        let tuple = FlowTuple { client: end, server: end, vlan: None };
        let time = EventTime::from_nanos(sequence);
        let event = Event { time, flow: None, tuple, fact: Fact::OrphanPacket };
        NumberedEvent { sequence, value: event }
    }

    fn ring_loss(count: u64) -> Loss {
        let reason = LossReason::RingOverflow;
        Loss { core: core(), reason, count, first: None, last: None }
    }

    /// Everything that can be had now: numbers of events, and losses.
    fn read(queue: &mut Queue, now: Instant) -> Vec<Result<u64, (LossReason, u64)>> {
        std::iter::from_fn(|| match queue.pop(now) {
            Popped::Item(Item::Value(CoreEvent { event, .. })) => Some(Ok(event.sequence)),
            Popped::Item(Item::Lost(loss)) => Some(Err((loss.reason, loss.count))),
            Popped::Until(_) | Popped::Nothing => None,
        })
        .collect()
    }

    fn offer(queue: &mut Queue, numbers: std::ops::RangeInclusive<u64>, now: Instant) -> usize {
        numbers.filter(|number| queue.offer(core(), &event(*number), now)).count()
    }

    #[test]
    fn a_full_queue_takes_nothing_and_tells_the_loss_where_it_was() {
        let (mut queue, now) = (queue([core()]), Instant::now());
        let many = 2 * CAPACITY as u64;
        let taken = offer(&mut queue, 1..=many, now);
        assert!((CAPACITY - LOSSES_MAX..=CAPACITY).contains(&taken), "{taken} of {CAPACITY}");
        assert!(queue.bytes() <= QUEUE_BYTES);
        let lost = many - taken as u64;
        assert!(queue.items.iter().all(|item| matches!(item, Item::Value(_))));
        for expected in 1..=HALF as u64 + LOSSES_MAX as u64 {
            assert!(matches!(queue.pop(now), Popped::Item(Item::Value(CoreEvent { event, .. }))
                if event.sequence == expected));
        }
        assert_eq!(offer(&mut queue, many + 1..=many + 1, now), 1, "half of it is read");
        let rest = read(&mut queue, now);
        assert_eq!(rest[rest.len() - 2..], [Err((LossReason::SlowConsumer, lost)), Ok(many + 1)]);
    }

    #[test]
    fn nobody_waits_for_one_that_lost_something_until_it_has_caught_up() {
        let (mut queue, now) = (queue([core()]), Instant::now());
        let all = CAPACITY - LOSSES_MAX;
        assert_eq!(offer(&mut queue, 1..=all as u64, now), all);
        assert!(queue.is_crowded(core()));
        assert_eq!(offer(&mut queue, 1..=1, now), 0);
        for _ in 0..all - HALF {
            assert!(matches!(queue.pop(now), Popped::Item(_)));
        }
        assert_eq!(offer(&mut queue, 1..=100, now), 100, "they found room, behind the loss");
        assert!(!queue.is_crowded(core()));
        assert_eq!(read(&mut queue, now).len(), HALF + 101);
        assert_eq!(offer(&mut queue, 1..=HALF as u64 + 1, now), HALF + 1);
        assert!(queue.is_crowded(core()));
    }

    #[test]
    fn a_loss_that_nothing_follows_is_told_as_soon_as_all_is_read() {
        let (mut queue, now) = (queue([core()]), Instant::now());
        let taken = offer(&mut queue, 1..=2 * CAPACITY as u64, now);
        let items = read(&mut queue, now);
        assert_eq!(items.len(), taken + 1);
        let lost = 2 * CAPACITY as u64 - taken as u64;
        assert_eq!(items[taken], Err((LossReason::SlowConsumer, lost)));
        assert_eq!(queue.pop(now), Popped::Nothing);
    }

    #[test]
    fn losses_are_told_once_a_second_and_always_before_the_next_event() {
        let (mut queue, start) = (queue([core()]), Instant::now());
        queue.lose(ring_loss(7));
        assert_eq!(offer(&mut queue, 8..=8, start), 1);
        assert_eq!(read(&mut queue, start), [Err((LossReason::RingOverflow, 7)), Ok(8)]);
        queue.lose(ring_loss(2));
        let soon = start + LOST_EVERY / 2;
        assert_eq!(offer(&mut queue, 11..=13, soon), 0, "would have to be told a second time");
        assert_eq!(queue.pop(soon), Popped::Until(start + LOST_EVERY));
        let later = start + LOST_EVERY;
        assert_eq!(offer(&mut queue, 14..=15, later), 2);
        assert_eq!(read(&mut queue, later), [Err((LossReason::RingOverflow, 5)), Ok(14), Ok(15)]);
    }

    #[test]
    fn a_loss_that_waits_in_the_queue_is_not_followed_by_another() {
        let (mut queue, start) = (queue([core()]), Instant::now());
        queue.lose(ring_loss(1));
        assert_eq!(offer(&mut queue, 2..=2, start), 1);
        queue.lose(ring_loss(1));
        let later = start + 5 * LOST_EVERY;
        assert_eq!(offer(&mut queue, 4..=4, later), 0, "the reader has not seen the first");
        assert_eq!(read(&mut queue, later), [Err((LossReason::RingOverflow, 1)), Ok(2)]);
        let end = later + LOST_EVERY;
        assert_eq!(read(&mut queue, end), [Err((LossReason::RingOverflow, 2))]);
    }

    /// A status of a flow, with this number.
    fn status(flow: u32, sequence: u64, change: StatusChange) -> NumberedEvent {
        let id = FlowId::from_parts(core(), flow, 1);
        let status = FlowStatus {
            states: Sides::both(TcpState::Established),
            is_one_sided: false,
            options: SockOpts::default(),
            origin: OptionsOrigin::Default,
            revision: u32::try_from(sequence).unwrap(),
            started: EventTime::EPOCH,
            last_packet: EventTime::EPOCH,
            inner_vlan: None,
        };
        let mut numbered = event(sequence);
        numbered.value.flow = Some(id);
        numbered.value.fact = Fact::FlowStatus { change, status };
        numbered
    }

    #[test]
    fn what_waits_of_a_flow_gives_way_to_what_is_newer_but_not_its_beginning() {
        use StatusChange::{Began, Changed, Ended};
        let room = Budget::new(QUEUE_BYTES, QUEUE_BYTES).begin(None);
        let (mut queue, now) = (Queue::new([core()], room, Keep::Latest), Instant::now());
        let end = Ended(Some(EndCause::Fin));
        let told =
            [(1, Began), (2, Began), (1, Changed), (3, Changed), (3, Changed), (1, end), (3, end)];
        for (number, (flow, change)) in told.into_iter().enumerate() {
            assert!(queue.offer(core(), &status(flow, number as u64 + 1, change), now));
        }
        for (flow, change, number, replaced) in
            [(1, Began, 3, 1), (2, Began, 2, 0), (3, end, 7, 2), (1, end, 6, 0)]
        {
            // The newest state, and what was told of it first.
            let event = status(flow, number, change);
            let item = Item::Value(CoreEvent { core: core(), event, replaced });
            assert_eq!(queue.pop(now), Popped::Item(item));
        }
        assert!(queue.offer(core(), &status(2, 8, Changed), now), "what was read stays read");
        let (popped, rest) = (queue.pop(now), queue.pop(now));
        assert!(matches!(popped, Popped::Item(Item::Value(CoreEvent { replaced: 0, .. }))));
        assert_eq!((rest, queue.latest.map(|latest| latest.len())), (Popped::Nothing, Some(0)));
    }

    #[test]
    fn losses_of_one_core_do_not_shut_out_another() {
        let other = WorkerId::new(1).unwrap();
        let (mut queue, now) = (queue([core(), other]), Instant::now());
        for _ in 0..2 {
            queue.lose(ring_loss(1));
            let _found_room: bool = queue.offer(core(), &event(2), now);
        }
        assert!(queue.offer(other, &event(1), now));
        assert_eq!(offer(&mut queue, 3..=3, now), 0);
    }
}

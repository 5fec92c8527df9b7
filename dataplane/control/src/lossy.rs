//! A numbered ring: bounded, one way, never waited for, and exact about what it lost.
//!
//! ```text
//! LossyFeed::push ─── number ──▶ room: ring ──▶ LossyTap::try_receive ──▶ Value
//!                           └──▶ full: dropped ────────────────────────▶ Lost, in its place
//! ```
//!
//! Values are numbered whether there is room for them or not: a jump in the numbers is exactly
//! what was lost. The reader says what it wants, so that the worker does not build the rest.

use std::sync::{
    Arc,
    atomic::{
        AtomicU16, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// A value with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered<T> {
    /// 1 for the first value of the ring, and one more for each after it, lost ones included.
    pub sequence: u64,
    /// What was pushed.
    pub value: T,
}

/// What a stream that may lose something gives, in order: the next value, or a loss in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<T, L> {
    /// The next value.
    Value(T),
    /// Something is missing here.
    Lost(L),
}

/// The numbers of values that are lost: `first` to `first + count - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRange {
    /// Number of the first of them.
    pub first: u64,
    /// How many; at least 1.
    pub count: u64,
}

/// What both ends share. Alone on its cache lines, as each [`Board`](crate::Board) is: no worker
/// writes where another one reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shared {
    wanted: AtomicU16, // control: wo, worker: ro
    pushed: AtomicU64, // worker: wo, control: ro
    lost: AtomicU64,   // worker: wo, control: ro
}

/// The worker's end of a ring.
#[derive(Debug)]
pub struct LossyFeed<T> {
    shared: Arc<Shared>,
    ring: rtrb::Producer<Numbered<T>>,
}

/// The control plane's end of a ring.
#[derive(Debug)]
pub struct LossyTap<T> {
    shared: Arc<Shared>,
    ring: rtrb::Consumer<Numbered<T>>,
    /// Number of the value that comes next if none is lost.
    next: u64,
    /// Losses given so far.
    lost_given: u64,
    /// A value that was found behind a loss.
    behind: Option<Numbered<T>>,
}

/// Makes the two ends of a ring for `capacity` values. Nothing is wanted yet.
pub(crate) fn lossy_ring<T>(capacity: usize) -> (LossyFeed<T>, LossyTap<T>) {
    let shared = Arc::<Shared>::default();
    let (feed, tap) = rtrb::RingBuffer::new(capacity);
    let feed = LossyFeed { shared: Arc::clone(&shared), ring: feed };
    (feed, LossyTap { shared, ring: tap, next: 1, lost_given: 0, behind: None })
}

impl<T> LossyFeed<T> {
    /// What the reader wants, as it said last: a set of bits that the ring does not interpret.
    pub(crate) fn wanted_bits(&self) -> u16 {
        self.shared.wanted.load(Relaxed)
    }

    /// Number of the last value pushed, lost or not; 0 before the first.
    pub(crate) fn pushed(&self) -> u64 {
        self.shared.pushed.load(Relaxed)
    }

    /// Numbers a value and puts it into the ring. Where the ring is full the value is dropped and
    /// counted: the newest is lost, not the oldest.
    pub fn push(&mut self, value: T) {
        let sequence = self.pushed() + 1;
        self.shared.pushed.store(sequence, Relaxed);
        if self.ring.push(Numbered { sequence, value }).is_err() {
            // Release: a reader that sees this loss also sees every value pushed before it.
            self.shared.lost.store(self.shared.lost.load(Relaxed) + 1, Release);
        }
    }
}

impl<T> LossyTap<T> {
    /// Says what is wanted from now on.
    pub(crate) fn want_bits(&self, wanted: u16) {
        self.shared.wanted.store(wanted, Relaxed);
    }

    /// The next value or loss, if there is one: every number once and in order. A loss is given
    /// as soon as it has happened, also where no value has come after it yet.
    pub fn try_receive(&mut self) -> Option<Delivery<Numbered<T>, LostRange>> {
        if let Some(numbered) = self.behind.take().or_else(|| self.ring.pop().ok()) {
            return Some(self.take(numbered));
        }
        let lost = self.shared.lost.load(Acquire);
        // What was pushed before the last of these losses is visible now.
        if let Ok(numbered) = self.ring.pop() {
            return Some(self.take(numbered));
        }
        let count = lost.saturating_sub(self.lost_given);
        (count > 0).then(|| Delivery::Lost(self.skip(count)))
    }

    fn take(&mut self, numbered: Numbered<T>) -> Delivery<Numbered<T>, LostRange> {
        if numbered.sequence > self.next {
            let count = numbered.sequence - self.next;
            self.behind = Some(numbered);
            return Delivery::Lost(self.skip(count));
        }
        self.next = numbered.sequence + 1;
        Delivery::Value(numbered)
    }

    /// Gives the next `count` numbers as lost.
    const fn skip(&mut self, count: u64) -> LostRange {
        let first = self.next;
        self.next += count;
        self.lost_given += count;
        LostRange { first, count }
    }

    /// Values that wait in the ring.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Number of the last value pushed, lost or not; 0 before the first.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.shared.pushed.load(Relaxed)
    }

    /// Values that found the ring full since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received<T>(tap: &mut LossyTap<T>) -> Vec<(u64, u64)> {
        let all = std::iter::from_fn(|| tap.try_receive());
        all.map(|delivery| match delivery {
            Delivery::Value(Numbered { sequence, .. }) => (sequence, 0),
            Delivery::Lost(LostRange { first, count }) => (first, count),
        })
        .collect()
    }

    #[test]
    fn a_full_ring_loses_the_newest_and_says_which_at_once() {
        let (mut feed, mut tap) = lossy_ring(2);
        for _ in 0..5 {
            feed.push(());
        }
        assert_eq!((tap.waiting(), tap.capacity()), (2, 2));
        assert_eq!(received(&mut tap), [(1, 0), (2, 0), (3, 3)]);
        assert_eq!((tap.pushed(), tap.lost()), (5, 3));
        feed.push(());
        assert_eq!(received(&mut tap), [(6, 0)], "a loss is told once");
    }

    #[test]
    fn a_loss_between_two_events_is_told_between_them() {
        let (mut feed, mut tap) = lossy_ring(1);
        feed.push('a');
        feed.push('b');
        let first = tap.try_receive();
        assert_eq!(first, Some(Delivery::Value(Numbered { sequence: 1, value: 'a' })));
        feed.push('c');
        feed.push('d');
        assert_eq!(received(&mut tap), [(2, 1), (3, 0), (4, 1)]);
    }

    #[test]
    fn every_number_is_given_once_while_the_worker_goes_on() {
        const VALUES: u64 = 200_000;
        let (mut feed, mut tap) = lossy_ring(8);
        let pushed = std::thread::spawn(move || (1..=VALUES).for_each(|value| feed.push(value)));
        let (mut next, mut lost) = (1, 0);
        while next <= VALUES {
            match tap.try_receive() {
                Some(Delivery::Value(Numbered { sequence, value })) => {
                    assert_eq!((sequence, value), (next, next));
                    next += 1;
                }
                Some(Delivery::Lost(LostRange { first, count })) => {
                    assert_eq!(first, next);
                    (next, lost) = (next + count, lost + count);
                }
                None => std::hint::spin_loop(),
            }
        }
        pushed.join().unwrap();
        assert_eq!((tap.try_receive(), tap.pushed(), tap.lost()), (None, VALUES, lost));
    }

    #[test]
    fn a_value_that_owns_something_is_dropped_once_wherever_it_ends() {
        let owned = Arc::new(());
        let in_flight = || Arc::strong_count(&owned) - 1;
        let (mut feed, mut tap) = lossy_ring(2);
        for _ in 0..5 {
            feed.push(Arc::clone(&owned));
        }
        assert_eq!(in_flight(), 2, "what finds no room is dropped at once");
        drop(tap.try_receive());
        assert_eq!(in_flight(), 1, "who receives it owns it");
        feed.push(Arc::clone(&owned));
        drop((tap.try_receive(), tap.try_receive()));
        assert_eq!(in_flight(), 1, "the last one waits behind the loss");
        feed.push(Arc::clone(&owned));
        drop((feed, tap));
        assert_eq!(in_flight(), 0, "the rest goes with the ring");
    }
}

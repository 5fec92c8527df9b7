//! Which stream offsets a buffer holds: ranges whose starts and ends both ascend.
//!
//! Below what is read next, there is room between any two. Beyond it, they may touch or overlap
//! where the policy asks for the borders of segments ([`Borders`]).
//!
//! Nearly every buffer holds a single range, which is stored inline; several are a list in the
//! pool. A range is stored as the lower half of its start and its length. No range starts below the
//! floor, and a window is smaller than 2^32 bytes, so the floor gives the upper half.

use core::{hint::select_unpredictable, iter};

use super::{
    list::{Packed, RangeList},
    pool::BufferPool,
};
use crate::offset::lower_half;

/// Half-open range of stream offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Span {
    pub(super) const fn length(self) -> u64 {
        self.end - self.start
    }
}

/// What becomes of the borders of a range that is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Borders {
    /// It is merged with those that it touches.
    Join,
    /// They are kept as Linux keeps those of segments out of order: the range is dropped if another
    /// one holds all of it, appended to the one before it if that ends where it begins, and
    /// replaces those of which it holds all.
    Keep,
}

/// How a range is inserted: in the place of the ranges `from..to`, which may be none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insertion {
    from: usize,
    to: usize,
    span: Span,
}

/// The ranges that one buffer holds. Packed, so that a buffer is one line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct RangeSet {
    /// No range starts below this: the beginning of the window.
    floor: u64,
    held: Held,
}

#[derive(Debug, Clone, Copy)]
enum Held {
    /// At most one range; none if its length is 0.
    One(Packed),
    Many(RangeList),
}

impl RangeSet {
    const NOTHING: Held = Held::One(Packed { start: 0, length: 0 });

    pub(super) const fn new() -> Self {
        Self { floor: 0, held: Self::NOTHING }
    }

    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Moves the floor of an empty set.
    pub(super) const fn set_floor(&mut self, floor: u64) {
        self.floor = floor;
    }

    /// The only range, or an empty one at `at` if nothing is held; `None` if there are several.
    pub(super) fn only(&self, at: u64) -> Option<Span> {
        match self.held {
            Held::One(packed) => {
                // A branch would be mispredicted at the first bytes of each stream.
                let is_empty = packed.length == 0;
                Some(select_unpredictable(
                    is_empty,
                    Span { start: at, end: at },
                    self.unpack(packed),
                ))
            }
            Held::Many(_) => None,
        }
    }

    /// Holds this range alone, and nothing below `floor`. It may be empty.
    pub(super) const fn hold_only(&mut self, floor: u64, span: Span) {
        self.floor = floor;
        self.held = Held::One(pack(span));
    }

    pub(super) fn first(&self, pool: &BufferPool) -> Option<Span> {
        (self.count() > 0).then(|| self.get(pool, 0))
    }

    pub(super) fn last(&self, pool: &BufferPool) -> Option<Span> {
        let last = self.count().checked_sub(1)?;
        Some(self.get(pool, last))
    }

    /// The first range that ends behind `offset`: the one that holds it, or the next one.
    pub(super) fn at_or_behind(&self, pool: &BufferPool, offset: u64) -> Option<Span> {
        let index = self.partition(pool, |span| span.end <= offset);
        (index < self.count()).then(|| self.get(pool, index))
    }

    /// The runs of held bytes, lowest first.
    pub(super) fn runs<'p>(&self, pool: &'p BufferPool) -> impl Iterator<Item = Span> + use<'p> {
        let (ranges, mut index) = (*self, 0);
        iter::from_fn(move || {
            let run = ranges.run_at(pool, index)?;
            index = run.to;
            Some(run.span)
        })
    }

    /// Where the ranges end that win over `arriving` as segments of Linux's queue: those that begin
    /// before it, and one that begins with it and is not shorter. 0: there are none.
    pub(super) fn earlier_end(&self, pool: &BufferPool, arriving: Span) -> u64 {
        let earlier = match self.last_from(pool, arriving.start) {
            Some((at, held)) if held.start == arriving.start && held.end < arriving.end => {
                at.checked_sub(1).map(|before| self.get(pool, before))
            }
            last => last.map(|(_, held)| held),
        };
        earlier.map_or(0, |held| held.end)
    }

    /// How many ranges are held.
    const fn count(&self) -> usize {
        match self.held {
            Held::One(packed) => (packed.length > 0) as usize,
            Held::Many(list) => list.count(),
        }
    }

    /// Bytes held in `span`.
    pub(super) fn held_in(&self, pool: &BufferPool, span: Span) -> u64 {
        let mut index = self.partition(pool, |held| held.end <= span.start);
        let (mut bytes, mut counted) = (0, span.start);
        while index < self.count() {
            let held = self.get(pool, index);
            if held.start >= span.end {
                break;
            }
            let end = held.end.min(span.end);
            bytes += end - held.start.clamp(counted, end);
            counted = end;
            index += 1;
        }
        bytes
    }

    /// Bytes held.
    pub(super) fn total(&self, pool: &BufferPool) -> u64 {
        self.held_in(pool, Span { start: self.floor, end: u64::MAX })
    }

    /// How to insert `span`; `None`: there is no room for another range.
    pub(super) fn reserve(
        &mut self,
        pool: &mut BufferPool,
        span: Span,
        borders: Borders,
    ) -> Option<Insertion> {
        let insertion = self.insertion(pool, span, borders);
        if insertion.from == insertion.to {
            match self.held {
                Held::One(Packed { length: 0, .. }) => {}
                Held::One(packed) => self.held = Held::Many(RangeList::new(pool, packed)?),
                Held::Many(list) => return list.reserve(pool).then_some(insertion),
            }
        }
        Some(insertion)
    }

    /// Inserts a range as [`Self::reserve`] or [`Self::run_at`] has said; nothing else has changed
    /// since.
    pub(super) fn insert(&mut self, pool: &mut BufferPool, insertion: Insertion) {
        let Insertion { from, to, span } = insertion;
        self.shift(pool, to, from + 1);
        self.set_count(pool, self.count() + 1 - (to - from));
        self.set(pool, from, span);
        self.shrink(pool);
    }

    /// Merges the ranges that touch, from the one that holds or follows the byte before `from` to
    /// the last that begins at or below `next`. Returns where that one ends, or `next`.
    pub(super) fn settle(&mut self, pool: &mut BufferPool, from: u64, next: u64) -> u64 {
        let (mut index, mut next) = (self.partition(pool, |held| held.end < from), next);
        while let Some(run) = self.run_at(pool, index).filter(|run| run.span.start <= next) {
            self.insert(pool, run);
            next = next.max(run.span.end);
            index = run.from + 1;
        }
        next
    }

    /// Removes everything below `floor`.
    pub(super) fn remove_below(&mut self, pool: &mut BufferPool, floor: u64) {
        let gone = self.partition(pool, |held| held.end <= floor);
        self.shift(pool, gone, 0);
        self.set_count(pool, self.count() - gone);
        if let Some(first) = self.first(pool) {
            self.set(pool, 0, Span { start: first.start.max(floor), end: first.end });
        }
        self.floor = floor;
        self.shrink(pool);
    }

    /// Removes everything, and returns the block.
    pub(super) fn clear(&mut self, pool: &mut BufferPool, floor: u64) {
        if let Held::Many(list) = self.held {
            list.release(pool);
        }
        *self = Self { floor, ..Self::new() };
    }

    fn insertion(&self, pool: &BufferPool, span: Span, borders: Borders) -> Insertion {
        match borders {
            Borders::Join => self.joining(pool, span),
            Borders::Keep => self.queueing(pool, span),
        }
    }

    fn joining(&self, pool: &BufferPool, span: Span) -> Insertion {
        let from = self.partition(pool, |held| held.end < span.start);
        let to = self.partition(pool, |held| held.start <= span.end);
        if from == to {
            return Insertion { from, to, span };
        }
        let start = self.get(pool, from).start.min(span.start);
        let end = self.get(pool, to - 1).end.max(span.end);
        Insertion { from, to, span: Span { start, end } }
    }

    /// As `tcp_data_queue_ofo` of Linux inserts a segment.
    fn queueing(&self, pool: &BufferPool, span: Span) -> Insertion {
        let to = self.partition(pool, |held| held.end <= span.end);
        let Some((at, last)) = self.last_from(pool, span.start) else {
            return Insertion { from: 0, to, span };
        };
        if last.end >= span.end {
            Insertion { from: at, to: at + 1, span: last }
        } else if last.end == span.start {
            Insertion { from: at, to, span: Span { start: last.start, end: span.end } }
        } else if last.start == span.start {
            Insertion { from: at, to, span }
        } else {
            Insertion { from: at + 1, to, span }
        }
    }

    /// The last range that begins at or before `start`, and its index.
    fn last_from(&self, pool: &BufferPool, start: u64) -> Option<(usize, Span)> {
        let at = self.partition(pool, |held| held.start <= start).checked_sub(1)?;
        Some((at, self.get(pool, at)))
    }

    /// The range at `index`, merged with those behind it that touch.
    fn run_at(&self, pool: &BufferPool, index: usize) -> Option<Insertion> {
        let mut span = (index < self.count()).then(|| self.get(pool, index))?;
        let mut to = index + 1;
        while to < self.count() {
            let held = self.get(pool, to);
            if held.start > span.end {
                break;
            }
            (span.end, to) = (held.end, to + 1);
        }
        Some(Insertion { from: index, to, span })
    }

    /// Ranges at the beginning for which `is_before` holds.
    fn partition(&self, pool: &BufferPool, is_before: impl Fn(Span) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.get(pool, middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn get(&self, pool: &BufferPool, index: usize) -> Span {
        match self.held {
            Held::One(packed) => self.unpack(packed),
            Held::Many(list) => self.unpack(list.get(pool, index)),
        }
    }

    fn set(&mut self, pool: &mut BufferPool, index: usize, span: Span) {
        match self.held {
            Held::One(_) => self.held = Held::One(pack(span)),
            Held::Many(list) => list.set(pool, index, pack(span)),
        }
    }

    /// Sets the number of ranges. An inline range is counted by its length, which only 0 changes.
    fn set_count(&mut self, pool: &mut BufferPool, ranges: usize) {
        match &mut self.held {
            Held::One(packed) if ranges == 0 => packed.length = 0,
            Held::One(_) => {}
            Held::Many(list) => list.set_count(pool, ranges),
        }
    }

    /// Moves the ranges from `from` on to `to`.
    fn shift(&self, pool: &mut BufferPool, from: usize, to: usize) {
        if let Held::Many(list) = self.held {
            list.shift(pool, from, to);
        }
    }

    /// Returns the list to the pool when at most one range is left.
    fn shrink(&mut self, pool: &mut BufferPool) {
        if let Held::Many(list) = self.held
            && let count @ (0 | 1) = list.count()
        {
            let first = list.get(pool, 0);
            self.held = if count == 1 { Held::One(first) } else { Self::NOTHING };
            list.release(pool);
        }
    }

    fn unpack(&self, packed: Packed) -> Span {
        let above = packed.start.wrapping_sub(lower_half(self.floor));
        let start = self.floor + u64::from(above);
        Span { start, end: start + u64::from(packed.length) }
    }
}

const fn pack(span: Span) -> Packed {
    Packed { start: lower_half(span.start), length: lower_half(span.length()) }
}

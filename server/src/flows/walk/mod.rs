//! A walk over the slots of every worker's flow table: each flow that matches, in slot order.
//!
//! A slot's flow never moves, so a walk sees each flow that lives from its beginning to its end
//! exactly once, however it is cut into stretches. Flows that begin after the walk did are left
//! out. Between two stretches nothing is kept: the [`Position`] says all.
//!
//! Walks share a worker fairly: each scan takes a place on the worker's ring in the order of
//! arrival. A worker counts as unreachable only when it answered nobody's scans in time.

mod scans;
mod wait;

pub(super) use self::wait::wait;

#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, time::Duration};

use mos_control::{FLOW_PAGE, Refusal};
use mos_stack::{FlowSummary, Instant as WorkerTime, SlotCursor, WorkerId};
use tokio::{task::JoinSet, time::Instant};

use self::{scans::Scans, wait::Late};
use crate::{
    filter::Filter,
    workers::{CallError, WorkerClient, Workers},
};

/// Scans of one worker under way at once for one walk, at most.
const SCANS_MAX: usize = 16;

/// Time kept back for ending a stretch that took long; a quarter of its time at most.
const CLOSING_TIME: Duration = Duration::from_millis(200);

/// A point in a walk over all flow tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// When the walk began: flows that began later are left out.
    pub(crate) start: WorkerTime,
    /// The worker whose table is next.
    pub(crate) core: WorkerId,
    /// The slot in it.
    pub(crate) slot: u32,
}

impl Position {
    /// The beginning of a walk that began then.
    pub(crate) fn beginning(start: WorkerTime) -> Self {
        Self { start, core: WorkerId::default(), slot: 0 }
    }
}

/// What is done with the flows.
pub(crate) trait Visitor {
    /// Takes a flow that matches; breaks when it has no room: the stretch then ends before it.
    fn visit(&mut self, flow: &FlowSummary) -> ControlFlow<()>;

    /// How many more flows it has room for, about: the walk asks no worker for more than that.
    fn room(&self) -> usize;

    /// Takes note that it was shown the flows of this worker's slots below `slot`, as they were
    /// when the last event was the one with this number.
    fn scanned(&mut self, _core: WorkerId, _slot: u32, _last_event: u64) {}
}

/// A walk, one stretch at a time.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    /// Whose tables.
    pub(crate) workers: &'a Workers,
    /// Which flows.
    pub(crate) filter: &'a Filter,
    /// Slots that one stretch visits, about: it ends with the scan that reaches them.
    pub(crate) slots_max: u32,
    /// When the stretch has to have ended.
    pub(crate) deadline: Instant,
}

/// What came of one stretch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// When the walk began.
    pub(crate) start: WorkerTime,
    /// Where the next one begins; `None` at the end of the last table.
    pub(crate) next: Option<Position>,
    /// Workers that were passed over, because they did not answer in time or have stopped.
    pub(crate) unreachable: Vec<WorkerId>,
    /// Flows looked at, and those of them that match.
    pub(crate) seen: u64,
    pub(crate) matched: u64,
}

impl Walk<'_> {
    /// Visits flows from a position on, or from the beginning of a new walk.
    ///
    /// # Errors
    ///
    /// [`Refusal::RingFull`] when others took all of the time, so that no flow was looked at, and
    /// what a worker answers that is no answer to a scan.
    pub(crate) async fn stretch(
        &self,
        from: Option<Position>,
        visitor: &mut impl Visitor,
    ) -> Result<Stretch, CallError> {
        let now = Instant::now();
        let closing = (self.deadline.saturating_duration_since(now) / 4).min(CLOSING_TIME);
        let late_at = self.deadline - closing;
        let (from, silent) = match from {
            Some(position) => (position, Vec::new()),
            None => self.begin().await?,
        };
        let start = from.start;
        let stretch = Stretch { start, next: None, unreachable: Vec::new(), seen: 0, matched: 0 };
        let mut steps =
            Steps { walk: self, start, visitor, late_at, slots: 0, has_moved: false, stretch };
        steps.run(from, &silent).await?;
        Ok(steps.stretch)
    }

    /// The beginning of a walk: now, by the latest of the workers' clocks. Also the workers that
    /// did not say. They are asked all at once, and have half of the time.
    async fn begin(&self) -> Result<(Position, Vec<WorkerId>), CallError> {
        let now = Instant::now();
        let deadline = now + self.deadline.saturating_duration_since(now) / 2;
        let mut asked: JoinSet<_> = self
            .workers
            .iter()
            .cloned()
            .map(|client| async move {
                let clock = wait(&client, deadline, async {
                    client.clock(client.scan_place().await?).reply().await
                });
                let outcome = clock.await;
                (client, outcome)
            })
            .collect();
        let mut start = WorkerTime::EPOCH;
        // Also a worker whose question ends by a panic has not said.
        let mut silent: Vec<WorkerId> = self.workers.iter().map(WorkerClient::worker).collect();
        while let Some(answer) = asked.join_next().await {
            let Ok((client, outcome)) = answer else { continue };
            let now = match outcome {
                Ok(Ok(now)) => now,
                Ok(Err(error)) if is_unreachable(error) => continue,
                Ok(Err(error)) => return Err(error),
                Err(Late::Silent | Late::TimeUp) => continue,
                // It answers others, so it has published its clock since.
                Err(Late::Busy) => client.board().now(),
            };
            start = start.max(now);
            silent.retain(|worker| *worker != client.worker());
        }
        Ok((Position::beginning(start), silent))
    }
}

/// Whether a worker with this answer to a scan is to be passed over.
const fn is_unreachable(error: CallError) -> bool {
    match error {
        CallError::Refused(refusal) => match refusal {
            Refusal::NoSuchWorker(_)
            | Refusal::WorkerNotRunning(_)
            | Refusal::WorkerStopping(_)
            | Refusal::NoAnswer(_) => true,
            Refusal::RingFull(_) | Refusal::Lookup(_) | Refusal::SockOpt(_) => false,
        },
        CallError::Peek(_) | CallError::UnexpectedReply(_) => false,
    }
}

/// One stretch in the making.
struct Steps<'a, V> {
    walk: &'a Walk<'a>,
    start: WorkerTime,
    visitor: &'a mut V,
    /// From when on the stretch ends where it is.
    late_at: Instant,
    /// Slots visited.
    slots: u32,
    /// A table is done with, so that the stretch may end before the next one.
    has_moved: bool,
    stretch: Stretch,
}

/// What came of one worker's table.
enum Visit {
    /// All of it was visited.
    Done,
    /// The stretch ends here; the next one begins with this slot.
    Ends(u32),
    /// The worker did not answer.
    Unreachable,
}

impl<V: Visitor> Steps<'_, V> {
    /// Visits one table after the other, `silent` workers passed over.
    async fn run(&mut self, from: Position, silent: &[WorkerId]) -> Result<(), CallError> {
        let Position { start, core, slot } = from;
        for client in self.walk.workers.iter().filter(|client| client.worker() >= core) {
            let worker = client.worker();
            let slot = if worker == core { slot } else { 0 };
            let visit = if silent.contains(&worker) {
                Visit::Unreachable
            } else {
                self.visit(client, slot).await?
            };
            match visit {
                Visit::Done => {}
                Visit::Ends(slot) => {
                    self.stretch.next = Some(Position { start, core: worker, slot });
                    return Ok(());
                }
                Visit::Unreachable => self.stretch.unreachable.push(worker),
            }
            self.has_moved = true;
        }
        Ok(())
    }

    /// Visits one worker's table from a slot on.
    async fn visit(&mut self, client: &WorkerClient, slot: u32) -> Result<Visit, CallError> {
        let mut scans = Scans::new(client, slot);
        loop {
            let may_end = self.has_moved || scans.has_answered;
            if self.slots >= self.walk.slots_max || (may_end && Instant::now() > self.late_at) {
                return Ok(Visit::Ends(scans.expected));
            }
            let at_once = self.scans_to_go().clamp(1, SCANS_MAX);
            let scanned = match scans.next(at_once, self.walk.deadline).await {
                Ok(Ok(scanned)) => scanned,
                Ok(Err(error)) if is_unreachable(error) => return Ok(Visit::Unreachable),
                Ok(Err(error)) => return Err(error),
                Err(Late::Silent) => return Ok(Visit::Unreachable),
                // The time went to others, or to a table before this one.
                Err(Late::Busy | Late::TimeUp) if may_end => {
                    return Ok(Visit::Ends(scans.expected));
                }
                Err(Late::Busy) => return Err(Refusal::RingFull(client.worker()).into()),
                // All of the call's time was this worker's.
                Err(Late::TimeUp) => return Ok(Visit::Unreachable),
            };
            let full_at = self.take(&scanned.page, client.board().now());
            let end = scanned.next.map_or(u32::MAX, |SlotCursor(next)| next);
            self.visitor.scanned(client.worker(), full_at.unwrap_or(end), scanned.last_event);
            if let Some(slot) = full_at {
                return Ok(Visit::Ends(slot));
            }
            let Some(SlotCursor(next)) = scanned.next else { return Ok(Visit::Done) };
            self.slots = self.slots.saturating_add(next.saturating_sub(scans.expected));
            scans.advance(next, scanned.page);
        }
    }

    /// Shows the visitor the flows that match. Returns the slot of the first that it has no room
    /// for.
    fn take(&mut self, flows: &[FlowSummary], now: WorkerTime) -> Option<u32> {
        for flow in flows.iter().filter(|flow| flow.started <= self.start) {
            let matches = self.walk.filter.matches(flow, now);
            if matches && self.visitor.visit(flow).is_break() {
                return Some(flow.id.slot());
            }
            self.stretch.matched += u64::from(matches);
            self.stretch.seen += 1;
        }
        None
    }

    /// How many more scans fill the visitor, if slots go on to hold flows for it as they did. The
    /// first is supposed to.
    fn scans_to_go(&self) -> usize {
        let had = usize::try_from(self.stretch.matched).unwrap_or(usize::MAX).saturating_add(1);
        let slots = self.visitor.room().saturating_mul(self.slots as usize + 1).div_ceil(had);
        slots.div_ceil(FLOW_PAGE)
    }
}

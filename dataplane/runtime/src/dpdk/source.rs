//! Ports as packet sources, and the rings that take packets to the workers that own their flows.
//!
//! ```text
//! queue ──▶ PortSource (worker 0) ──▶ stack of worker 0
//!                 │ spread_hash(frame) % workers
//!                 ├──── ring ────▶ HandoffSource (worker 1) ──▶ stack of worker 1
//!                 └──── ring ────▶ HandoffSource (worker 2) ──▶ stack of worker 2
//! ```
//!
//! The hash is symmetric: both directions of a flow reach one worker. A packet that finds a ring
//! full is dropped and counted: no worker waits for another.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arrayvec::ArrayVec;
use mos_stack::{Frame, FrameSet, Instant, limits::BURST, wire::spread_hash};

use super::{
    mbuf::{Burst, Framer, Mbuf, free_burst},
    port::RxQueue,
};
use crate::source::{PacketSource, Received};

/// One receive queue of a port.
#[derive(Debug)]
pub(crate) struct PortSource {
    queue: RxQueue,
    framer: Framer,
    spread: Option<Spread>,
}

/// Packets that another worker received for this one.
#[derive(Debug)]
pub(crate) struct HandoffSource {
    ring: rtrb::Consumer<Mbuf>, // this worker: ro, the receiving worker: wo
    framer: Framer,
}

/// Where the packets of one queue go.
#[derive(Debug)]
pub(crate) struct Spread {
    /// A ring to each worker; none to the worker that receives.
    rings: Vec<Option<rtrb::Producer<Mbuf>>>, // this worker: wo, the owning worker: ro
    dropped: Arc<AtomicU64>, // receiving workers: rw, control: ro
}

impl PortSource {
    /// A source that keeps all its packets, or spreads them.
    pub(crate) fn new(queue: RxQueue, spread: Option<Spread>) -> Self {
        Self { queue, framer: Framer::new(), spread }
    }
}

impl PacketSource for PortSource {
    fn receive(&mut self, now: Instant, handle: impl FnMut(&[Frame<'_>]) -> FrameSet) -> Received {
        let mut burst = self.queue.receive();
        if burst.is_empty() {
            return Received::Nothing;
        }
        let received = burst.len();
        if let Some(spread) = &mut self.spread {
            burst = spread.keep_own(burst, &mut self.framer);
        }
        self.framer.frames(&burst, now, handle);
        free_burst(burst);
        Received::Frames(received)
    }
}

impl HandoffSource {
    /// The receiving end of a ring.
    pub(crate) fn new(ring: rtrb::Consumer<Mbuf>) -> Self {
        Self { ring, framer: Framer::new() }
    }
}

impl PacketSource for HandoffSource {
    fn receive(&mut self, now: Instant, handle: impl FnMut(&[Frame<'_>]) -> FrameSet) -> Received {
        let waiting = self.ring.slots().min(BURST);
        let Ok(chunk) = self.ring.read_chunk(waiting) else { return Received::Nothing };
        let burst: Burst = chunk.into_iter().collect();
        if burst.is_empty() {
            return if self.ring.is_abandoned() { Received::End } else { Received::Nothing };
        }
        let received = burst.len();
        self.framer.frames(&burst, now, handle);
        free_burst(burst);
        Received::Frames(received)
    }
}

impl Spread {
    /// Makes the rings from the worker `receiver` to the others; gives the other ends, each with
    /// the worker that it belongs to. Packets that do not fit into a ring count in `dropped`.
    pub(crate) fn new(
        receiver: usize,
        workers: usize,
        dropped: Arc<AtomicU64>,
    ) -> (Self, Vec<(usize, HandoffSource)>) {
        let mut sources = Vec::new();
        let rings = (0..workers)
            .map(|worker| {
                (worker != receiver).then(|| {
                    let (producer, consumer) = rtrb::RingBuffer::new(ring_slots(workers));
                    sources.push((worker, HandoffSource::new(consumer)));
                    producer
                })
            })
            .collect();
        (Self { rings, dropped }, sources)
    }

    /// Gives away the packets of other workers' flows.
    fn keep_own(&mut self, burst: Burst, framer: &mut Framer) -> Burst {
        let mut owners: ArrayVec<usize, BURST> = ArrayVec::new();
        framer.frames(&burst, Instant::EPOCH, |frames| {
            owners.extend(frames.iter().map(|frame| owner(frame, self.rings.len())));
            FrameSet::NONE
        });
        let mut own = Burst::new();
        let mut dropped = 0;
        for (packet, owner) in burst.into_iter().zip(owners) {
            match &mut self.rings[owner] {
                None => own.push(packet),
                Some(ring) => dropped += u64::from(ring.push(packet).is_err()),
            }
        }
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Relaxed);
        }
        own
    }
}

/// The worker that owns the flow of this frame.
fn owner(frame: &Frame<'_>, workers: usize) -> usize {
    spread_hash(frame) as usize % workers
}

/// Packets that one ring holds: a few milliseconds of a fast port, less with many workers, because
/// each packet in a ring is one of the port's buffers.
pub(crate) const fn ring_slots(workers: usize) -> usize {
    let share = 16_384 / workers;
    if share < 512 {
        512
    } else if share > 4096 {
        4096
    } else {
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_a_bounded_number_of_buffers() {
        assert_eq!(ring_slots(2), 4096);
        assert_eq!(ring_slots(8), 2048);
        assert_eq!(ring_slots(512), 512);
    }

    #[test]
    fn a_ring_that_nobody_fills_any_more_comes_to_its_end() {
        let (spread, mut sources) = Spread::new(1, 3, Arc::default());
        assert_eq!(sources.iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), [0, 2]);
        assert!(spread.rings[1].is_none());
        let receive =
            |source: &mut HandoffSource| source.receive(Instant::EPOCH, |_| FrameSet::NONE);
        assert_eq!(receive(&mut sources[0].1), Received::Nothing);
        drop(spread);
        assert_eq!(receive(&mut sources[0].1), Received::End);
    }
}

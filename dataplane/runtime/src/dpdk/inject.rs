//! Sends frames into a port: the demo traffic at a steady rate, or prepared frames at full speed.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use mos_stack::{Instant, limits::BURST};

use super::{mbuf::Burst, port::TxQueue};
use crate::{clock::Clock, config::LoopedFrames, idle::sleep, traffic::Conversations};

/// A generator and the queue that it fills.
#[derive(Debug)]
pub(crate) struct Injector {
    pub(crate) queue: TxQueue,
    pub(crate) feed: Feed,
}

/// Where the frames come from, and how fast.
#[derive(Debug)]
pub(crate) enum Feed {
    /// The demo traffic at a steady rate.
    Demo {
        /// What makes the frames.
        conversations: Conversations,
        /// Frames per second.
        rate_pps: u32,
    },
    /// Prepared frames in a loop, as fast as the queue takes them.
    Looped {
        /// All of them, in order.
        frames: LoopedFrames,
        /// Index of the next one.
        next: usize,
    },
}

impl Feed {
    /// The next frame; one that is made is written into `made`.
    fn next_frame<'a>(&'a mut self, made: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::Demo { conversations, .. } => {
                conversations.next_frame(made);
                made
            }
            Self::Looped { frames: LoopedFrames(frames), next } => {
                let frame = frames.get(*next).map_or(&[][..], Vec::as_slice);
                *next = if *next + 1 < frames.len() { *next + 1 } else { 0 };
                frame
            }
        }
    }
}

/// How often frames are sent.
const TICK: Duration = Duration::from_millis(1);

/// Frames that fell due while the queue was full are sent later; at most the frames of this span.
const BACKLOG: Duration = Duration::from_millis(100);

impl Injector {
    /// Sends until `stop` is set. Waits while the queue is full: no frame of the generator is lost.
    pub(crate) fn run(mut self, clock: &impl Clock, stop: &AtomicBool) {
        let mut ready = Burst::new();
        let mut frame = Vec::new();
        let Feed::Demo { rate_pps, .. } = self.feed else {
            // No pause: the receiver is to be the slower side.
            while !stop.load(Relaxed) {
                self.send(&mut ready, BURST, &mut frame);
            }
            return;
        };
        let mut pace = Pace::new(clock.now(), rate_pps);
        while !stop.load(Relaxed) {
            let sent = self.send(&mut ready, pace.due(clock.now()), &mut frame);
            pace.sent(sent);
            if sent == 0 {
                sleep(TICK);
            }
        }
    }

    /// Sends at most `due` frames of the burst in hand, or of the next one. Returns how many.
    fn send(&mut self, ready: &mut Burst, due: usize, frame: &mut Vec<u8>) -> usize {
        if ready.is_empty() {
            *ready = self.generate(frame);
        }
        self.queue.send(ready, due)
    }

    /// The next frames as packets; none when no packet buffer is free.
    fn generate(&mut self, frame: &mut Vec<u8>) -> Burst {
        let mut burst = self.queue.pool().allocate_burst();
        burst.retain(|packet| packet.append(self.feed.next_frame(frame)));
        burst
    }
}

/// How many frames are due.
#[derive(Debug)]
struct Pace {
    since: Instant,
    rate_pps: u64,
    sent: u64,
}

impl Pace {
    fn new(now: Instant, rate_pps: u32) -> Self {
        Self { since: now, rate_pps: rate_pps.into(), sent: 0 }
    }

    fn sent(&mut self, frames: usize) {
        self.sent += frames as u64;
    }

    fn due(&mut self, now: Instant) -> usize {
        let total = frames_in(now.since(self.since), self.rate_pps);
        let most = frames_in(BACKLOG, self.rate_pps).max(1);
        self.sent = self.sent.max(total.saturating_sub(most));
        usize::try_from(total.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }
}

fn frames_in(span: Duration, rate_pps: u64) -> u64 {
    let frames = span.as_nanos() * u128::from(rate_pps) / 1_000_000_000;
    u64::try_from(frames).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_from_memory_come_in_their_order_and_again() {
        let frames = LoopedFrames([vec![1], vec![2, 2], vec![3]].into());
        let mut feed = Feed::Looped { frames, next: 0 };
        let mut made = Vec::new();
        let mut next = || feed.next_frame(&mut made).to_vec();
        let frames: Vec<Vec<u8>> = (0..5).map(|_| next()).collect();
        assert_eq!(frames, [vec![1], vec![2, 2], vec![3], vec![1], vec![2, 2]]);
    }

    #[test]
    fn the_pace_is_kept_and_a_long_backlog_is_given_up() {
        let at = |millis| Instant::EPOCH.after(Duration::from_millis(millis));
        let mut pace = Pace::new(at(0), 1000);
        assert_eq!(pace.due(at(0)), 0);
        assert_eq!(pace.due(at(7)), 7);
        pace.sent(5);
        assert_eq!(pace.due(at(10)), 5);
        pace.sent(5);
        assert_eq!(pace.due(at(5000)), 100);
        pace.sent(100);
        assert_eq!(pace.due(at(5010)), 10);
    }

    #[test]
    fn a_slow_rate_still_sends() {
        let at = |millis| Instant::EPOCH.after(Duration::from_millis(millis));
        let mut pace = Pace::new(at(0), 1);
        assert_eq!(pace.due(at(999)), 0);
        assert_eq!(pace.due(at(1000)), 1);
    }
}

//! The scans of one worker's table, several under way.

use std::collections::VecDeque;

use mos_control::{FLOW_PAGE, FlowPage};
use mos_stack::SlotCursor;
use tokio::time::Instant;

use super::wait::{Late, wait};
use crate::workers::{Asked, CallError, ScanPlace, Scanned, WorkerClient};

/// Slots that one scan visits.
const BLOCK: u32 = 64;
const _: () = assert!(BLOCK as usize == FLOW_PAGE);

/// A walk through one table.
pub(super) struct Scans<'a> {
    client: &'a WorkerClient,
    /// In the order of their slots.
    under_way: VecDeque<Asked<Scanned>>,
    /// Where the next answer begins.
    pub(super) expected: u32,
    /// Where the next scan begins.
    ahead: u32,
    pub(super) has_answered: bool,
    /// Memory to send down again.
    spare: VecDeque<Box<FlowPage>>,
}

impl<'a> Scans<'a> {
    pub(super) fn new(client: &'a WorkerClient, slot: u32) -> Self {
        Self {
            client,
            under_way: VecDeque::new(),
            expected: slot,
            ahead: slot,
            has_answered: false,
            spare: VecDeque::new(),
        }
    }

    /// Keeps `at_once` scans in flight, as far as others leave places for them, and waits for the
    /// oldest. Unneeded scans cost the worker packets.
    pub(super) async fn next(
        &mut self,
        at_once: usize,
        deadline: Instant,
    ) -> Result<Result<Scanned, CallError>, Late> {
        if self.under_way.is_empty() {
            match wait(self.client, deadline, self.client.scan_place()).await? {
                Ok(place) => self.send(place),
                Err(refusal) => return Ok(Err(refusal.into())),
            }
        }
        let slots = self.client.board().gauges().flow_slots;
        while self.under_way.len() < at_once && u64::from(self.ahead) < slots {
            let Some(place) = self.client.try_scan_place() else { break };
            self.send(place);
        }
        match self.under_way.pop_front() {
            Some(oldest) => wait(self.client, deadline, oldest.reply()).await,
            None => Err(Late::TimeUp),
        }
    }

    fn send(&mut self, place: ScanPlace) {
        let page = self.spare.pop_front().unwrap_or_default();
        self.under_way.push_back(self.client.scan(SlotCursor(self.ahead), page, place));
        self.ahead = self.ahead.saturating_add(BLOCK);
    }

    /// Takes note of how far the last answer went.
    pub(super) fn advance(&mut self, next: u32, page: Box<FlowPage>) {
        self.spare.push_back(page);
        self.has_answered = true;
        if next != self.expected.saturating_add(BLOCK) {
            // The scans under way begin elsewhere: their answers are of no use.
            self.under_way.clear();
            self.ahead = next;
        }
        self.expected = next;
    }
}

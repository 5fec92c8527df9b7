//! `FlowService.ListFlows`: a walk over the slots of every worker's flow table.
//!
//! A slot's flow never moves, so a walk in the order of slots returns each flow that lives from the
//! first page to the last exactly once, whatever the page sizes. Flows that begin after the first
//! page was asked for are left out. The server keeps nothing between pages.

use std::{collections::VecDeque, time::Duration};

use mos_control::{Command, FLOW_PAGE, FlowPage, Refusal, Reply};
use mos_proto::v1;
use mos_stack::{FlowSummary, Instant, SlotCursor, WorkerId};
use prost::Message as _;
use tokio::time;

use crate::{
    api::{
        convert::{self, View},
        rejection::Rejection,
        state::Control,
    },
    filter::Filter,
    flows::page_token::{PageToken, RequestDigest},
    net::call::Call,
    workers::{Pipeline, WorkerClient},
};

/// Flows on a page when the request does not say.
pub(crate) const PAGE_DEFAULT: usize = 100;

/// Flows on a page at most.
pub(crate) const PAGE_MAX: usize = 1000;

/// Bytes of a page at most.
pub(crate) const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Slots visited for one page at most.
pub(crate) const SLOTS_MAX: u32 = 65_536;

/// Slots that one scan command visits.
const BLOCK: u32 = 64;
const _: () = assert!(BLOCK as usize == FLOW_PAGE);

/// Scans of one worker under way at once, at most.
const SCANS_MAX: usize = 16;

/// How long one worker is waited for before it counts as unreachable.
const CORE_PATIENCE: Duration = Duration::from_secs(1);

/// Time kept back for ending a page that took long.
const CLOSING_TIME: Duration = Duration::from_millis(200);

/// Pause before the next try when a worker's ring is full.
const RING_PAUSE: Duration = Duration::from_millis(1);

/// One page of flows.
pub(crate) async fn list_flows(
    control: &Control,
    call: &Call,
    request: v1::ListFlowsRequest,
) -> Result<v1::ListFlowsResponse, Rejection> {
    let page_size = page_size(request.page_size)?;
    let view = convert::view(request.view, View::Basic)?;
    let filter = Filter::parse(&request.filter).map_err(Rejection::Filter)?;
    let digest = RequestDigest::new(&request.filter, request.view);
    let (token, silent) = if request.page_token.is_empty() {
        first_token(control, call).await
    } else {
        (control.page_tokens.open(&request.page_token, digest)?, Vec::new())
    };
    let page = Page { view, filter, page_size, flows: Vec::new(), bytes: 0, seen: 0, matched: 0 };
    let mut walk = Walk { control, call, token, slots: 0, page, unreachable: Vec::new() };
    let next = walk.run(&silent).await?;
    let total_size = walk.page.estimate(total_flows(control));
    Ok(v1::ListFlowsResponse {
        flows: walk.page.flows,
        next_page_token: next
            .map(|token| control.page_tokens.seal(token, digest))
            .unwrap_or_default(),
        total_size,
        unreachable: walk.unreachable,
    })
}

fn page_size(asked: i32) -> Result<usize, Rejection> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_negative) => {
            Err(Rejection::Argument { field: "page_size", problem: format!("{asked} is negative") })
        }
    }
}

/// The beginning of a walk: now, by the latest of the workers' clocks. Also the workers that did
/// not say.
async fn first_token(control: &Control, call: &Call) -> (PageToken, Vec<WorkerId>) {
    let asked: Vec<_> = control
        .workers
        .iter()
        .map(|client| (client.worker(), client.begin(Command::Clock)))
        .collect();
    let patience = call.deadline.min(time::Instant::now() + CORE_PATIENCE);
    let (mut list_start, mut silent) = (Instant::EPOCH, Vec::new());
    for (worker, answer) in asked {
        let outcome = match answer {
            Ok(answer) => answer.wait(patience).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(Reply::Clock(now)) => list_start = list_start.max(now),
            Ok(_) | Err(_) => silent.push(worker),
        }
    }
    (PageToken { list_start, core: WorkerId::default(), slot: 0 }, silent)
}

fn total_flows(control: &Control) -> u64 {
    control.workers.iter().map(|client| client.board().gauges().flows).sum()
}

/// The walk for one page.
struct Walk<'a> {
    control: &'a Control,
    call: &'a Call,
    token: PageToken,
    /// Slots visited.
    slots: u32,
    page: Page,
    unreachable: Vec<String>,
}

/// What came of one worker's table.
enum Visit {
    /// All of it was visited.
    Done,
    /// The page ends here; the next one begins with this slot.
    PageEnds(u32),
    /// The worker did not answer.
    Unreachable,
}

impl Walk<'_> {
    /// Fills the page. Returns where the next one begins; `None` at the end of the last table.
    async fn run(&mut self, silent: &[WorkerId]) -> Result<Option<PageToken>, Rejection> {
        let PageToken { list_start, core, slot } = self.token;
        for client in self.control.workers.iter().filter(|client| client.worker() >= core) {
            let worker = client.worker();
            let slot = if worker == core { slot } else { 0 };
            let visit = if silent.contains(&worker) {
                Visit::Unreachable
            } else {
                self.visit(client, slot).await?
            };
            match visit {
                Visit::Done => {}
                Visit::PageEnds(slot) => {
                    return Ok(Some(PageToken { list_start, core: worker, slot }));
                }
                Visit::Unreachable => self.unreachable.push(format!("cores/{worker}")),
            }
        }
        Ok(None)
    }

    /// Visits one worker's table from a slot on.
    async fn visit(&mut self, client: &WorkerClient, slot: u32) -> Result<Visit, Rejection> {
        let mut scans = Scans::new(client, slot);
        loop {
            if self.is_over(&scans) {
                return Ok(Visit::PageEnds(scans.expected));
            }
            let patience = self.call.deadline.min(time::Instant::now() + CORE_PATIENCE);
            let at_once = self.scans_to_go().clamp(1, SCANS_MAX);
            let (page, next) = match scans.next(at_once, patience).await {
                Ok(Reply::Scanned { page, next }) => (page, next),
                Ok(_) => return Err(Rejection::UnexpectedReply(client.worker())),
                Err(_) => return Ok(Visit::Unreachable),
            };
            let now = client.board().now();
            let mut old_enough = page.iter().filter(|flow| flow.started <= self.token.list_start);
            if let Some(first) = old_enough.find(|flow| !self.page.offer(flow, now, self.control)) {
                return Ok(Visit::PageEnds(first.id.slot()));
            }
            let Some(SlotCursor(next)) = next else { return Ok(Visit::Done) };
            self.slots = self.slots.saturating_add(next.saturating_sub(scans.expected));
            scans.advance(next, page);
        }
    }

    /// How many more scans fill the page, if slots go on to hold flows for it as they did. The
    /// first is supposed to.
    fn scans_to_go(&self) -> usize {
        let Page { page_size, flows, .. } = &self.page;
        let (wanted, had) = (page_size.saturating_sub(flows.len()), flows.len() + 1);
        let slots = wanted.saturating_mul(self.slots as usize + 1).div_ceil(had);
        slots.div_ceil(FLOW_PAGE)
    }

    /// Whether the page has to end here: enough slots, or hardly any time left.
    fn is_over(&self, scans: &Scans<'_>) -> bool {
        let is_late = time::Instant::now() + CLOSING_TIME > self.call.deadline;
        self.slots >= SLOTS_MAX || (is_late && (self.slots > 0 || scans.has_answered))
    }
}

/// Scans of one worker's table, several under way.
struct Scans<'a> {
    client: &'a WorkerClient,
    pipeline: Pipeline,
    /// Where the next answer begins.
    expected: u32,
    /// Where the next command begins.
    ahead: u32,
    has_answered: bool,
    /// Memory to send down again.
    spare: VecDeque<Box<FlowPage>>,
}

impl<'a> Scans<'a> {
    fn new(client: &'a WorkerClient, slot: u32) -> Self {
        Self {
            client,
            pipeline: Pipeline::default(),
            expected: slot,
            ahead: slot,
            has_answered: false,
            spare: VecDeque::new(),
        }
    }

    /// Keeps so many scans under way and waits for the answer of the oldest. What is asked for and
    /// not needed costs packets.
    async fn next(&mut self, at_once: usize, deadline: time::Instant) -> Result<Reply, Refusal> {
        loop {
            match (self.fill(at_once), self.pipeline.next(deadline).await) {
                (_, Some(outcome)) => return outcome,
                (Err(Refusal::RingFull(_)), None) if time::Instant::now() < deadline => {
                    time::sleep(RING_PAUSE).await;
                }
                (Err(refusal), None) => return Err(refusal),
                (Ok(()), None) => return Err(Refusal::NoAnswer(self.client.worker())),
            }
        }
    }

    fn fill(&mut self, at_once: usize) -> Result<(), Refusal> {
        let slots = self.client.board().gauges().flow_slots;
        while self.pipeline.len() < at_once
            && (self.pipeline.is_empty() || u64::from(self.ahead) < slots)
        {
            let mut page = self.spare.pop_front().unwrap_or_default();
            page.clear();
            let cursor = SlotCursor(self.ahead);
            self.pipeline.push(self.client, Command::Scan { cursor, page })?;
            self.ahead = self.ahead.saturating_add(BLOCK);
        }
        Ok(())
    }

    /// Takes note of how far the last answer went.
    fn advance(&mut self, next: u32, page: Box<FlowPage>) {
        self.spare.push_back(page);
        self.has_answered = true;
        if next != self.expected.saturating_add(BLOCK) {
            // The commands under way begin elsewhere: their answers are of no use.
            self.pipeline = Pipeline::default();
            self.ahead = next;
        }
        self.expected = next;
    }
}

/// The page in the making.
struct Page {
    view: View,
    filter: Filter,
    page_size: usize,
    flows: Vec<v1::Flow>,
    bytes: usize,
    /// Flows looked at, and those of them that the filter matches.
    seen: u64,
    matched: u64,
}

impl Page {
    /// Adds a flow if it matches. Returns false, and has not looked at it, when the page is full.
    fn offer(&mut self, summary: &FlowSummary, now: Instant, control: &Control) -> bool {
        if !self.filter.matches(summary, now) {
            self.seen += 1;
            return true;
        }
        if self.flows.len() >= self.page_size {
            return false;
        }
        let flow = convert::flow(summary, self.view, &control.etags);
        // A field's tag and length take up to 4 bytes more.
        let bytes = flow.encoded_len() + 4;
        if self.bytes + bytes > PAGE_BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        self.seen += 1;
        self.matched += 1;
        self.flows.push(flow);
        true
    }

    /// How many of `total` flows match, judged by those seen for this page.
    fn estimate(&self, total: u64) -> i64 {
        if self.filter.is_empty() || self.seen == 0 {
            return convert::saturating_i64(total);
        }
        let estimate = u128::from(total) * u128::from(self.matched) / u128::from(self.seen);
        let at_least = u64::try_from(estimate).unwrap_or(u64::MAX).max(self.matched);
        convert::saturating_i64(at_least)
    }
}

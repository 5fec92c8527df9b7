//! Reads every stream as it grows, through the stack's own reading path.

use arrayvec::ArrayVec;
use mos_stack::{
    EndCause, Event, EventKind, EventKinds, EventSink, Fact, FlowId, FlowRef, Side, Stack,
    StreamOffset, limits::BURST,
};

/// Stretches that one burst can make readable, at most: both sides of each packet's flow.
const GROWN_MAX: usize = 2 * BURST;

/// Bytes read in one step, at most.
const CHUNK: usize = 8192;

/// Is told of growth within a burst, and reads behind it.
#[derive(Debug)]
pub struct Reader {
    grown: ArrayVec<Growth, GROWN_MAX>,
    chunk: Box<[u8; CHUNK]>,
    /// Sum of all bytes read, as words.
    pub checksum: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes that could be read, but were gone when it was tried.
    pub unread_bytes: u64,
}

/// A stretch of a stream that has become readable.
#[derive(Debug, Clone, Copy)]
struct Growth {
    flow: FlowId,
    side: Side,
    from: StreamOffset,
    end: StreamOffset,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            grown: ArrayVec::new(),
            chunk: Box::new([0; CHUNK]),
            checksum: 0,
            read_bytes: 0,
            unread_bytes: 0,
        }
    }
}

impl Reader {
    /// Reads everything that the last burst has made readable.
    pub fn read(&mut self, stack: &Stack) {
        self.read_with(stack, |_, _, _, _| {});
    }

    /// The same, and shows each piece: its flow, its side, its offset, its bytes.
    pub fn read_with(
        &mut self,
        stack: &Stack,
        mut show: impl FnMut(FlowId, Side, StreamOffset, &[u8]),
    ) {
        for at in 0..self.grown.len() {
            self.follow(stack, self.grown[at], &mut show);
        }
        self.grown.clear();
    }

    fn follow(
        &mut self,
        stack: &Stack,
        growth: Growth,
        show: &mut impl FnMut(FlowId, Side, StreamOffset, &[u8]),
    ) {
        let Growth { flow, side, from: mut at, end } = growth;
        while at < end {
            let left = end.distance_from(at);
            let room = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let step = match stack.read(flow, side, Some(at), &mut self.chunk[..room]) {
                Ok(step) if step.next() > at => step,
                Ok(_) | Err(_) => {
                    self.unread_bytes += left;
                    return;
                }
            };
            let bytes = &self.chunk[..step.length];
            show(flow, side, step.data_offset(), bytes);
            self.checksum = self.checksum.wrapping_add(sum(bytes));
            self.read_bytes += bytes.len() as u64;
            self.unread_bytes += step.evicted;
            at = step.next();
        }
    }
}

impl EventSink for Reader {
    fn wanted(&self) -> EventKinds {
        EventKinds::NONE.with(EventKind::NewData)
    }

    fn on_event(&mut self, event: &Event) {
        if let (Some(flow), Fact::NewData { side, offset, end }) = (event.flow, event.fact) {
            let growth = Growth { flow, side, from: offset, end };
            if self.grown.try_push(growth).is_err() {
                self.unread_bytes += end.distance_from(offset);
            }
        }
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

/// The sum of the words, so that every byte was looked at.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_ne_bytes(*word)));
    rest.iter().fold(words, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

#[cfg(test)]
mod tests;

//! Reads every stream as it grows: a sink that gets the bytes within the burst.

use mos_stack::{EndCause, EventSink, FlowId, FlowRef, Side, StreamOffset};

/// Reads every byte of every stream.
#[derive(Debug, Default)]
pub struct Reader {
    /// Sum of all bytes read, as 64-bit words.
    pub checksum: u64,
    /// Bytes read.
    pub read_bytes: u64,
}

impl EventSink for Reader {
    fn wants_streams(&self) -> bool {
        true
    }

    fn on_stream(&mut self, _flow: FlowId, _side: Side, _offset: StreamOffset, bytes: &[u8]) {
        self.checksum = self.checksum.wrapping_add(sum(bytes));
        self.read_bytes += bytes.len() as u64;
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

/// The sum of the 64-bit words, so that every byte is read.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_ne_bytes(*word)));
    let (halves, rest) = rest.as_chunks::<4>();
    let sum =
        halves.iter().fold(sum, |sum, half| sum.wrapping_add(u32::from_ne_bytes(*half).into()));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

#[cfg(test)]
mod tests;

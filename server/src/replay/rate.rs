//! The rate of a replay from memory: one record, or a line for people.

use std::io::{self, Write};

use mos_dataplane::rerun::RerunOutcome;
use mos_stack::{EndCause, EventSink, FlowRef, Side};
use serde::Serialize;

use super::args::Output;

/// Ethernet overhead of a packet on the wire, in bytes: preamble, check sequence, gap.
const AROUND: u64 = 24;

/// Reads both streams of every flow when it ends, and counts.
#[derive(Debug, Default)]
pub(super) struct Reader {
    flows: u64,
    stream_bytes: u64,
    checksum: u64,
}

/// The result of all rounds together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rate {
    repeats: u32,
    workers: usize,
    packets: u64,
    /// Bytes of all packets on the wire, their Ethernet overhead included.
    wire_bytes: u64,
    flows: u64,
    /// Stream bytes that were read, of both sides, when the flows ended.
    stream_bytes: u64,
    /// Sum of those bytes as 64-bit words, in hexadecimal digits. Runs that read equal bytes have
    /// equal sums.
    checksum: String,
    /// Time from the first packet to the last end of a flow.
    seconds: f64,
    /// CPU time of all workers per packet.
    ns_per_packet: f64,
    /// Millions of packets per second of CPU time of the busiest worker.
    mpps: f64,
    /// Bits on the wire per nanosecond of CPU time of the busiest worker.
    gbps: f64,
}

impl EventSink for Reader {
    fn flow_ended(&mut self, flow: &FlowRef<'_>, _cause: Option<EndCause>) {
        self.flows += 1;
        for side in Side::BOTH {
            let checksum = &mut self.checksum;
            self.stream_bytes += flow.read_beginning(side, |piece| {
                *checksum = checksum.wrapping_add(sum(piece));
            });
        }
    }
}

/// The sum of the 64-bit words; the last one is padded with zeros.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    words.wrapping_add(u64::from_le_bytes(last))
}

impl Rate {
    pub(super) fn new(outcome: &RerunOutcome<Reader>, repeats: u32) -> Self {
        let packets = outcome.stats.packets();
        let wire_bytes = outcome.wire_bytes * u64::from(repeats) + packets * AROUND;
        let seconds = |cpu_time: &std::time::Duration| cpu_time.as_secs_f64();
        let busiest = outcome.cpu_times.iter().map(seconds).fold(0.0, f64::max);
        let all: f64 = outcome.cpu_times.iter().map(seconds).sum();
        let sum = |of: fn(&Reader) -> u64| outcome.sinks.iter().map(of).fold(0, u64::wrapping_add);
        Self {
            repeats,
            workers: outcome.cpu_times.len(),
            packets,
            wire_bytes,
            flows: sum(|reader| reader.flows),
            stream_bytes: sum(|reader| reader.stream_bytes),
            checksum: format!("{:016x}", sum(|reader| reader.checksum)),
            seconds: outcome.elapsed.as_secs_f64(),
            ns_per_packet: all * 1e9 / float(packets.max(1)),
            mpps: float(packets) / busiest.max(f64::MIN_POSITIVE) / 1e6,
            gbps: float(wire_bytes) * 8.0 / busiest.max(f64::MIN_POSITIVE) / 1e9,
        }
    }

    /// Prints the rate.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub(super) fn print(&self, output: Output, out: &mut impl Write) -> io::Result<()> {
        match output {
            Output::Jsonl | Output::Csv => {
                serde_json::to_writer(&mut *out, self)?;
                out.write_all(b"\n")?;
            }
            Output::Table => writeln!(
                out,
                "{} packets of {} flows in {} rounds: {:.1} ns a packet, {:.2} Mpps, {:.2} Gbps \
                 on the wire; {} stream bytes read; {:.3} s",
                self.packets,
                self.flows,
                self.repeats,
                self.ns_per_packet,
                self.mpps,
                self.gbps,
                self.stream_bytes,
                self.seconds,
            )?,
        }
        out.flush()
    }
}

/// A count as a float, exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "the counts are below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

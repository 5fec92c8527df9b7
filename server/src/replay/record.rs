//! One record for each flow: what is printed.

use std::net::SocketAddr;

use mos_stack::{EndCause, FlowRef, FlowSummary, FlowTuple, Side};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// One flow at its end, or at the end of the capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FlowRecord {
    pub(super) client_ip: String,
    pub(super) client_port: u16,
    pub(super) server_ip: String,
    pub(super) server_port: u16,
    /// Outermost 802.1Q id other than 0.
    pub(super) vlan: Option<u16>,
    /// Time of the first packet, in nanoseconds since the Unix epoch; digits in a string, because
    /// many readers of JSON round numbers of this size.
    #[serde(serialize_with = "as_string")]
    pub(super) start_ns: u64,
    /// Time of the last packet.
    #[serde(serialize_with = "as_string")]
    pub(super) end_ns: u64,
    /// How the flow ended; absent if the capture ended first.
    pub(super) end_cause: Option<&'static str>,
    /// Whether nothing of one endpoint was captured that fits the connection: what is said of the
    /// other one is a guess.
    pub(super) one_sided: bool,
    pub(super) client_state: String,
    pub(super) server_state: String,
    /// What the client sent: the server's receive buffer.
    pub(super) c2s: DirectionRecord,
    /// What the server sent: the client's receive buffer.
    pub(super) s2c: DirectionRecord,
    #[serde(skip)]
    tuple: FlowTuple,
    /// How often the times of the capture had run backwards when it began.
    #[serde(skip)]
    pub(super) steps_back: u64,
}

/// What one endpoint sent, as the other's receive buffer holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DirectionRecord {
    /// Overlap policy of the receive buffer.
    pub(super) policy: &'static str,
    pub(super) packets: u64,
    /// TCP payload bytes, repeated ones included.
    pub(super) payload_bytes: u64,
    pub(super) retransmits: u64,
    /// Segments that were not believed at once, because their receiver may not take them.
    pub(super) suspicious_segments: u64,
    /// Length of the stream's prefix before the first hole.
    pub(super) stream_len: u64,
    /// How far the other endpoint acknowledged the stream, gaps included, a FIN not counted; absent
    /// if one endpoint was not heard.
    pub(super) acknowledged_offset: Option<u64>,
    /// SHA-256 of that prefix; absent if the buffer did not hold all of it to the end.
    pub(super) sha256: Option<String>,
    /// The file that holds that prefix, from the folder of `--write-streams` on; absent without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Bytes evicted for newer ones, because the buffer was too small.
    pub(super) evicted: u64,
    /// Those of them that were evicted because too many separate runs were held.
    pub(super) crowded_out_bytes: u64,
    /// Ranges of the stream that were never captured, and the bytes in them.
    pub(super) gaps: u64,
    pub(super) missing_bytes: u64,
    /// Bytes that are held after a hole.
    pub(super) out_of_order_bytes: u64,
    /// Bytes that differed from the held copy of their position.
    pub(super) conflicting_bytes: u64,
    /// Bytes not stored, because the pool was empty or too many ranges were held.
    pub(super) refused_bytes: u64,
}

/// What a direction is called, by the side that sends.
pub(super) const fn direction_name(from: Side) -> &'static str {
    match from {
        Side::Client => "c2s",
        Side::Server => "s2c",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
pub(super) fn as_string<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl FlowRecord {
    pub(super) fn new(flow: &FlowRef<'_>, cause: Option<EndCause>) -> Self {
        let FlowSummary { tuple, sides, is_one_sided, started, last_packet, .. } = flow.summary();
        Self {
            client_ip: tuple.client.ip().to_string(),
            client_port: tuple.client.port(),
            server_ip: tuple.server.ip().to_string(),
            server_port: tuple.server.port(),
            vlan: tuple.vlan,
            start_ns: started.as_nanos(),
            end_ns: last_packet.as_nanos(),
            end_cause: cause.map(EndCause::as_str),
            one_sided: is_one_sided,
            client_state: sides.client.state.to_string(),
            server_state: sides.server.state.to_string(),
            c2s: DirectionRecord::new(flow, Side::Client),
            s2c: DirectionRecord::new(flow, Side::Server),
            tuple,
            steps_back: 0,
        }
    }

    /// The key that sorts records by the flows' first packets.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let FlowTuple { client, server, vlan } = self.tuple;
        (self.steps_back, self.start_ns, client, server, vlan, self.end_ns)
    }

    pub(super) const fn client(&self) -> SocketAddr {
        self.tuple.client
    }

    pub(super) const fn server(&self) -> SocketAddr {
        self.tuple.server
    }
}

impl DirectionRecord {
    fn new(flow: &FlowRef<'_>, from: Side) -> Self {
        let summary = flow.summary();
        let sender = &summary.sides[from];
        let buffer = summary.sides[from.peer()].buffer;
        let mut digest = Sha256::new();
        let held = flow.read_beginning(from.peer(), |piece| digest.update(piece));
        let is_whole = held >= buffer.contiguous.0 && buffer.overwritten_bytes == 0;
        Self {
            policy: summary.options.overlap[from.peer()].as_str(),
            packets: sender.packets,
            payload_bytes: sender.payload_bytes,
            retransmits: sender.retransmits,
            suspicious_segments: sender.suspicious_segments,
            stream_len: buffer.contiguous.0.max(held),
            acknowledged_offset: sender.acknowledged.map(|offset| offset.0),
            sha256: is_whole.then(|| hexadecimal(&digest.finalize())),
            file: None,
            evicted: buffer.overwritten_bytes,
            crowded_out_bytes: buffer.crowded_out_bytes,
            gaps: buffer.gaps,
            missing_bytes: buffer.missing_bytes,
            out_of_order_bytes: buffer.out_of_order_bytes,
            conflicting_bytes: buffer.conflicting_bytes,
            refused_bytes: buffer.refused_bytes,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

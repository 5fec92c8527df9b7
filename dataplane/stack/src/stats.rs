//! The plain counters of one stack: one list, one array.

use crate::{EndCause, Suspicion, wire::ParseError};

/// What became of one packet. Every packet received ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketOutcome {
    /// Belongs to a monitored flow.
    Monitored,
    /// Belongs to a flow that is no longer monitored on either side.
    Stopped,
    /// TCP, but of no known flow, and does not begin one. mOS: `MOS_ON_ORPHAN`.
    Orphan,
    /// TCP of a flow that a policy excludes from monitoring.
    Excluded,
    /// A fragment that is held until the rest of its packet arrives; that counts as the packet.
    Fragment,
    /// Would have begun a flow, but the flow table is full.
    TableFull,
    /// Not monitored: malformed, or not TCP over Ethernet and IP.
    Ignored(ParseError),
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])* $variant:ident => $family:literal, $label:literal;)*) => {
        /// A counter of the stack. Values only grow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Stat { $($(#[doc = $doc])* $variant,)* }

        impl Stat {
            /// Every counter, in the order of [`Stats::as_array`].
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = [$(Self::$variant,)*].len();

            /// Its family and its label within the family; the label is empty where the family
            /// has one member.
            #[must_use]
            pub const fn name(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($family, $label),)* }
            }

            /// What it counts, in one sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

stats! {
    /// Packets of monitored flows.
    PacketsMonitored => "packets", "monitored";
    /// Packets of stopped flows.
    PacketsStopped => "packets", "stopped";
    /// TCP packets of no known flow.
    PacketsOrphan => "packets", "orphan";
    /// Packets of flows that a policy excludes from monitoring.
    PacketsExcluded => "packets", "excluded";
    /// Packets that found the flow table full.
    PacketsTableFull => "packets", "table_full";
    /// Frames that are neither IPv4 nor IPv6.
    PacketsNotIp => "packets", "not_ip";
    /// IP packets that are not TCP.
    PacketsNotTcp => "packets", "not_tcp";
    /// Packets in more than four tunnels.
    PacketsTooDeep => "packets", "too_deep";
    /// Fragments held until the rest of their packet arrived, or did not in time.
    PacketsFragment => "packets", "fragment";
    /// Fragments for which there was no room, or that contradicted their packet.
    PacketsFragmentRefused => "packets", "fragment_refused";
    /// Fragments that overlapped others of their packet, which was discarded.
    PacketsFragmentOverlap => "packets", "fragment_overlap";
    /// First fragments of IPv6 packets that ended within the headers.
    PacketsFragmentHeaders => "packets", "fragment_headers";
    /// Packets with IP options that are malformed or oblige the receiver to discard them.
    PacketsIpOptions => "packets", "ip_options";
    /// Packets with IPv6 extension headers that oblige the receiver to discard them.
    PacketsExtensionHeaders => "packets", "extension_headers";
    /// Packets of no known flow, from or to an address that no endpoint of TCP has.
    PacketsAddress => "packets", "address";
    /// Packets with an IP length of 0 that segmentation offload did not write.
    PacketsLengthZero => "packets", "length_zero";
    /// Frames whose captured bytes end within the headers.
    PacketsTruncated => "packets", "truncated";
    /// Packets with a wrong IPv4 or TCP checksum.
    PacketsChecksum => "packets", "checksum";
    /// Frames whose headers contradict themselves, or promise more bytes than there are.
    PacketsMalformed => "packets", "malformed";
    /// Bytes of all frames, as captured.
    FrameBytes => "frame_bytes", "";
    /// Flows begun.
    FlowsStarted => "flows_opened", "";
    /// Flows whose handshake was completed.
    FlowsEstablished => "flows_established", "";
    /// Flows closed by both sides.
    FlowsEndedFin => "flows_ended", "fin";
    /// Flows reset.
    FlowsEndedRst => "flows_ended", "rst";
    /// Flows that fell silent.
    FlowsEndedTimeout => "flows_ended", "timeout";
    /// Flows whose tuple was taken by a new connection.
    FlowsEndedReused => "flows_ended", "reused";
    /// Flows that an option stopped.
    FlowsEndedStopped => "flows_ended", "stopped";
    /// Flows given up for lack of room.
    FlowsEndedEvicted => "flows_ended", "evicted";
    /// TCP payload bytes of monitored flows.
    PayloadBytes => "payload_bytes", "";
    /// Segments with payload already seen in full.
    Retransmits => "retransmits", "";
    /// Payload bytes that differed from the held copy of their position.
    ConflictingBytes => "conflicting_bytes", "";
    /// Buffered bytes evicted for newer ones before anyone read them.
    OverwrittenBytes => "buffer_overwritten_bytes", "";
    /// Those of them that were evicted because a buffer held too many separate runs.
    CrowdedOutBytes => "buffer_crowded_out_bytes", "";
    /// Ranges of streams given up as never captured, whether they came after all or not.
    Gaps => "gaps", "";
    /// Bytes in those ranges.
    MissingBytes => "missing_bytes", "";
    /// Those of them that came after all and were stored.
    FilledBytes => "filled_bytes", "";
    /// Payload bytes not stored: the pool was empty or the held ranges were too many.
    RefusedBytes => "refused_bytes", "";
    /// Segments with the URG flag; their urgent pointer is ignored.
    Urgent => "urgent_segments", "";
    /// Segments after the SYN without ACK.
    SuspiciousNoAck => "suspicious_segments", "no_ack";
    /// Segments that do not acknowledge the SYN which they answer.
    SuspiciousHandshakeAck => "suspicious_segments", "handshake_ack";
    /// Segments whose acknowledgement is older than a window.
    SuspiciousAckTooOld => "suspicious_segments", "ack_too_old";
    /// Segments that acknowledge what was not sent, as far as was captured.
    SuspiciousAckNotSent => "suspicious_segments", "ack_not_sent";
    /// Segments with an old timestamp, or the echo of one that was not sent.
    SuspiciousTimestamp => "suspicious_segments", "timestamp";
    /// Segments signed on a connection without signatures, or the other way round.
    SuspiciousSignature => "suspicious_segments", "signature";
    /// Segments beyond the window that the receiver has granted.
    SuspiciousBeyondWindow => "suspicious_segments", "beyond_window";
    /// SYNs and SYN/ACKs with another number than that of the connection.
    SuspiciousSyn => "suspicious_segments", "syn";
    /// SYNs and SYN/ACKs with payload.
    SuspiciousSynPayload => "suspicious_segments", "syn_payload";
    /// Segments of a side that has not answered the SYN.
    SuspiciousBeforeSyn => "suspicious_segments", "before_syn";
    /// FINs that the stream contradicts.
    SuspiciousFin => "suspicious_segments", "fin";
    /// Resets whose number is not the next one expected.
    SuspiciousReset => "suspicious_segments", "reset";
    /// Segments kept aside that gave way to newer ones before their receiver has answered.
    SuspiciousPushedOut => "suspicious_segments", "pushed_out";
}

impl Stat {
    /// Whether it counts packets by their outcome. Each packet is counted by one of these.
    #[must_use]
    pub fn is_outcome(self) -> bool {
        self.name().0 == "packets"
    }
}

/// The counters of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats([u64; Stat::COUNT]);

impl Default for Stats {
    fn default() -> Self {
        Self([0; Stat::COUNT])
    }
}

impl Stats {
    /// Adds one.
    pub const fn count(&mut self, stat: Stat) {
        self.add(stat, 1);
    }

    /// Adds `n`.
    pub const fn add(&mut self, stat: Stat, n: u64) {
        let cell = &mut self.0[stat as usize];
        *cell = cell.wrapping_add(n);
    }

    /// The value of one counter.
    #[must_use]
    pub const fn get(&self, stat: Stat) -> u64 {
        self.0[stat as usize]
    }

    /// Every value, in the order of [`Stat::ALL`].
    #[must_use]
    pub const fn as_array(&self) -> &[u64; Stat::COUNT] {
        &self.0
    }

    /// Counts what became of one packet.
    pub const fn count_packet(&mut self, outcome: PacketOutcome) {
        self.count(match outcome {
            PacketOutcome::Monitored => Stat::PacketsMonitored,
            PacketOutcome::Stopped => Stat::PacketsStopped,
            PacketOutcome::Orphan => Stat::PacketsOrphan,
            PacketOutcome::Excluded => Stat::PacketsExcluded,
            PacketOutcome::TableFull => Stat::PacketsTableFull,
            PacketOutcome::Ignored(ParseError::NotIp) => Stat::PacketsNotIp,
            PacketOutcome::Ignored(ParseError::NotTcp) => Stat::PacketsNotTcp,
            PacketOutcome::Ignored(ParseError::TooDeep) => Stat::PacketsTooDeep,
            PacketOutcome::Fragment => Stat::PacketsFragment,
            PacketOutcome::Ignored(ParseError::Fragment) => Stat::PacketsFragmentRefused,
            PacketOutcome::Ignored(ParseError::FragmentOverlap) => Stat::PacketsFragmentOverlap,
            PacketOutcome::Ignored(ParseError::FragmentHeaders) => Stat::PacketsFragmentHeaders,
            PacketOutcome::Ignored(ParseError::IpOptions) => Stat::PacketsIpOptions,
            PacketOutcome::Ignored(ParseError::ExtensionHeaders) => Stat::PacketsExtensionHeaders,
            PacketOutcome::Ignored(ParseError::Address) => Stat::PacketsAddress,
            PacketOutcome::Ignored(ParseError::LengthZero) => Stat::PacketsLengthZero,
            PacketOutcome::Ignored(ParseError::Truncated) => Stat::PacketsTruncated,
            PacketOutcome::Ignored(ParseError::Checksum) => Stat::PacketsChecksum,
            PacketOutcome::Ignored(ParseError::Malformed) => Stat::PacketsMalformed,
        });
    }

    /// Counts a segment that was not believed at once.
    pub const fn count_suspicion(&mut self, reason: Suspicion) {
        self.count(match reason {
            Suspicion::NoAck => Stat::SuspiciousNoAck,
            Suspicion::HandshakeAck => Stat::SuspiciousHandshakeAck,
            Suspicion::AckTooOld => Stat::SuspiciousAckTooOld,
            Suspicion::AckNotSent => Stat::SuspiciousAckNotSent,
            Suspicion::Timestamp => Stat::SuspiciousTimestamp,
            Suspicion::Signature => Stat::SuspiciousSignature,
            Suspicion::BeyondWindow => Stat::SuspiciousBeyondWindow,
            Suspicion::Syn => Stat::SuspiciousSyn,
            Suspicion::SynPayload => Stat::SuspiciousSynPayload,
            Suspicion::BeforeSyn => Stat::SuspiciousBeforeSyn,
            Suspicion::Fin => Stat::SuspiciousFin,
            Suspicion::Reset => Stat::SuspiciousReset,
            Suspicion::PushedOut => Stat::SuspiciousPushedOut,
        });
    }

    /// Counts the end of a flow.
    pub const fn count_end(&mut self, cause: EndCause) {
        self.count(match cause {
            EndCause::Fin => Stat::FlowsEndedFin,
            EndCause::Rst => Stat::FlowsEndedRst,
            EndCause::Timeout => Stat::FlowsEndedTimeout,
            EndCause::Reused => Stat::FlowsEndedReused,
            EndCause::Stopped => Stat::FlowsEndedStopped,
            EndCause::Evicted => Stat::FlowsEndedEvicted,
        });
    }

    /// Packets handled so far: the sum over all outcomes.
    #[must_use]
    pub fn packets(&self) -> u64 {
        Stat::ALL.into_iter().filter(|stat| stat.is_outcome()).map(|stat| self.get(stat)).sum()
    }
}

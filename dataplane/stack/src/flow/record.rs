//! One flow under watch: its connection, its buffers, its options.

use super::{
    BufferPositions, Dispensable, End, FlowId, FlowKey, FlowSummary, FlowTuple, SideDetails,
    SideSummary,
};
use crate::{
    Fact, FlowRef, Instant, Limits, Side, Sides, SockOpts, Stats, StreamOffset, TcpState,
    reassembly::{BufferPool, Reassembler},
    socket::MonitorSocket,
    tcp::{Beginning, Connection, Lifetime, Workbench, fact_of},
    wire::Segment,
};

/// One flow.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Which end of the key is the client.
    client: End,
    vlan: Option<u16>,
    pub(crate) connection: Connection,
    pub(crate) buffers: Sides<Reassembler>,
    pub(crate) socket: MonitorSocket,
    /// States as they were when monitoring of a side was stopped.
    frozen: Sides<Option<TcpState>>,
    started: Instant,
    pub(crate) last_packet: Instant,
}

impl Flow {
    /// The flow that a SYN, a SYN/ACK, or a packet of a connection under way begins.
    pub(crate) fn new(segment: &Segment<'_>, now: Instant, defaults: SockOpts) -> Self {
        let is_answer = segment.flags.is_syn() && segment.flags.is_ack();
        let client = if is_answer { segment.from.other() } else { segment.from };
        Self {
            client,
            vlan: segment.vlan,
            connection: Connection::new(if segment.flags.is_syn() {
                Beginning::Syn
            } else {
                Beginning::Midstream
            }),
            buffers: defaults.buffer_bytes.map(Reassembler::new),
            socket: MonitorSocket::new(defaults),
            frozen: Sides::default(),
            started: now,
            last_packet: now,
        }
    }

    /// The side at one end of the key.
    pub(crate) fn side_of(&self, end: End) -> Side {
        if end == self.client { Side::Client } else { Side::Server }
    }

    /// Takes one segment of the flow.
    pub(crate) fn on_segment(
        &mut self,
        segment: &Segment<'_>,
        now: Instant,
        pool: &mut BufferPool,
        stats: &mut Stats,
        tell: impl FnMut(Fact),
    ) {
        self.last_packet = self.last_packet.max(now);
        let from = self.side_of(segment.from);
        let mut on = Workbench {
            buffers: &mut self.buffers,
            pool,
            overlap: self.socket.options.overlap,
            frozen: self.frozen.map(|state| state.is_some()),
            stats,
            tell,
        };
        self.connection.on_segment(segment, from, &mut on);
    }

    /// How far each side's stream can be read.
    pub(crate) const fn next_offsets(&self) -> Sides<StreamOffset> {
        Sides { client: self.buffers.client.next(), server: self.buffers.server.next() }
    }

    /// Whether a side is still monitored.
    pub(crate) fn is_monitored(&self, side: Side) -> bool {
        !self.socket.options.is_stopped(side)
    }

    /// When the flow ends unless another packet comes.
    pub(crate) fn deadline(&self, limits: &Limits) -> Instant {
        self.last_packet.after(match self.connection.lifetime() {
            Lifetime::HalfOpen => limits.timeouts.half_open,
            Lifetime::Established => limits.timeouts.idle,
            Lifetime::Closing => limits.timeouts.closing,
            Lifetime::TimeWait => limits.timeouts.time_wait,
        })
    }

    /// Whether the flow goes first when room is needed.
    pub(crate) const fn dispensable(&self) -> Option<Dispensable> {
        match self.connection.lifetime() {
            Lifetime::HalfOpen => Some(Dispensable::HalfOpen),
            Lifetime::TimeWait => Some(Dispensable::Ended),
            Lifetime::Established | Lifetime::Closing => None,
        }
    }

    /// Puts planned options in force. Returns the bytes that this discards, or `None` where the
    /// pool has no room for a larger buffer's index; who plans asks for that room first.
    pub(crate) fn adopt(
        &mut self,
        planned: SockOpts,
        pool: &mut BufferPool,
        mut tell: impl FnMut(Fact),
    ) -> Option<u64> {
        let mut discarded = 0;
        for side in Side::BOTH {
            let mut tell = |fact| tell(fact_of(side, fact));
            let capacity = planned.buffer_bytes[side];
            discarded += self.buffers[side].resize(pool, capacity, &mut tell)?;
        }
        for side in Side::BOTH {
            if planned.is_stopped(side) && self.frozen[side].is_none() {
                self.frozen[side] = Some(self.connection.sides[side].state);
            }
        }
        if self.socket.adopt(planned) {
            tell(Fact::OptionsChanged { options: planned, revision: self.socket.revision });
        }
        Some(discarded)
    }

    /// Returns all buffer memory to the pool.
    pub(crate) fn release(&mut self, pool: &mut BufferPool) {
        for side in Side::BOTH {
            self.buffers[side].release(pool);
        }
    }

    /// The flow's addresses and ports.
    pub(crate) fn tuple(&self, key: &FlowKey) -> FlowTuple {
        FlowTuple {
            client: key.endpoint(self.client),
            server: key.endpoint(self.client.other()),
            vlan: self.vlan,
        }
    }

    /// Everything that may be known of the flow.
    pub(crate) fn summary(&self, id: FlowId, key: &FlowKey, pool: &BufferPool) -> FlowSummary {
        let side = |side: Side| {
            let tcp = &self.connection.sides[side];
            SideSummary {
                state: self.frozen[side].unwrap_or(tcp.state),
                packets: tcp.packets,
                payload_bytes: tcp.payload_bytes,
                retransmits: tcp.retransmits,
                buffer: self.buffers[side].summary(pool),
            }
        };
        FlowSummary {
            id,
            tuple: self.tuple(key),
            sides: Sides { client: side(Side::Client), server: side(Side::Server) },
            options: self.socket.options,
            origin: self.socket.origin,
            revision: self.socket.revision,
            started: self.started,
            last_packet: self.last_packet,
        }
    }

    /// What may be known of one side's receive buffer.
    pub(crate) fn side_details(&self, side: Side, pool: &BufferPool) -> SideDetails {
        let buffer = &self.buffers[side];
        let (fragments, fragments_total) = buffer.fragments(pool);
        let positions = || {
            let sender = &self.connection.sides[side.peer()];
            let next = sender.seq_of(buffer.next())?.0;
            let received = buffer.bounds(pool).1.max(buffer.next());
            Some(BufferPositions {
                init_seq: sender.seq_of(StreamOffset::ZERO)?.0,
                last_byte_read: next,
                next_byte_expected: next,
                last_byte_received: sender.seq_of(received)?.0,
            })
        };
        let has_buffer = buffer.capacity() > 0 && self.is_monitored(side);
        SideDetails { fragments, fragments_total, positions: positions().filter(|_| has_buffer) }
    }

    /// The flow as an event sink may read it.
    pub(crate) fn view<'a>(
        &'a self,
        id: FlowId,
        key: &FlowKey,
        pool: &'a BufferPool,
    ) -> FlowRef<'a> {
        FlowRef {
            summary: self.summary(id, key, pool),
            buffers: Sides { client: &self.buffers.client, server: &self.buffers.server },
            pool,
        }
    }
}

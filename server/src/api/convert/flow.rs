//! Flows as clients see them.

use mos_proto::v1;
use mos_stack::{
    BufferPositions, FlowDetails, FlowId, FlowStatus, FlowSummary, FlowTuple, Side, SideDetails,
    SideSummary, Sides, TcpState,
};
use mos_text::FlowName;

use super::{
    options::{flow_options, options_origin},
    scalars::{saturating_i64, timestamp},
};
use crate::{
    api::{etag::Etags, rejection::Rejection},
    words::community_id::community_id,
};

/// The side of a buffer.
///
/// # Errors
///
/// Not one of the two.
pub(crate) fn side(side: i32) -> Result<Side, Rejection> {
    match v1::Side::try_from(side) {
        Ok(v1::Side::Client) => Ok(Side::Client),
        Ok(v1::Side::Server) => Ok(Side::Server),
        Ok(v1::Side::Unspecified) | Err(_) => Err(Rejection::Argument {
            field: "side",
            problem: format!("{side} is not a side: CLIENT is 1, SERVER is 2"),
        }),
    }
}

/// How much of a flow is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// [`v1::FlowView::Basic`].
    Basic,
    /// [`v1::FlowView::Full`].
    Full,
}

/// The view with this number; `unspecified` stands for 0.
///
/// # Errors
///
/// Not a view.
pub(crate) fn view(view: i32, unspecified: View) -> Result<View, Rejection> {
    match v1::FlowView::try_from(view) {
        Ok(v1::FlowView::Unspecified) => Ok(unspecified),
        Ok(v1::FlowView::Basic) => Ok(View::Basic),
        Ok(v1::FlowView::Full) => Ok(View::Full),
        Err(_) => Err(Rejection::Argument {
            field: "view",
            problem: format!("{view} is not a view: BASIC is 1, FULL is 2"),
        }),
    }
}

/// The canonical name of a flow.
#[must_use]
pub(crate) fn flow_name(id: FlowId) -> String {
    FlowName::Handle(id.to_bits()).to_string()
}

/// A flow as clients see it.
#[must_use]
pub(crate) fn flow(summary: &FlowSummary, view: View, etags: &Etags) -> v1::Flow {
    let is_full = view == View::Full;
    let FlowSummary { id, tuple, sides, .. } = summary;
    v1::Flow {
        client_stats: is_full.then(|| side_stats(sides, Side::Client)),
        server_stats: is_full.then(|| side_stats(sides, Side::Server)),
        ..flow_of_status(*id, tuple, &summary.status(), etags)
    }
}

/// A flow as clients see it, by its status.
#[must_use]
pub(super) fn flow_of_status(
    id: FlowId,
    tuple: &FlowTuple,
    status: &FlowStatus,
    etags: &Etags,
) -> v1::Flow {
    let FlowStatus { states, is_one_sided, options, origin, .. } = status;
    let FlowStatus { revision, started, last_packet, inner_vlan, .. } = status;
    v1::Flow {
        name: flow_name(id),
        tuple: Some(v1::FlowTuple {
            inner_vlan_id: inner_vlan.map(i32::from),
            ..flow_tuple(tuple)
        }),
        core: id.worker().index().into(),
        client_state: tcp_state(states.client).into(),
        server_state: tcp_state(states.server).into(),
        options: Some(flow_options(options)),
        options_origin: options_origin(*origin).into(),
        etag: etags.etag(id, *revision),
        start_time: Some(timestamp(*started)),
        last_packet_time: Some(timestamp(*last_packet)),
        community_id: community_id(tuple),
        one_sided: *is_one_sided,
        ..v1::Flow::default()
    }
}

/// A flow as clients see it, in full.
#[must_use]
pub(crate) fn detailed_flow(details: &FlowDetails, etags: &Etags) -> v1::Flow {
    v1::Flow {
        client_stats: Some(detailed_stats(details, Side::Client)),
        server_stats: Some(detailed_stats(details, Side::Server)),
        ..flow(&details.summary, View::Basic, etags)
    }
}

/// One endpoint as clients see it, with all that its buffer holds.
#[must_use]
pub(crate) fn detailed_stats(details: &FlowDetails, side: Side) -> v1::SideStats {
    let SideDetails { fragments, fragments_total, positions } = &details.sides[side];
    v1::SideStats {
        fragments: fragments
            .iter()
            .map(|fragment| v1::Fragment {
                offset: saturating_i64(fragment.offset.0),
                length_bytes: saturating_i64(fragment.length),
            })
            .collect(),
        fragment_count: i32::try_from(*fragments_total).unwrap_or(i32::MAX),
        positions: positions.as_ref().map(buffer_positions),
        ..side_stats(&details.summary.sides, side)
    }
}

const fn buffer_positions(positions: &BufferPositions) -> v1::BufferPositions {
    let BufferPositions { init_seq, last_byte_read, next_byte_expected, last_byte_received } =
        *positions;
    v1::BufferPositions { init_seq, last_byte_read, next_byte_expected, last_byte_received }
}

pub(super) fn flow_tuple(tuple: &FlowTuple) -> v1::FlowTuple {
    let FlowTuple { client, server, vlan } = tuple;
    v1::FlowTuple {
        client_address: client.ip().to_string(),
        client_port: client.port().into(),
        server_address: server.ip().to_string(),
        server_port: server.port().into(),
        vlan_id: vlan.map(i32::from),
        inner_vlan_id: None,
    }
}

fn side_stats(sides: &Sides<SideSummary>, of: Side) -> v1::SideStats {
    let side = &sides[of];
    v1::SideStats {
        packet_count: saturating_i64(side.packets),
        payload_bytes: saturating_i64(side.payload_bytes),
        retransmit_count: saturating_i64(side.retransmits),
        overwritten_bytes: saturating_i64(side.buffer.overwritten_bytes),
        buffered_bytes: saturating_i64(side.buffer.buffered_bytes),
        out_of_order_bytes: saturating_i64(side.buffer.out_of_order_bytes),
        conflicting_bytes: saturating_i64(side.buffer.conflicting_bytes),
        missing_bytes: saturating_i64(side.buffer.missing_bytes),
        stream_bytes: saturating_i64(sides[of.peer()].buffer.next.0),
        acknowledged_offset: side.acknowledged.map(|offset| saturating_i64(offset.0)),
        suspicious_segment_count: saturating_i64(side.suspicious_segments),
        ..v1::SideStats::default()
    }
}

/// A TCP state as clients see it.
#[must_use]
pub(crate) const fn tcp_state(state: TcpState) -> v1::TcpState {
    match state {
        TcpState::Closed => v1::TcpState::Closed,
        TcpState::Listen => v1::TcpState::Listen,
        TcpState::SynSent => v1::TcpState::SynSent,
        TcpState::SynReceived => v1::TcpState::SynReceived,
        TcpState::Established => v1::TcpState::Established,
        TcpState::FinWait1 => v1::TcpState::FinWait1,
        TcpState::FinWait2 => v1::TcpState::FinWait2,
        TcpState::CloseWait => v1::TcpState::CloseWait,
        TcpState::Closing => v1::TcpState::Closing,
        TcpState::LastAck => v1::TcpState::LastAck,
        TcpState::TimeWait => v1::TcpState::TimeWait,
    }
}

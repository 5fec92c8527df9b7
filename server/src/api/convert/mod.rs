//! The only translation between the messages of `mos.v1` and the stack's types, and the only place
//! that knows the numbers of mOS's `mos_api.h`.

mod event;

use mos_proto::v1;
use mos_stack::{
    BufferPositions, FlowDetails, FlowId, FlowSummary, FlowTuple, Instant, OptionsOrigin,
    OverlapPolicy, Side, SideDetails, SideSummary, SockOptChange, SockOptName, SockOpts, StopScope,
    TcpState,
};
use mos_text::FlowName;
use prost_types::Timestamp;

pub(crate) use self::event::event;
pub(crate) use self::event::{event_kinds, lost};
use crate::{
    api::{etag::Etags, rejection::Rejection},
    words::community_id::community_id,
};

/// Level of the options of monitor sockets, the one level of `mtcp_setsockopt(3)`.
pub(crate) const SOL_MONSOCKET: i32 = 0xfffe;

const MOS_CLIBUF: i32 = 0x09;
const MOS_SVRBUF: i32 = 0x0a;
const MOS_STOP_MON: i32 = 0x0c;
const MOS_CLIOVERLAP: i32 = 0x0f;
const MOS_SVROVERLAP: i32 = 0x10;

const MOS_OVERLAP_POLICY_FIRST: i32 = 0;
const MOS_OVERLAP_POLICY_LAST: i32 = 1;

const MOS_SIDE_CLI: i32 = 0;
const MOS_SIDE_SVR: i32 = 1;
const MOS_SIDE_BOTH: i32 = 2;

const MOS_FRAGINFO_CLIBUF: i32 = 0x01;
const MOS_FRAGINFO_SVRBUF: i32 = 0x02;
const MOS_INFO_CLIBUF: i32 = 0x03;
const MOS_INFO_SVRBUF: i32 = 0x04;
const MOS_TCP_STATE_CLI: i32 = 0x05;
const MOS_TCP_STATE_SVR: i32 = 0x06;

/// Options of mOS that cannot be set here: read-only ones, and those that mOS itself does not use.
const OTHER_MOS_OPTIONS: [(i32, &str); 10] = [
    (MOS_FRAGINFO_CLIBUF, "MOS_FRAGINFO_CLIBUF"),
    (MOS_FRAGINFO_SVRBUF, "MOS_FRAGINFO_SVRBUF"),
    (MOS_INFO_CLIBUF, "MOS_INFO_CLIBUF"),
    (MOS_INFO_SVRBUF, "MOS_INFO_SVRBUF"),
    (MOS_TCP_STATE_CLI, "MOS_TCP_STATE_CLI"),
    (MOS_TCP_STATE_SVR, "MOS_TCP_STATE_SVR"),
    (0x07, "MOS_TIMESTAMP"),
    (0x0b, "MOS_SEQ_REMAP"),
    (0x0d, "MOS_FRAG_CLIBUF"),
    (0x0e, "MOS_FRAG_SVRBUF"),
];

/// The change that a request asks for, typed or raw; every value is within its range.
///
/// # Errors
///
/// An unknown option or value, a value out of range, or no option at all.
pub(crate) fn change(
    change: Option<v1::set_sock_opt_request::Change>,
    buffer_max: u64,
) -> Result<SockOptChange, Rejection> {
    match change {
        None => Err(Rejection::NoChange("change")),
        Some(v1::set_sock_opt_request::Change::Options(options)) => {
            typed_change(options, buffer_max)
        }
        Some(v1::set_sock_opt_request::Change::Raw(raw)) => raw_change(&raw, buffer_max),
    }
}

fn typed_change(options: v1::FlowOptions, buffer_max: u64) -> Result<SockOptChange, Rejection> {
    let v1::FlowOptions {
        client_buffer_bytes,
        server_buffer_bytes,
        client_overlap,
        server_overlap,
        stop_monitoring,
    } = options;
    let mut change = SockOptChange::default();
    let buffer = |bytes: Option<i64>, field| {
        bytes.map(|bytes| buffer_bytes(bytes, field, buffer_max)).transpose()
    };
    change.buffer_bytes.client = buffer(client_buffer_bytes, "options.client_buffer_bytes")?;
    change.buffer_bytes.server = buffer(server_buffer_bytes, "options.server_buffer_bytes")?;
    let overlap =
        |policy: Option<i32>, field| policy.map(|policy| overlap_policy(policy, field)).transpose();
    change.overlap.client = overlap(client_overlap, "options.client_overlap")?;
    change.overlap.server = overlap(server_overlap, "options.server_overlap")?;
    change.stop = stop_monitoring.map(stop_scope).transpose()?;
    if change == SockOptChange::default() {
        return Err(Rejection::NoChange("options"));
    }
    Ok(change)
}

fn buffer_bytes(bytes: i64, field: &'static str, max: u64) -> Result<u64, Rejection> {
    let problem = match u64::try_from(bytes) {
        Ok(bytes) if bytes <= max => return Ok(bytes),
        Ok(_) => format!("is above the limit {max}"),
        Err(_) => "is negative".to_owned(),
    };
    let range = Some((0, saturating_i64(max)));
    Err(Rejection::OptionValue { field, value: bytes.to_string(), problem, range })
}

fn overlap_policy(policy: i32, field: &'static str) -> Result<OverlapPolicy, Rejection> {
    match v1::OverlapPolicy::try_from(policy) {
        Ok(v1::OverlapPolicy::First) => Ok(OverlapPolicy::First),
        Ok(v1::OverlapPolicy::Last) => Ok(OverlapPolicy::Last),
        Ok(v1::OverlapPolicy::Unspecified) | Err(_) => Err(Rejection::OptionUnknown {
            field,
            problem: format!("{policy} is not an overlap policy: FIRST is 1, LAST is 2"),
        }),
    }
}

fn stop_scope(scope: i32) -> Result<StopScope, Rejection> {
    match v1::StopScope::try_from(scope) {
        Ok(v1::StopScope::Client) => Ok(StopScope::Client),
        Ok(v1::StopScope::Server) => Ok(StopScope::Server),
        Ok(v1::StopScope::Both) => Ok(StopScope::Both),
        Ok(v1::StopScope::Unspecified) | Err(_) => Err(Rejection::OptionUnknown {
            field: "options.stop_monitoring",
            problem: format!("{scope} is not a scope: CLIENT is 1, SERVER is 2, BOTH is 3"),
        }),
    }
}

/// The option with these numbers, as far as it can be set.
///
/// # Errors
///
/// A level or option that mOS does not have, or that is not implemented here.
fn raw_name(level: i32, optname: i32) -> Result<SockOptName, Rejection> {
    if level != SOL_MONSOCKET {
        return Err(Rejection::OptionNotImplemented(format!("level {level:#x}")));
    }
    match optname {
        MOS_CLIBUF => Ok(SockOptName::Buffer(Side::Client)),
        MOS_SVRBUF => Ok(SockOptName::Buffer(Side::Server)),
        MOS_CLIOVERLAP => Ok(SockOptName::Overlap(Side::Client)),
        MOS_SVROVERLAP => Ok(SockOptName::Overlap(Side::Server)),
        MOS_STOP_MON => Ok(SockOptName::StopMonitoring),
        other => match OTHER_MOS_OPTIONS.into_iter().find(|(number, _)| *number == other) {
            Some((_, name)) => Err(Rejection::OptionNotImplemented(name.to_owned())),
            None => Err(Rejection::OptionUnknown {
                field: "raw.optname",
                problem: format!("no option has the number {other:#x}"),
            }),
        },
    }
}

/// What `mtcp_getsockopt(3)` can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawQuery {
    /// An option in force.
    Option(SockOptName),
    /// What a side's buffer holds.
    Fragments(Side),
    /// Where a side's buffer stands.
    Positions(Side),
    /// A side's TCP state.
    State(Side),
}

/// What these numbers ask for.
///
/// # Errors
///
/// A level or option that mOS does not have, or that is not implemented here.
pub(crate) fn raw_query(level: i32, optname: i32) -> Result<RawQuery, Rejection> {
    match optname {
        _ if level != SOL_MONSOCKET => raw_name(level, optname).map(RawQuery::Option),
        MOS_FRAGINFO_CLIBUF => Ok(RawQuery::Fragments(Side::Client)),
        MOS_FRAGINFO_SVRBUF => Ok(RawQuery::Fragments(Side::Server)),
        MOS_INFO_CLIBUF => Ok(RawQuery::Positions(Side::Client)),
        MOS_INFO_SVRBUF => Ok(RawQuery::Positions(Side::Server)),
        MOS_TCP_STATE_CLI => Ok(RawQuery::State(Side::Client)),
        MOS_TCP_STATE_SVR => Ok(RawQuery::State(Side::Server)),
        other => raw_name(level, other).map(RawQuery::Option),
    }
}

/// The answer to a query in the layout of C, little endian; `RawSockOpt.optval` documents it.
#[must_use]
pub(crate) fn raw_answer(query: RawQuery, details: &FlowDetails) -> Vec<u8> {
    match query {
        RawQuery::Option(name) => raw_value(name, &details.summary.options),
        RawQuery::Fragments(side) => raw_fragments(&details.sides[side]),
        RawQuery::Positions(side) => {
            details.sides[side].positions.as_ref().map(raw_positions).unwrap_or_default()
        }
        RawQuery::State(side) => {
            raw_state(details.summary.sides[side].state).to_le_bytes().to_vec()
        }
    }
}

/// mOS: `struct tcp_ring_fragment { uint64_t offset; uint32_t len; }`, padded to its alignment.
fn raw_fragments(side: &SideDetails) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(side.fragments.len() * 16);
    for fragment in &side.fragments {
        bytes.extend(fragment.offset.0.to_le_bytes());
        bytes.extend(u32::try_from(fragment.length).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend([0; 4]);
    }
    bytes
}

/// mOS: `struct tcp_buf_info`.
fn raw_positions(positions: &BufferPositions) -> Vec<u8> {
    let BufferPositions { init_seq, last_byte_read, next_byte_expected, last_byte_received } =
        positions;
    let numbers = [init_seq, last_byte_read, next_byte_expected, last_byte_received];
    numbers.into_iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// mOS: `enum tcpstate`.
const fn raw_state(state: TcpState) -> i32 {
    match state {
        TcpState::Closed => 0,
        TcpState::Listen => 1,
        TcpState::SynSent => 2,
        TcpState::SynReceived => 3,
        TcpState::Established => 4,
        TcpState::FinWait1 => 5,
        TcpState::FinWait2 => 6,
        TcpState::CloseWait => 7,
        TcpState::Closing => 8,
        TcpState::LastAck => 9,
        TcpState::TimeWait => 10,
    }
}

fn raw_change(raw: &v1::RawSockOpt, buffer_max: u64) -> Result<SockOptChange, Rejection> {
    let name = raw_name(raw.level, raw.optname)?;
    let invalid = |value: String, problem: String, range| Rejection::OptionValue {
        field: "raw.optval",
        value,
        problem,
        range,
    };
    let Ok(bytes) = <[u8; 4]>::try_from(raw.optval.as_slice()) else {
        let problem = "is not sizeof(int) = 4 bytes long".to_owned();
        return Err(invalid(format!("of {} bytes", raw.optval.len()), problem, None));
    };
    let value = i32::from_le_bytes(bytes);
    let mut change = SockOptChange::default();
    match name {
        SockOptName::Buffer(side) => {
            let bytes = buffer_bytes(value.into(), "raw.optval", buffer_max)?;
            change.buffer_bytes[side] = Some(bytes);
        }
        SockOptName::Overlap(side) => {
            change.overlap[side] = Some(match value {
                MOS_OVERLAP_POLICY_FIRST => OverlapPolicy::First,
                MOS_OVERLAP_POLICY_LAST => OverlapPolicy::Last,
                other => {
                    let problem = "is neither MOS_OVERLAP_POLICY_FIRST nor _LAST".to_owned();
                    return Err(invalid(other.to_string(), problem, Some((0, 1))));
                }
            });
        }
        SockOptName::StopMonitoring => {
            change.stop = Some(match value {
                MOS_SIDE_CLI => StopScope::Client,
                MOS_SIDE_SVR => StopScope::Server,
                MOS_SIDE_BOTH => StopScope::Both,
                other => {
                    let problem = "is neither MOS_SIDE_CLI nor _SVR nor _BOTH".to_owned();
                    return Err(invalid(other.to_string(), problem, Some((0, 2))));
                }
            });
        }
    }
    Ok(change)
}

/// The value of an option: an `int`. Empty for `MOS_STOP_MON` while no side is stopped.
fn raw_value(name: SockOptName, options: &SockOpts) -> Vec<u8> {
    let value = match name {
        SockOptName::Buffer(side) => i32::try_from(options.buffer_bytes[side]).unwrap_or(i32::MAX),
        SockOptName::Overlap(side) => match options.overlap[side] {
            OverlapPolicy::First => MOS_OVERLAP_POLICY_FIRST,
            OverlapPolicy::Last => MOS_OVERLAP_POLICY_LAST,
        },
        SockOptName::StopMonitoring => match options.stopped {
            None => return Vec::new(),
            Some(StopScope::Client) => MOS_SIDE_CLI,
            Some(StopScope::Server) => MOS_SIDE_SVR,
            Some(StopScope::Both) => MOS_SIDE_BOTH,
        },
    };
    value.to_le_bytes().to_vec()
}

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
    let FlowSummary { id, tuple, sides, options, origin, revision, started, last_packet } = summary;
    v1::Flow {
        name: flow_name(*id),
        tuple: Some(flow_tuple(tuple)),
        core: id.worker().index().into(),
        client_state: tcp_state(sides.client.state).into(),
        server_state: tcp_state(sides.server.state).into(),
        options: Some(flow_options(options)),
        options_origin: options_origin(*origin).into(),
        etag: etags.etag(*id, *revision),
        client_stats: is_full.then(|| side_stats(&sides.client)),
        server_stats: is_full.then(|| side_stats(&sides.server)),
        start_time: Some(timestamp(*started)),
        last_packet_time: Some(timestamp(*last_packet)),
        community_id: community_id(tuple),
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
        ..side_stats(&details.summary.sides[side])
    }
}

const fn buffer_positions(positions: &BufferPositions) -> v1::BufferPositions {
    let BufferPositions { init_seq, last_byte_read, next_byte_expected, last_byte_received } =
        *positions;
    v1::BufferPositions { init_seq, last_byte_read, next_byte_expected, last_byte_received }
}

fn flow_tuple(tuple: &FlowTuple) -> v1::FlowTuple {
    let FlowTuple { client, server, vlan } = tuple;
    v1::FlowTuple {
        client_address: client.ip().to_string(),
        client_port: client.port().into(),
        server_address: server.ip().to_string(),
        server_port: server.port().into(),
        vlan_id: vlan.map(i32::from),
    }
}

/// Options in force as clients see them.
#[must_use]
pub(crate) fn flow_options(options: &SockOpts) -> v1::FlowOptions {
    let overlap = |policy| match policy {
        OverlapPolicy::First => v1::OverlapPolicy::First,
        OverlapPolicy::Last => v1::OverlapPolicy::Last,
    };
    let stopped = options.stopped.map(|scope| match scope {
        StopScope::Client => v1::StopScope::Client,
        StopScope::Server => v1::StopScope::Server,
        StopScope::Both => v1::StopScope::Both,
    });
    v1::FlowOptions {
        client_buffer_bytes: Some(saturating_i64(options.buffer_bytes.client)),
        server_buffer_bytes: Some(saturating_i64(options.buffer_bytes.server)),
        client_overlap: Some(overlap(options.overlap.client).into()),
        server_overlap: Some(overlap(options.overlap.server).into()),
        stop_monitoring: stopped.map(Into::into),
    }
}

/// Who decided the options, as clients see it.
#[must_use]
pub(crate) const fn options_origin(origin: OptionsOrigin) -> v1::OptionsOrigin {
    match origin {
        OptionsOrigin::Default => v1::OptionsOrigin::Default,
        OptionsOrigin::Explicit => v1::OptionsOrigin::Explicit,
    }
}

fn side_stats(side: &SideSummary) -> v1::SideStats {
    v1::SideStats {
        packet_count: saturating_i64(side.packets),
        payload_bytes: saturating_i64(side.payload_bytes),
        retransmit_count: saturating_i64(side.retransmits),
        overwritten_bytes: saturating_i64(side.buffer.overwritten_bytes),
        buffered_bytes: saturating_i64(side.buffer.buffered_bytes),
        out_of_order_bytes: saturating_i64(side.buffer.out_of_order_bytes),
        conflicting_bytes: saturating_i64(side.buffer.conflicting_bytes),
        missing_bytes: saturating_i64(side.buffer.missing_bytes),
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

/// A point in time as clients see it.
#[must_use]
pub(crate) fn timestamp(instant: Instant) -> Timestamp {
    let nanos = instant.as_nanos();
    Timestamp {
        seconds: saturating_i64(nanos / 1_000_000_000),
        nanos: i32::try_from(nanos % 1_000_000_000).unwrap_or_default(),
    }
}

/// A counter as clients see it; the largest value stands for those beyond.
#[must_use]
pub(crate) fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

//! Options as `mtcp_setsockopt(3)` has them: by their numbers in mOS, and values in the layout of
//! C, little endian.

use mos_proto::v1;
use mos_stack::{
    BufferPositions, FlowDetails, OverlapPolicy, Side, SideDetails, SockOptChange, SockOptKind,
    SockOptName, SockOptValue, SockOpts, StopScope, TcpState,
};
use mos_text::mos::{
    self, MOS_FRAGINFO_CLIBUF, MOS_FRAGINFO_SVRBUF, MOS_INFO_CLIBUF, MOS_INFO_SVRBUF,
    MOS_OVERLAP_POLICY_FIRST, MOS_OVERLAP_POLICY_LAST, MOS_OVERLAP_POLICY_LINUX, MOS_SIDE_BOTH,
    MOS_SIDE_CLI, MOS_SIDE_SVR, MOS_TCP_STATE_CLI, MOS_TCP_STATE_SVR, SOL_MONSOCKET,
};

use super::options::buffer_bytes;
use crate::api::rejection::Rejection;

/// The change that an option in its raw form asks for.
///
/// # Errors
///
/// An unknown option, or a value out of range or of another size than `int`.
pub(super) fn change(raw: &v1::RawSockOpt, buffer_max: u64) -> Result<SockOptChange, Rejection> {
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
    let no_value = |names: &str, last| {
        invalid(value.to_string(), format!("is neither {names}"), Some((0, last)))
    };
    let value = match name.row().kind {
        SockOptKind::Bytes => {
            SockOptValue::Bytes(buffer_bytes(value.into(), "raw.optval", buffer_max)?)
        }
        SockOptKind::Overlap => SockOptValue::Overlap(match value {
            MOS_OVERLAP_POLICY_FIRST => OverlapPolicy::First,
            MOS_OVERLAP_POLICY_LAST => OverlapPolicy::Last,
            MOS_OVERLAP_POLICY_LINUX => OverlapPolicy::Linux,
            _ => return Err(no_value("MOS_OVERLAP_POLICY_FIRST nor _LAST nor _LINUX", 2)),
        }),
        SockOptKind::Stop => SockOptValue::Stop(Some(match value {
            MOS_SIDE_CLI => StopScope::Client,
            MOS_SIDE_SVR => StopScope::Server,
            MOS_SIDE_BOTH => StopScope::Both,
            _ => return Err(no_value("MOS_SIDE_CLI nor _SVR nor _BOTH", 2)),
        })),
    };
    let mut change = SockOptChange::default();
    change.set(name, value);
    Ok(change)
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
    let Some(mos) = mos::option_name(optname) else {
        return Err(Rejection::OptionUnknown {
            field: "raw.optname",
            problem: format!("no option has the number {optname:#x}"),
        });
    };
    let option = SockOptName::ALL.into_iter().find(|name| name.row().mos == mos);
    option.ok_or_else(|| Rejection::OptionNotImplemented(mos.to_owned()))
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

/// The value of an option: an `int`. Empty for `MOS_STOP_MON` while no side is stopped.
fn raw_value(name: SockOptName, options: &SockOpts) -> Vec<u8> {
    let value = match options.get(name) {
        SockOptValue::Bytes(bytes) => i32::try_from(bytes).unwrap_or(i32::MAX),
        SockOptValue::Overlap(OverlapPolicy::First) => MOS_OVERLAP_POLICY_FIRST,
        SockOptValue::Overlap(OverlapPolicy::Last) => MOS_OVERLAP_POLICY_LAST,
        SockOptValue::Overlap(OverlapPolicy::Linux) => MOS_OVERLAP_POLICY_LINUX,
        SockOptValue::Stop(None) => return Vec::new(),
        SockOptValue::Stop(Some(StopScope::Client)) => MOS_SIDE_CLI,
        SockOptValue::Stop(Some(StopScope::Server)) => MOS_SIDE_SVR,
        SockOptValue::Stop(Some(StopScope::Both)) => MOS_SIDE_BOTH,
    };
    value.to_le_bytes().to_vec()
}

//! Options in their typed form: from a request to a change, and from those in force to a message.

use mos_proto::v1;
use mos_stack::{OptionsOrigin, OverlapPolicy, SockOptChange, SockOpts, StopScope};

use super::scalars::saturating_i64;
use crate::api::rejection::Rejection;

/// The change that typed options ask for.
///
/// # Errors
///
/// An unknown value, a value out of range, or no option at all.
pub(super) fn change(
    options: v1::FlowOptions,
    buffer_max: u64,
) -> Result<SockOptChange, Rejection> {
    let change = start(options, buffer_max)?;
    if change == SockOptChange::default() {
        return Err(Rejection::NoChange("options"));
    }
    Ok(change)
}

/// What typed options say that a flow begins with; that may be nothing.
///
/// # Errors
///
/// An unknown value, or a value out of range.
pub(super) fn start(options: v1::FlowOptions, buffer_max: u64) -> Result<SockOptChange, Rejection> {
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
    Ok(change)
}

/// The capacity of a receive buffer, where `max` is the largest one.
///
/// # Errors
///
/// A capacity out of range; `field` is its path.
pub(super) fn buffer_bytes(bytes: i64, field: &'static str, max: u64) -> Result<u64, Rejection> {
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
        Ok(v1::OverlapPolicy::Linux) => Ok(OverlapPolicy::Linux),
        Ok(v1::OverlapPolicy::Unspecified) | Err(_) => Err(Rejection::OptionUnknown {
            field,
            problem: format!(
                "{policy} is not an overlap policy: FIRST is 1, LAST is 2, LINUX is 3"
            ),
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

/// Options in force as clients see them.
#[must_use]
pub(crate) fn flow_options(options: &SockOpts) -> v1::FlowOptions {
    set_options(&SockOptChange {
        buffer_bytes: options.buffer_bytes.map(Some),
        overlap: options.overlap.map(Some),
        stop: options.stopped,
    })
}

/// The options that a change sets, as clients see them.
#[must_use]
pub(super) fn set_options(change: &SockOptChange) -> v1::FlowOptions {
    let overlap = |policy| match policy {
        OverlapPolicy::First => v1::OverlapPolicy::First,
        OverlapPolicy::Last => v1::OverlapPolicy::Last,
        OverlapPolicy::Linux => v1::OverlapPolicy::Linux,
    };
    let stopped = change.stop.map(|scope| match scope {
        StopScope::Client => v1::StopScope::Client,
        StopScope::Server => v1::StopScope::Server,
        StopScope::Both => v1::StopScope::Both,
    });
    v1::FlowOptions {
        client_buffer_bytes: change.buffer_bytes.client.map(saturating_i64),
        server_buffer_bytes: change.buffer_bytes.server.map(saturating_i64),
        client_overlap: change.overlap.client.map(|policy| overlap(policy).into()),
        server_overlap: change.overlap.server.map(|policy| overlap(policy).into()),
        stop_monitoring: stopped.map(Into::into),
    }
}

/// Who decided the options, as clients see it.
#[must_use]
pub(crate) const fn options_origin(origin: OptionsOrigin) -> v1::OptionsOrigin {
    match origin {
        OptionsOrigin::Default => v1::OptionsOrigin::Default,
        OptionsOrigin::Policy => v1::OptionsOrigin::Policy,
        OptionsOrigin::Explicit => v1::OptionsOrigin::Explicit,
    }
}

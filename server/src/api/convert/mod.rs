//! The only translation between the messages of `mos.v1` and the types of the stack.
//!
//! Requests are checked here: after it, values are within their ranges. `raw` alone knows the
//! numbers and the C layout of mOS.

mod audit;
mod event;
mod flow;
mod limit;
mod options;
mod policy;
mod raw;
mod role;
mod scalars;

use mos_proto::v1;
use mos_stack::SockOptChange;

pub(crate) use self::{
    audit::audit_entry,
    event::{event, event_kinds, flow_update, history_expired, lost},
    flow::{View, detailed_flow, detailed_stats, flow, flow_name, side, tcp_state, view},
    limit::limit,
    options::{flow_options, options_origin},
    policy::{difference, draft, generation, policy, policy_id, policy_name, state},
    raw::{raw_answer, raw_query},
    role::{methods, needed, roles},
    scalars::saturating_i64,
};
use crate::api::rejection::Rejection;

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
            options::change(options, buffer_max)
        }
        Some(v1::set_sock_opt_request::Change::Raw(raw)) => raw::change(&raw, buffer_max),
    }
}

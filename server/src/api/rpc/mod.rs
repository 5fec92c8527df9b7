//! The RPCs, one file each: thin translators from a request to commands and back.

mod apply_sock_opt;
mod batch_set_sock_opt;
mod count_flows;
mod export_flows;
mod flow;
mod get_caller;
mod get_flow;
mod get_server_info;
mod get_sock_opt;
mod get_status;
mod list_audit_entries;
mod list_flows;
mod peek_flow;
mod policies;
mod rank_flows;
mod read_flow;
mod set_sock_opt;
mod undo_sock_opt;
mod walks;
mod watch_events;
mod watch_flows;
mod watches;

pub(crate) use apply_sock_opt::apply_sock_opt;
pub(crate) use batch_set_sock_opt::batch_set_sock_opt;
pub(crate) use count_flows::count_flows;
pub(crate) use export_flows::{ExportFlowsStream, export_flows};
pub(crate) use get_caller::get_caller;
pub(crate) use get_flow::get_flow;
pub(crate) use get_server_info::get_server_info;
pub(crate) use get_sock_opt::get_sock_opt;
pub(crate) use get_status::get_status;
pub(crate) use list_audit_entries::list_audit_entries;
pub(crate) use list_flows::list_flows;
pub(crate) use peek_flow::peek_flow;
pub(crate) use policies::{
    confirm_policies, create_policy, delete_policy, explain_policy, get_policy, list_policies,
    list_policy_generations, replace_policies, rollback_policies, update_policy,
};
pub(crate) use rank_flows::rank_flows;
pub(crate) use read_flow::{ReadFlowStream, read_flow};
pub(crate) use set_sock_opt::set_sock_opt;
pub(crate) use undo_sock_opt::undo_sock_opt;
pub(crate) use watch_events::watch_events;
pub(crate) use watch_flows::{WatchFlowsStream, watch_flows};

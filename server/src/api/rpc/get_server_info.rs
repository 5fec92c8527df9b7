//! `SystemService.GetServerInfo`: everything that a client should not have to guess.

use std::time::Duration;

use mos_control::{COMMAND_RING, EVENT_RING};
use mos_proto::v1;
use mos_stack::limits::BLOCK_BYTES;

use crate::{
    api::{answers, convert, state::Control, streams::STREAMS_OPEN_MAX},
    events::QUEUE_BYTES,
    filter,
    net::call,
    words::bounds::{
        MESSAGE_IN_MAX, MESSAGE_OUT_MAX, PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, PAGE_SLOTS_MAX,
        PEEK_DEFAULT, PEEK_MAX, STREAMS_MAX,
    },
};

/// Version, limits and capabilities.
pub(crate) fn get_server_info(control: &Control) -> v1::GetServerInfoResponse {
    let mut features = vec!["raw-sock-opt".to_owned(), "watch-events".to_owned()];
    if control.settings.payload {
        features.extend(["peek-flow".to_owned(), "read-flow".to_owned()]);
    }
    v1::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("MOSD_COMMIT").unwrap_or_default().to_owned(),
        boot_id: control.boot.to_string(),
        node: control.settings.node.clone(),
        api_packages: vec!["mos.v1".to_owned()],
        features,
        limits: limits(control).into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        default_options: Some(convert::flow_options(&control.settings.limits.defaults)),
        start_time: Some(control.started.into()),
    }
}

/// Every limit that a client can hit.
fn limits(control: &Control) -> Vec<(&'static str, i64)> {
    let limits = &control.settings.limits;
    vec![
        ("list.page_size.default", int(PAGE_DEFAULT)),
        ("list.page_size.max", int(PAGE_MAX)),
        ("list.page_bytes.max", int(PAGE_BYTES_MAX)),
        ("list.slots_per_page.max", PAGE_SLOTS_MAX.into()),
        ("filter.text_bytes.max", int(filter::TEXT_MAX)),
        ("filter.comparisons.max", int(filter::COMPARISONS_MAX)),
        ("filter.depth.max", int(filter::DEPTH_MAX)),
        ("buffer.client.max_bytes", convert::saturating_i64(limits.buffer_bytes_max)),
        ("buffer.server.max_bytes", convert::saturating_i64(limits.buffer_bytes_max)),
        ("buffer.block_bytes", int(BLOCK_BYTES)),
        ("buffer.pool_bytes_per_core", convert::saturating_i64(limits.pool_bytes)),
        ("flows_per_core.max", limits.flows_max.into()),
        ("cores", int(control.workers.iter().len())),
        ("peek.bytes.default", int(PEEK_DEFAULT)),
        ("peek.bytes.max", int(PEEK_MAX)),
        ("request.bytes.max", int(MESSAGE_IN_MAX)),
        ("response.bytes.max", int(MESSAGE_OUT_MAX)),
        ("deadline.default_ms", millis(call::DEADLINE_DEFAULT)),
        ("deadline.max_ms", millis(call::DEADLINE_MAX)),
        ("request_id.retention_ms", millis(answers::RETENTION)),
        ("request_id.entries.max", int(answers::ENTRIES_MAX)),
        ("connections.max", int(control.settings.connections_max)),
        ("streams_per_connection.max", STREAMS_MAX.into()),
        ("streams.max", int(STREAMS_OPEN_MAX)),
        ("core.commands.max", int(COMMAND_RING)),
        ("core.events.max", int(EVENT_RING)),
        ("watch.queue_bytes", int(QUEUE_BYTES)),
    ]
}

fn int(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

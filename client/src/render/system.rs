//! Health and description of mosd in words.

use std::time::SystemTime;

use mos_proto::v1::{
    CallerProof, Condition, ConditionLevel, CoreStatus, GetCallerResponse, GetServerInfoResponse,
    GetStatusResponse, Limit, LimitScope, LimitUnit, PortStatus, Role,
};

use super::{Align, Output, Paint, Table, flow, pairs};
use crate::{
    args::Format,
    units::{format_bytes, format_count},
};

/// A worker whose last turn is longer ago is marked, in milliseconds.
const LOOP_AGE_MARK_MS: i64 = 1_000;

/// One screen: the level, each condition that is not OK with its next step, a row for each core and
/// port.
pub(crate) fn status_text(
    output: &Output,
    status: &GetStatusResponse,
    info: Option<&GetServerInfoResponse>,
    now: SystemTime,
) -> String {
    let mut text = format!("{}  {}\n", level(output, status.level(), 0), headline(info, now));
    let (fine, odd): (Vec<_>, Vec<_>) =
        status.conditions.iter().partition(|c| c.level() == ConditionLevel::Ok);
    let width = odd.iter().map(|condition| condition.r#type.len()).max().unwrap_or(0);
    for condition in odd {
        let Condition { r#type, message, next_step, .. } = condition;
        let level = level(output, condition.level(), 8);
        let next = if next_step.is_empty() { String::new() } else { format!("   -> {next_step}") };
        text.push_str(&format!("  {level}  {type:<width$}   {message}{next}\n"));
    }
    if !fine.is_empty() {
        let noun = if fine.len() == 1 { "condition" } else { "conditions" };
        let ok = level(output, ConditionLevel::Ok, 8);
        text.push_str(&format!("  {ok}  {} {noun}\n", fine.len()));
    }
    text.push_str(&cores(&status.cores, output));
    if !status.ports.is_empty() {
        text.push_str(&ports(&status.ports, output));
    }
    text
}

fn headline(info: Option<&GetServerInfoResponse>, now: SystemTime) -> String {
    info.map_or_else(
        || "mosd (its version and node did not arrive in time)".to_owned(),
        |info| {
            format!(
                "node {}, up {}, {}, boot {}",
                info.node,
                flow::since(info.start_time.as_ref(), now),
                info.version,
                info.boot_id
            )
        },
    )
}

fn cores(cores: &[CoreStatus], output: &Output) -> String {
    let wide = output.format() == Format::Wide;
    let mut columns = vec![
        ("CORE", Align::Right),
        ("FLOWS", Align::Right),
        ("BUSY", Align::Right),
        ("RX", Align::Right),
        ("MISSED", Align::Right),
        ("QUEUE", Align::Right),
        ("BUFFERS", Align::Right),
        ("LOOP", Align::Right),
        ("", Align::Left),
    ];
    if wide {
        columns.push(("OUTCOMES", Align::Left));
    }
    let rows: Vec<_> = cores
        .iter()
        .map(|core| {
            let mut row = core_row(core);
            row.extend(wide.then(|| outcomes(core)));
            row
        })
        .collect();
    Table::new(&columns, output.titles()).rows(&rows)
}

fn core_row(core: &CoreStatus) -> Vec<String> {
    vec![
        core.core.to_string(),
        format!("{}/{}", format_count(core.flow_count), format_count(core.flow_capacity)),
        format!("{:.0}%", core.busy_ratio * 100.0),
        format_count(core.rx_packet_count),
        format_count(core.rx_missed_count),
        core.control_queue_depth.to_string(),
        share(core.buffer_used_bytes, core.buffer_capacity_bytes),
        format!("{} ms", format_count(core.loop_age_ms)),
        (if core.loop_age_ms > LOOP_AGE_MARK_MS { "!" } else { "" }).to_owned(),
    ]
}

fn ports(ports: &[PortStatus], output: &Output) -> String {
    let columns = [
        ("PORT", Align::Left),
        ("DRIVER", Align::Left),
        ("QUEUES", Align::Right),
        ("RX", Align::Right),
        ("BYTES", Align::Right),
        ("LOST", Align::Right),
        ("", Align::Left),
    ];
    let rows: Vec<_> = ports.iter().map(port_row).collect();
    Table::new(&columns, output.titles()).rows(&rows)
}

fn port_row(port: &PortStatus) -> Vec<String> {
    let causes = [
        ("queue full", port.rx_missed_count),
        ("damaged", port.rx_error_count),
        ("no buffer", port.rx_no_buffer_count),
        ("worker's ring full", port.handoff_dropped_count),
    ];
    let causes: Vec<_> = causes
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(cause, count)| format!("{cause} {}", format_count(count)))
        .collect();
    vec![
        port.name.clone(),
        port.driver.clone(),
        port.queue_count.to_string(),
        format_count(port.rx_packet_count),
        // Some drivers (net_ring) count packets but no bytes.
        if port.rx_bytes == 0 && port.rx_packet_count > 0 {
            "-".to_owned()
        } else {
            format_bytes(port.rx_bytes)
        },
        format_count(port.lost_packet_count),
        causes.join(", "),
    ]
}

/// Packets by outcome.
fn outcomes(core: &CoreStatus) -> String {
    let mut outcomes: Vec<_> =
        core.packet_outcomes.iter().filter(|(_, count)| **count != 0).collect();
    outcomes.sort();
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|(name, count)| format!("{name} {}", format_count(*count)))
        .collect();
    outcomes.join(", ")
}

/// `used` in percent of `capacity`.
fn share(used: i64, capacity: i64) -> String {
    let percent = i128::from(used) * 100 / i128::from(capacity.max(1));
    if capacity > 0 { format!("{percent}%") } else { "-".to_owned() }
}

/// Version, features, defaults and limits.
pub(crate) fn info_text(info: &GetServerInfoResponse, now: SystemTime) -> String {
    let started = info.start_time.as_ref().map_or_else(
        || "-".to_owned(),
        |start| format!("{start} (up {})", flow::since(Some(start), now)),
    );
    let mut lines = vec![
        ("node", info.node.clone()),
        ("version", format!("{} {}", info.version, info.commit).trim_end().to_owned()),
        ("boot id", info.boot_id.clone()),
        ("started", started),
        ("api", info.api_packages.join(", ")),
        ("features", info.features.join(", ")),
    ];
    if let Some(options) = &info.default_options {
        lines.push((
            "defaults",
            format!(
                "client buffer {}, server buffer {}, client overlap {}, server overlap {}",
                format_bytes(options.client_buffer_bytes()),
                format_bytes(options.server_buffer_bytes()),
                flow::overlap_name(options.client_overlap),
                flow::overlap_name(options.server_overlap),
            ),
        ));
    }
    let mut limits: Vec<_> =
        info.limits.iter().map(|limit| (limit.name.as_str(), limit_text(limit))).collect();
    limits.sort();
    format!("{}\nLIMITS\n{}", pairs(&lines), pairs(&limits))
}

/// Who one is, and what one may do.
pub(crate) fn caller_text(caller: &GetCallerResponse) -> String {
    let proof = match caller.proof() {
        CallerProof::Unspecified => "by a proof that this mosctl does not know",
        CallerProof::UnixSocket => "by the Unix socket",
        CallerProof::Address => "by an address, which hosts on the way can forge",
        CallerProof::Certificate => "by a certificate",
        CallerProof::None => "by nothing",
        CallerProof::Token => "by a token",
    };
    let word = |role: Role| role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
    let listed = |words: Vec<String>| match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    };
    let lines = [
        ("principal", caller.principal.clone()),
        ("proven", proof.to_owned()),
        ("roles", listed(caller.roles().map(word).collect())),
        ("grants", listed(caller.grants.clone())),
    ];
    let expiry = caller.certificate_expire_time.map(|at| ("expires", at.to_string()));
    let expiry = expiry.or_else(|| caller.grant_expire_time.map(|at| ("expires", at.to_string())));
    let unproven = Some(("unproven", caller.unproven_cause.clone()));
    let unproven = unproven.filter(|(_, cause)| !cause.is_empty());
    let lines: Vec<_> = lines.into_iter().chain(expiry).chain(unproven).collect();
    format!("{}\nMETHODS\n{}\n", pairs(&lines), caller.methods.join("\n"))
}

fn limit_text(limit: &Limit) -> String {
    let value = limit.value;
    let size = match limit.unit() {
        LimitUnit::Bytes if value >= 1024 => format!(" ({})", format_bytes(value)),
        LimitUnit::Bytes | LimitUnit::Count | LimitUnit::Milliseconds | LimitUnit::Unspecified => {
            String::new()
        }
    };
    let scope = match limit.scope() {
        LimitScope::Principal => " for each principal",
        LimitScope::Connection => " for each connection",
        LimitScope::Core => " for each core",
        LimitScope::Server | LimitScope::Call | LimitScope::Flow | LimitScope::Unspecified => "",
    };
    format!("{value}{size}{scope}")
}

/// The level in words and colour, padded to `width`.
fn level(output: &Output, level: ConditionLevel, width: usize) -> String {
    let (word, paint) = match level {
        ConditionLevel::Unspecified => ("UNKNOWN", Paint::Yellow),
        ConditionLevel::Ok => ("OK", Paint::Green),
        ConditionLevel::Warning => ("WARNING", Paint::Yellow),
        ConditionLevel::Critical => ("CRITICAL", Paint::Red),
    };
    let padding = " ".repeat(width.saturating_sub(word.len()));
    format!("{}{padding}", output.painted(paint, word))
}

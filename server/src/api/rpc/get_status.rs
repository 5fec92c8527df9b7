//! `SystemService.GetStatus`: reads what workers and ports publish; waits on nobody.

use std::collections::HashMap;

use mos_control::PortStatus;
use mos_proto::v1;
use mos_stack::Stat;

use crate::{
    api::{convert::saturating_i64, state::Control},
    health::conditions::{Condition, Level},
    workers::WorkerClient,
};

/// Health in words and numbers.
pub(crate) fn get_status(control: &Control) -> v1::GetStatusResponse {
    let ports = control.ports.ports();
    let standing = control.standing();
    let vitals = &control.vitals;
    let conditions = control.conditions.judge(vitals, &control.workers, &ports, &standing);
    let worst = conditions.iter().map(|condition| condition.level).max().unwrap_or(Level::Ok);
    let ages = control.vitals.loop_ages(&control.workers);
    let ratios = control.vitals.busy_ratios(&control.workers);
    // Which worker a lost packet was for can be told where there is one only.
    let lost = match (control.workers.iter().len(), ports.as_slice()) {
        (1, ports) => ports.iter().map(PortStatus::lost).sum(),
        _ => 0,
    };
    let cores = control
        .workers
        .iter()
        .zip(ages)
        .zip(ratios)
        .map(|((client, age), busy_ratio)| v1::CoreStatus {
            rx_missed_count: saturating_i64(lost),
            busy_ratio,
            loop_age_ms: i64::try_from(age.as_millis()).unwrap_or(i64::MAX),
            ..core(client)
        })
        .collect();
    v1::GetStatusResponse {
        level: level(worst).into(),
        conditions: conditions.into_iter().map(condition).collect(),
        cores,
        ports: ports.into_iter().map(port).collect(),
    }
}

fn core(client: &WorkerClient) -> v1::CoreStatus {
    let board = client.board();
    let gauges = board.gauges();
    let packets = || Stat::ALL.into_iter().filter(|stat| stat.is_outcome());
    let packet_outcomes: HashMap<String, i64> = packets()
        .map(|stat| (stat.name().1.to_owned(), saturating_i64(board.stat(stat))))
        .collect();
    v1::CoreStatus {
        core: client.worker().index().into(),
        flow_count: saturating_i64(gauges.flows),
        flow_capacity: saturating_i64(gauges.flow_slots),
        rx_packet_count: packet_outcomes.values().sum(),
        control_queue_depth: i32::try_from(client.depth()).unwrap_or(i32::MAX),
        buffer_used_bytes: saturating_i64(gauges.pool_used_bytes),
        buffer_capacity_bytes: saturating_i64(gauges.pool_bytes),
        packet_outcomes,
        ..v1::CoreStatus::default()
    }
}

fn port(port: PortStatus) -> v1::PortStatus {
    let lost = saturating_i64(port.lost());
    let PortStatus {
        name,
        driver,
        queues,
        rx_packets,
        rx_bytes,
        rx_missed,
        rx_errors,
        rx_no_mbuf,
        handoff_dropped,
    } = port;
    v1::PortStatus {
        name,
        driver,
        queue_count: queues.into(),
        rx_packet_count: saturating_i64(rx_packets),
        rx_bytes: saturating_i64(rx_bytes),
        lost_packet_count: lost,
        rx_missed_count: saturating_i64(rx_missed),
        rx_error_count: saturating_i64(rx_errors),
        rx_no_buffer_count: saturating_i64(rx_no_mbuf),
        handoff_dropped_count: saturating_i64(handoff_dropped),
    }
}

fn condition(condition: Condition) -> v1::Condition {
    let Condition { kind, level: severity, message, next_step, since } = condition;
    v1::Condition {
        r#type: kind,
        level: level(severity).into(),
        message,
        next_step,
        since_time: Some(since.into()),
    }
}

const fn level(level: Level) -> v1::ConditionLevel {
    match level {
        Level::Ok => v1::ConditionLevel::Ok,
        Level::Warning => v1::ConditionLevel::Warning,
        Level::Critical => v1::ConditionLevel::Critical,
    }
}

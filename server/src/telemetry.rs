//! The metrics: names, descriptions, and how they are fed from the boards and port counters.
//!
//! Base units, `_total` for counters, no label with an address or a port number of a flow. Losses
//! before a worker are counted by port, because a port cannot tell for which worker a packet was.

use std::net::SocketAddr;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, ExporterFuture, PrometheusBuilder};
use mos_control::PortStatus;
use mos_stack::{Gauges, Stat};

use crate::control::Control;

/// Upper bounds of the buckets of every duration, in seconds.
const SECONDS: [f64; 14] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.05, 0.25, 1.0, 10.0];

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The listener cannot be made.
    #[error("cannot serve metrics on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: BuildError,
    },
    /// There is a recorder already.
    #[error("metrics are already recorded elsewhere in this process")]
    Recorder,
}

/// Binds the metrics listener and becomes the process's recorder. The returned future serves it.
///
/// # Errors
///
/// When the address cannot be bound.
pub fn install(address: SocketAddr) -> Result<ExporterFuture, TelemetryError> {
    let failed = |error| TelemetryError::Listen { address, error };
    let (recorder, exporter) = PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets(&SECONDS)
        .map_err(failed)?
        .build()
        .map_err(failed)?;
    metrics::set_global_recorder(recorder).map_err(|_already| TelemetryError::Recorder)?;
    describe();
    gauge!("mosd_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(exporter)
}

fn describe() {
    describe_gauge!("mosd_build_info", "The version that runs; always 1.");
    describe_gauge!("mosd_flows", "Flows tracked now.");
    describe_gauge!("mosd_flow_slots", "Flows that can be tracked at once.");
    describe_gauge!("mosd_buffer_bytes", Unit::Bytes, "Bytes of receive buffers in use.");
    describe_gauge!("mosd_buffer_capacity_bytes", Unit::Bytes, "Bytes of the buffer pool.");
    describe_gauge!("mosd_core_loop_age_seconds", Unit::Seconds, "Time since the loop turned.");
    describe_gauge!("mosd_core_busy_ratio", "Share of turns that found packets lately.");
    describe_gauge!("mosd_core_queue_depth", "Commands that the worker has not taken yet.");
    describe_counter!("mosd_core_unclaimed_answers_total", "Answers that nobody waited for.");
    describe_histogram!("mosd_core_command_seconds", Unit::Seconds, "Time of a command and back.");
    describe_histogram!("rpc_server_duration_seconds", Unit::Seconds, "Time of an RPC.");
    describe_counter!("mosd_packets_total", "Packets by what became of them.");
    describe_counter!("mosd_frame_bytes_total", Unit::Bytes, "Bytes of all frames.");
    describe_counter!("mosd_flows_opened_total", "Flows begun.");
    describe_counter!("mosd_flows_established_total", "Flows whose handshake was completed.");
    describe_counter!("mosd_flows_ended_total", "Flows ended, by cause.");
    describe_counter!("mosd_payload_bytes_total", Unit::Bytes, "Payload of monitored flows.");
    describe_counter!("mosd_retransmits_total", "Segments with payload already seen.");
    describe_counter!(
        "mosd_conflicting_bytes_total",
        Unit::Bytes,
        "Payload unlike its first copy."
    );
    describe_counter!(
        "mosd_buffer_overwritten_bytes_total",
        Unit::Bytes,
        "Payload evicted unread."
    );
    describe_counter!("mosd_gaps_total", "Ranges of streams never captured.");
    describe_counter!("mosd_missing_bytes_total", Unit::Bytes, "Bytes in those ranges.");
    describe_counter!(
        "mosd_refused_bytes_total",
        Unit::Bytes,
        "Payload not stored for want of room."
    );
    describe_counter!("mosd_out_of_window_total", "Segments far outside the window.");
    describe_counter!("mosd_rx_packets_total", "Packets that a port received.");
    describe_counter!("mosd_rx_bytes_total", Unit::Bytes, "Bytes that a port received.");
    describe_counter!("mosd_rx_missed_total", "Packets lost before a worker, by cause.");
}

/// The metric of a counter, and the label that tells it from others of its name.
const fn metric(stat: Stat) -> (&'static str, Option<(&'static str, &'static str)>) {
    let (_, label) = stat.name();
    match stat {
        Stat::PacketsMonitored
        | Stat::PacketsStopped
        | Stat::PacketsOrphan
        | Stat::PacketsTableFull
        | Stat::PacketsNotIp
        | Stat::PacketsNotTcp
        | Stat::PacketsFragment
        | Stat::PacketsTruncated
        | Stat::PacketsMalformed => ("mosd_packets_total", Some(("result", label))),
        Stat::FrameBytes => ("mosd_frame_bytes_total", None),
        Stat::FlowsStarted => ("mosd_flows_opened_total", None),
        Stat::FlowsEstablished => ("mosd_flows_established_total", None),
        Stat::FlowsEndedFin
        | Stat::FlowsEndedRst
        | Stat::FlowsEndedTimeout
        | Stat::FlowsEndedReused
        | Stat::FlowsEndedStopped
        | Stat::FlowsEndedEvicted => ("mosd_flows_ended_total", Some(("cause", label))),
        Stat::PayloadBytes => ("mosd_payload_bytes_total", None),
        Stat::Retransmits => ("mosd_retransmits_total", None),
        Stat::ConflictingBytes => ("mosd_conflicting_bytes_total", None),
        Stat::OverwrittenBytes => ("mosd_buffer_overwritten_bytes_total", None),
        Stat::Gaps => ("mosd_gaps_total", None),
        Stat::MissingBytes => ("mosd_missing_bytes_total", None),
        Stat::RefusedBytes => ("mosd_refused_bytes_total", None),
        Stat::OutOfWindow => ("mosd_out_of_window_total", None),
    }
}

/// Copies the counters and levels of workers and ports into the recorder.
pub fn publish(control: &Control, ports: &[PortStatus]) {
    let ages = control.vitals.loop_ages(&control.workers);
    let ratios = control.vitals.busy_ratios(&control.workers);
    for ((client, age), ratio) in control.workers.iter().zip(ages).zip(ratios) {
        let core = client.worker().to_string();
        let board = client.board();
        for stat in Stat::ALL {
            let value = board.stat(stat);
            match metric(stat) {
                (name, Some((key, label))) => {
                    counter!(name, "core" => core.clone(), key => label).absolute(value);
                }
                (name, None) => counter!(name, "core" => core.clone()).absolute(value),
            }
        }
        let Gauges { flows, flow_slots, pool_used_bytes, pool_bytes } = board.gauges();
        let level =
            |name: &'static str, value: f64| gauge!(name, "core" => core.clone()).set(value);
        level("mosd_flows", float(flows));
        level("mosd_flow_slots", float(flow_slots));
        level("mosd_buffer_bytes", float(pool_used_bytes));
        level("mosd_buffer_capacity_bytes", float(pool_bytes));
        level("mosd_core_loop_age_seconds", age.as_secs_f64());
        level("mosd_core_busy_ratio", ratio);
        level("mosd_core_queue_depth", float(u64::try_from(client.depth()).unwrap_or(u64::MAX)));
        counter!("mosd_core_unclaimed_answers_total", "core" => core.clone())
            .absolute(client.unclaimed());
    }
    for port in ports {
        publish_port(port);
    }
}

fn publish_port(port: &PortStatus) {
    let name = || port.name.clone();
    counter!("mosd_rx_packets_total", "port" => name()).absolute(port.rx_packets);
    counter!("mosd_rx_bytes_total", "port" => name()).absolute(port.rx_bytes);
    for (cause, value) in [
        ("queue_full", port.rx_missed),
        ("damaged", port.rx_errors),
        ("no_buffer", port.rx_no_mbuf),
        ("handoff", port.handoff_dropped),
    ] {
        counter!("mosd_rx_missed_total", "port" => name(), "cause" => cause).absolute(value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is enough for levels")]
const fn float(value: u64) -> f64 {
    value as f64
}

//! The metrics: names, descriptions, and how they are fed from the boards and port counters.
//!
//! Base units, `_total` for counters, no label with an address or a port number of a flow. Losses
//! before a worker are counted by port: a port does not know which worker a packet was for.

use std::time::{Duration, SystemTime};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use mos_control::PortStatus;
use mos_stack::{Gauges, Stat};

use crate::{
    events::FanOut,
    health::vitals::Vitals,
    log::{self, Lost},
    panics,
    words::validity::Validity,
    workers::Workers,
};

/// Upper bounds of the buckets of every duration, in seconds.
const SECONDS: [f64; 14] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.05, 0.25, 1.0, 10.0];

/// Time between two looks after what was measured and not read yet.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The buckets cannot be used.
    #[error(transparent)]
    Buckets(#[from] BuildError),
    /// The process has a recorder already.
    #[error("metrics are already recorded elsewhere in this process")]
    Recorder,
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured(PrometheusHandle);

impl Measured {
    /// Becomes the process's recorder.
    ///
    /// # Errors
    ///
    /// When the process has one.
    pub(crate) fn install() -> Result<Self, TelemetryError> {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS)?.build_recorder();
        let measured = Self(recorder.handle());
        metrics::set_global_recorder(recorder).map_err(|_already| TelemetryError::Recorder)?;
        describe_metrics();
        gauge!("mosd_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(measured)
    }

    /// All metrics, as Prometheus reads them.
    pub(crate) fn text(&self) -> String {
        self.0.render()
    }

    /// Puts what was measured into its buckets every few seconds, so that it does not pile up where
    /// nobody asks for the text.
    pub(crate) async fn keep_up(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// Tells the recorder of this thread, or of the process, what each metric means.
pub fn describe_metrics() {
    describe_gauge!("mosd_build_info", "The version that runs; always 1.");
    describe_gauge!("mosd_flows", "Flows tracked now.");
    describe_gauge!("mosd_flow_slots", "Flows that can be tracked at once.");
    describe_gauge!("mosd_buffer_bytes", Unit::Bytes, "Bytes of receive buffers in use.");
    describe_gauge!("mosd_buffer_capacity_bytes", Unit::Bytes, "Bytes of the buffer pool.");
    describe_gauge!("mosd_policy_generation", "Generation of the policies that the core runs.");
    describe_gauge!("mosd_core_loop_age_seconds", Unit::Seconds, "Time since the loop turned.");
    describe_gauge!("mosd_core_busy_ratio", "Share of turns that found packets lately.");
    describe_gauge!("mosd_core_queue_depth", "Commands that the worker has not taken yet.");
    describe_counter!("mosd_core_unclaimed_answers_total", "Answers that nobody waited for.");
    describe_histogram!("mosd_core_command_seconds", Unit::Seconds, "Time of a command and back.");
    describe_histogram!("rpc_server_duration_seconds", Unit::Seconds, "Time of an RPC.");
    describe_counter!("mosd_calls_refused_total", "Calls and streams ended for want of a role.");
    describe_counter!(
        "mosd_calls_unproven_total",
        "Calls and streams ended because it was not proven by whom."
    );
    describe_counter!("mosd_tls_handshakes_total", "TLS handshakes, by what became of them.");
    describe_counter!("mosd_tls_reloads_total", "Reloads of certificates, by what became of them.");
    describe_gauge!(
        "mosd_tls_expiry_timestamp_seconds",
        Unit::Seconds,
        "When a certificate or a revocation list expires, in seconds since 1970."
    );
    describe_counter!("mosd_calls_rate_limited_total", "Calls that came too soon for their grant.");
    describe_counter!("mosd_audit_entries_total", "Entries of the audit, by event.");
    describe_counter!("mosd_audit_failures_total", "Writes of the audit that have failed.");
    describe_counter!("mosd_audit_lost_total", "Entries of the audit that were lost.");
    describe_counter!(
        "mosd_audit_suppressed_total",
        "Denied calls and sign-ins beyond the rate of their caller, which were only counted."
    );
    describe_counter!(
        "mosd_audit_unaudited_total",
        "Calls that went on although they could not be entered (audit.on_failure = \"allow\")."
    );
    describe_counter!("mosd_foreign_requests_total", "Requests that no gRPC client sends.");
    describe_gauge!("mosd_streams", "Server streams open now.");
    describe_gauge!("mosd_subscriptions", "Subscriptions to events now.");
    describe_gauge!("mosd_subscription_queue_bytes", Unit::Bytes, "Bytes queued for all of them.");
    describe_counter!(
        "mosd_subscription_dropped_total",
        "Events that found no room in the queue of a slow subscriber."
    );
    describe_counter!("mosd_events_lost_total", "Events that found the ring of a core full.");
    describe_counter!("mosd_panics_total", "Panics of the control plane, each contained.");
    describe_counter!("mosd_log_lines_lost_total", "Lines of the log that were lost, by cause.");
    describe_counter!("mosd_log_lines_left_out_total", "Lines beyond the rate of their kind.");
    describe_counter!("mosd_packets_total", "Packets by what became of them.");
    describe_counter!("mosd_flows_ended_total", "Flows ended, by cause.");
    for (stat, (name, label)) in Stat::ALL.into_iter().map(|stat| (stat, metric(stat))) {
        if label.is_none() {
            describe_counter!(name, stat.description().trim());
        }
    }
    describe_counter!("mosd_rx_packets_total", "Packets that a port received.");
    describe_counter!("mosd_rx_bytes_total", Unit::Bytes, "Bytes that a port received.");
    describe_counter!("mosd_rx_missed_total", "Packets lost before a worker, by cause.");
}

/// The metric of a counter, and the label that distinguishes it within its family.
fn metric(stat: Stat) -> (String, Option<(&'static str, &'static str)>) {
    let (family, value) = stat.name();
    let label = (!value.is_empty()).then_some(match family {
        "flows_ended" => ("cause", value),
        _ => ("result", value),
    });
    (format!("mosd_{family}_total"), label)
}

/// Copies the counters and levels of the workers into the recorder.
pub(crate) fn publish_cores(workers: &Workers, vitals: &Vitals) {
    let ages = vitals.loop_ages(workers);
    let ratios = vitals.busy_ratios(workers);
    for ((client, age), ratio) in workers.iter().zip(ages).zip(ratios) {
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
        let Gauges { flows, flow_slots, pool_used_bytes, pool_bytes, policy_generation, .. } =
            board.gauges();
        let level =
            |name: &'static str, value: f64| gauge!(name, "core" => core.clone()).set(value);
        level("mosd_flows", float(flows));
        level("mosd_flow_slots", float(flow_slots));
        level("mosd_buffer_bytes", float(pool_used_bytes));
        level("mosd_buffer_capacity_bytes", float(pool_bytes));
        level("mosd_policy_generation", float(policy_generation));
        level("mosd_core_loop_age_seconds", age.as_secs_f64());
        level("mosd_core_busy_ratio", ratio);
        level("mosd_core_queue_depth", count(client.depth()));
        counter!("mosd_core_unclaimed_answers_total", "core" => core.clone())
            .absolute(client.unclaimed());
    }
}

/// Copies what the control plane lost of itself into the recorder.
pub(crate) fn publish_losses() {
    let Lost { no_room, unwritten } = log::lost();
    for (cause, lines) in [("no_room", no_room), ("unwritten", unwritten)] {
        counter!("mosd_log_lines_lost_total", "cause" => cause).absolute(lines);
    }
    counter!("mosd_log_lines_left_out_total").absolute(log::left_out());
    counter!("mosd_panics_total").absolute(panics::count());
}

/// Copies until when each file of TLS is good into the recorder.
pub(crate) fn publish_validities(validities: &[Validity]) {
    for Validity { what, path, until, .. } in validities {
        let since_1970 = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let file = path.display().to_string();
        gauge!("mosd_tls_expiry_timestamp_seconds", "file" => file, "what" => *what)
            .set(since_1970.as_secs_f64());
    }
}

/// Copies how many streams are open now into the recorder.
pub(crate) fn publish_streams(open: usize) {
    gauge!("mosd_streams").set(count(open));
}

/// Copies the subscriptions to events, and what was lost on the way, into the recorder.
pub(crate) fn publish_events(events: &FanOut) {
    gauge!("mosd_subscriptions").set(count(events.subscriptions()));
    gauge!("mosd_subscription_queue_bytes").set(count(events.queued_bytes()));
    counter!("mosd_subscription_dropped_total").absolute(events.dropped());
    for (core, lost) in events.lost() {
        counter!("mosd_events_lost_total", "core" => core.to_string()).absolute(lost);
    }
}

/// Copies the counters of one port into the recorder.
pub(crate) fn publish_port(port: &PortStatus) {
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

fn count(number: usize) -> f64 {
    float(u64::try_from(number).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is enough for levels")]
const fn float(value: u64) -> f64 {
    value as f64
}

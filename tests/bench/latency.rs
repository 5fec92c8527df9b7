//! Measures the round trip of `SetSockOpt` through gRPC on the loopback, while demo traffic runs.
//!
//! `cargo run -p mos-bench --example latency [CALLS]`, after `cargo build --bins`; with
//! `--release` on both for figures that mean something.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: a step that fails ends it, and the figures are its output"
)]

use std::time::{Duration, Instant};

use mos_proto::v1::flow_service_client::FlowServiceClient;
use mos_proto::v1::set_sock_opt_request::Change;
use mos_proto::v1::{FlowOptions, SetSockOptRequest};
use mos_tests::service::{Mosd, Setup, free_address};
use rustix::process::Signal;

const CALLS: usize = 5000;
const WARM_UP: usize = 200;

fn request(flow: &str, kibibytes: i64) -> SetSockOptRequest {
    let options =
        FlowOptions { client_buffer_bytes: Some(kibibytes * 1024), ..FlowOptions::default() };
    SetSockOptRequest {
        flow: flow.to_owned(),
        change: Some(Change::Options(options)),
        ..SetSockOptRequest::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let calls = std::env::args().nth(1).map_or(CALLS, |text| text.parse().expect("a number"));
    let address = free_address();
    let mosd = Mosd::start(&Setup::demo().with(&["--listen", &address]));
    let flow = mosd.lasting_flow();
    let mut client =
        FlowServiceClient::connect(format!("http://{address}")).await.expect("mosd answers");
    let mut times = Vec::with_capacity(calls);
    for (call, kibibytes) in (0..WARM_UP + calls).zip([8, 64].into_iter().cycle()) {
        let began = Instant::now();
        client.set_sock_opt(request(&flow, kibibytes)).await.expect("the flow takes the option");
        if call >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    let at =
        |permille: usize| times.get(times.len() * permille / 1000).copied().unwrap_or_default();
    let micros = |time: Duration| time.as_micros();
    println!(
        "SetSockOpt over {} calls: p50 {} us, p99 {} us, p99.9 {} us; packets {}, lost {}",
        times.len(),
        micros(at(500)),
        micros(at(990)),
        micros(at(999)),
        mosd.core_total("rxPacketCount"),
        mosd.packets_lost(),
    );
    mosd.stop(Signal::INT).in_order();
}

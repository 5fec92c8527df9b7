//! A slow reader of events beside a fast one, under load: nothing is miscounted, nothing grows,
//! the fast one loses nothing, and the workers do not notice.
//!
//! `cargo build --release --bins`, then
//! `cargo run --release -p mos-bench --example event_flood [SECONDS [PACKETS_PER_SECOND]]`;
//! 60 s at 110,000 packets a second, which is above 100,000 events a second, unless told otherwise.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: a step that fails ends it, and the figures are its output"
)]

use std::time::{Duration, Instant};

use mos_tests::events::{Watch, Window};
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;

const SECONDS: u64 = 60;
const RATE: u64 = 110_000;

/// Pause of the slow reader after each message.
const PAUSE: Duration = Duration::from_millis(1);

/// What two readers may cost the service, in KiB: an event ring, two queues, and what lies in
/// the buffers of two connections.
const GROWTH_MAX: i64 = 32 << 10;

fn argument(index: usize, unless_given: u64) -> u64 {
    std::env::args().nth(index).map_or(unless_given, |text| text.parse().expect("a number"))
}

/// Reads until `end`, with a pause after each message.
async fn read(mut watch: Watch, end: Instant, pause: Duration) -> Watch {
    while Instant::now() < end {
        watch.read().await.expect("the stream goes on");
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    watch
}

/// Packets a second over a stretch of time.
fn packet_rate(mosd: &Mosd, span: Duration) -> i64 {
    let (began, before) = (Instant::now(), mosd.core_total("rxPacketCount"));
    std::thread::sleep(span);
    let packets = mosd.core_total("rxPacketCount") - before;
    let millis = i64::try_from(began.elapsed().as_millis()).expect("a short time");
    packets * 1000 / millis.max(1)
}

fn account(name: &str, watch: &Watch, seconds: u64) {
    let Watch { delivered, lost, losses, .. } = watch;
    let happened = watch.happened();
    assert_eq!(delivered + lost, happened, "{name}: every event is delivered or counted");
    let rate = happened / i64::try_from(seconds).expect("a short time");
    println!(
        "{name}: {delivered} delivered + {lost} lost in {} = {happened} happened, {rate} a second",
        losses.len()
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (seconds, rate) = (argument(1, SECONDS), argument(2, RATE));
    let span = Duration::from_secs(seconds);
    let mosd = Mosd::start(&Setup::demo().with(&["--rate", &rate.to_string()]));
    let quiet = packet_rate(&mosd, span / 6);
    let (memory_before, end) = (mosd.resident_kib(), Instant::now() + span);
    let (slow, fast) =
        (Watch::all(&mosd, Window::Narrow).await, Watch::all(&mosd, Window::Wide).await);
    let fast = tokio::spawn(read(fast, end, Duration::ZERO));
    let slow = tokio::spawn(read(slow, end, PAUSE));
    tokio::time::sleep(span / 6).await;
    let memory_warm = mosd.resident_kib();
    let watched = packet_rate(&mosd, span / 2);
    let fast = fast.await.expect("the fast one");
    let memory_end = mosd.resident_kib();
    let mut slow = slow.await.expect("the slow one");
    // The same stretch as the fast one has seen: what waits for the slow one, and its losses.
    while slow.last < fast.last {
        slow.read().await.expect("the stream goes on");
    }
    println!(
        "packets a second: {quiet} unwatched, {watched} watched ({} %); lost {}",
        watched * 100 / quiet.max(1),
        mosd.packets_lost()
    );
    // Before anything can fail: nobody else would end it.
    mosd.stop(Signal::INT).in_order();
    account("fast", &fast, seconds);
    account("slow", &slow, seconds);
    println!(
        "resident KiB: {memory_before} unwatched, {memory_warm} watched, {memory_end} at the end"
    );
    assert!(fast.losses.is_empty(), "the fast one lost: {:?}", fast.losses);
    assert!(slow.lost > 0, "the slow one was not slow");
    assert!(memory_end - memory_before <= GROWTH_MAX, "memory grew beyond the bound");
}

//! A client that attacks the control plane by the byte, while a polite one changes options and the
//! administrator looks: both are served all the time, nothing is lost, and memory stays bounded.
//!
//! In small it is a test (`tests/hostile_client.rs`), in full a part of `make soak`. The attacks
//! come from one address of the loopback, the polite client from another: for mosd these are two
//! principals.

mod attacks;
pub mod wire;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mos_proto::v1::set_sock_opt_request::Change;
use mos_proto::v1::{FlowOptions, SetSockOptRequest};
use rustix::process::Signal;

use crate::program::within;
use crate::rpc::Rpc;
use crate::service::{Mosd, Setup, free_address};

/// Memory that all attacks together may cost, in KiB.
const GROWTH_MAX: i64 = 64 * 1024;

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(20);

/// Pause of the polite client between two calls.
const PACE: Duration = Duration::from_millis(2);

/// Time in which memory that was given back is gone.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// Time in which answers have been made.
const SETTLE: Duration = Duration::from_secs(1);

/// Memory of a crowd that is worth a look, in KiB.
const WORTH_A_LOOK: i64 = 20 * 1024;

/// The address of the polite client.
const POLITE: [u8; 4] = [127, 0, 0, 2];

/// The attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Connections that say nothing.
    Silence,
    /// Requests that never end.
    HalfRequests,
    /// Large answers that nobody reads.
    UnreadAnswers,
    /// Streams that nobody reads.
    UnreadStreams,
    /// Streams that are opened and cut at once.
    RapidReset,
    /// A header block without an end.
    EndlessHeaders,
    /// Header blocks that are large when they are read.
    HeaderBomb,
    /// Pings whose echoes nobody reads.
    Pings,
    /// Settings whose acknowledgements nobody reads.
    Settings,
    /// Windows that grow without need.
    WindowUpdates,
    /// Frames of data without data.
    EmptyFrames,
    /// Streams of events, opened and cut.
    Watches,
    /// Random calls.
    Calls,
    /// Random bytes.
    Nonsense,
}

impl Kind {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 14] = [
        Self::Silence,
        Self::HalfRequests,
        Self::UnreadAnswers,
        Self::UnreadStreams,
        Self::RapidReset,
        Self::EndlessHeaders,
        Self::HeaderBomb,
        Self::Pings,
        Self::Settings,
        Self::WindowUpdates,
        Self::EmptyFrames,
        Self::Watches,
        Self::Calls,
        Self::Nonsense,
    ];
}

/// How much of everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size {
    /// Connections of an attack that opens many; those that send much open 20 at most.
    pub connections: usize,
    /// Frames of an attack that sends many; ten times as many where they are tiny.
    pub frames: u32,
    /// Streams of events that are opened and cut.
    pub watches: u32,
    /// Random calls.
    pub calls: u32,
    /// The same seed makes the same calls.
    pub seed: u64,
}

/// Figures of a run.
#[derive(Debug)]
pub struct Figures {
    /// Of each attack: how long it took, what it sent, and the memory at its end, in KiB more than
    /// before all attacks.
    pub attacks: Vec<(Kind, Duration, usize, i64)>,
    /// Most memory at any time, in KiB more than before.
    pub grown: i64,
    /// The slowest of 100 calls of the polite client, before the attacks and during them.
    pub p99: [Duration; 2],
    /// Its calls during the attacks.
    pub changes: usize,
}

/// Carries out all attacks, one after the other; connections are held until the last one ends.
///
/// # Panics
///
/// When the polite client or the administrator is not served, a packet is lost, or memory grows
/// by more than 64 MiB.
#[must_use]
pub fn run(size: &Size) -> Figures {
    let address = free_address();
    let setup = Setup::demo().with(&["--flows", "2000", "--rate", "2000", "--listen", &address]);
    let mosd = Mosd::start(&setup);
    let flow = mosd.lasting_flow();
    let quiet = politely(&address, &flow, |calls| calls < 1000);
    let (before, lost) = (mosd.resident_kib(), mosd.packets_lost());
    let (is_over, most) = (AtomicBool::new(false), AtomicI64::new(before));
    let mut attacks = Vec::new();
    let hostile = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                most.fetch_max(mosd.resident_kib(), Relaxed);
                thread::sleep(LOOK);
            }
        });
        let polite = scope.spawn(|| politely(&address, &flow, |_| !is_over.load(Relaxed)));
        let over = Over(&is_over);
        let mut held = Vec::new();
        for kind in Kind::ALL {
            let began = Instant::now();
            let clients = attacks::attack(kind, &address, size);
            let sent = clients.iter().map(wire::RawClient::sent).sum();
            held.extend(clients);
            attacks.push((kind, began.elapsed(), sent, mosd.resident_kib() - before));
            mosd.mosctl(&["info"]).succeeded();
        }
        drop(over);
        polite.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let grown = most.load(Relaxed) - before;
    assert!(grown < GROWTH_MAX, "{grown} KiB more than before: {attacks:?}");
    assert_eq!(mosd.packets_lost(), lost, "packets were lost");
    mosd.stop(Signal::TERM).in_order();
    let changes = hostile.len();
    Figures { attacks, grown, p99: [quiet, hostile].map(p99), changes }
}

/// What hundreds of connections cost, in KiB: at their peak, and some time after their end.
#[must_use]
pub fn after_a_crowd() -> [i64; 2] {
    let address = free_address();
    let mosd = Mosd::start(&Setup::demo().with(&["--listen", &address]));
    let before = mosd.resident_kib();
    let crowd = attacks::crowd(&address);
    within(SETTLE_MAX, || mosd.resident_kib() - before > WORTH_A_LOOK);
    thread::sleep(SETTLE);
    let peak = mosd.resident_kib() - before;
    drop(crowd);
    within(SETTLE_MAX, || mosd.resident_kib() - before < peak / 2);
    let after = mosd.resident_kib() - before;
    mosd.stop(Signal::TERM).in_order();
    [peak, after]
}

/// Ends the helpers of a run, also where it fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Changes an option as long as `goes_on` says so, by the number of calls made, and returns how
/// long each call took.
#[track_caller]
fn politely(address: &str, flow: &str, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut rpc = Rpc::connect_from(address, POLITE.into());
    let mut times = Vec::new();
    let mut sizes = [8192, 10_240, 12_288].into_iter().cycle();
    while goes_on(times.len()) {
        let options = FlowOptions { client_buffer_bytes: sizes.next(), ..FlowOptions::default() };
        let change = Some(Change::Options(options));
        let flow = flow.to_owned();
        let began = Instant::now();
        rpc.set(SetSockOptRequest { flow, change, ..SetSockOptRequest::default() })
            .unwrap_or_else(|refused| panic!("the polite client is refused: {refused:?}"));
        times.push(began.elapsed());
        thread::sleep(PACE);
    }
    times
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

//! Real TCP of the kernel over a bad wire, monitored on a veth interface with `net_af_packet`: the
//! bytes that mosd holds are those that the two programs exchanged, whatever the wire did. The
//! transfer advances only as mosd handles it, so that nothing is lost on a slow machine either.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mos_proto::v1::Side;
use mos_tests::lab::{Helper, Lab, Wire};
use mos_tests::noise::noise;
use mos_tests::program::{Finished, within};
use mos_tests::rpc::Rpc;
use mos_tests::service::{Mosd, Setup, number};
use mos_tests::transfer::Transfer;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// Bytes of the file that the server sends.
const FILE_BYTES: usize = 64 << 20;

/// Bytes of the file that the client sends.
const UPLOAD_BYTES: usize = 8 << 20;

/// A transfer that takes longer hangs.
const TRANSFER_MAX: Duration = Duration::from_secs(300);

/// Time until the service shows what a test waits for.
const SETTLE_MAX: Duration = Duration::from_secs(60);

const WIRE: Wire = Wire { loss: 1, reorder: 5, duplicate: 1, corrupt: 0 };

fn config(policy: &str, workers: u16) -> String {
    format!(
        r#"
[server]
payload = true

[dataplane]
workers = {workers}

[limits]
flows_max = 1024
pool = "512MiB"
buffer_max = "128MiB"

[options]
client_buffer = "128MiB"
server_buffer = "128MiB"
client_overlap = "{policy}"
server_overlap = "{policy}"

[timeouts]
closing = "60s"
time_wait = "60s"
"#
    )
}

/// Two hosts, a service that monitors the client's interface, and an HTTP server that records all
/// bytes that it sends and receives.
struct Scene {
    lab: Lab,
    folder: TempDir,
    mosd: Mosd,
    transfer: Transfer,
}

impl Scene {
    /// `None`, with a message, if namespaces cannot be created.
    fn new(address: &str, policy: &str, workers: u16) -> Option<Self> {
        let lab = Lab::new(WIRE)?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::write(path("file"), noise(FILE_BYTES, 1)).expect("a file");
        fs::write(path("upload"), noise(UPLOAD_BYTES, 2)).expect("a file");
        let setup = Setup::default()
            .configured(&config(policy, workers))
            .inside(lab.client())
            .with(&["--port", "net_af_packet0,iface=veth0"]);
        let mosd = Mosd::start(&setup);
        let rpc = Rpc::connect(&mosd);
        let transfer = Transfer::start(&lab, address, folder.path(), "file", rpc);
        Some(Self { lab, folder, mosd, transfer })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_default()
    }

    /// Starts curl, which uploads, downloads, and then holds the connection open, all on one
    /// connection.
    fn start_curl(&self) -> Helper {
        let [upload, got] = ["upload", "got"].map(|name| self.path(name));
        let (upload, got) = (upload.to_string_lossy(), got.to_string_lossy());
        let [post, file, hold] = ["upload", "file", "hold"].map(|path| self.transfer.url(path));
        let silent = ["--silent", "--show-error", "--fail"];
        let send =
            ["--upload-file", &upload, "--header", "Expect:", "--output", "/dev/null", &post];
        let fetch = ["--output", &got, &file];
        let keep = ["--output", "/dev/null", &hold];
        let parts = [&silent, send.as_slice(), &["--next"], &silent, &fetch, &keep];
        Helper::spawn(self.lab.client(), "curl", &parts.concat())
    }

    /// Lets the transfer advance as mosd handles it, until `done`.
    #[track_caller]
    fn transfer_until(&self, flow: &str, curl: &mut Helper, mut done: impl FnMut() -> bool) {
        let through = within(TRANSFER_MAX, || {
            assert!(curl.is_running(), "curl ended early:\n{}", self.mosd.log());
            self.transfer.follow(flow);
            done()
        });
        let details = self.details(flow);
        assert!(through, "the transfer hangs over {}: {details}", self.lab.wire_kind());
    }

    /// Waits until both directions are complete: the server has read the request to hold.
    #[track_caller]
    fn await_end(&self, flow: &str, curl: &mut Helper) {
        let received = self.path("received");
        self.transfer_until(flow, curl, || ends_with_request(&received, b"GET /hold "));
    }

    /// The only flow.
    #[track_caller]
    fn flow(&self) -> String {
        let mut names = Vec::new();
        let found = within(SETTLE_MAX, || {
            let flows = self.mosd.flows(&["--port", "8080"]);
            names = flows.iter().filter_map(|flow| flow.get("name").cloned()).collect();
            !names.is_empty()
        });
        assert!(found && names.len() == 1, "{names:?}\n{}", self.mosd.log());
        names[0].as_str().expect("a name is text").to_owned()
    }

    /// Full details of a flow.
    #[track_caller]
    fn details(&self, flow: &str) -> Value {
        let answer = self.mosd.json(&["flows", "get", flow]);
        answer.get("flow").cloned().unwrap_or(answer)
    }

    /// Payload bytes of the server that mosd has seen.
    #[track_caller]
    fn sent_so_far(&self, flow: &str) -> usize {
        let bytes = number(self.details(flow).pointer("/serverStats/payloadBytes"));
        usize::try_from(bytes).expect("a count")
    }

    /// The contents of one side's buffer, as `mosctl peek` extracts them; fails at a hole.
    #[track_caller]
    fn peek(&self, flow: &str, side: &str) -> Finished {
        self.mosd.mosctl(&["peek", flow, "--side", side, "--all", "--raw"])
    }

    /// Waits until one side's buffer reaches the end of the stream; asserts that it holds the whole
    /// stream.
    #[track_caller]
    fn holds(&self, flow: &str, side: &str, stream: &[u8]) {
        let mut held = self.peek(flow, side);
        let same = within(SETTLE_MAX, || {
            held = self.peek(flow, side);
            held.status.success() && held.stdout == stream
        });
        let differs = held.stdout.iter().zip(stream).position(|(a, b)| a != b);
        assert!(
            same,
            "the {side}'s buffer holds {} bytes of {}, {} packets lost, first difference \
             {differs:?}: {}\n{}\n{}",
            held.stdout.len(),
            stream.len(),
            self.mosd.packets_lost(),
            held.stderr,
            self.details(flow),
            self.mosd.status()
        );
    }

    /// Lets the connection end; asserts that curl got the file and that mosd lost no packet.
    #[track_caller]
    fn end(self, curl: Helper) {
        assert_eq!(self.mosd.packets_lost(), 0, "{}", self.mosd.status());
        self.transfer.release();
        curl.finish(TRANSFER_MAX);
        assert!(self.read("got") == self.read("file"), "curl did not get the file as it is");
        drop(self.transfer);
        self.mosd.stop(Signal::INT).in_order();
    }
}

/// Whether the last request in a file of received bytes begins with `start` and is complete.
fn ends_with_request(path: &Path, start: &[u8]) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let tail = &bytes[bytes.len().saturating_sub(4096)..];
    tail.ends_with(b"\r\n\r\n") && tail.windows(start.len()).any(|window| window == start)
}

/// Both buffers hold what the programs exchanged, to the byte.
fn both_directions_are_held(address: &str, policy: &str, workers: u16) {
    let Some(scene) = Scene::new(address, policy, workers) else { return };
    let mut curl = scene.start_curl();
    let flow = scene.flow();
    scene.await_end(&flow, &mut curl);
    // The client's buffer holds what the server sent, and vice versa.
    let (sent, received) = (scene.transfer.sent(), scene.transfer.received());
    assert!(sent.len() > FILE_BYTES && received.len() > UPLOAD_BYTES);
    scene.holds(&flow, "client", &sent);
    scene.holds(&flow, "server", &received);
    let details = scene.details(&flow);
    for side in ["/clientStats", "/serverStats"] {
        let stats = details.pointer(side).expect("a full view has both sides");
        // The bad wire caused retransmissions, and TCP of the kernel repeats the same bytes.
        assert!(number(stats.get("retransmitCount")) > 0, "{details}");
        assert_eq!(number(stats.get("conflictingBytes")), 0, "{details}");
        assert_eq!(number(stats.get("missingBytes")), 0, "{details}");
    }
    scene.end(curl);
}

#[test]
fn both_directions_are_held_to_the_byte_over_ipv4_with_policy_first() {
    both_directions_are_held("10.77.0.2", "first", 1);
}

#[test]
fn both_directions_are_held_to_the_byte_over_ipv6_with_policy_last_and_two_workers() {
    both_directions_are_held("fd77::2", "last", 2);
}

#[test]
fn a_buffer_is_dropped_and_regrown_in_the_middle_of_a_transfer() {
    let Some(scene) = Scene::new("10.77.0.2", "first", 1) else { return };
    let mut curl = scene.start_curl();
    let flow = scene.flow();
    scene.transfer_until(&flow, &mut curl, || scene.sent_so_far(&flow) > FILE_BYTES / 2);

    // Packets keep arriving while the options change, but not the rest of the file.
    scene.transfer.allow_more();
    let held_before = scene.mosd.core_total("bufferUsedBytes");
    let stopped = scene.mosd.json(&["setopt", "--flow", &flow, "--clibuf", "0"]);
    let discarded = number(stopped.get("discardedBytes"));
    assert!(discarded > 16 << 20, "{stopped}");
    assert_eq!(number(stopped.pointer("/options/clientBufferBytes")), 0, "{stopped}");
    let given_back = || scene.mosd.core_total("bufferUsedBytes") < held_before - discarded / 10 * 9;
    assert!(within(SETTLE_MAX, given_back), "memory was not given back");

    let regrown = scene.mosd.json(&["setopt", "--flow", &flow, "--clibuf", "1MiB"]);
    assert_eq!(number(regrown.pointer("/options/clientBufferBytes")), 1 << 20, "{regrown}");
    assert!(scene.sent_so_far(&flow) < FILE_BYTES, "the transfer ended before the options changed");

    scene.transfer.allow_more();
    scene.await_end(&flow, &mut curl);
    let sent = scene.transfer.sent();
    let mut rpc = Rpc::connect(&scene.mosd);
    let mut runs = Vec::new();
    let complete = within(SETTLE_MAX, || {
        runs = rpc.held(&flow, Side::Client);
        runs.last().is_some_and(|(at, run)| at + run.len() == sent.len())
    });
    let shape: Vec<_> = runs.iter().map(|(at, run)| (*at, run.len())).collect();
    assert!(complete, "held {shape:?} of {} bytes", sent.len());
    let held: usize = runs.iter().map(|(_, run)| run.len()).sum();
    assert!((512 << 10..=1 << 20).contains(&held), "{held} bytes are held in {shape:?}");
    for (at, run) in &runs {
        assert!(sent.get(*at..at + run.len()) == Some(run), "wrong bytes at {at}: {shape:?}");
    }
    // The other direction is not affected.
    scene.holds(&flow, "server", &scene.transfer.received());
    drop(rpc);
    scene.end(curl);
}

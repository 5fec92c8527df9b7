//! `mosctl read` during a transfer of the kernel's TCP that is larger than the buffer: a reader
//! that keeps up gets the whole stream, and one that does not is told of each byte that it missed.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mos_tests::lab::{Helper, Lab, Wire};
use mos_tests::noise::noise;
use mos_tests::program::{command, kill, ours, wait, within};
use mos_tests::rpc::Rpc;
use mos_tests::service::{Mosd, Setup, number};
use mos_tests::transfer::{AHEAD, Transfer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A transfer that takes longer hangs.
const TRANSFER_MAX: Duration = Duration::from_secs(300);

/// Time until a test sees what it waits for.
const SEEN_MAX: Duration = Duration::from_secs(60);

const WIRE: Wire = Wire { loss: 1, reorder: 5, duplicate: 1, corrupt: 0 };

/// Two hosts, a service that monitors the client's interface, a server that records what it sends,
/// and a client that has begun to download from it.
struct Scene {
    folder: TempDir,
    mosd: Mosd,
    flow: String,
    transfer: Transfer,
    curl: Helper,
    _lab: Lab,
}

/// `mosctl read` while it runs; its output goes to files.
struct Reader {
    child: Child,
    folder: PathBuf,
}

impl Reader {
    fn start(mosd: &Mosd, folder: PathBuf, arguments: &[&str]) -> Self {
        let endpoint = format!("unix://{}", mosd.socket().display());
        let file = |name: &str| fs::File::create(folder.join(name)).expect("a file");
        let child = command(ours("mosctl"), ["--endpoint", &endpoint, "read"])
            .args(arguments)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("mosctl starts");
        Self { child, folder }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap_or_default()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.read("stderr")).into_owned()
    }

    /// Whether its output contains the text.
    fn has_read(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.read("stdout")).contains(text)
    }

    /// Length of a file that it writes.
    fn written(&self, name: &str) -> usize {
        let length = fs::metadata(self.folder.join(name)).map_or(0, |file| file.len());
        usize::try_from(length).expect("a file is small")
    }

    /// Waits for the end; asserts its exit code.
    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        let status = wait(&mut self.child, TRANSFER_MAX);
        assert_eq!(status.and_then(|status| status.code()), Some(code), "{}", self.said());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

impl Scene {
    /// `None`, with a message, if namespaces cannot be created.
    fn new(file_bytes: usize, buffer: &str) -> Option<Self> {
        let lab = Lab::new(WIRE)?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::write(path("file"), noise(file_bytes, 1)).expect("a file");
        let config = format!(
            "[server]\npayload = true\n[limits]\npool = \"64MiB\"\nbuffer_max = \"32MiB\"\n\
             [options]\nclient_buffer = \"{buffer}\"\n\
             [timeouts]\nclosing = \"300s\"\ntime_wait = \"300s\"\n"
        );
        let setup = Setup::default()
            .configured(&config)
            .inside(lab.client())
            .with(&["--port", "net_af_packet0,iface=veth0"]);
        let mosd = Mosd::start(&setup);
        let rpc = Rpc::connect(&mosd);
        let transfer = Transfer::start(&lab, "10.77.0.2", folder.path(), "file", rpc);
        let (got, url) = (path("got"), transfer.url("file"));
        let download = ["--silent", "--fail", "--output", &got, &url];
        let curl = Helper::spawn(lab.client(), "curl", &download);
        let mut flow = None;
        let found = within(SEEN_MAX, || {
            let flows = mosd.flows(&["--port", "8080"]);
            let name = flows.first().and_then(|flow| flow.get("name")).and_then(Value::as_str);
            flow = name.map(str::to_owned);
            flow.is_some()
        });
        assert!(found, "no flow:\n{}", mosd.log());
        let flow = flow.unwrap_or_default();
        Some(Self { folder, mosd, flow, transfer, curl, _lab: lab })
    }

    /// Starts a reader of the whole download.
    fn read(&self, arguments: &[&str]) -> Reader {
        let all = [&self.flow, "--side", "client", "--offset", "0"];
        let arguments = [&all, arguments].concat();
        Reader::start(&self.mosd, self.folder.path().to_owned(), &arguments)
    }

    /// Calls `allow`, which lets the download advance, until the download has ended.
    #[track_caller]
    fn download(&mut self, mut allow: impl FnMut(&Transfer, &str)) {
        let through = within(TRANSFER_MAX, || {
            allow(&self.transfer, &self.flow);
            !self.curl.is_running()
        });
        assert!(through, "the download hangs:\n{}", self.mosd.log());
    }
}

#[test]
fn a_stream_larger_than_its_buffer_is_read_whole_while_it_runs() {
    let Some(mut scene) = Scene::new(6 << 20, "4MiB") else { return };
    let stream = scene.folder.path().join("stream");
    let mut reader = scene.read(&["--fail-on-loss", "-O", stream.to_string_lossy().as_ref()]);
    // The reader keeps up, because the download waits for it and is never further ahead than the
    // buffer holds.
    scene.download(|transfer, _| transfer.allow(reader.written("stream") + AHEAD));
    reader.ends_with(0);
    let sent = scene.transfer.sent();
    assert!(sent.len() > 6 << 20);
    let read = reader.read("stream");
    let differs = read.iter().zip(&sent).position(|(a, b)| a != b);
    assert!(read == sent, "{} of {} bytes, {differs:?}: {}", read.len(), sent.len(), reader.said());
    let said = reader.said();
    assert!(said.contains(&format!("offset {}; ended: fin", sent.len())), "{said}");
    scene.mosd.stop(Signal::INT).in_order();
}

#[test]
fn what_a_small_buffer_could_not_keep_is_told_to_the_byte() {
    let Some(mut scene) = Scene::new(12 << 20, "16KiB") else { return };
    // The reader starts when the beginning is gone, and the download waits for it before the end.
    assert!(within(SEEN_MAX, || scene.transfer.taken(&scene.flow) > AHEAD / 2), "no download");
    let mut reader = scene.read(&["--fail-on-loss", "-o", "jsonl"]);
    scene.download(|transfer, flow| {
        if transfer.taken(flow) < 10 << 20 || reader.has_read("\"data\":{") {
            transfer.follow(flow);
        }
    });
    reader.ends_with(12);
    let sent = scene.transfer.sent();
    let output = String::from_utf8(reader.read("stdout")).expect("JSON is text");
    let (mut next, mut data, mut missing, mut overtaken, mut ends) = (0, 0, 0, 0, 0);
    for line in output.lines() {
        let message: Value = serde_json::from_str(line).expect("one document on each line");
        let at = |pointer: &str| usize::try_from(number(message.pointer(pointer))).expect("count");
        if let Some(piece) = message.pointer("/data/data").and_then(Value::as_str) {
            let piece = STANDARD.decode(piece).expect("bytes are base64");
            assert_eq!(at("/data/offset"), next);
            assert!(sent.get(next..next + piece.len()) == Some(&piece), "wrong bytes at {next}");
            next += piece.len();
            data += piece.len();
        } else if message.get("gap").is_some() {
            assert_eq!(at("/gap/offset"), next);
            overtaken += usize::from(message.pointer("/gap/neverCaptured") == Some(&false.into()));
            next += at("/gap/lengthBytes");
            missing += at("/gap/lengthBytes");
        } else {
            assert_eq!(message.pointer("/end/cause").and_then(Value::as_str), Some("fin"));
            assert_eq!(at("/end/nextOffset"), next);
            ends += 1;
        }
    }
    assert_eq!((data + missing, ends), (sent.len(), 1));
    assert!(data > 0 && overtaken > 0, "{data} bytes read, overtaken {overtaken} times");
    scene.mosd.stop(Signal::INT).in_order();
}

#[test]
fn a_reader_that_is_interrupted_keeps_what_it_has_and_a_stop_of_mosd_is_told() {
    let mosd = Mosd::start(&Setup::demo().configured("[server]\npayload = true\n"));
    let flow = mosd.lasting_flow();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let [mut interrupted, mut stopped] = [&folders[0], &folders[1]].map(|folder| {
        let path = folder.path().to_owned();
        Reader::start(&mosd, path, &[&flow, "--side", "server"])
    });
    let have_bytes =
        || [&interrupted, &stopped].iter().all(|reader| !reader.read("stdout").is_empty());
    assert!(within(SEEN_MAX, have_bytes), "{}{}", interrupted.said(), stopped.said());
    let pid = Pid::from_child(&interrupted.child);
    kill_process(pid, Signal::INT).expect("mosctl can be signalled");
    interrupted.ends_with(130);
    mosd.stop(Signal::INT).in_order();
    stopped.ends_with(6);
    assert!(stopped.said().contains("SERVER_STOPPING"), "{}", stopped.said());
}

//! `mosctl read` beside real TCP of the kernel: a reader that keeps up gets the whole stream of a
//! transfer larger than the buffer, and one that cannot is told of each byte that it missed.

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
use mos_tests::service::{Mosd, Setup, number};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Time for one transfer over a bad wire on a busy machine.
const TRANSFER_MAX: Duration = Duration::from_secs(120);

/// Time for something to be seen.
const SEEN_MAX: Duration = Duration::from_secs(20);

const WIRE: Wire = Wire { loss: 1, reorder: 5, duplicate: 1, corrupt: 0 };

/// Two hosts, a service that watches the client's interface, and a server that notes down what it
/// sends.
struct Scene {
    lab: Lab,
    folder: TempDir,
    mosd: Mosd,
    _server: Helper,
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
    /// `None`, said aloud, where namespaces cannot be made.
    fn new(file_bytes: usize, buffer: &str) -> Option<Self> {
        let lab = Lab::new(WIRE)?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::write(path("file"), noise(file_bytes, 1)).expect("a file");
        let config = format!(
            "[server]\npayload = true\n[limits]\npool = \"64MiB\"\nbuffer_max = \"32MiB\"\n\
             [options]\nclient_buffer = \"{buffer}\"\n"
        );
        let setup = Setup::default()
            .configured(&config)
            .inside(lab.client())
            .with(&["--port", "net_af_packet0,iface=veth0"]);
        let mosd = Mosd::start(&setup);
        let here = folder.path().to_string_lossy().into_owned();
        let arguments = ["10.77.0.2", "8080", &here, &path("file")];
        let server = Helper::start(lab.server(), "http_server.py", &arguments);
        Some(Self { lab, folder, mosd, _server: server })
    }

    /// Starts a download that is slow enough to be read beside it, and a reader of all of it.
    fn start(&self, rate: &str, arguments: &[&str]) -> (Helper, Reader) {
        let got = self.folder.path().join("got");
        let url = "http://10.77.0.2:8080/file";
        let options = ["--silent", "--fail", "--limit-rate", rate, "--output"];
        let got = got.to_string_lossy();
        let curl = [options.as_slice(), &[&got, url]].concat();
        let curl = Helper::spawn(self.lab.client(), "curl", &curl);
        let mut flow = None;
        let found = within(SEEN_MAX, || {
            let flows = self.mosd.flows(&["--port", "8080"]);
            let name = flows.first().and_then(|flow| flow.get("name")).and_then(Value::as_str);
            flow = name.map(str::to_owned);
            flow.is_some()
        });
        assert!(found, "no flow:\n{}", self.mosd.log());
        let flow = flow.unwrap_or_default();
        let all = [&flow, "--side", "client", "--offset", "0"];
        let arguments = [&all, arguments].concat();
        (curl, Reader::start(&self.mosd, self.folder.path().to_owned(), &arguments))
    }

    /// What the server has sent, on the one connection there was.
    fn sent(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("sent")).expect("the server notes down what it sends")
    }
}

#[test]
fn a_stream_larger_than_its_buffer_is_read_whole_while_it_runs() {
    // Slow enough for a reader on a machine that is busy with other tests.
    let Some(scene) = Scene::new(6 << 20, "4MiB") else { return };
    let stream = scene.folder.path().join("stream");
    let (curl, mut reader) =
        scene.start("1M", &["--fail-on-loss", "-O", stream.to_string_lossy().as_ref()]);
    curl.finish(TRANSFER_MAX);
    reader.ends_with(0);
    let sent = scene.sent();
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
    let Some(scene) = Scene::new(12 << 20, "16KiB") else { return };
    let (curl, mut reader) = scene.start("8M", &["--fail-on-loss", "-o", "jsonl"]);
    curl.finish(TRANSFER_MAX);
    reader.ends_with(12);
    let sent = scene.sent();
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

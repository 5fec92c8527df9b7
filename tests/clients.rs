//! Clients that we did not write: each is given only an address, lists the services, lists flows,
//! sets and gets options, and shows an error with decoded details.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mos_tests::program::{self, Finished};
use mos_tests::service::{Mosd, Setup, free_address, number};
use mos_tests::tidy;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Time for one call, which includes the start of Python.
const CALL_MAX: Duration = Duration::from_secs(60);

/// A service on demo traffic with a TCP port, and one of its flows.
struct Scene {
    mosd: Mosd,
    address: String,
    flow: String,
}

impl Scene {
    fn new() -> Self {
        let address = free_address();
        let mosd = Mosd::start(&Setup::demo().with(&["--listen", &address]));
        let flow = mosd.lasting_flow();
        Self { mosd, address, flow }
    }

    fn end(self) {
        self.mosd.stop(Signal::INT).in_order();
    }

    /// A change to `bytes`, as proto3 JSON.
    fn change(&self, bytes: i64) -> String {
        json!({"flow": self.flow, "options": {"clientBufferBytes": bytes.to_string()}}).to_string()
    }

    /// Asserts that a client lists flows, sets an option and gets it; `rpc` calls a method with a
    /// request in JSON.
    #[track_caller]
    fn lists_sets_and_gets(&self, rpc: impl Fn(&str, &str) -> Finished) {
        let list = parse(rpc("ListFlows", r#"{"pageSize": 3}"#));
        assert_eq!(list["flows"].as_array().map(Vec::len), Some(3), "{list}");
        let this_flow = json!({"flow": self.flow}).to_string();
        for (method, data) in [("SetSockOpt", self.change(32768)), ("GetSockOpt", this_flow)] {
            let answer = parse(rpc(method, &data));
            let bytes = number(answer.pointer("/options/clientBufferBytes"));
            assert_eq!(bytes, 32768, "{method}: {answer}");
        }
    }
}

/// A program that `scripts/setup.sh test` has installed in `.cache`.
fn cached(path: &str) -> PathBuf {
    let path = tidy::root().join(".cache").join(path);
    assert!(path.exists(), "{} is missing: scripts/setup.sh test", path.display());
    path
}

#[track_caller]
fn parse(finished: Finished) -> Value {
    let text = finished.succeeded().text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Asserts that an error's text shows the decoded details.
#[track_caller]
fn shows_details(text: &str) {
    for word in ["OPTION_VALUE_INVALID", "EINVAL", "mos.v1", "options.client_buffer_bytes"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

/// Types and text of the details in buf's form of an error, which has the types in words and the
/// messages in base64.
fn decoded(error: &Value) -> Vec<String> {
    let details = error["details"].as_array().expect("an error has details");
    let text = |detail: &Value, key: &str| detail[key].as_str().expect("text").to_owned();
    details
        .iter()
        .map(|detail| {
            let value = STANDARD_NO_PAD.decode(text(detail, "value").trim_end_matches('='));
            let message = value.expect("a message in base64");
            format!("{} {}", text(detail, "type"), String::from_utf8_lossy(&message))
        })
        .collect()
}

#[test]
fn grpcurl() {
    let scene = Scene::new();
    let address = scene.address.clone();
    grpcurl_at(scene, &[], &address);
}

#[test]
fn grpcurl_on_the_socket() {
    let scene = Scene::new();
    let socket = scene.mosd.socket().display().to_string();
    grpcurl_at(scene, &["-unix"], &socket);
}

/// What grpcurl does with these flags and this address.
#[track_caller]
fn grpcurl_at(scene: Scene, flags: &[&str], address: &str) {
    let call = |arguments: &[&str]| {
        let mut command = program::command(cached("venv/bin/grpcurl"), ["-plaintext"]);
        program::run(command.args(flags).args(arguments), CALL_MAX)
    };
    let services = call(&[address, "list"]).succeeded().text();
    for service in [
        "mos.v1.EventService",
        "mos.v1.FlowService",
        "mos.v1.PolicyService",
        "mos.v1.SystemService",
        "grpc.health.v1.Health",
    ] {
        assert!(services.contains(service), "{services}");
    }
    let described = call(&[address, "describe", "mos.v1.FlowService"]).succeeded().text();
    for role in ["ROLE_VIEWER", "ROLE_OPERATOR audited:true", "ROLE_PAYLOAD audited:true"] {
        let option = format!("mos.v1.access) = {{ role:{role} }};");
        assert!(described.contains(&option), "{described}");
    }
    let rpc = |method: &str, data: &str| {
        call(&["-d", data, address, &format!("mos.v1.FlowService/{method}")])
    };
    scene.lists_sets_and_gets(rpc);
    // This client's exit code is 64 and the gRPC code.
    let error = rpc("SetSockOpt", &scene.change(-1));
    assert_eq!(error.code(), Some(64 + 3), "{}", error.stderr);
    assert!(error.stderr.contains("google.rpc.ErrorInfo"), "{}", error.stderr);
    shows_details(&error.stderr);
    let health = call(&[address, "grpc.health.v1.Health/Check"]).succeeded().text();
    assert!(health.contains("SERVING"), "{health}");
    scene.end();
}

#[test]
fn buf_curl() {
    let scene = Scene::new();
    let program = cached("buf/node_modules/.bin/buf");
    let base = format!("http://{}", scene.address);
    let fixed = ["curl", "--protocol", "grpc", "--http2-prior-knowledge"];
    let call = |arguments: &[&str]| {
        program::run(program::command(&program, fixed).args(arguments), CALL_MAX)
    };
    let methods = call(&["--list-methods", &base]).succeeded().text();
    assert!(methods.contains("mos.v1.FlowService/SetSockOpt"), "{methods}");
    let rpc = |method: &str, data: &str| {
        call(&["-d", data, &format!("{base}/mos.v1.FlowService/{method}")])
    };
    scene.lists_sets_and_gets(rpc);
    // This client's exit code is 8 times the gRPC code.
    let error = rpc("SetSockOpt", &scene.change(-1));
    assert_eq!(error.code(), Some(8 * 3), "{}", error.stderr);
    let shown: Value = serde_json::from_str(&error.stderr).expect("an error is JSON");
    shows_details(&decoded(&shown).join("\n"));
    scene.end();
}

#[test]
fn python_grpcio() {
    let scene = Scene::new();
    let address = scene.address.clone();
    python_grpcio_at(scene, &address);
}

#[test]
fn python_grpcio_on_the_socket() {
    let scene = Scene::new();
    let address = format!("unix:{}", scene.mosd.socket().display());
    python_grpcio_at(scene, &address);
}

/// What grpcio does with this address.
#[track_caller]
fn python_grpcio_at(scene: Scene, address: &str) {
    let script = tidy::root().join("tests/clients/reflect.py");
    let mut python = program::command(cached("venv/bin/python"), [script]);
    let result = parse(program::run(python.args([address, &scene.flow]), CALL_MAX));
    let services = result["services"].to_string();
    assert!(services.contains("mos.v1.FlowService"), "{services}");
    assert_eq!(result["list"]["flows"].as_array().map(Vec::len), Some(3), "{result}");
    for call in ["/set", "/get"] {
        let bytes = result.pointer(&format!("{call}/options/clientBufferBytes"));
        assert_eq!(number(bytes), 32768, "{result}");
    }
    assert_eq!(result["error"]["code"], "INVALID_ARGUMENT", "{result}");
    shows_details(&result["error"].to_string());
    scene.end();
}

#[test]
fn each_example_changes_an_option_and_reads_it_back() {
    let scene = Scene::new();
    let example = |name: &str| tidy::root().join("examples").join(name);
    let mut path = cached("venv/bin").into_os_string();
    path.push(":/usr/bin:/bin");
    let mut python = program::command(cached("venv/bin/python"), [example("set_buffer.py")]);
    let mut shell = program::command("sh", [example("set_buffer.sh")]);
    let mut rust = program::command(program::ours("examples/set_buffer"), [""; 0]);
    let commands = [&mut python, shell.env("PATH", path), &mut rust];
    for (command, bytes) in commands.into_iter().zip(["16384", "32768", "65536"]) {
        let said = program::run(command.args([&scene.address, bytes]), CALL_MAX).succeeded().text();
        let [flow, said_bytes] = said.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("not a flow and its bytes: {said:?}");
        };
        assert_eq!(said_bytes, bytes);
        let options = scene.mosd.json(&["getopt", flow]);
        assert_eq!(options["options"]["clientBufferBytes"], bytes, "{options}");
    }
    scene.end();
}

/// An orchestrator that runs, and what it has printed.
struct Orchestrator {
    program: Child,
    folder: TempDir,
}

impl Orchestrator {
    fn start(address: &str, bytes: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let out = File::create(folder.path().join("out")).expect("a file");
        let err = File::create(folder.path().join("err")).expect("a file");
        let example = tidy::root().join("examples/orchestrate.py");
        let mut python = program::command(cached("venv/bin/python"), [example]);
        let python = python.args([address, "22", bytes]).stdout(out).stderr(err);
        Self { program: python.spawn().expect("it starts"), folder }
    }

    fn said(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).expect("what it printed")
    }

    /// The names of the flows that it has changed.
    fn changed(&self) -> Vec<String> {
        self.said("out").lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_orchestrator_changes_flows_as_they_come_and_survives_a_restart_of_mosd() {
    let address = free_address();
    let start = || Mosd::start(&Setup::demo().with(&["--listen", &address]));
    let mosd = start();
    let mut orchestrator = Orchestrator::start(&address, "32768");
    let said = |orchestrator: &Orchestrator| (orchestrator.said("err"), mosd.log());
    assert!(
        program::within(CALL_MAX, || orchestrator.changed().len() > 1),
        "{:?}",
        said(&orchestrator)
    );
    mosd.stop(Signal::KILL);
    let before = orchestrator.changed().len();
    let mosd = start();
    let has_gone_on = || orchestrator.changed().len() > before;
    assert!(program::within(CALL_MAX, has_gone_on), "{}", orchestrator.said("err"));
    // Flows end: one that it has changed and that lives has the option.
    let has_option = || {
        let options = |flow: &String| mosd.mosctl(&["getopt", flow, "-o", "json"]);
        let found = orchestrator.changed()[before..]
            .iter()
            .rev()
            .map(options)
            .find(|found| found.status.success());
        found.is_some_and(|found| found.text().contains("\"clientBufferBytes\": \"32768\""))
    };
    assert!(program::within(CALL_MAX, has_option), "{}", orchestrator.said("out"));
    assert_eq!(orchestrator.program.try_wait().expect("a status"), None, "it goes on");
    program::kill(&mut orchestrator.program);
    mosd.stop(Signal::INT).in_order();
}

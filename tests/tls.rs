//! TLS: who is let in and what others are told, with clients that are not ours; and what becomes of
//! open streams and of calls when certificates, CAs or revocation lists change.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::io::Read as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mos_tests::certs::Certs;
use mos_tests::program::{self, Finished};
use mos_tests::service::{Mosd, Setup, free_address};
use mos_tests::tidy;
use rustix::process::Signal;

/// Within this time an open stream ends when its caller may not go on.
const STREAM_END_MAX: Duration = Duration::from_secs(30);

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The harness, an operator, and a viewer.
const ROLES: &str = "[[grant]]\nroles = [\"admin\"]\nsocket = \"FOLDER/mosd.sock\"\n\
                     [[grant]]\nroles = [\"operator\"]\nuri = \"spiffe://mosd.lab/ops\"\n\
                     [[grant]]\nroles = [\"viewer\"]\nuri = \"spiffe://mosd.lab/view\"\n";

struct Scene {
    mosd: Mosd,
    certs: Certs,
    address: String,
}

impl Scene {
    fn new(callers: &[&str]) -> Self {
        let certs = Certs::new(callers);
        let address = free_address();
        let config = format!("[server]\nroles = \"FOLDER/roles.toml\"\n{}", certs.section());
        let setup = Setup::demo().configured(&config).granting(ROLES);
        let mosd = Mosd::start(&setup.with(&["--listen", &format!("tls://{address}")]));
        Self { mosd, certs, address }
    }

    #[track_caller]
    fn call(&self, caller: Option<&str>, arguments: &[&str]) -> Finished {
        self.certs.call(&self.address, caller, arguments)
    }

    /// Watches events of a type that never comes, once the stream is open.
    #[track_caller]
    fn watch(&self, caller: &str) -> Child {
        let mut command = self.certs.mosctl(&self.address, Some(caller));
        command.args(["events", "--type", "options-changed"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("mosctl starts");
        let mut first = [0; 9];
        child.stderr.as_mut().expect("it is piped").read_exact(&mut first).expect("it says so");
        assert_eq!(&first, b"watching:");
        child
    }

    fn end(self) {
        self.mosd.stop(Signal::INT).in_order();
    }
}

/// Asserts that a stream ends in time, with these words.
#[track_caller]
fn ends(mut stream: Child, code: i32, words: &str) {
    let status = program::wait(&mut stream, STREAM_END_MAX);
    let status = status.expect("the stream ends in time");
    let mut said = String::new();
    stream.stderr.expect("it is piped").read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
}

/// Asserts that a stream is open.
#[track_caller]
fn lasts(stream: &mut Child) {
    assert_eq!(stream.try_wait().expect("it can be waited for"), None);
}

#[track_caller]
fn refused(finished: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(finished.code(), Some(code), "{}", finished.stderr);
    for part in parts {
        assert!(finished.stderr.contains(part), "no {part} in {}", finished.stderr);
    }
}

/// A program that `scripts/setup.sh test` has installed in `.cache`.
fn cached(path: &str) -> PathBuf {
    tidy::root().join(".cache").join(path)
}

#[test]
fn mosctl_is_let_in_by_name_or_told_why_not_with_the_next_step() {
    let scene = Scene::new(&["ops", "view", "nobody"]);
    scene.call(Some("ops"), &["list"]).succeeded();
    let named = scene.address.replace("127.0.0.1", "localhost");
    scene.certs.call(&named, Some("view"), &["status"]).succeeded();
    let whoami = scene.call(Some("ops"), &["whoami"]).succeeded().text();
    for part in ["spiffe://mosd.lab/ops", "by a certificate", "viewer, operator", "expires"] {
        assert!(whoami.contains(part), "{whoami}");
    }
    refused(&scene.call(None, &["list"]), 5, &["CREDENTIALS_MISSING", "--cert"]);
    let whoami = scene.call(None, &["whoami"]).succeeded().text();
    assert!(whoami.contains("by nothing") && whoami.contains("no client certificate"), "{whoami}");
    refused(&scene.call(Some("nobody"), &["list"]), 5, &["ROLE_REQUIRED", "mosctl whoami"]);
    refused(
        &scene.call(Some("view"), &["call", "mos.v1.FlowService/SetSockOpt"]),
        5,
        &["operator"],
    );
    // Of the server itself: as itself it is no client, and its name is not that of nobody.
    refused(&scene.call(Some("server"), &["list"]), 5, &["the server", "next"]);
    scene.certs.issue("late", "1s");
    thread::sleep(Duration::from_secs(2));
    refused(&scene.call(Some("late"), &["list"]), 5, &["has expired", "certs show"]);
    let other = Certs::new(&["ops"]);
    for ending in ["pem", "key"] {
        let from = other.folder().join(format!("ops.{ending}"));
        scene.certs.put(&from, &format!("foreign.{ending}"));
    }
    let foreign = scene.call(Some("foreign"), &["list"]);
    refused(&foreign, 5, &["does not trust the CA", "tls.client_ca"]);
    refused(
        &other.call(&scene.address, Some("ops"), &["list"]),
        6,
        &["not from the CA", "--cacert"],
    );
    let misnamed = scene.call(Some("ops"), &["--server-name", "mos2.example", "list"]);
    refused(&misnamed, 6, &["for another name", "--server-name"]);
    scene.call(Some("ops"), &["--server-name", "mos1.example", "list"]).succeeded();
    scene.end();
}

#[test]
fn grpcurl() {
    let scene = Scene::new(&["ops", "nobody"]);
    let call = |address: &str, caller: Option<&str>| {
        let mut command = program::command(cached("venv/bin/grpcurl"), [""; 0]);
        command.args(["-cacert", &scene.certs.file("ca.pem")]);
        if let Some(caller) = caller {
            command.args(["-cert", &scene.certs.file(&format!("{caller}.pem"))]);
            command.args(["-key", &scene.certs.file(&format!("{caller}.key"))]);
        }
        program::run(command.args([address, "mos.v1.FlowService/ListFlows"]), PATIENCE)
    };
    let named = scene.address.replace("127.0.0.1", "localhost");
    for address in [&scene.address, &named] {
        assert!(call(address, Some("ops")).succeeded().text().contains("flows/"));
    }
    // This client's exit code is 64 and the gRPC code.
    refused(&call(&named, None), 64 + 16, &["Unauthenticated", "no client certificate"]);
    refused(&call(&named, Some("nobody")), 64 + 7, &["PermissionDenied", "viewer"]);
    scene.end();
}

#[test]
fn python_grpcio() {
    let scene = Scene::new(&["ops"]);
    let flow = scene.mosd.lasting_flow();
    let script = tidy::root().join("tests/clients/reflect.py");
    let call = |files: &[&str]| {
        let mut python = program::command(cached("venv/bin/python"), [&script]);
        python.args([&scene.address, &flow]);
        program::run(python.args(files.iter().map(|name| scene.certs.file(name))), PATIENCE)
    };
    let result = call(&["ca.pem", "ops.pem", "ops.key"]).succeeded().text();
    assert!(result.contains("32768"), "{result}");
    let refused = call(&["ca.pem"]);
    assert!(refused.stderr.contains("StatusCode.UNAUTHENTICATED"), "{}", refused.stderr);
    scene.end();
}

#[test]
fn openssl_speaks_tls_1_2_and_1_3_and_never_resumes() {
    let scene = Scene::new(&["ops"]);
    let session = scene.certs.file("session");
    let shake = |flags: &[&str]| {
        let mut command = program::command("openssl", ["s_client", "-connect", &scene.address]);
        command.args(["-CAfile", &scene.certs.file("ca.pem"), "-verify_return_error"]);
        program::run(command.args(flags).stdin(Stdio::null()), PATIENCE)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let shaken = shake(&[version, "-alpn", "h2", "-sess_out", &session]).succeeded().text();
        assert!(shaken.contains("ALPN protocol: h2"), "{shaken}");
        assert!(shaken.contains("New, TLSv1."), "{shaken}");
        // Where there is no session at all, there is none to resume.
        let again = match std::fs::exists(&session) {
            Ok(true) => shake(&[version, "-alpn", "h2", "-sess_in", &session]).text(),
            Ok(false) | Err(_) => continue,
        };
        assert!(again.contains("New, ") && !again.contains("Reused, "), "{again}");
    }
    for refused in [&["-tls1_1"][..], &["-alpn", "http/1.1"]] {
        assert!(!shake(refused).status.success(), "{refused:?}");
    }
    scene.end();
}

#[test]
fn a_stream_ends_when_its_certificate_is_no_longer_good_and_others_go_on() {
    let scene = Scene::new(&["ops", "view"]);
    scene.certs.issue("short", "15s");
    let short = "[[grant]]\nroles = [\"viewer\"]\nuri = \"spiffe://mosd.lab/short\"\n";
    scene.mosd.grant(&format!("{ROLES}{short}"));
    let may = || scene.call(Some("short"), &["list"]).status.success();
    assert!(program::within(PATIENCE, may), "{}", scene.mosd.log());
    let expires = scene.watch("short");
    let revoked = scene.watch("view");
    let mut stays = scene.watch("ops");
    scene.certs.revoke("view");
    ends(revoked, 5, "is revoked");
    refused(&scene.call(Some("view"), &["list"]), 5, &["is revoked"]);
    ends(expires, 5, "has expired");
    lasts(&mut stays);
    // Another CA takes the place of the one that has issued it. The CA goes first: mosd may look
    // between the two, and the old CA with the new list would end the stream for another reason.
    let other = Certs::new(&["ops"]);
    for name in ["ca.pem", "crl.pem"] {
        scene.certs.put(&other.folder().join(name), name);
    }
    ends(stays, 5, "CA that mosd does not trust");
    scene.end();
}

#[test]
fn a_new_certificate_is_used_within_seconds_and_no_call_fails_meanwhile() {
    let scene = Scene::new(&["ops"]);
    let spare = Certs::new(&[]);
    let done = AtomicBool::new(false);
    let mut watching = scene.watch("ops");
    let calls = thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut calls = 0;
            while !done.load(Relaxed) {
                scene.call(Some("ops"), &["list", "--limit", "1"]).succeeded();
                calls += 1;
            }
            calls
        });
        // A certificate before its key: what is used stays, and the status says why.
        let own = ["server.pem", "server.key"].map(|name| {
            let copy = spare.folder().join(format!("own-{name}"));
            std::fs::copy(scene.certs.folder().join(name), &copy).expect("a copy");
            copy
        });
        scene.certs.put(&spare.folder().join("server.pem"), "server.pem");
        let level = || scene.mosd.condition("tls")[0].clone();
        let is_told = || level() == "CONDITION_LEVEL_WARNING";
        let was_told = program::within(PATIENCE, is_told);
        scene.certs.put(&own[0], "server.pem");
        let is_mended = program::within(PATIENCE, || level() == "CONDITION_LEVEL_OK");
        done.store(true, Relaxed);
        let calls = caller.join().expect("no call fails");
        assert!(was_told && is_mended, "{}", scene.mosd.log());
        calls
    });
    assert!(calls > 3, "{calls}");
    lasts(&mut watching);
    program::kill(&mut watching);
    let (log, mistake) = (scene.mosd.log(), "it is not the key of the certificate");
    assert!(log.contains(mistake), "{log}");
    // With its key, the new one is used: it is from another CA.
    for name in ["server.key", "server.pem"] {
        scene.certs.put(&spare.folder().join(name), name);
    }
    let is_new = || scene.call(Some("ops"), &["list"]).stderr.contains("not from the CA");
    assert!(program::within(PATIENCE, is_new), "{}", scene.mosd.log());
    scene.end();
}

#[test]
fn who_connects_and_says_nothing_keeps_nobody_out() {
    let scene = Scene::new(&["ops"]);
    let silent: Vec<_> =
        (0..200).map(|_| TcpStream::connect(&scene.address).expect("a connection")).collect();
    let began = Instant::now();
    scene.call(Some("ops"), &["list"]).succeeded();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        // Closed, with or without a word.
        let _closed: std::io::Result<usize> = stream.read_to_end(&mut Vec::new());
    }
    assert!(began.elapsed() < PATIENCE);
    scene.end();
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_and_by_check_in_the_same_words() {
    let (certs, other) = (Certs::new(&[]), Certs::new(&[]));
    let section = certs.section();
    let file = |name: &str, text: &str, mode: &str| {
        let path = certs.file(name);
        std::fs::write(&path, text).expect("a file");
        assert!(Command::new("chmod").args([mode, &path]).status().expect("chmod").success());
        path
    };
    let key = std::fs::read_to_string(certs.file("server.key")).expect("a key");
    let (open, empty) = (file("open.key", &key, "644"), file("empty", "", "600"));
    for (name, instead, words) in [
        ("server.key", &open, "others may read this key (mode 0644)"),
        ("server.key", &other.file("server.key"), "it is not the key of the certificate"),
        ("server.key", &empty, "no private key"),
        ("server.key", &certs.file("none"), "cannot read"),
        ("server.pem", &empty, "there is no certificate in it"),
        ("ca.pem", &empty, "there is no certificate in it"),
        ("crl.pem", &certs.file("ca.pem"), "there is no revocation list in it"),
    ] {
        let config = section.replace(&certs.file(name), instead);

        let config = format!("[server]\nlisten = [\"tls://127.0.0.1:0\"]\n{config}");
        let path = certs.file("mosd.test.toml");
        std::fs::write(&path, &config).expect("a configuration");
        let mut mosd = program::command(program::ours("mosd"), ["check", "--config", &path]);
        let check = program::run(&mut mosd, PATIENCE);
        refused(&check, 2, &[words, instead]);
        let mut mosd = program::command(program::ours("mosd"), ["run", "--config", &path]);
        let run = program::run(&mut mosd, PATIENCE);
        assert_eq!((run.code(), &run.stderr), (Some(2), &check.stderr));
    }
}

#[test]
fn plain_text_beyond_this_machine_shows_in_the_status() {
    let setup = Setup::demo().with(&["--listen", "0.0.0.0:0", "--insecure"]);
    let mosd = Mosd::start(&setup);
    let [level, message, next] = mosd.condition("plain-text");
    assert_eq!(level, "CONDITION_LEVEL_WARNING");
    assert!(message.contains("0.0.0.0:0 in plain text") && next.contains("tls://"), "{message}");
    mosd.stop(Signal::INT).in_order();
}

//! The audit of a running mosd: what is done is in its file before it is answered, whatever happens
//! to the process and to the disk; and what mosctl makes of the file.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use mos_proto::v1::set_sock_opt_request::Change;
use mos_proto::v1::{FlowOptions, SetSockOptRequest};
use mos_tests::certs::Certs;
use mos_tests::program;
use mos_tests::rpc::Rpc;
use mos_tests::service::{Mosd, Setup, free_address};
use rustix::process::Signal;
use serde_json::Value;

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "[audit]\npath = \"FOLDER/audit.jsonl\"\n";

/// All entries of a file.
#[track_caller]
fn entries(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file of the audit");
    // The last line may be on its way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn count(entries: &[Value], wanted: &[(&str, &str)]) -> usize {
    let fits = |entry: &&Value| wanted.iter().all(|(key, value)| entry[*key] == *value);
    entries.iter().filter(fits).count()
}

#[track_caller]
fn verified(path: &Path) {
    let folder = path.parent().expect("it is in a folder");
    let files = fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path());
    let name = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "jsonl");
    let mut command = program::command(program::ours("mosctl"), ["audit", "verify"]);
    program::run(command.args(files.filter(name)), PATIENCE).succeeded();
}

#[test]
fn every_method_that_is_to_be_audited_is_and_no_other() {
    let config = format!("[server]\npayload = true\n{CONFIG}");
    let mosd = Mosd::start(&Setup::demo().configured(&config));
    for method in mos_proto::METHODS {
        // Most of these are refused, which is entered as well.
        let name = method.path.trim_start_matches('/');
        let finished = mosd.mosctl(&["--timeout", "1s", "call", name]);
        assert!(finished.code().is_some(), "{finished:?}");
    }
    let path = mosd.folder().join("audit.jsonl");
    let entries = entries(&path);
    for method in mos_proto::METHODS {
        let name = method.path.trim_start_matches('/');
        let expected = usize::from(method.is_audited);
        for event in ["intent", "result"] {
            let found = count(&entries, &[("method", name), ("event", event)]);
            assert_eq!(found, expected, "{event} of {name}: {entries:?}");
        }
    }
    let uid = format!("uid {}", rustix::process::geteuid().as_raw());
    let grant = Value::from(vec!["built in"; 2]);
    let intent = entries.iter().find(|entry| entry["event"] == "intent").expect("an intent");
    assert_eq!((&intent["principal"], &intent["proof"]), (&uid.into(), &"socket".into()));
    assert!(intent["grants"] == grant || !program::is_root(), "{intent}");
    assert_eq!(intent["peer"], mosd.socket().display().to_string());
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn what_was_changed_can_be_put_back_by_a_command_that_is_pasted() {
    let mosd = Mosd::start(&Setup::demo().configured(CONFIG));
    let flow = mosd.lasting_flow();
    let buffer = || {
        let options = mosd.json(&["getopt", &flow]);
        options["options"]["clientBufferBytes"].as_str().expect("a number").to_owned()
    };
    let before = buffer();
    mosd.mosctl(&["setopt", "--flow", &flow, "--clibuf", "64KiB"]).succeeded();
    assert_eq!(buffer(), "65536");
    let shown = mosd.mosctl(&["audit", "--since", "1h"]).succeeded().text();
    let (_, command) = shown.split_once("undo: mosctl ").expect("a command");
    let command: Vec<&str> = command.lines().next().unwrap_or_default().split(' ').collect();
    mosd.mosctl(&command).succeeded();
    assert_eq!(buffer(), before);
    // Policies, too.
    mosd.mosctl(&["policy", "create", "web", "--match", "server.port = 80", "--clibuf", "4096"])
        .succeeded();
    let shown = mosd.mosctl(&["audit", "--method", "CreatePolicy"]).succeeded().text();
    assert!(shown.contains("undo: mosctl policy rollback 0"), "{shown}");
    assert!(shown.contains("added=[\"web\"]"), "{shown}");
    // Of many flows: the filter and the counts.
    mosd.mosctl(&["setopt", "--selector", "server.port = 22", "--svrbuf", "8192", "--yes"])
        .succeeded();
    let many = mosd.mosctl(&["audit", "--method", "ApplySockOpt"]).succeeded().text();
    assert!(many.contains("server.port = 22") && many.contains("matched="), "{many}");
    mosd.mosctl(&["audit", "--principal", "uid 4242"]).succeeded();
    let path = mosd.folder().join("audit.jsonl");
    verified(&path);
    mosd.signal(Signal::HUP);
    let is_entered = || count(&entries(&path), &[("event", "reload")]) > 0;
    assert!(program::within(PATIENCE, is_entered), "{}", mosd.log());
    let text = fs::read_to_string(&path).expect("the file");
    let start = entries(&path).into_iter().next().expect("an entry");
    assert_eq!(start["event"], "start");
    assert!(text.contains("\"target\":\"configuration\""), "{text}");
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn the_end_of_mosd_and_of_a_stream_of_payload_are_entered() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let path = elsewhere.path().join("audit.jsonl");
    let config = format!("[server]\npayload = true\n[audit]\npath = \"{}\"\n", path.display());
    let mosd = Mosd::start(&Setup::demo().configured(&config));
    let flow = mosd.lasting_flow();
    let read = ["read", &flow, "--side", "server", "--max-bytes", "10"];
    let read = mosd.mosctl(&[&["--timeout", "60s"], &read[..]].concat()).succeeded();
    let is_entered = || count(&entries(&path), &[("event", "stream-end")]) == 1;
    assert!(program::within(PATIENCE, is_entered), "{}", mosd.log());
    let all = entries(&path);
    let end = all.iter().find(|entry| entry["event"] == "stream-end").expect("it is there");
    assert_eq!(end["details"]["bytes"], read.stdout.len());
    assert_eq!(end["details"]["cause"], "max-bytes");
    assert_eq!(end["target"], flow);
    let text = fs::read_to_string(&path).expect("the file");
    let payload = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(!text.contains(&payload), "no payload is entered");
    mosd.stop(Signal::INT).in_order();
    assert_eq!(entries(&path).last().expect("an entry")["event"], "stop");
}

/// Sets a buffer by requests with ids of their own, until mosd is gone. Returns the ids of what was
/// acknowledged.
fn change_until_it_is_gone(mut rpc: Rpc, flow: &str, thread: u64) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 1.. {
        let request_id = format!("{thread:08x}-0000-4000-8000-{number:012x}");
        let bytes = Some(8192 + 2048 * (number % 16));
        let options = FlowOptions { client_buffer_bytes: bytes, ..FlowOptions::default() };
        let request = SetSockOptRequest {
            flow: flow.to_owned(),
            change: Some(Change::Options(options)),
            request_id: request_id.clone(),
            ..SetSockOptRequest::default()
        };
        match rpc.set(request) {
            Ok(_) => acknowledged.push(request_id),
            Err(refused) if refused.reason.is_empty() => break,
            Err(refused) => panic!("{refused:?}"),
        }
    }
    acknowledged
}

#[test]
fn a_mosd_that_is_killed_leaves_a_whole_chain_and_nothing_acknowledged_without_its_entry() {
    const CALLERS: u64 = 4;
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let path = elsewhere.path().join("audit.jsonl");
    let config = format!("[audit]\npath = \"{}\"\n", path.display());
    for round in 0..5 {
        let mosd = Mosd::start(&Setup::demo().configured(&config));
        let flow = mosd.lasting_flow();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (rpc, flow) = (Rpc::connect(&mosd), flow.clone());
                let thread = round * CALLERS + caller;
                thread::spawn(move || change_until_it_is_gone(rpc, &flow, thread))
            })
            .collect();
        let results = || count(&entries(&path), &[("event", "result")]);
        let before = results();
        let is_under_way = || results() > before + 20 * (1 + usize::try_from(round).unwrap_or(0));
        assert!(program::within(PATIENCE, is_under_way), "{}", mosd.log());
        mosd.signal(Signal::KILL);
        let acknowledged = callers.into_iter().flat_map(|caller| caller.join().expect("it ends"));
        let acknowledged: BTreeSet<String> = acknowledged.collect();
        assert!(!acknowledged.is_empty());
        verified(&path);
        let all = entries(&path);
        let entered: BTreeSet<&str> = all
            .iter()
            .filter(|entry| entry["event"] == "result" && entry["code"] == 0)
            .filter_map(|entry| entry["request_id"].as_str())
            .collect();
        let missing: Vec<_> =
            acknowledged.iter().filter(|id| !entered.contains(id.as_str())).collect();
        assert!(missing.is_empty(), "acknowledged, and not entered: {missing:?}");
    }
    let starts = count(&entries(&path), &[("event", "start")]);
    assert_eq!(starts, 5);
}

/// Fills a disk until nothing more goes to it.
fn fill(folder: &Path) {
    let mut file = File::create(folder.join("filler")).expect("a file");
    while file.write_all(&[0; 512]).is_ok() {}
}

#[test]
fn while_the_disk_is_full_changes_are_refused_and_reads_go_on() {
    if !program::is_root() {
        return program::skip("a disk is mounted by root");
    }
    let disk = tempfile::tempdir().expect("a temporary folder");
    let mount = |arguments: &[&str]| {
        let mut command = program::command("mount", arguments);
        program::run(command.arg(disk.path()), PATIENCE).succeeded();
    };
    mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]);
    let _unmounted = Unmount(disk.path());
    let path = disk.path().join("audit.jsonl");
    let config = format!("[audit]\npath = \"{}\"\n", path.display());
    let mosd = Mosd::start(&Setup::demo().configured(&config));
    let flow = mosd.lasting_flow();
    let set = |size: &str| mosd.mosctl(&["setopt", "--flow", &flow, "--clibuf", size]);
    set("16KiB").succeeded();
    fill(disk.path());
    let mut refused = None;
    let is_refused = || {
        let finished = refused.insert(set("32KiB"));
        finished.code() != Some(0)
    };
    assert!(program::within(PATIENCE, is_refused), "{}", mosd.log());
    let refused = refused.expect("it was called");
    assert_eq!(refused.code(), Some(8), "{}", refused.stderr);
    for part in ["AUDIT_UNAVAILABLE", "No space left", "mosctl status"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    mosd.mosctl(&["list"]).succeeded();
    let [level, message, next] = mosd.condition("audit");
    assert_eq!(level, "CONDITION_LEVEL_CRITICAL");
    assert!(message.contains("are refused") && next.contains("[audit]"), "{message} {next}");
    let held = mosd.json(&["getopt", &flow])["options"]["clientBufferBytes"].clone();
    fs::remove_file(disk.path().join("filler")).expect("the filler");
    // It is tried again without a call.
    let is_well = || mosd.condition("audit")[0] == "CONDITION_LEVEL_OK";
    assert!(program::within(PATIENCE, is_well), "{}", mosd.log());
    let now = mosd.json(&["getopt", &flow])["options"]["clientBufferBytes"].clone();
    assert_eq!(now, held, "what was refused was not done");
    set("64KiB").succeeded();
    verified(&path);
    assert_eq!(count(&entries(&path), &[("event", "failed")]), 1);
    mosd.stop(Signal::INT).in_order();
}

/// Takes a disk away at the end of a test.
struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _gone_or_busy = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn denied_calls_are_entered_at_a_rate_and_sign_ins_and_refused_certificates_too() {
    let (certs, address) = (Certs::new(&["view", "gone"]), free_address());
    certs.revoke("gone");
    let roles = "[[grant]]\nroles = [\"admin\"]\nsocket = \"FOLDER/mosd.sock\"\n\
                 [[grant]]\nroles = [\"viewer\"]\nuri = \"spiffe://mosd.lab/view\"\n";
    let roles_file = "[server]\nroles = \"FOLDER/roles.toml\"\n";
    let config = format!("{roles_file}{CONFIG}{}", certs.section());
    let setup = Setup::demo().configured(&config).granting(roles);
    let mosd = Mosd::start(&setup.with(&["--listen", &format!("tls://{address}")]));
    let path = mosd.folder().join("audit.jsonl");
    certs.call(&address, Some("view"), &["list"]).succeeded();
    let signed = [("event", "sign-in"), ("principal", "spiffe://mosd.lab/view")];
    assert!(program::within(PATIENCE, || count(&entries(&path), &signed) == 1));
    let set = ["call", "mos.v1.FlowService/SetSockOpt"];
    assert_eq!(certs.call(&address, Some("view"), &set).code(), Some(5));
    let denied = [
        ("event", "denied"),
        ("principal", "spiffe://mosd.lab/view"),
        ("proof", "certificate"),
        ("method", "mos.v1.FlowService/SetSockOpt"),
        ("reason", "ROLE_REQUIRED"),
        ("peer", "127.0.0.1"),
    ];
    assert!(program::within(PATIENCE, || count(&entries(&path), &denied) == 1), "{}", mosd.log());
    assert_eq!(count(&entries(&path), &[("event", "intent")]), 0, "it was not even begun");
    assert_eq!(certs.call(&address, Some("gone"), &["list"]).code(), Some(5));
    let refused = [("event", "handshake"), ("reason", "cert_revoked")];
    assert!(program::within(PATIENCE, || count(&entries(&path), &refused) == 1), "{}", mosd.log());
    // The roles change, which is entered with the digest of the file.
    mosd.grant(&format!("{roles}# another line\n[[grant]]\nroles = [\"viewer\"]\nuid = 7\n"));
    let file = mosd.folder().join("roles.toml").display().to_string();
    let reloaded = [("event", "reload"), ("target", file.as_str())];
    let is_entered = || count(&entries(&path), &reloaded) > 0;
    assert!(program::within(PATIENCE, is_entered), "{}", mosd.log());
    let text = fs::read_to_string(&path).expect("the file");
    for secret in ["BEGIN", "PRIVATE"] {
        assert!(!text.contains(secret), "no key is entered");
    }
    mosd.stop(Signal::INT).in_order();
}

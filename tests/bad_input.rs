//! Starts that cannot succeed: each prints the reason in one clear line, ends with the right exit
//! code and leaves no files.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::net::TcpListener;
use std::time::Duration;

use mos_tests::program::{self, Finished};
use mos_tests::service::{Failed, Mosd, Setup};
use rustix::process::Signal;

/// The exit code if the user is at fault.
const USER: i32 = 2;

/// A command that ends by itself and takes longer hangs.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// Asserts exit code, no socket, and one line of error that contains each of `words`.
#[track_caller]
fn check(failed: &Failed, code: i32, words: &[&str]) {
    let stderr = &failed.finished.stderr;
    assert_eq!(failed.finished.code(), Some(code), "{stderr}");
    assert!(!failed.socket_left, "a socket was left behind: {stderr}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one line of error, please:\n{stderr}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} is not in {:?}", errors[0]);
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn pcap_header(link_type: u32) -> Vec<u8> {
    let mut bytes = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(4_u16.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(65535_u32.to_le_bytes());
    bytes.extend(link_type.to_le_bytes());
    bytes
}

#[test]
fn a_configuration_that_is_no_toml() {
    let failed = Mosd::fail(&Setup::demo().configured("[server\npayload = true\n"));
    check(&failed, USER, &["mosd.toml", "line 1"]);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let failed = Mosd::fail(&Setup::demo().configured("[server]\npayload = true\npalyoad = 1\n"));
    check(&failed, USER, &["palyoad", "line 3"]);
}

#[test]
fn a_value_out_of_range_is_named() {
    let failed = Mosd::fail(&Setup::demo().configured("[dataplane]\nworkers = 100000\n"));
    check(&failed, USER, &["workers"]);
}

#[test]
fn more_memory_than_there_is_is_not_populated() {
    let limits = "[limits]\nflows_max = 16777216\npool = \"4TiB\"\npopulate = true\n";
    let failed = Mosd::fail(&Setup::demo().configured(limits));
    check(&failed, USER, &["limits.populate", "available", "limits.pool"]);
}

#[test]
fn a_configuration_that_is_not_there() {
    let failed = Mosd::fail(&Setup::demo().with(&["--config", "nowhere.toml"]));
    check(&failed, USER, &["nowhere.toml"]);
}

#[test]
fn check_explains_what_is_wrong_and_starts_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "[limits]\nflows_max = 0\n").expect("a file");
    let path = path.to_string_lossy();
    let mut command = program::command(program::ours("mosd"), ["check", "--config", &path]);
    let finished = program::run(&mut command, COMMAND_MAX);
    assert_eq!(finished.code(), Some(USER), "{}", finished.stderr);
    assert!(finished.stderr.contains("flows_max"), "{}", finished.stderr);
}

#[test]
fn check_refuses_what_run_refuses_with_the_same_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mosd.toml");
    let socket = format!("unix://{}", folder.path().join("mosd.sock").display());
    let long = format!("unix:///tmp/{}", "x".repeat(200));
    let listen = |addresses: &str| format!("[server]\nlisten = [{addresses}]\n");
    let both = "\"127.0.0.1:21651\"";
    for text in [
        listen(""),
        listen("\"0.0.0.0:21650\""),
        listen(&format!("{both}, {both}")),
        listen(&format!("\"{long}\"")),
        listen(both) + "[metrics]\nlisten = \"127.0.0.1:21651\"\n",
        "[dataplane]\nworkers = 2\ncpus = [1]\n".to_owned(),
        "[dataplane]\nworkers = 2\ncpus = [1, 1]\n".to_owned(),
        "[dataplane]\ncpus = [9999]\n".to_owned(),
        "[limits]\npool = \"999999TiB\"\n".to_owned(),
        "[limits]\npool = 0\n".to_owned(),
        "[limits]\nbuffer_max = \"128MiB\"\npool = \"64MiB\"\n".to_owned(),
        "[limits]\nflows_max = 10\nhalf_open_max = 100\n".to_owned(),
        "[timeouts]\nidle = \"0s\"\n".to_owned(),
        "[log]\nlevel = \"loud\"\n".to_owned(),
        "ports = [\"capture:/nowhere.pcap\"]\n".to_owned(),
        "ports = [\"af_packet:nowhere0\"]\n".to_owned(),
        "ports = [\"demo\", \"x.pcap\"]\n".to_owned(),
    ] {
        let demo = if text.contains("ports = ") { "" } else { "ports = [\"demo\"]\n" };
        std::fs::write(&path, format!("{demo}{text}")).expect("a file");
        let own = if text.contains("listen = ") { &[][..] } else { &["--listen", &socket] };
        let [check, run] = [("check", &[][..]), ("run", own)].map(|(command, more)| {
            let mut mosd = program::command(program::ours("mosd"), [command, "--config"]);
            program::run(mosd.arg(&path).args(more), COMMAND_MAX)
        });
        let error = |ended: &Finished| {
            assert_eq!(ended.code(), Some(USER), "{text}{}", ended.stderr);
            let line = ended.stderr.lines().find(|line| line.starts_with("error: "));
            line.expect("an error").to_owned()
        };
        assert_eq!(error(&check), error(&run), "{text}");
    }
}

#[test]
fn a_configuration_without_an_end_is_refused() {
    for command in ["check", "run"] {
        let arguments = [command, "--config", "/dev/zero"];
        let finished =
            program::run(&mut program::command(program::ours("mosd"), arguments), COMMAND_MAX);
        assert_eq!(finished.code(), Some(USER), "{}", finished.stderr);
        assert!(finished.stderr.contains("not a regular file"), "{}", finished.stderr);
    }
}

#[test]
fn a_capture_that_is_not_there() {
    let failed = Mosd::fail(&Setup::default().with(&["--port", "capture:nowhere.pcap"]));
    check(&failed, USER, &["nowhere.pcap"]);
    let mut replay = program::command(program::ours("mosd"), ["replay", "nowhere.pcap"]);
    let finished = program::run(&mut replay, COMMAND_MAX);
    assert_eq!(finished.code(), Some(USER), "{}", finished.stderr);
    assert!(finished.stderr.contains("nowhere.pcap"), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

#[test]
fn a_capture_that_is_none_or_is_cut_off() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cut = pcap_header(1);
    // A record's header that announces more bytes than the file has.
    cut.extend([0; 8]);
    cut.extend(60_u32.to_le_bytes());
    cut.extend(60_u32.to_le_bytes());
    cut.extend([0; 10]);
    let cases: [(&str, &[u8], i32); 4] = [
        ("empty.pcap", &[], USER),
        ("text.pcap", b"this is no capture, just some text of sufficient length\n", USER),
        ("bluetooth.pcap", &pcap_header(201), USER),
        ("cut.pcap", &cut, 1),
    ];
    for (name, bytes, code) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let path = path.to_string_lossy();
        let mut replay = program::command(program::ours("mosd"), ["replay", &path]);
        let finished = program::run(&mut replay, COMMAND_MAX);
        assert_eq!(finished.code(), Some(code), "{name}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(name), "{name}: {}", finished.stderr);
    }
}

#[test]
fn a_device_that_no_driver_knows() {
    let failed = Mosd::fail(&Setup::default().with(&["--port", "net_nothing0"]));
    check(&failed, USER, &["net_nothing0"]);
}

#[test]
fn an_interface_that_is_not_there() {
    if !program::is_root() {
        return program::skip("net_af_packet needs root");
    }
    let port = "net_af_packet0,iface=nowhere0";
    check(&Mosd::fail(&Setup::default().with(&["--port", port])), USER, &["nowhere0"]);
}

#[test]
fn a_port_that_cannot_be_read() {
    let failed = Mosd::fail(&Setup::default().with(&["--port", "what is this"]));
    check(&failed, USER, &["what is this"]);
}

#[test]
fn a_listener_whose_port_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    check(&Mosd::fail(&Setup::demo().with(&["--listen", &address])), USER, &[&address, "in use"]);
}

#[test]
fn plain_text_beyond_the_loopback_needs_consent() {
    let failed = Mosd::fail(&Setup::demo().with(&["--listen", "0.0.0.0:0"]));
    check(&failed, USER, &["0.0.0.0:0", "--insecure"]);
}

#[test]
fn a_socket_that_somebody_answers_on_is_left_alone() {
    let mosd = Mosd::start(&Setup::demo());
    let address = format!("unix://{}", mosd.socket().display());
    let failed = Mosd::fail(&Setup::demo().with(&["--listen", &address]));
    check(&failed, USER, &["in use"]);
    mosd.mosctl(&["info"]).succeeded();
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn hugepages_that_are_asked_for_and_not_there() {
    let free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    if std::fs::read_to_string(free).is_ok_and(|count| count.trim() != "0") {
        return program::skip("this machine has free hugepages");
    }
    let failed = Mosd::fail(&Setup::demo().configured("[dataplane]\nhugepages = \"on\"\n"));
    check(&failed, USER, &["hugepages"]);
}

#[test]
fn an_interface_that_needs_permission() {
    if !program::is_root() {
        return program::skip("giving up root needs root");
    }
    // The user `nobody` must be able to enter the folder and to run the program, so that the start
    // fails for no other reason than the port.
    let folder = tempfile::Builder::new().prefix("mosd").tempdir_in("/tmp").expect("a folder");
    let mosd = folder.path().join("mosd");
    std::fs::copy(program::ours("mosd"), &mosd).expect("a copy of mosd");
    for path in [folder.path(), mosd.as_path()] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(path, open).expect("permissions");
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let socket = folder.path().join("mosd.sock");
    let listen = format!("unix://{}", socket.display());
    let run = ["run", "--listen", &listen, "--port", "net_af_packet0,iface=lo"];
    let mut command = program::command("setpriv", nobody);
    let finished = program::run(command.arg(&mosd).args(run), COMMAND_MAX);
    let failed = Failed { socket_left: socket.exists(), finished };
    check(&failed, USER, &["lo", "permi"]);
}

#[test]
fn metrics_beyond_loopback_need_consent_as_the_api_does() {
    let failed = Mosd::fail(&Setup::demo().with(&["--metrics", "0.0.0.0:0"]));
    check(&failed, USER, &["0.0.0.0:0", "--insecure"]);
}

//! Tests of the configuration file, and of the sample that documents it.

use std::{collections::BTreeSet, io::Write as _};

use mos_stack::{OverlapPolicy, Sides, SockOptName};

use super::*;

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosd.toml");
    fs::read_to_string(path).unwrap()
}

fn read(text: &str) -> Result<ConfigFile, ConfigError> {
    let mut file = tempfile::Builder::new().suffix("mosd.toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    ConfigFile::read(file.path())
}

#[track_caller]
fn mistake(text: &str, wanted_line: usize, part: &str) {
    match read(text) {
        Err(ConfigError::Mistake { line, message, .. }) => {
            assert_eq!(line, wanted_line, "{message}");
            assert!(message.contains(part), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

/// The keys that serde would take where it met an unknown one.
fn keys(section: &str) -> BTreeSet<String> {
    let text = format!("{section}\nno_such_key = 1\n");
    let error = toml::from_str::<Config>(&text).unwrap_err().message().to_owned();
    let (_, expected) = error.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_sample_says_the_built_in_defaults() {
    assert_eq!(toml::from_str::<Config>(&sample()).unwrap(), Config::default());
}

#[test]
fn every_key_stands_in_the_sample() {
    let sample = sample();
    let sections = keys("");
    assert!(sections.contains("ports") && sections.contains("timeouts"), "{sections:?}");
    for section in sections.iter().filter(|section| *section != "ports") {
        let header = format!("[{section}]");
        let (_, rest) = sample.split_once(&header).unwrap_or_else(|| panic!("no {header}"));
        let body = rest.split("\n[").next().unwrap();
        for key in keys(&header) {
            let stands = body
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(stands, "{key} does not stand in {header}");
        }
    }
    assert!(sample.contains("\nports = ["));
}

#[test]
fn mistakes_are_told_with_their_line() {
    mistake("[server\npayload = true\n", 1, "");
    mistake("[server]\npayload = true\npalyoad = 1\n", 3, "palyoad");
    mistake("\n[dataplane]\nworkers = 100000\n", 3, "workers = 100000 is not in 1 to 512");
    mistake("[limits]\nflows_max = 0\n", 2, "flows_max = 0");
    mistake("[limits]\npool = \"64k\"\n", 2, "64KiB");
    mistake("[limits]\nbuffer_max = \"1GiB\"\n", 2, "256MiB");
    mistake("[timeouts]\nidle = 10\n", 2, "string");
    mistake("[timeouts]\nidle = \"10\"\n", 2, "span of time");
    mistake("[server]\nlisten = [\"localhost\"]\n", 2, "address to listen on");
    mistake("[metrics]\nlisten = \"x\"\n", 2, "socket address");
    mistake("[options]\nlocked = [\"stop\"]\n", 2, "stop_monitoring");
    mistake("[dataplane]\nidle = \"lazy\"\n", 2, "adaptive");
    for key in ["half_open", "idle", "closing", "fragments", "time_wait"] {
        mistake(&format!("[timeouts]\n{key} = \"0s\"\n"), 2, "0s leaves no time");
    }
    mistake("[server]\nshutdown_timeout = \"0s\"\n", 2, "0s leaves no time");
    for level in ["loud", "", "info,loud", "mosd"] {
        mistake(&format!("[log]\nlevel = \"{level}\"\n"), 2, "TARGET=LEVEL");
    }
    for level in ["off", "WARN", "info,mosd::service=debug", "[request]=debug, error"] {
        assert_eq!(read(&format!("[log]\nlevel = \"{level}\"")).unwrap().config.log.level, level);
    }
}

#[test]
fn a_file_without_an_end_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.toml");
    fs::write(&large, " ".repeat(1024 * 1024 + 1)).unwrap();
    for (path, part) in [
        (Path::new("/dev/zero"), "not a regular file"),
        (folder.path(), "not a regular file"),
        (&large, "larger than 1MiB"),
    ] {
        let error = ConfigFile::read(path).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn bounds_that_contradict_each_other_are_told_with_both() {
    for (text, parts) in [
        ("flows_max = 10\nhalf_open_max = 11", ["half_open_max = 11", "flows_max = 10"]),
        ("pool = \"8MiB\"", ["buffer_max = 16MiB", "pool = 8MiB"]),
        ("pool = \"999999TiB\"", ["pool = 999999TiB", "7.9 TiB"]),
        ("pool = 0\nbuffer_max = 0", ["pool = 0", "2KiB"]),
    ] {
        let config = read(&format!("[limits]\n{text}\n")).unwrap().config;
        let error = config.limits().unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = ConfigFile::read(Path::new("nowhere.toml")).unwrap_err().to_string();
    assert!(error.contains("nowhere.toml"), "{error}");
}

#[test]
fn limits_are_those_of_the_stack_by_default_and_as_configured_otherwise() {
    assert_eq!(Config::default().limits().unwrap(), Limits::default());
    let text = "[options]\nclient_buffer = 5000\nserver_overlap = \"last\"\n\
                locked = [\"client_buffer\", \"server_buffer_bytes\"]\n\
                [timeouts]\ntime_wait = \"1m\"\n";
    let limits = read(text).unwrap().config.limits().unwrap();
    assert_eq!(limits.defaults.buffer_bytes, Sides { client: 6144, server: 8192 });
    assert_eq!(limits.defaults.overlap.server, OverlapPolicy::Last);
    assert_eq!(limits.timeouts.time_wait.as_secs(), 60);
    let locked: Vec<_> =
        SockOptName::ALL.into_iter().filter(|name| limits.locked.contains(*name)).collect();
    assert_eq!(locked, SockOptName::ALL[..2]);
}

#[test]
fn a_default_above_the_maximum_is_a_contradiction() {
    let config = read("[limits]\nbuffer_max = \"4KiB\"\n").unwrap().config;
    let error = config.limits().unwrap_err().to_string();
    assert!(error.contains("client_buffer") && error.contains("buffer_max"), "{error}");
}

//! Replays of demo traffic, judged by what is printed and by the exit code.

use std::{collections::BTreeMap, path::Path};

use clap::Parser;
use mos_dataplane::traffic::Conversations;
use mos_stack::{Stat, Stats};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ReplayArgs,
}

#[derive(Debug)]
struct Printed {
    code: u8,
    out: String,
    err: String,
}

impl Printed {
    fn records(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Replays a file with further arguments.
fn mosd_replay(file: &str, words: &[&str]) -> Printed {
    let line = ["replay", file].into_iter().chain(words.iter().copied());
    let args = Line::try_parse_from(line).unwrap().args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = replay(&args, &Interrupt::default(), &mut out, &mut err).unwrap();
    let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
    Printed { code, out, err }
}

/// A capture of demo traffic: 1 ms between two frames.
fn capture(frames: u32) -> NamedTempFile {
    changed_capture(frames, |_| {})
}

/// The same by a tool that changes frames: one that cuts them does not say how long they were.
fn changed_capture(frames: u32, change: impl FnMut(&mut Vec<u8>)) -> NamedTempFile {
    timed_capture(frames, change, |millis| millis)
}

/// The same with a clock that shows these milliseconds when so many have passed.
fn timed_capture(
    frames: u32,
    mut change: impl FnMut(&mut Vec<u8>),
    clock: impl Fn(u32) -> u32,
) -> NamedTempFile {
    let mut conversations = Conversations::new(30, 5);
    let mut file = NamedTempFile::new().unwrap();
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    file.write_all(&words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1])).unwrap();
    let mut frame = Vec::new();
    for millis in 0..frames {
        conversations.next_frame(&mut frame);
        change(&mut frame);
        let length = u32::try_from(frame.len()).unwrap();
        let millis = clock(millis);
        let (seconds, micros) = (1_700_000_000 + millis / 1000, millis % 1000 * 1000);
        file.write_all(&words(&[seconds, micros, length, length])).unwrap();
        file.write_all(&frame).unwrap();
    }
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn one_record_for_each_flow_in_the_order_of_first_packets() {
    let file = capture(20_000);
    let printed = mosd_replay(path(&file), &[]);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let records = printed.records();
    assert!(records.len() > 40);
    assert!(records.is_sorted_by_key(|record| record["start_ns"].as_str().map(str::to_owned)));
    let packets = |direction: &str| {
        records.iter().map(|record| record[direction]["packets"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(packets("c2s") + packets("s2c"), 20_000);
    let closed = records.iter().find(|record| record["end_cause"] == "fin").unwrap();
    assert_eq!(closed["s2c"]["policy"], "first");
    assert_eq!(closed["s2c"]["sha256"].as_str().unwrap().len(), 64);
    assert!(closed["s2c"]["stream_len"].as_u64() <= closed["s2c"]["payload_bytes"].as_u64());
    let is_received = |record: &Value| {
        let directions = [&record["c2s"], &record["s2c"]];
        directions.iter().all(|of| of["stream_len"] == of["acknowledged_offset"])
    };
    assert!(is_received(closed), "the last acknowledgements are of FINs, which do not count");
    assert!(!records.iter().all(is_received), "the capture ends before some acknowledgements");
    assert!(records.iter().any(|record| record["end_cause"].is_null()), "still open at the end");
    assert!(records.iter().any(|record| record["client_ip"].as_str().unwrap().contains("2001:")));
}

#[test]
fn the_number_of_workers_does_not_change_the_records() {
    let file = capture(20_000);
    let one = mosd_replay(path(&file), &[]);
    assert_eq!(mosd_replay(path(&file), &["--workers=3"]).out, one.out);
    assert_ne!(mosd_replay(path(&file), &["--overlap=last"]).out, one.out);
}

/// A clock that is set back changes nothing but the times that it shows.
#[test]
fn a_clock_that_was_set_back_changes_no_other_times_and_no_order() {
    /// When a flow began, in milliseconds of the capture, and what else its record has.
    fn seen(printed: &Printed) -> Vec<(u32, [Value; 5])> {
        let keys = ["client_port", "server_ip", "end_cause", "c2s", "s2c"];
        let nanos = |record: &Value| record["start_ns"].as_str().unwrap().parse::<u64>().unwrap();
        let millis = |record: &Value| nanos(record) / 1_000_000;
        let start = |record| u32::try_from(millis(record) - 1_700_000_000_000).unwrap();
        let records = printed.records();
        records.iter().map(|record| (start(record), keys.map(|key| record[key].clone()))).collect()
    }
    let right = seen(&mosd_replay(path(&capture(20_000)), &[]));
    for back in [3, 44_000, 5_000_000] {
        let wrong = move |millis| 20_000_000 + millis - millis / 5000 * back;
        let file = timed_capture(20_000, |_| {}, wrong);
        let expected: Vec<_> =
            right.iter().map(|(start, rest)| (wrong(*start), rest.clone())).collect();
        for words in ["--workers=1", "--workers=3"] {
            let printed = mosd_replay(path(&file), &[words, "--idle-timeout=1h"]);
            assert_eq!(printed.code, 0);
            assert_eq!(printed.err.contains("the times run backwards"), back > 1000, "{back}");
            assert!(seen(&printed) == expected, "{back} {words}");
        }
    }
}

#[test]
fn preloaded_frames_are_handled_as_often_as_asked_and_alike_each_time() {
    let file = capture(20_000);
    let records = mosd_replay(path(&file), &[]).records();
    let sum = |key: &str| {
        let of = |record: &Value| ["c2s", "s2c"].map(|way| record[way][key].as_u64().unwrap());
        records.iter().flat_map(of).sum::<u64>()
    };
    let rate = |words: &[&str]| {
        let printed = mosd_replay(path(&file), &[&["--preload"], words].concat());
        assert_eq!((printed.code, printed.err.as_str()), (0, ""));
        let [rate] = &printed.records()[..] else { panic!("{printed:?}") };
        rate.clone()
    };
    let once = rate(&[]);
    assert_eq!(once["packets"], 20_000);
    assert_eq!(once["flows"], records.len());
    assert!(once["stream_bytes"].as_u64().unwrap() <= sum("stream_len"));
    assert!(once["stream_bytes"].as_u64().unwrap() > sum("stream_len") / 2);
    assert!(once["wire_bytes"].as_u64().unwrap() > sum("payload_bytes") + 20_000 * 64);
    for key in ["ns_per_packet", "mpps", "gbps", "seconds"] {
        assert!(once[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let thrice = rate(&["--repeat=3", "--workers=2"]);
    assert_eq!((&thrice["repeats"], &thrice["workers"]), (&3.into(), &2.into()));
    for key in ["packets", "wire_bytes", "flows", "stream_bytes"] {
        assert_eq!(thrice[key].as_u64().unwrap(), 3 * once[key].as_u64().unwrap(), "{key}");
    }
    let [once, thrice] = [once, thrice]
        .map(|rate| u64::from_str_radix(rate["checksum"].as_str().unwrap(), 16).unwrap());
    assert_eq!(thrice, once.wrapping_mul(3));
    let line = mosd_replay(path(&file), &["--preload", "-o", "table"]).out;
    assert!(line.starts_with("20000 packets of ") && line.contains(" ns a packet, "), "{line}");
}

#[test]
fn what_is_wrong_with_a_preloaded_capture_is_said_too() {
    let file = capture(3000);
    let flows = mosd_replay(path(&file), &["--preload", "--flows=3"]);
    assert_eq!(flows.code, INCOMPLETE);
    assert!(flows.err.contains("raise --flows"), "{}", flows.err);
    let missing = mosd_replay("/no/such/file", &["--preload"]);
    assert_eq!((missing.code, missing.out.as_str()), (USER_ERROR, ""));
}

#[test]
fn a_buffer_that_is_too_small_gives_no_digest_but_the_bytes_evicted() {
    let file = capture(20_000);
    let printed = mosd_replay(path(&file), &["--client-buffer=8KiB"]);
    assert_eq!(printed.code, 0);
    let whole = mosd_replay(path(&file), &[]).records();
    let mut evicted = 0;
    for (record, whole) in printed.records().into_iter().zip(whole) {
        assert_eq!(record["c2s"], whole["c2s"]);
        assert_eq!(record["s2c"]["stream_len"], whole["s2c"]["stream_len"]);
        let lost = record["s2c"]["evicted"].as_u64().unwrap();
        assert_eq!(record["s2c"]["sha256"].is_null(), lost > 0);
        evicted += lost;
    }
    assert!(evicted > 100_000);
}

#[test]
fn bytes_that_gave_way_to_too_many_runs_are_told() {
    let args = Line::try_parse_from(["replay", "a.pcap"]).unwrap().args;
    let mut stats = Stats::default();
    stats.add(Stat::CrowdedOutBytes, 7);
    let mut err = Vec::new();
    let code = warn(&args, None, &Findings::default(), (&stats, None), &mut err).unwrap();
    let warning = "warning: 7 bytes were evicted early; a flow has more than 4088 runs of bytes \
                   between holes\n";
    assert_eq!((code, String::from_utf8(err).unwrap().as_str()), (INCOMPLETE, warning));
}

#[test]
fn a_truncated_capture_prints_what_is_whole_and_one_warning() {
    let file = capture(2000);
    let length = file.as_file().metadata().unwrap().len();
    file.as_file().set_len(length - 10).unwrap();
    let printed = mosd_replay(path(&file), &[]);
    assert_eq!(printed.code, INCOMPLETE);
    assert!(!printed.records().is_empty());
    assert_eq!(printed.err.lines().count(), 1, "{}", printed.err);
    assert!(printed.err.contains("cut off in the middle of a record (at byte"), "{}", printed.err);
}

#[test]
fn packets_that_are_in_no_record_are_told_by_reason() {
    let file = changed_capture(2000, |frame| frame.truncate(128));
    let printed = mosd_replay(path(&file), &[]);
    assert_eq!(printed.code, INCOMPLETE);
    assert!(!printed.records().is_empty());
    assert_eq!(printed.err.lines().count(), 1, "{}", printed.err);
    assert!(printed.err.contains(" of 2000 packets were left out: "), "{}", printed.err);
    assert!(printed.err.contains(" malformed (frames whose headers "), "{}", printed.err);
    assert_eq!(mosd_replay(path(&file), &["--workers=3"]).err, printed.err);
}

#[test]
fn suspicious_segments_are_told_of_the_direction_that_sent_them() {
    let mut is_changed = false;
    let file = changed_capture(2000, |frame| {
        // Ethernet, IPv4 without options, TCP with no flag but ACK.
        if !is_changed && frame[12..15] == [0x08, 0x00, 0x45] && frame[47] == 0x10 {
            frame[47] = 0;
            is_changed = true;
        }
    });
    let records = mosd_replay(path(&file), &[]).records();
    let told = ["c2s", "s2c"].map(|way| {
        let of = |record: &Value| record[way]["suspicious_segments"].as_u64().unwrap();
        records.iter().map(of).sum::<u64>()
    });
    assert_eq!(told.iter().sum::<u64>(), 1);
    let note = if told[0] == 1 { "c2s 1 suspicious" } else { "s2c 1 suspicious" };
    let table = mosd_replay(path(&file), &["-o", "table"]).out;
    assert_eq!(table.matches(note).count(), 1, "{table}");
}

#[test]
fn flows_of_one_direction_are_told_as_one_sided() {
    let file = capture(2000);
    assert!(mosd_replay(path(&file), &[]).records().iter().any(|of| of["one_sided"] == false));
    // The other frames become those of a protocol that nobody knows.
    let file = changed_capture(2000, |frame| {
        let is_to_the_server = frame[..6] == [2, 0, 1, 0, 0, frame[5]];
        if !is_to_the_server {
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        }
    });
    let records = mosd_replay(path(&file), &[]).records();
    assert!(!records.is_empty());
    assert!(records.iter().all(|record| record["one_sided"] == true));
    let table = mosd_replay(path(&file), &["-o", "table"]).out;
    assert_eq!(table.matches("one-sided").count(), records.len());
}

#[test]
fn what_cannot_be_replayed_is_the_users_fault_in_one_line() {
    let text = NamedTempFile::new().unwrap();
    text.as_file().write_all(b"no capture at all").unwrap();
    for (file, words) in [("/no/such/file", "No such file"), (path(&text), "not a capture")] {
        let printed = mosd_replay(file, &[]);
        assert_eq!((printed.code, printed.out.as_str()), (USER_ERROR, ""));
        assert_eq!(printed.err.lines().count(), 1);
        assert!(printed.err.starts_with("error: ") && printed.err.contains(words), "{printed:?}");
    }
    let printed = mosd_replay("/no/such/file", &["--workers=2"]);
    assert_eq!(printed.code, USER_ERROR);
}

#[test]
fn shortage_of_room_is_said() {
    let file = capture(3000);
    let flows = mosd_replay(path(&file), &["--flows=3"]);
    assert_eq!(flows.code, INCOMPLETE);
    assert!(flows.err.contains("raise --flows"), "{}", flows.err);
    let pool = mosd_replay(path(&file), &["--pool=64KiB"]);
    assert_eq!(pool.code, INCOMPLETE);
    assert!(pool.err.contains("raise --pool (now 64KiB)"), "{}", pool.err);
}

#[test]
fn the_table_has_a_line_for_each_flow() {
    let file = capture(3000);
    let table = mosd_replay(path(&file), &["-o", "table"]).out;
    assert_eq!(table.lines().count(), mosd_replay(path(&file), &[]).out.lines().count() + 1);
    assert!(table.lines().next().unwrap().trim_start().starts_with("START"));
    assert!(table.contains("ESTABLISHED/ESTABLISHED") && table.contains("retransmitted"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let file = capture(100);
    let args = Line::try_parse_from(["replay", path(&file)]).unwrap().args;
    assert_eq!(replay(&args, &Interrupt::default(), &mut Gone, &mut Vec::new()).unwrap(), 0);
}

fn events_of(file: &NamedTempFile, words: &[&str]) -> Vec<Value> {
    let events = NamedTempFile::new().unwrap();
    let words = [&["--events", path(&events)], words].concat();
    let printed = mosd_replay(path(file), &words);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let text = std::fs::read_to_string(events.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All events but those that depend on how many frames a worker reads at once.
fn without_new_data(events: Vec<Value>) -> Vec<Value> {
    events.into_iter().filter(|event| event["type"] != "new_data").collect()
}

#[test]
fn events_are_told_in_the_order_of_time_whoever_sees_them() {
    let file = capture(20_000);
    let events = events_of(&file, &[]);
    assert!(events.is_sorted_by_key(|event| event["time_ns"].as_str().map(str::to_owned)));
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    let flows = mosd_replay(path(&file), &[]).records().len();
    assert_eq!((count("flow_started"), count("flow_ended")), (flows, flows));
    assert!(count("flow_established") > 0 && count("state_changed") > flows);
    assert!(count("retransmission") > 0 && count("new_data") > 1000);
    assert!(events == events_of(&file, &[]), "a replay is repeatable");
    let (one, three) = (without_new_data(events), events_of(&file, &["--workers", "3"]));
    assert!(one == without_new_data(three), "workers change nothing");
}

#[test]
fn every_flow_of_the_events_begins_before_it_ends() {
    let file = capture(20_000);
    let mut open = std::collections::HashSet::new();
    for event in events_of(&file, &[]) {
        let tuple = ["client_ip", "client_port", "server_ip", "server_port", "vlan"];
        let tuple = tuple.map(|key| event[key].to_string());
        match event["type"].as_str().unwrap() {
            "flow_started" => assert!(open.insert(tuple), "{event} of a flow that is open"),
            "flow_ended" => assert!(open.remove(&tuple), "{event} of a flow that is not open"),
            "orphan_packet" => {}
            _ => assert!(open.contains(&tuple), "{event} of a flow that is not open"),
        }
    }
    assert!(open.is_empty(), "flows that are open at the end are told to end");
}

#[test]
fn a_file_for_events_that_cannot_be_made_is_the_users_fault() {
    let file = capture(10);
    let printed = mosd_replay(path(&file), &["--events", "/no/such/folder/events"]);
    assert_eq!((printed.code, printed.out.as_str()), (2, ""));
    assert!(printed.err.starts_with("error: cannot write /no/such/folder/events: "));
}

/// The files of a folder and its folders, by their names from there on.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (name, path) = (entry.file_name().into_string().unwrap(), entry.path());
        if path.is_dir() {
            let inner = self::files(&path).into_iter();
            files.extend(inner.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.insert(name, std::fs::read(path).unwrap());
        }
    }
    files
}

/// Replays into a new folder. Gives its files and what was printed.
fn written(file: &NamedTempFile, words: &[&str]) -> (BTreeMap<String, Vec<u8>>, Printed) {
    let folder = tempfile::tempdir().unwrap();
    let streams = folder.path().join("streams");
    let words = [&["--write-streams", streams.to_str().unwrap()], words].concat();
    let printed = mosd_replay(path(file), &words);
    (files(&streams), printed)
}

#[test]
fn streams_are_written_to_files_that_have_the_digests_of_the_records() {
    let file = capture(20_000);
    let (mut files, printed) = written(&file, &[]);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    assert_eq!(files.remove("index.jsonl").unwrap(), printed.out.as_bytes());
    let expected = files.clone();
    for record in printed.records() {
        for direction in ["c2s", "s2c"] {
            let of = &record[direction];
            assert_eq!(of["file"].is_null(), of["stream_len"] == 0);
            let Some(name) = of["file"].as_str() else { continue };
            let bytes = files.remove(name).unwrap();
            let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(of["sha256"], Value::String(digest), "{name}");
            assert!(name.ends_with(direction) && name.len() < 128, "{name}");
        }
    }
    assert!(files.is_empty(), "in no record: {:?}", files.keys());
    assert!(expected.len() > 80);
    let (mut again, _) = written(&file, &["--workers=3"]);
    again.remove("index.jsonl").unwrap();
    assert!(again == expected, "workers change nothing");
}

#[test]
fn streams_of_flows_with_the_same_tuple_and_time_have_names_of_their_own() {
    // Every connection begins at the same time.
    let mut bytes = std::fs::read(capture(20_000).path()).unwrap();
    let mut at = 24;
    while at < bytes.len() {
        bytes[at..at + 8].fill(0);
        let length = u32::from_le_bytes(*bytes[at + 8..].first_chunk().unwrap());
        at += 16 + usize::try_from(length).unwrap();
    }
    // And each of them twice, one after the other.
    let twice = [&bytes[..], &bytes[24..]].concat();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&twice).unwrap();
    let (files, printed) = written(&file, &[]);
    let names = printed.records().iter().fold(Vec::new(), |mut names, record| {
        names.extend(["c2s", "s2c"].map(|way| record[way]["file"].clone()));
        names
    });
    let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!((names.len(), names.len() + 1), (distinct.len(), files.len()));
    assert!(names.iter().any(|name| name.ends_with("_c2s.2")), "{names:?}");
}

#[test]
fn limits_of_streams_hold_and_what_they_leave_out_is_told() {
    let file = capture(20_000);
    let (all, _) = written(&file, &[]);
    let (few, printed) = written(&file, &["--streams-files=7"]);
    assert_eq!((few.len(), printed.code), (7 + 1, INCOMPLETE));
    let left_out = all.len() - few.len();
    let told = format!("warning: {left_out} streams were not written: raise --streams-files");
    assert!(printed.err.starts_with(&told), "{}", printed.err);
    let (small, printed) = written(&file, &["--streams-bytes=64KiB"]);
    let bytes: usize =
        small.iter().filter(|(name, _)| *name != "index.jsonl").map(|(_, b)| b.len()).sum();
    assert!(bytes <= 65_536 && printed.code == INCOMPLETE, "{bytes}");
    let (_, printed) = written(&file, &["--client-buffer=8KiB"]);
    assert_eq!(printed.code, INCOMPLETE);
    assert!(printed.records().iter().all(|record| {
        record["s2c"]["file"].is_null()
            == (record["s2c"]["sha256"].is_null() || record["s2c"]["stream_len"] == 0)
    }));
}

#[test]
fn a_folder_for_streams_that_is_in_use_is_the_users_fault() {
    let (file, folder) = (capture(10), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("mine"), "precious").unwrap();
    for folder in [folder.path().to_str().unwrap(), "/no/such/folder"] {
        let printed = mosd_replay(path(&file), &["--write-streams", folder]);
        assert_eq!((printed.code, printed.out.as_str()), (USER_ERROR, ""));
        assert!(printed.err.starts_with(&format!("error: cannot write {folder}: ")));
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn a_filter_leaves_the_records_that_match() {
    let file = capture(20_000);
    let all = mosd_replay(path(&file), &[]).records();
    let one = all[7]["client_port"].as_u64().unwrap();
    let printed =
        mosd_replay(path(&file), &["--filter", &format!("client.port = {one}")]).records();
    let expected = all.iter().filter(|record| record["client_port"] == one).cloned();
    assert_eq!(printed, expected.collect::<Vec<_>>());
    let span = |record: &Value| {
        let [start, end] =
            ["start_ns", "end_ns"].map(|key| record[key].as_str().unwrap().parse::<u64>().unwrap());
        end - start
    };
    let old = mosd_replay(path(&file), &["--filter", "age > 2s"]).records();
    assert_eq!(old.len(), all.iter().filter(|record| span(record) > 2_000_000_000).count());
    assert!(!old.is_empty() && old.len() < all.len());
    let (files, printed) = written(&file, &["--filter", &format!("client.port = {one}")]);
    assert_eq!(files.len(), 1 + printed.out.matches("\"file\":").count());
    let wrong = Line::try_parse_from(["replay", "x", "--filter", "age >"]).unwrap_err().to_string();
    assert!(wrong.contains("(column "), "{wrong}");
}

#[test]
fn csv_has_the_columns_and_values_of_the_json_form() {
    let file = capture(5000);
    let folder = tempfile::tempdir().unwrap();
    let streams = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let json = mosd_replay(path(&file), &["--write-streams", &streams("a")]).records();
    let csv = mosd_replay(path(&file), &["-o", "csv", "--write-streams", &streams("b")]).out;
    let mut lines = csv.split_terminator("\r\n").map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let mut rows = 0;
    for (cells, record) in lines.zip(&json) {
        let mut flat = serde_json::Map::new();
        for (key, value) in record.as_object().unwrap() {
            let inner = value.as_object().into_iter().flatten();
            flat.extend(inner.map(|(name, value)| (format!("{key}_{name}"), value.clone())));
            if !value.is_object() {
                flat.insert(key.clone(), value.clone());
            }
        }
        for (name, cell) in names.iter().zip(&cells) {
            let value = flat.remove(*name);
            let text = match value {
                None | Some(Value::Null) => String::new(),
                Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            };
            assert_eq!(text, *cell, "{name}");
        }
        assert!(flat.is_empty(), "no columns: {flat:?}");
        rows += 1;
    }
    assert_eq!(rows, json.len());
}

#[test]
fn a_summary_counts_every_packet_and_flow_once() {
    let file = capture(20_000);
    let records = mosd_replay(path(&file), &[]).records();
    let printed = mosd_replay(path(&file), &["--summary", "--workers=2"]);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let [summary] = &printed.records()[..] else { panic!("{printed:?}") };
    let sum = |of: &Value| of.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!((sum(&summary["packet_outcomes"]), &summary["packets"]), (20_000, &20_000.into()));
    assert_eq!(sum(&summary["end_causes"]), records.len() as u64);
    assert_eq!(summary["flows"], records.len());
    assert_eq!(summary["span"]["start_ns"], records[0]["start_ns"]);
    let hosts = summary["hosts"].as_array().unwrap();
    let bytes = |host: &Value| {
        ["sent_bytes", "received_bytes"].map(|key| host[key].as_u64().unwrap()).iter().sum::<u64>()
    };
    assert!(hosts.len() == 10 && hosts.is_sorted_by_key(|host| u64::MAX - bytes(host)));
    let text = mosd_replay(path(&file), &["--summary", "-o", "table"]).out;
    assert!(
        text.contains("       20000  monitored ") && text.contains("\nflows by their end\n"),
        "{text}"
    );
}

#[test]
fn the_table_tells_flows_of_different_days_apart() {
    let table = mosd_replay(path(&capture(100)), &["-o", "table"]).out;
    assert!(table.lines().nth(1).unwrap().starts_with(" 2023-11-14 22:13:20.000 "), "{table}");
}

#[test]
fn who_follows_gets_the_same_records_in_the_order_of_their_ends() {
    let file = capture(20_000);
    let sorted = |out: &str| {
        let mut lines: Vec<_> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for output in ["jsonl", "csv"] {
        let whole = mosd_replay(path(&file), &["--time-wait=5s", "-o", output]).out;
        for workers in ["--workers=1", "--workers=3"] {
            let followed = mosd_replay(path(&file), &["--follow", workers, "-o", output]);
            assert_eq!((followed.code, followed.err.as_str()), (0, ""));
            assert_eq!(sorted(&followed.out), sorted(&whole));
            assert_ne!(followed.out, whole, "another order");
        }
    }
    let table = mosd_replay(path(&file), &["--follow", "-o", "table"]);
    assert_eq!((table.code, table.out.as_str()), (USER_ERROR, ""));
    assert!(table.err.contains("--follow prints jsonl or csv"), "{}", table.err);
}

#[test]
fn events_can_be_printed_in_place_of_the_records() {
    let file = capture(2000);
    let printed = mosd_replay(path(&file), &["--events", "-"]);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    assert!(printed.records() == events_of(&file, &[]));
    let both = mosd_replay(path(&file), &["--events", "-", "--summary"]);
    assert_eq!((both.code, both.out.as_str()), (USER_ERROR, ""));
}

#[test]
fn flows_in_different_vlans_are_told_apart_where_asked() {
    // Every second frame comes with a tag.
    let mut is_tagged = false;
    let file = changed_capture(2000, |frame| {
        is_tagged = !is_tagged;
        if is_tagged && frame[12..14] != [0x81, 0] {
            frame.splice(12..12, [0x81, 0, 0, 77]);
        }
    });
    let tagged = |words: &[&str]| {
        let records = mosd_replay(path(&file), words).records();
        let packets =
            |record: &Value| ["c2s", "s2c"].map(|way| record[way]["packets"].as_u64().unwrap());
        let of = records.iter().filter(|record| record["vlan"] == 77).flat_map(packets);
        (records.len(), of.sum::<u64>())
    };
    let (together, apart) = (tagged(&[]), tagged(&["--vlan-in-key"]));
    assert!(apart.0 > together.0, "{apart:?} {together:?}");
    assert!(apart.1 > 800 && apart.1 <= 1000, "{apart:?}");
}

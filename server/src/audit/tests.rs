//! The audit with real files: what is acknowledged is there, whatever ends the process or the disk.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::SystemTime,
};

use mos_text::Chain;

use super::{journal::Dated, *};
use crate::words::bounds::AUDIT_FILES_KEPT;

fn entry(target: &str) -> Dated {
    let at = SystemTime::now();
    (at, Entry { target: target.to_owned(), ..Entry::of(Event::Intent) })
}

fn append(journal: &mut Journal, targets: &[&str]) -> std::io::Result<u64> {
    let entries: Vec<Dated> = targets.iter().map(|target| entry(target)).collect();
    journal.append(&entries.iter().collect::<Vec<_>>()).map(|appended| appended.first)
}

/// All lines of all files, which must be one chain.
#[track_caller]
fn lines(path: &Path) -> Vec<Line> {
    let (mut chain, mut lines): (Option<Chain>, _) = (None, Vec::new());
    for file in journal::files(path).unwrap() {
        let text = fs::read(&file).unwrap();
        assert!(text.is_empty() || text.ends_with(b"\n"), "{} is torn", file.display());
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let next = chain.map_or_else(|| Chain::behind(line), |chain| chain.follow(line));
            chain = Some(next.unwrap_or_else(|error| panic!("{}: {error}", file.display())));
            lines.push(Line::read(line).unwrap());
        }
    }
    lines
}

fn targets(path: &Path) -> Vec<String> {
    let told = |Line { entry, .. }: Line| match entry.event == Event::Intent {
        true => entry.target,
        false => entry.event.as_str().to_owned(),
    };
    lines(path).into_iter().map(told).collect()
}

#[test]
fn lines_go_on_where_another_process_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for start in 0..3 {
        let mut journal = Journal::new(path.clone(), None);
        assert_eq!(append(&mut journal, &["a", "b"]).unwrap(), 1 + 2 * start);
    }
    assert_eq!(targets(&path), ["a", "b", "a", "b", "a", "b"]);
    assert_eq!(lines(&path).last().unwrap().seq, 6);
}

#[test]
fn a_last_line_that_is_torn_anywhere_is_cut_off_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    append(&mut Journal::new(path.clone(), None), &["a", "b"]).unwrap();
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in second + 1..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let first = append(&mut Journal::new(path.clone(), None), &["c"]).unwrap();
        assert_eq!(first, 3, "behind what is told of the cut");
        assert_eq!(targets(&path), ["a", "cut", "c"], "{end}");
        assert_eq!(lines(&path)[1].entry.details["bytes"], end - second);
    }
    // Nothing but a torn line: the chain begins.
    fs::write(&path, &whole[..second - 1]).unwrap();
    append(&mut Journal::new(path.clone(), None), &["c"]).unwrap();
    assert_eq!(targets(&path), ["cut", "c"]);
}

#[test]
fn a_last_line_that_is_none_is_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for odd in ["{}\n", "\n", "{\"seq\":1}\n", "x\n"] {
        fs::write(&path, odd).unwrap();
        let error = append(&mut Journal::new(path.clone(), None), &["a"]).unwrap_err();
        assert!(error.to_string().contains("move the file away"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), odd);
    }
}

#[test]
fn a_full_file_becomes_an_older_one_and_the_oldest_are_removed_which_is_entered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut journal = Journal::new(path.clone(), Some(1));
    let count = AUDIT_FILES_KEPT + 5;
    for number in 0..count {
        append(&mut journal, &[&number.to_string()]).unwrap();
    }
    assert_eq!(journal::files(&path).unwrap().len(), AUDIT_FILES_KEPT + 1);
    let told = lines(&path);
    let removed = told.iter().filter(|line| line.entry.event == Event::Removed).count();
    assert_eq!(removed, 4, "the chain goes on across files, and says what is gone: {told:?}");
    // Another process goes on behind an older file, if that is all there is.
    drop(journal);
    let last = told.last().unwrap().seq;
    fs::rename(&path, folder.path().join(format!("audit.{last:012}.jsonl"))).unwrap();
    assert_eq!(append(&mut Journal::new(path, None), &["x"]).unwrap(), last + 1);
}

#[test]
fn a_file_that_somebody_takes_away_is_begun_anew_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut journal = Journal::new(path.clone(), None);
    append(&mut journal, &["a"]).unwrap();
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    assert_eq!(append(&mut journal, &["b"]).unwrap(), 2);
    assert_eq!(targets(&path), ["b"]);
}

#[test]
fn a_file_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut first = Journal::new(path.clone(), None);
    append(&mut first, &["a"]).unwrap();
    let error = append(&mut Journal::new(path.clone(), None), &["b"]).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    append(&mut Journal::new(path, None), &["b"]).unwrap();
}

/// Names the file to which a child of a test writes.
const FILE: &str = "MOSD_TEST_AUDIT";

/// The child of the next test: enters one thing after another, and tells each that is there.
#[test]
fn enters_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    // Files of a few lines: it is killed while it begins another one, too.
    let mut journal = Journal::new(path.into(), Some(2000));
    let mut stdout = std::io::stdout();
    stdout.write_all(b"\n").unwrap();
    loop {
        let first = append(&mut journal, &["x", "y"]).unwrap();
        stdout.write_all(format!("entered {}\n", first + 1).as_bytes()).unwrap();
        stdout.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_where_writing_is_killed_at_100_random_points() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut known = 0;
    for kill in 0..100_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "audit::tests::enters_until_it_is_killed", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // It has begun once it tells anything.
        stdout.read_exact(&mut [0; 1]).unwrap();
        let micros = kill.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
        std::thread::sleep(Duration::from_micros(micros));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut told = String::new();
        stdout.read_to_string(&mut told).unwrap();
        let entered = told.lines().rev().find_map(|line| line.strip_prefix("entered "));
        let acknowledged = entered.map_or(known, |number| number.parse().unwrap());
        // As the next start of mosd finds it.
        append(&mut Journal::new(path.clone(), None), &["between"]).unwrap();
        known = lines(&path).last().unwrap().seq;
        assert!(known > acknowledged, "kill {kill}: {known} after {acknowledged}");
    }
}

/// A small disk of its own, as long as it lives.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount one.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let is_mounted = disk.mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
        let may_be_skipped = std::env::var_os("CI").is_none_or(|ci| ci != "true");
        assert!(is_mounted || may_be_skipped, "CI can mount a tmpfs");
        is_mounted.then_some(disk)
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        let status = Command::new("mount").args(arguments).arg(self.0.path()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Leaves no room on it, until the file is gone.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_disk_that_is_full_or_read_only_refuses_what_is_to_be_done_and_keeps_what_was_done() {
    let Some(disk) = Disk::new() else { return };
    let path = disk.0.path().join("audit.jsonl");
    let audit = Audit::open(path.clone(), OnFailure::Refuse).unwrap();
    let patience = Duration::from_secs(60);
    let call = |target: &str| Entry { target: target.to_owned(), ..Entry::of(Event::Intent) };
    let trail = Trail::default();
    let done = audit.begin(call("a"), &trail, patience).await.unwrap();
    let filler = disk.fill();
    // The page that the file has is used up first.
    let (refused, mut entered) = (refusal(&audit, patience).await, 0);
    assert!(refused.0.contains("No space left"), "{refused}");
    assert!(audit.trouble().unwrap().contains("No space left"));
    // What was done is entered as soon as there is room.
    trail.changed([("x".to_owned(), 1.into())].into(), Values::new());
    done.end(0, "").await;
    assert!(disk.mount(&["-o", "remount,ro"]));
    let refused = audit.begin(call("c"), &Trail::default(), patience).await.unwrap_err();
    assert!(refused.0.contains("Read-only"), "{refused}");
    assert!(disk.mount(&["-o", "remount,rw"]));
    fs::remove_file(filler).unwrap();
    audit.begin(call("d"), &Trail::default(), patience).await.unwrap().end(0, "").await;
    assert_eq!(audit.trouble(), None);
    audit.close(patience);
    let lines = lines(&path);
    for Line { entry, .. } in &lines {
        assert_ne!(entry.target, "c", "what was refused is not entered");
        entered += usize::from(entry.event == Event::Intent);
    }
    let results = lines.iter().filter(|line| line.entry.event == Event::Result).count();
    assert_eq!(results, entered, "what was begun has a result");
    let result = lines.iter().find(|line| line.entry.intent == Some(1)).unwrap();
    assert_eq!(result.entry.before["x"], 1);
    assert!(lines.iter().any(|line| line.entry.event == Event::Failed));
}

/// Enters calls until one is refused.
async fn refusal(audit: &Arc<Audit>, patience: Duration) -> Unavailable {
    loop {
        let call = Entry { target: "b".to_owned(), ..Entry::of(Event::Intent) };
        match audit.begin(call, &Trail::default(), patience).await {
            Ok(record) => record.end(0, "").await,
            Err(refused) => return refused,
        }
    }
}

#[tokio::test]
async fn where_calls_are_to_go_on_they_are_entered_later() {
    let Some(disk) = Disk::new() else { return };
    let path = disk.0.path().join("audit.jsonl");
    let audit = Audit::open(path.clone(), OnFailure::Allow).unwrap();
    let filler = disk.fill();
    let patience = Duration::from_secs(60);
    let mut calls = 0;
    while audit.trouble().is_none() {
        let call = Entry::of(Event::Intent);
        let record = audit.begin(call, &Trail::default(), patience).await.unwrap();
        record.end(0, "").await;
        calls += 1;
    }
    fs::remove_file(filler).unwrap();
    audit.close(patience);
    let lines = lines(&path);
    let count = |event| lines.iter().filter(|line| line.entry.event == event).count();
    assert_eq!([Event::Failed, Event::Intent, Event::Result].map(count), [1, calls, calls]);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_has_a_result_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(path.clone(), OnFailure::Refuse).unwrap();
    let patience = Duration::from_secs(60);
    drop(audit.begin(Entry::of(Event::Intent), &Trail::default(), patience).await.unwrap());
    let trail = Trail::default();
    let stream = audit.begin(Entry::of(Event::Intent), &trail, patience).await.unwrap();
    let mut ending = trail.ending();
    stream.end(0, "").await;
    ending.bytes = 7;
    drop(ending);
    audit.close(patience);
    let told: Vec<_> = lines(&path)
        .into_iter()
        .map(|line| (line.entry.event, line.entry.code, line.entry.intent))
        .collect();
    let expected = [
        (Event::Intent, None, None),
        (Event::Result, Some(1), Some(1)),
        (Event::Intent, None, None),
        (Event::Result, Some(0), Some(3)),
        (Event::StreamEnd, None, Some(3)),
    ];
    assert_eq!(told, expected);
    assert_eq!(lines(&path)[4].entry.details["bytes"], 7);
}

#[tokio::test]
async fn pages_show_every_line_once_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut journal = Journal::new(path.clone(), Some(1000));
    for number in 0..50 {
        append(&mut journal, &[&number.to_string()]).unwrap();
    }
    drop(journal);
    assert!(journal::files(&path).unwrap().len() > 5);
    let audit = Audit::open(path.clone(), OnFailure::Refuse).unwrap();
    let (mut query, mut seen) = (Query { size: 7, ..Query::default() }, Vec::new());
    loop {
        let page = audit.page(query.clone()).await.unwrap();
        assert!(page.lines.len() <= 7);
        seen.extend(page.lines.into_iter().map(|line| line.seq));
        query.from = page.next;
        if query.from.is_none() {
            break;
        }
    }
    let all: Vec<u64> = lines(&path).into_iter().map(|line| line.seq).collect();
    assert_eq!(seen, all);
    let late = lines(&path)[40].at();
    let query = Query { since: late, size: 100, ..Query::default() };
    assert_eq!(audit.page(query).await.unwrap().lines.len(), all.len() - 40);
    let nobody = Query { principal: "uid 9".to_owned(), size: 100, ..Query::default() };
    assert!(audit.page(nobody).await.unwrap().lines.is_empty());
}

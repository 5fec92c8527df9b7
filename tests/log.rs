//! mosd outlives its log, whatever becomes of the reader, and no client decides how much is logged.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use mos_proto::v1::{FlowOptions, SetSockOptRequest, set_sock_opt_request::Change};
use mos_tests::program::within;
use mos_tests::rpc::Rpc;
use mos_tests::service::{Mosd, Setup};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::Signal;

/// A wait that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Changes one flow's buffer again and again, each time to another size.
struct Changer {
    rpc: Rpc,
    flow: String,
    count: i64,
}

impl Changer {
    #[track_caller]
    fn of(mosd: &Mosd) -> Self {
        Self { rpc: Rpc::connect(mosd), flow: mosd.lasting_flow(), count: 0 }
    }

    /// Carries out that many changes; each must be answered.
    #[track_caller]
    fn change(&mut self, times: i64) {
        for _ in 0..times {
            self.count += 1;
            let client_buffer_bytes = Some(8192 * (1 + self.count % 2));
            let options = FlowOptions { client_buffer_bytes, ..FlowOptions::default() };
            let change = Some(Change::Options(options));
            let flow = self.flow.clone();
            let request = SetSockOptRequest { flow, change, ..SetSockOptRequest::default() };
            self.rpc.set(request).expect("the change is carried out");
        }
    }
}

fn is_warned(mosd: &Mosd) -> bool {
    mosd.condition("log")[0] == "CONDITION_LEVEL_WARNING"
}

#[test]
fn a_log_on_a_full_disk_is_lost_and_told_and_nothing_else_happens() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mosd = Mosd::start_logging_to(&Setup::demo(), full);
    Changer::of(&mosd).change(3);
    assert!(within(PATIENCE, || is_warned(&mosd)), "{:?}", mosd.condition("log"));
    mosd.stop(Signal::TERM).in_order();
}

/// Begins to read a pipe with a name.
fn reader(path: &Path) -> File {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    File::from(rustix::fs::open(path, flags, Mode::empty()).expect("the reading end"))
}

#[test]
fn a_reader_that_goes_away_is_survived_and_the_next_one_is_told_what_was_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("log");
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).expect("a pipe with a name");
    let first = reader(&path);
    let writer = OpenOptions::new().write(true).open(&path).expect("the writing end");
    let mosd = Mosd::start_logging_to(&Setup::demo(), writer);
    drop(first);
    let mut changer = Changer::of(&mosd);
    changer.change(3);
    assert!(within(PATIENCE, || is_warned(&mosd)), "{:?}", mosd.condition("log"));
    let mut second = reader(&path);
    let mut text = Vec::new();
    let told = within(PATIENCE, || {
        changer.change(1);
        // An error means that nothing is there now.
        let _read_or_nothing: io::Result<usize> = second.read_to_end(&mut text);
        String::from_utf8_lossy(&text).contains("the log has lost lines")
    });
    assert!(told, "{}", String::from_utf8_lossy(&text));
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn a_reader_that_stalls_holds_up_neither_a_client_nor_the_end() {
    let (_reader, writer) = io::pipe().expect("a pipe");
    // Less than a start says.
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    let debug = "[log]\nlevel = \"debug\"\n";
    let mosd = Mosd::start_logging_to(&Setup::demo().configured(debug), writer);
    Changer::of(&mosd).change(500);
    mosd.json(&["info"]);
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn a_client_is_logged_at_a_rate_and_the_rest_is_counted() {
    const CHANGES: i64 = 500;
    let mosd = Mosd::start(&Setup::demo());
    let began = Instant::now();
    let mut changer = Changer::of(&mosd);
    changer.change(CHANGES);
    let seconds = i64::try_from(began.elapsed().as_secs()).expect("a short time") + 1;
    let accounted = || {
        let log = mosd.log();
        let lines = log.lines().filter(|line| line.contains("options changed"));
        let (summed, single): (Vec<_>, Vec<_>) = lines.partition(|line| line.contains(" … "));
        let number = |line: &str| line.rsplit_once(" … ")?.1.split(' ').next()?.parse::<i64>().ok();
        let summed: i64 = summed.into_iter().filter_map(number).sum();
        (i64::try_from(single.len()).unwrap_or(i64::MAX), summed)
    };
    let complete = within(PATIENCE, || {
        let (single, summed) = accounted();
        single + summed == CHANGES
    });
    let (single, summed) = accounted();
    assert!(complete, "{single} lines and {summed} more:\n{}", mosd.log());
    assert!(single <= 10 + 10 * seconds, "{single} lines in {seconds} s");
    mosd.stop(Signal::TERM).in_order();
}

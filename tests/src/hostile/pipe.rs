//! A `net_pcap` port that reads from a pipe: any number of generated packets pass through a port of
//! DPDK, none is lost on the way, and no file is written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    program::within,
    service::{Mosd, Setup, number},
};

/// Time for the packets that are still in the pipe.
const SETTLE_MAX: Duration = Duration::from_secs(60);

const BUFFER_BYTES: usize = 1 << 20;

/// The writing end of the pipe.
#[derive(Debug)]
pub struct PcapPipe {
    pipe: BufWriter<File>,
    sent: u64,
    _folder: TempDir,
}

impl PcapPipe {
    /// Starts a service whose only port reads from a new pipe.
    #[track_caller]
    #[must_use]
    pub fn start(config: &str) -> (Self, Mosd) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path: PathBuf = folder.path().join("packets.pcap");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        // While both ends are open here, opening one end does not wait for the other.
        let both = File::options().read(true).write(true).open(&path).expect("both ends");
        let mut pipe = BufWriter::with_capacity(BUFFER_BYTES, open(&path));
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
            pipe.write_all(&word.to_le_bytes()).expect("room in the pipe");
        }
        pipe.flush().expect("room in the pipe");
        let port = format!("net_pcap0,rx_pcap={}", path.display());
        let setup = Setup::default().configured(config).with(&["--port", &port]);
        let mosd = Mosd::start(&setup);
        // From now on, writing fails if the service has died.
        drop(both);
        (Self { pipe, sent: 0, _folder: folder }, mosd)
    }

    /// Sends a frame; waits while the pipe is full.
    #[track_caller]
    pub fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut header = [0; 16];
        header[8..12].copy_from_slice(&length);
        header[12..].copy_from_slice(&length);
        let written = self.pipe.write_all(&header).and_then(|()| self.pipe.write_all(frame));
        written.expect("the service reads the pipe");
        self.sent += 1;
    }

    /// Sends the buffered frames.
    #[track_caller]
    pub fn flush(&mut self) {
        self.pipe.flush().expect("the service reads the pipe");
    }

    /// Frames sent so far.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Ends the stream; returns the number of frames sent.
    #[track_caller]
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.sent
    }
}

fn open(path: &Path) -> File {
    File::options().write(true).open(path).expect("the writing end")
}

/// Waits until the service has seen `sent` packets; asserts that the counts of the port, of the
/// core and of all outcomes are equal to it. Returns the packets by outcome.
#[track_caller]
pub fn accounted(mosd: &Mosd, sent: u64) -> BTreeMap<String, i64> {
    let sent = i64::try_from(sent).expect("a count");
    let seen = || mosd.core_total("rxPacketCount");
    let all = within(SETTLE_MAX, || seen() >= sent);
    assert!(all, "{} of {sent} packets arrived:\n{}", seen(), mosd.log());
    let status = mosd.status();
    let core = status.pointer("/cores/0").expect("one core");
    let port = status.pointer("/ports/0").expect("one port");
    assert_eq!(number(port.get("rxPacketCount")), sent, "{port}");
    assert_eq!(number(core.get("rxPacketCount")), sent, "{core}");
    assert_eq!(mosd.packets_lost(), 0, "{status}");
    let by_outcome = core.get("packetOutcomes").and_then(Value::as_object);
    let outcomes: BTreeMap<String, i64> = by_outcome
        .into_iter()
        .flatten()
        .map(|(name, count)| (name.clone(), number(Some(count))))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(outcomes.values().sum::<i64>(), sent, "{outcomes:?}");
    outcomes
}

//! Other tools in the place of mosd: the streams that they put together, as flows.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use mos_tests::program;

use super::{Flow, LIMIT, Stream, digest, sort};
use crate::scene::Played;

/// A tool that puts streams together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// tcpflow.
    Tcpflow,
    /// `tshark -z follow,tcp`.
    Tshark,
    /// libnids, by the program in `league/nids.c`.
    Nids,
    /// gopacket/reassembly, by the program in `league/gopacket.go`.
    Gopacket,
}

impl Tool {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcpflow => "tcpflow",
            Self::Tshark => "tshark",
            Self::Nids => "nids",
            Self::Gopacket => "gopacket",
        }
    }

    /// Whether it is installed, or, of a library, whether `scripts/league.sh` has built its
    /// program.
    #[must_use]
    pub fn is_there(self) -> bool {
        match self {
            Self::Tcpflow | Self::Tshark => {
                let mut command = program::command("which", [self.name()]);
                command.output().is_ok_and(|output| output.status.success())
            }
            Self::Nids | Self::Gopacket => self.built().exists(),
        }
    }

    /// Whether it knows IPv6.
    #[must_use]
    pub const fn knows_ipv6(self) -> bool {
        !matches!(self, Self::Nids)
    }

    /// Where `scripts/league.sh` builds the program of a library.
    fn built(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/league").join(self.name())
    }

    /// What it shows of each connection of a capture.
    #[track_caller]
    #[must_use]
    pub fn replay(self, capture: &Path, played: &[Played]) -> Vec<Vec<Flow>> {
        match self {
            Self::Tcpflow => tcpflow(capture, played),
            Self::Tshark => tshark(capture, played),
            Self::Nids | Self::Gopacket => ours(&self.built(), capture, played),
        }
    }
}

/// A flow between two ends, of which nothing but the bytes is known.
fn flow(ends: [SocketAddr; 2], bytes: [&[u8]; 2]) -> Flow {
    let stream = |bytes: &[u8]| Stream {
        length: bytes.len() as u64,
        digest: digest(bytes),
        acknowledged: None,
        missing: 0,
        conflicting: 0,
    };
    Flow { ends, streams: bytes.map(stream), is_guess: false, line: format!("{ends:?}") }
}

/// tcpflow writes a file for each direction: `ADDRESS.PORT-ADDRESS.PORT`, and `c1` for the next
/// connection of the same ends.
#[track_caller]
fn tcpflow(capture: &Path, played: &[Played]) -> Vec<Vec<Flow>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = program::command("tcpflow", ["-q", "-r"]);
    program::run(command.arg(capture).arg("-o").arg(folder.path()), LIMIT);
    let files = fs::read_dir(folder.path()).expect("a folder").flatten();
    let mut paths: Vec<_> = files.map(|file| file.path()).collect();
    paths.sort();
    let flows = paths.iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let (from, to) = name.split_once('-')?;
        let ends = [padded(from)?, padded(to)?];
        let bytes = fs::read(path).ok()?;
        Some(flow(ends, [&bytes, &[]]))
    });
    sort(flows, played)
}

/// An address and a port as tcpflow writes them: filled up with zeros.
fn padded(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once('.')?;
    let port = port.get(..5)?.parse().ok()?;
    let address = if address.contains(':') {
        address.parse().ok()?
    } else {
        let bytes: Vec<u8> = address.split('.').filter_map(|byte| byte.parse().ok()).collect();
        IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)
    };
    Some(SocketAddr::new(address, port))
}

/// tshark prints each stream in lines of hexadecimal digits, those of the second end behind a tab.
#[track_caller]
fn tshark(capture: &Path, played: &[Played]) -> Vec<Vec<Flow>> {
    let mut command = program::command("tshark", ["-q", "-r"]);
    command.arg(capture);
    // A connection may be shown as several.
    for number in 0..played.len() * 2 {
        command.arg("-z").arg(format!("follow,tcp,raw,{number}"));
    }
    let text = program::run(&mut command, LIMIT).text();
    let mut streams = BTreeMap::new();
    for block in text.split("Filter: tcp.stream eq ").skip(1) {
        let mut lines = block.lines();
        let number: usize = lines.next().and_then(|line| line.parse().ok()).unwrap_or(usize::MAX);
        let mut end = || lines.next()?.split_once(": ")?.1.parse::<SocketAddr>().ok();
        let (Some(first), Some(second)) = (end(), end()) else { continue };
        let mut bytes = [Vec::new(), Vec::new()];
        for line in lines {
            bytes[usize::from(line.starts_with('\t'))].extend(unhex(line.trim()));
        }
        streams.insert(number, flow([first, second], [&bytes[0], &bytes[1]]));
    }
    sort(streams.into_values(), played)
}

/// A program of ours prints a line for each connection: address and port of both ends, and what
/// each of them sent, in hexadecimal digits behind an `x`.
#[track_caller]
fn ours(program: &Path, capture: &Path, played: &[Played]) -> Vec<Vec<Flow>> {
    let finished = program::run(&mut program::command(program, [capture]), LIMIT).succeeded();
    let flows = finished.text();
    let flows = flows
        .lines()
        .map(|line| line_of(line).unwrap_or_else(|| panic!("a line that nobody can read: {line}")));
    sort(flows, played)
}

fn line_of(line: &str) -> Option<Flow> {
    let mut words = line.split(' ');
    let mut end = || {
        let address: IpAddr = words.next()?.parse().ok()?;
        Some(SocketAddr::new(address, words.next()?.parse().ok()?))
    };
    let ends = [end()?, end()?];
    let mut bytes = || words.next()?.strip_prefix('x').map(unhex);
    let bytes = [bytes()?, bytes()?];
    Some(flow(ends, [&bytes[0], &bytes[1]]))
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).filter_map(pair).collect()
}

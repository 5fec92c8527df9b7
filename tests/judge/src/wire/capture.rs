//! Captures: pcap files with nanoseconds, of raw IP or of Ethernet with a VLAN tag.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How packets are framed in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing before the IP header.
    Raw,
    /// Ethernet with VLAN tag 77.
    Vlan,
}

/// A packet with its time since the epoch, and who sent it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub time: Duration,
    /// The kernel sent it, not the raw peer.
    pub by_kernel: bool,
    /// The packet, from its IP header on.
    pub packet: Vec<u8>,
    /// Its segment in an ordinary IP packet; `None` of all fragments but the last that was sent.
    pub plain: Option<Vec<u8>>,
}

/// Writes packets as a capture.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(path: &Path, framing: Framing, packets: &[&Seen]) -> io::Result<()> {
    let link: u32 = match framing {
        Framing::Raw => 101,
        Framing::Vlan => 1,
    };
    let mut out = Vec::new();
    let word = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&value.to_le_bytes());
    for value in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 1 << 18, link] {
        word(&mut out, value);
    }
    for seen in packets {
        let frame = frame(framing, seen);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let seconds = u32::try_from(seen.time.as_secs()).unwrap_or(u32::MAX);
        for value in [seconds, seen.time.subsec_nanos(), length, length] {
            word(&mut out, value);
        }
        out.extend_from_slice(&frame);
    }
    fs::write(path, out)
}

fn frame(framing: Framing, seen: &Seen) -> Vec<u8> {
    let mut frame = Vec::with_capacity(18 + seen.packet.len());
    if framing == Framing::Vlan {
        let is_ipv6 = seen.packet.first().is_some_and(|first| first >> 4 == 6);
        let hosts = if seen.by_kernel { [1, 2] } else { [2, 1] };
        for host in hosts {
            frame.extend_from_slice(&[2, 0, 0, 0, 0x77, host]);
        }
        frame.extend_from_slice(&[0x81, 0, 0, 77]);
        frame.extend_from_slice(if is_ipv6 { &[0x86, 0xdd] } else { &[8, 0] });
    }
    frame.extend_from_slice(&seen.packet);
    frame
}

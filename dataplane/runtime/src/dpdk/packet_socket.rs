//! Losses of the packet sockets inside a port, which DPDK's `af_packet` driver does not report.
//!
//! The kernel counts the packets that found a socket's ring full. The driver does not expose its
//! sockets, so they are found as the ones that exist after the port was made and did not before.
#![expect(unsafe_code, reason = "reads a socket option that no library wraps")]

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rustix::net::{AddressFamily, sockopt::socket_domain};

/// The packet sockets of one port.
#[derive(Debug, Default)]
pub(crate) struct PacketSockets {
    sockets: Vec<OwnedFd>,
    /// Losses reported so far: the kernel resets its counter when it is read.
    dropped: AtomicU64,
}

/// The file descriptors of this process before a port is made.
#[derive(Debug)]
pub(crate) struct Before(BTreeSet<RawFd>);

impl Before {
    /// The descriptors that are open now.
    pub(crate) fn now() -> Self {
        Self(descriptors())
    }

    /// The packet sockets that were opened since.
    pub(crate) fn new_sockets(&self) -> PacketSockets {
        let sockets = descriptors().difference(&self.0).filter_map(|fd| duplicate(*fd)).collect();
        PacketSockets { sockets, dropped: AtomicU64::new(0) }
    }
}

impl PacketSockets {
    /// Packets that found a ring full, since the port was made.
    pub(crate) fn dropped(&self) -> u64 {
        let new: u64 = self.sockets.iter().map(newly_dropped).sum();
        self.dropped.fetch_add(new, Relaxed) + new
    }
}

fn descriptors() -> BTreeSet<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A descriptor of our own for the same socket; `None` if it is no packet socket.
fn duplicate(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: borrowed for this function only. Were the descriptor closed meanwhile, and even
    // another opened in its place, the calls below would fail, or find no packet socket.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let domain = socket_domain(socket).ok()?;
    (domain == AddressFamily::PACKET).then(|| socket.try_clone_to_owned().ok())?
}

/// `struct tpacket_stats_v3`; sockets of version 2 fill in its first two fields.
#[repr(C)]
#[derive(Default)]
struct Statistics {
    packets: u32,
    drops: u32,
    freezes: u32,
}

fn newly_dropped(socket: &OwnedFd) -> u64 {
    let mut statistics = Statistics::default();
    let mut length = libc::socklen_t::try_from(size_of::<Statistics>()).unwrap_or(0);
    // SAFETY: the socket is open, and the kernel writes `length` bytes of `statistics` at most.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if code == 0 { statistics.drops.into() } else { 0 }
}

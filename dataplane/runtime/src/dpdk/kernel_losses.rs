//! Losses of a port that the kernel counts and DPDK's driver does not report.
//!
//! | driver | what was full | the kernel counts in |
//! | --- | --- | --- |
//! | `net_af_packet` | the ring of a packet socket | `PACKET_STATISTICS` |
//! | `net_af_xdp` | the receive ring of an XDP socket | `XDP_STATISTICS` |
//! | `net_tap` | the queue of the tap | `tx_dropped` of its interface |
//!
//! Drivers do not expose their sockets, so they are found as the ones that exist after the port was
//! started and did not before.
#![expect(unsafe_code, reason = "reads a socket option that no library wraps")]

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rustix::net::{
    AddressFamily,
    sockopt::{socket_cookie, socket_domain, xdp_statistics},
};

use super::{devargs::Devargs, interface::Interface};

/// What the kernel counts for one port.
#[derive(Debug)]
pub(crate) struct KernelLosses(Vec<Counter>);

/// The file descriptors of this process before a port is made.
#[derive(Debug)]
pub(crate) struct Before(BTreeSet<RawFd>);

/// One counter of the kernel.
#[derive(Debug)]
enum Counter {
    /// Of a packet socket. The kernel resets it when it is read: what it has told so far.
    Packet { socket: OwnedFd, told: AtomicU64 },
    /// Of an XDP socket.
    Xdp { socket: OwnedFd },
    /// Of an interface, and the last value: the interface may be gone, or out of sight.
    Interface { interface: Interface, last: AtomicU64 },
}

impl Before {
    /// The descriptors that are open now.
    pub(crate) fn now() -> Self {
        Self(descriptors())
    }

    /// The counters of a port that was started since, over this interface, if it has one.
    pub(crate) fn losses(&self, devargs: &Devargs, interface: Option<Interface>) -> KernelLosses {
        KernelLosses(if devargs.is("net_af_packet") {
            let counter = |socket| Counter::Packet { socket, told: 0.into() };
            self.sockets(AddressFamily::PACKET).map(counter).collect()
        } else if devargs.is("net_af_xdp") {
            let counter = |socket| Counter::Xdp { socket };
            self.sockets(AddressFamily::XDP).map(counter).collect()
        } else if devargs.is("net_tap") {
            let counter = |interface| Counter::Interface { interface, last: 0.into() };
            interface.map(counter).into_iter().collect()
        } else {
            Vec::new()
        })
    }

    /// The sockets of this family that were opened since. A driver may hold one twice.
    fn sockets(&self, family: AddressFamily) -> impl Iterator<Item = OwnedFd> + use<> {
        let mut known = BTreeSet::new();
        let new: Vec<_> = descriptors().difference(&self.0).copied().collect();
        let sockets = new.into_iter().filter_map(move |fd| duplicate(fd, family));
        sockets.filter(move |socket| socket_cookie(socket).is_ok_and(|cookie| known.insert(cookie)))
    }
}

impl KernelLosses {
    /// Packets lost since the port was made.
    pub(crate) fn packets(&self) -> u64 {
        self.0.iter().map(Counter::packets).sum()
    }
}

impl Counter {
    fn packets(&self) -> u64 {
        match self {
            Self::Packet { socket, told } => {
                let new = newly_dropped(socket);
                told.fetch_add(new, Relaxed) + new
            }
            // The driver reports `rx_dropped`. An empty fill ring is counted there, too.
            Self::Xdp { socket } => {
                xdp_statistics(socket).ok().and_then(|all| all.rx_ring_full).unwrap_or(0)
            }
            // What the kernel sends to a tap is what the port receives.
            Self::Interface { interface, last } => {
                let now = interface.tx_dropped().unwrap_or(0);
                last.fetch_max(now, Relaxed).max(now)
            }
        }
    }
}

fn descriptors() -> BTreeSet<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A descriptor of our own for the same socket; `None` if it is no socket of this family.
fn duplicate(fd: RawFd, family: AddressFamily) -> Option<OwnedFd> {
    // SAFETY: borrowed for this function only. Were the descriptor closed meanwhile, and even
    // another opened in its place, the calls below would fail, or find no such socket.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let domain = socket_domain(socket).ok()?;
    (domain == family).then(|| socket.try_clone_to_owned().ok())?
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

#[cfg(test)]
mod tests {
    use rustix::net::{SocketType, socket};

    use super::*;

    #[test]
    fn a_socket_that_a_driver_holds_twice_is_counted_once() {
        let families =
            [(AddressFamily::PACKET, "net_af_packet0"), (AddressFamily::XDP, "net_af_xdp0")];
        for (family, driver) in families {
            let devargs = Devargs::parse(&format!("{driver},iface=x")).unwrap();
            let _earlier = socket(family, SocketType::RAW, None);
            let before = Before::now();
            // Where this process may not open such sockets, there are none to count.
            let opened = socket(family, SocketType::RAW, None).ok();
            let _twice = opened.as_ref().map(|socket| socket.try_clone().unwrap());
            let losses = before.losses(&devargs, None);
            assert_eq!(losses.0.len(), usize::from(opened.is_some()), "{driver}");
            assert_eq!(losses.packets(), 0);
        }
    }
}

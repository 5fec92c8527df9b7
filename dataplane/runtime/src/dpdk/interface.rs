//! Kernel interfaces under a port: whether they can be opened, and their offloads.
//!
//! With offloads the kernel passes frames that were never on the wire: merged ones (TSO, GSO, GRO,
//! LRO), or ones without their checksum or VLAN tag. A monitor would see frames of 64 KiB, and a
//! socket's ring keeps only their first 2 KB. So they are switched off while the port is open.
#![expect(unsafe_code, reason = "asks the kernel through SIOCETHTOOL")]

use std::{
    ffi::c_char,
    fs, io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// Whether there is such an interface.
pub(crate) fn exists(interface: &str) -> bool {
    control_socket().is_ok_and(|socket| netdevice::name_to_index(socket, interface).is_ok())
}

/// An interface that a port was made on, or with. It may be renamed.
#[derive(Debug)]
pub(crate) struct Interface {
    socket: OwnedFd,
    index: u32,
}

impl Interface {
    /// The interface with this index.
    pub(crate) fn with_index(index: u32) -> Option<Self> {
        control_socket().ok().map(|socket| Self { socket, index })
    }

    /// Packets sent to the interface that it dropped; `None` if it is not there any more.
    pub(crate) fn tx_dropped(&self) -> Option<u64> {
        let name = netdevice::index_to_name_inlined(&self.socket, self.index).ok()?;
        tx_dropped(&fs::read_to_string("/proc/thread-self/net/dev").ok()?, name.as_str())
    }
}

/// The column of packets dropped while sending in the text of `/proc/net/dev`.
fn tx_dropped(table: &str, interface: &str) -> Option<u64> {
    let mut rows = table.lines().filter_map(|line| line.trim_start().rsplit_once(':'));
    let (_, counters) = rows.find(|(name, _)| *name == interface)?;
    counters.split_ascii_whitespace().nth(TX_DROPPED)?.parse().ok()
}

/// The place of that column: behind eight of received packets, and bytes, packets and errors of
/// sent ones.
const TX_DROPPED: usize = 11;

/// Whether this process may open packet sockets.
pub(crate) fn may_open_packet_sockets() -> bool {
    let protocol = None;
    let flags = SocketFlags::CLOEXEC;
    !matches!(
        socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol),
        Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS)
    )
}

/// The offloads that were switched off on one interface. Dropping it switches them on again.
#[derive(Debug)]
pub(crate) struct Offloads {
    socket: OwnedFd,
    interface: String,
    before: Vec<(Offload, u32)>,
}

/// One offload, or a word of flags that holds several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offload {
    get: u32,
    set: u32,
    /// The bits that matter to us.
    mask: u32,
}

// Commands and flags of linux/ethtool.h.
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ALL: [Offload; 5] = [
    // Large and generic receive: LRO and the stripping of VLAN tags are flags.
    Offload { get: 0x25, set: 0x26, mask: (1 << 15) | (1 << 8) },
    // GRO, GSO, TSO: one number each.
    Offload { get: 0x2b, set: 0x2c, mask: 1 },
    Offload { get: 0x23, set: 0x24, mask: 1 },
    Offload { get: 0x1e, set: 0x1f, mask: 1 },
    // Checksums filled in by the sender's device. TSO depends on it: last off, first on.
    Offload { get: 0x16, set: 0x17, mask: 1 },
];

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// The beginning of `struct ethtool_drvinfo`, and room for its rest.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

impl Offloads {
    /// Switches them off if this process may; else logs the command that does it.
    pub(crate) fn switch_off(interface: &str) -> io::Result<Self> {
        let mut offloads = Self {
            socket: control_socket()?,
            interface: interface.to_owned(),
            before: Vec::with_capacity(ALL.len()),
        };
        let mut all_off = true;
        for offload in ALL {
            all_off &= offloads.switch_one_off(offload);
        }
        let command = "tso off gso off gro off lro off tx off rxvlan off";
        if !all_off {
            tracing::warn!(
                interface,
                "offloads that merge packets cannot be switched off: run \
                 `ethtool -K {interface} {command}`"
            );
        }
        if offloads.driver().is_some_and(|driver| driver == "veth") {
            tracing::warn!(
                interface,
                "one end of a veth pair: the other end hands over merged packets unless its \
                 offloads are off, too: run `ethtool -K PEER {command}`"
            );
        }
        Ok(offloads)
    }

    /// Whether it is off now.
    fn switch_one_off(&mut self, offload: Offload) -> bool {
        let Ok(before) = self.value(offload.get, 0) else { return true };
        if before & offload.mask == 0 {
            return true;
        }
        if let Err(error) = self.value(offload.set, before & !offload.mask) {
            tracing::debug!(interface = self.interface, ?offload, %error, "cannot switch off");
            return false;
        }
        self.before.push((offload, before));
        self.value(offload.get, 0).is_ok_and(|after| after & offload.mask == 0)
    }

    /// Carries out one command that takes and gives a number.
    fn value(&self, command: u32, data: u32) -> io::Result<u32> {
        let mut value = Value { command, data };
        // SAFETY: the commands of `ALL` read and write a `struct ethtool_value`.
        unsafe { self.ethtool((&raw mut value).cast())? };
        Ok(value.data)
    }

    /// The interface's driver.
    fn driver(&self) -> Option<String> {
        let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
        // SAFETY: the command writes a `struct ethtool_drvinfo`, which is 196 bytes long.
        unsafe { self.ethtool((&raw mut info).cast()).ok()? };
        let name = info.driver.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// Calls `SIOCETHTOOL`.
    ///
    /// # Safety
    ///
    /// `request` points to the structure of its command, which is the first field.
    unsafe fn ethtool(&self, request: *mut c_char) -> io::Result<()> {
        let mut name = [0; libc::IFNAMSIZ];
        for (to, from) in name[..libc::IFNAMSIZ - 1].iter_mut().zip(self.interface.bytes()) {
            *to = c_char::from_ne_bytes([from]);
        }
        let ifru = libc::__c_anonymous_ifr_ifru { ifru_data: request };
        let mut interface = libc::ifreq { ifr_name: name, ifr_ifru: ifru };
        // SAFETY: the socket is open, `interface` is a `struct ifreq`, and the caller vouches for
        // its data.
        let code =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut interface) };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

impl Drop for Offloads {
    fn drop(&mut self) {
        for (offload, before) in self.before.iter().rev() {
            if let Err(error) = self.value(offload.set, *before) {
                tracing::debug!(interface = self.interface, ?offload, %error, "cannot put back");
            }
        }
    }
}

/// A socket for questions about interfaces of this network namespace.
fn control_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interface_dropped_is_the_column_of_its_row() {
        let row =
            |name: &str| format!("{name}: 1 2 3 4 5 6 7 8 9 10 11 {} 13 14 15 16\n", name.len());
        let table = ["Inter-| Receive | Transmit", " face |bytes |bytes"].join("\n") + "\n";
        let table = table + &row("  lo") + &row("mon0") + &row("eth0:1");
        assert_eq!(tx_dropped(&table, "mon0"), Some(4));
        assert_eq!(tx_dropped(&table, "eth0:1"), Some(6));
        assert_eq!(tx_dropped(&table, "mon"), None);
    }

    #[test]
    fn the_loopback_interface_exists_and_another_does_not() {
        assert!(exists("lo"));
        assert!(!exists("no-such-if0"));
    }
}

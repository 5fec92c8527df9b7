//! A tun device: the kernel receives what is written to it, and what it sends is read from it.
//!
//! The kernel's receive path runs to its end before a write returns, so that its answer can be read
//! at once: nothing waits.
#![expect(unsafe_code, reason = "rustix has no safe call for TUNSETIFF")]

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::ioctl::{self, Opcode, Setter};

const TUNSETIFF: Opcode = ioctl::opcode::write::<c_int>(b'T', 202);

/// `IFF_TUN | IFF_NO_PI`: packets begin with their IP header.
const FLAGS: u16 = 0x1001;

/// More than any packet that the kernel sends through the device.
const PACKET_MAX: usize = 65536;

/// `struct ifreq` of linux/if.h, with the flags of the device.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// A tun device of the namespace in which it was opened. Dropping it removes it.
#[derive(Debug)]
pub struct Device {
    file: File,
}

impl Device {
    /// Creates the device.
    ///
    /// # Errors
    ///
    /// Those of the kernel: no permission, or no tun devices.
    pub fn create(name: &str) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).custom_flags(flags).open("/dev/net/tun")?;
        let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
        for (to, from) in request.name.iter_mut().zip(name.bytes().take(15)) {
            *to = from;
        }
        // SAFETY: TUNSETIFF takes a `struct ifreq`, of which `Request` has the size and layout.
        let set = unsafe { Setter::<TUNSETIFF, Request>::new(request) };
        // SAFETY: the kernel only reads and writes the request, which lives as long as the call.
        unsafe { ioctl::ioctl(&file, set) }?;
        Ok(Self { file })
    }

    /// Lets the kernel receive a packet. One that tun itself refuses, because it begins like none
    /// of IP, counts as received and dropped.
    ///
    /// # Errors
    ///
    /// The device is down or gone.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        match io::Write::write(&mut &self.file, packet) {
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
            _ => Ok(()),
        }
    }

    /// The next packet that the kernel has sent; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; PACKET_MAX];
        match io::Read::read(&mut &self.file, &mut packet) {
            Ok(length) => {
                packet.truncate(length);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

//! The kernel's end of a connection: listeners, connecting sockets, and what they read.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

use crate::ends::setup::{Setting, Setup};

/// Where the kernel listens.
pub const PORT: u16 = 80;

/// Where it listens with a small buffer.
pub const SMALL_PORT: u16 = 81;

/// The size of a small buffer; the kernel doubles it, and grants less than half of that.
const SMALL: usize = 4096;

const BACKLOG: i32 = 4096;

/// What one socket has read.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// What `read()` returned.
    pub bytes: Vec<u8>,
    /// It returned 0, or an error.
    pub ended: bool,
}

#[derive(Debug)]
struct Socket {
    stream: Option<TcpStream>,
    received: Received,
    written: usize,
}

/// The kernel's sockets.
#[derive(Debug)]
pub struct Kernel {
    listeners: Vec<TcpListener>,
    sockets: Vec<Socket>,
    /// Its application does not read.
    pub paused: bool,
}

impl Kernel {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// A port is taken.
    pub fn listen() -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            for port in [PORT, SMALL_PORT] {
                listeners.push(listener(SocketAddr::new(address, port))?);
            }
        }
        Ok(Self { listeners, sockets: Vec::new(), paused: false })
    }

    /// Connects a socket.
    ///
    /// # Errors
    ///
    /// The addresses cannot be used.
    pub fn connect(&mut self, from: SocketAddr, to: SocketAddr, setup: Setup) -> io::Result<()> {
        let socket = socket(from)?;
        if setup.setting == Setting::Small {
            sockopt::set_socket_recv_buffer_size(&socket, SMALL)?;
        }
        if from.is_ipv6() {
            // The address is local by its route alone.
            sockopt::set_ipv6_freebind(&socket, true)?;
        }
        net::bind(&socket, &from)?;
        match net::connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.add(TcpStream::from(socket));
        Ok(())
    }

    /// Accepts and, unless paused, reads whatever there is.
    pub fn serve(&mut self) {
        let accept = |listener: &TcpListener| listener.accept().ok();
        let accepted: Vec<_> = self.listeners.iter().filter_map(accept).collect();
        for (stream, _) in accepted {
            if stream.set_nonblocking(true).is_ok() {
                self.add(stream);
            }
        }
        if !self.paused {
            self.sockets.iter_mut().for_each(Socket::read);
        }
    }

    /// The application writes to the newest connection, as far as that takes it.
    pub fn write(&mut self, length: usize) {
        let Some(socket) = self.sockets.last_mut() else { return };
        let bytes: Vec<_> = (socket.written..socket.written + length).map(spoken).collect();
        let stream = socket.stream.as_mut();
        socket.written += stream.map_or(0, |stream| stream.write(&bytes).unwrap_or(0));
    }

    /// The application will write no more.
    pub fn shutdown(&mut self) {
        let stream = self.sockets.last().and_then(|socket| socket.stream.as_ref());
        // A connection that is reset already stays so.
        stream.map_or(Ok(()), |stream| stream.shutdown(Shutdown::Write)).unwrap_or_default();
    }

    /// The application closes the newest socket.
    pub fn close(&mut self) {
        if let Some(socket) = self.sockets.last_mut() {
            socket.read();
            socket.stream = None;
        }
    }

    /// What each socket has read to its end; aborts them all.
    pub fn finish(&mut self) -> Vec<Received> {
        self.paused = false;
        self.serve();
        let sockets = std::mem::take(&mut self.sockets);
        for stream in sockets.iter().filter_map(|socket| socket.stream.as_ref()) {
            // Closing sends a RST, so that nothing is left in the kernel.
            sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap_or_default();
        }
        sockets.into_iter().map(|socket| socket.received).collect()
    }

    fn add(&mut self, stream: TcpStream) {
        let received = Received::default();
        self.sockets.push(Socket { stream: Some(stream), received, written: 0 });
    }
}

impl Socket {
    fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => self.received.ended = true,
                Ok(length) => {
                    self.received.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(_) => self.received.ended = true,
            }
            return;
        }
    }
}

/// The byte at an offset of what the kernel's application writes.
#[must_use]
pub fn spoken(offset: usize) -> u8 {
    b"!#$%&()*+,-./:;<=>?@[]^_{|}~"[offset % 28]
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if address.port() == SMALL_PORT {
        sockopt::set_socket_recv_buffer_size(&socket, SMALL)?;
    }
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn socket(address: SocketAddr) -> io::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    // RFC 6093: urgent bytes are part of the stream.
    sockopt::set_socket_oobinline(&socket, true)?;
    Ok(socket)
}

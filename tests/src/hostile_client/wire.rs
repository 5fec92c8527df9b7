//! HTTP/2 by the byte, as no library sends it, and calls of gRPC in it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// Types of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
/// Opens a stream.
pub const HEADERS: u8 = 1;
/// Ends a stream early.
pub const RST_STREAM: u8 = 3;
/// Settings of the sender.
pub const SETTINGS: u8 = 4;
/// Asks for an echo.
pub const PING: u8 = 6;
/// Grants bytes.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a header block.
pub const CONTINUATION: u8 = 9;

/// The last frame of a stream.
pub const END_STREAM: u8 = 1;
/// The last frame of a header block.
pub const END_HEADERS: u8 = 4;

/// The setting that grants each stream this many bytes.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// The most that a window may hold.
pub const WINDOW_MAX: u32 = 0x7fff_ffff;

/// The code of a stream that its client has given up.
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A peer that takes longer to read has stopped reading.
const WRITE_MAX: Duration = Duration::from_millis(500);

/// A client that keeps to no rule.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    sent: usize,
}

impl RawClient {
    /// Connects, and says nothing.
    #[track_caller]
    pub fn silent(address: &str) -> Self {
        Self::silent_from(address, Ipv4Addr::LOCALHOST)
    }

    /// The same from this address of the client.
    #[track_caller]
    pub fn silent_from(address: &str, from: Ipv4Addr) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddrV4::new(from, 0)).expect("an address of the loopback");
        let address: SocketAddrV4 = address.parse().expect("an address");
        connect(&socket, &address).expect("the service listens");
        let stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(WRITE_MAX)).expect("a limit can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Self { stream, sent: 0 }
    }

    /// Connects, and grants each answer this many bytes.
    #[track_caller]
    pub fn granting(address: &str, window: u32) -> Self {
        let mut client = Self::silent(address);
        client.grant(window);
        client
    }

    /// Speaks HTTP/2 from now on, and grants each answer this many bytes.
    pub fn grant(&mut self, window: u32) {
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let more = (WINDOW_MAX - 65_535).to_be_bytes();
        let all = [PREFACE, &frame(SETTINGS, 0, 0, &setting), &frame(WINDOW_UPDATE, 0, 0, &more)];
        self.send(&all.concat());
    }

    /// Sends bytes; returns whether the service still takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.sent += bytes.len();
        self.stream.write_all(bytes).is_ok()
    }

    /// Bytes that were sent.
    #[must_use]
    pub const fn sent(&self) -> usize {
        self.sent
    }

    /// Reads what has come, and throws it away. Returns whether the service has ended the
    /// connection.
    pub fn drain(&mut self) -> bool {
        self.is_ended(Duration::ZERO)
    }

    /// Reads until the service ends the connection, for this long at most; returns whether it did.
    pub fn is_ended(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut unheard = [0; 8192];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = left.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(wait)).expect("a limit can be set");
            match self.stream.read(&mut unheard) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if is_late(&error) && !left.is_zero() => {}
                Err(error) => return !is_late(&error),
            }
        }
    }
}

/// Whether nothing came in time.
fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The number of the stream that a client opens as its `count`th, from 0.
#[must_use]
pub const fn stream(count: u32) -> u32 {
    2 * count + 1
}

/// A frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a call, without an entry in any table.
#[must_use]
pub fn call_headers(path: &str) -> Vec<u8> {
    // POST, http, and names of the static table (RFC 7541, appendix A).
    let mut block = vec![0x83, 0x86];
    let fields = [(&[0x04][..], path), (&[0x01], "localhost"), (&[0x0f, 0x10], "application/grpc")];
    for (name, value) in fields {
        block.extend(name);
        block.extend(string(value));
    }
    block.push(0x00);
    block.extend(string("te"));
    block.extend(string("trailers"));
    block
}

/// A call of gRPC with a message, as bytes of protobuf.
#[must_use]
pub fn call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    let headers = frame(HEADERS, END_HEADERS, stream, &call_headers(path));
    [headers, frame(DATA, END_STREAM, stream, &body)].concat()
}

/// Gives a call up.
#[must_use]
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL)
}

/// A short string of HPACK, not in Huffman code.
fn string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX) & 0x7f;
    [&[length], text.as_bytes()].concat()
}

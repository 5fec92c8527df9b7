//! One transfer over HTTP whose server advances only as a test allows: the packets in flight fit
//! into every ring between the interface and a stack, however long mosd waits for its CPU.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::{Helper, Lab};
use crate::rpc::Rpc;

/// Bytes in flight that mosd has not handled, in addition to those in the server's receive buffer.
/// With acknowledgements and retransmissions they fill half of the smallest ring, the one between
/// two workers: 4096 packets.
pub const AHEAD: usize = 1 << 20;

/// The port that the server listens on.
const PORT: &str = "8080";

/// A server for one connection, `tools/http_server.py`, and the number of bytes that it may move.
#[derive(Debug)]
pub struct Transfer {
    _server: Helper,
    folder: PathBuf,
    url: String,
    allowed: Cell<usize>,
    rpc: RefCell<Rpc>,
}

impl Transfer {
    /// Starts the server on an address of the lab's server. It serves `file` of `folder`, and may
    /// move [`AHEAD`] bytes.
    #[track_caller]
    pub fn start(lab: &Lab, address: &str, folder: &Path, file: &str, rpc: Rpc) -> Self {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        write_allowed(folder, AHEAD);
        let here = folder.to_string_lossy();
        let arguments = [address, PORT, &here, &path(file)];
        Self {
            _server: Helper::start(lab.server(), "http_server.py", &arguments),
            folder: folder.to_owned(),
            url: format!("http://{host}:{PORT}"),
            allowed: Cell::new(AHEAD),
            rpc: RefCell::new(rpc),
        }
    }

    /// The URL of one of the server's paths.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// The bytes that the server has sent.
    pub fn sent(&self) -> Vec<u8> {
        fs::read(self.folder.join("sent")).unwrap_or_default()
    }

    /// The bytes that the server has received.
    pub fn received(&self) -> Vec<u8> {
        fs::read(self.folder.join("received")).unwrap_or_default()
    }

    /// Allows [`AHEAD`] bytes more than mosd has handled of both directions of the flow.
    #[track_caller]
    pub fn follow(&self, flow: &str) {
        self.allow(self.taken(flow) + AHEAD);
    }

    /// Bytes of both directions of the flow that mosd has handled; 0 if the flow is gone.
    #[track_caller]
    pub fn taken(&self, flow: &str) -> usize {
        self.rpc.borrow_mut().taken(flow).unwrap_or(0)
    }

    /// Allows `bytes`, sent and received together. Never lowers what was allowed before.
    #[track_caller]
    pub fn allow(&self, bytes: usize) {
        if bytes > self.allowed.get() {
            write_allowed(&self.folder, bytes);
            self.allowed.set(bytes);
        }
    }

    /// Allows [`AHEAD`] bytes more than before.
    #[track_caller]
    pub fn allow_more(&self) {
        self.allow(self.allowed.get() + AHEAD);
    }

    /// Lets the server answer the request to hold the connection.
    #[track_caller]
    pub fn release(&self) {
        fs::write(self.folder.join("release"), "").expect("a file");
        self.allow_more();
    }
}

/// Replaces the file atomically, so that the server never reads half of a number.
#[track_caller]
fn write_allowed(folder: &Path, bytes: usize) {
    let new = folder.join("allowed.new");
    fs::write(&new, bytes.to_string()).expect("a file");
    fs::rename(new, folder.join("allowed")).expect("a file can be renamed");
}

//! `mosd replay --write-streams DIR`: each direction of each flow as a file, written when the flow
//! ends: the bytes of which its record has the digest.
//!
//! ```text
//! DIR/index.jsonl                     the records, each with the names of its files
//! DIR/3f/20260131T161258.959064000Z_10.0.0.1.43512_192.0.2.10.443_c2s
//! ```
//!
//! Names are made of numbers alone, so that nothing that a capture says can lead out of the folder.
//! The files are spread over 256 folders by a hash of their names; one is open at a time, none is
//! ever opened that was there before, and only their owner may read them.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use mos_stack::{FlowRef, FlowSummary, Side};
use sha2::{Digest as _, Sha256};

use super::{
    record::{DirectionRecord, FlowRecord, direction_name},
    time,
};

/// The index of the folder.
const INDEX: &str = "index.jsonl";

/// How much is written, at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamLimits {
    /// Files.
    pub(super) files: u64,
    /// Bytes of all files together.
    pub(super) bytes: u64,
}

/// A folder for the streams, shared by all workers.
#[derive(Debug)]
pub(super) struct StreamFolder {
    path: PathBuf,
    limits: StreamLimits,
    files: AtomicU64,
    bytes: AtomicU64,
    left_out: AtomicU64,
}

/// What one worker writes of the streams.
#[derive(Debug)]
pub(super) struct StreamWriter {
    folder: Arc<StreamFolder>,
    /// How often a name was wanted, for those that were wanted more than once.
    repeated: HashMap<String, u64>,
    failure: Option<io::Error>,
}

impl StreamFolder {
    /// Makes the folder, or takes it where it is there and empty.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or something is in it.
    pub(super) fn create(path: &Path, limits: StreamLimits) -> io::Result<Self> {
        match make_folder(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read_dir(path)?.next().is_some() {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
            }
            made => made?,
        }
        let count = || AtomicU64::new(0);
        let (files, bytes, left_out) = (count(), count(), count());
        Ok(Self { path: path.to_owned(), limits, files, bytes, left_out })
    }

    /// Streams that were not written, because of a limit, or because their buffer did not hold all
    /// of them.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    /// Writes the index: a line for each record.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn write_index(&self, records: &[FlowRecord]) -> io::Result<()> {
        let mut index = io::BufWriter::new(new_file(&self.path.join(INDEX))?);
        for record in records {
            serde_json::to_writer(&mut index, record)?;
            index.write_all(b"\n")?;
        }
        index.flush()
    }

    /// Counts a stream that is not written.
    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Relaxed);
    }

    /// Takes room for one file of so many bytes. False if there is none.
    fn admits(&self, bytes: u64) -> bool {
        let is_admitted = self.files.fetch_add(1, Relaxed) < self.limits.files
            && self.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes) <= self.limits.bytes;
        if !is_admitted {
            self.leave_out();
        }
        is_admitted
    }
}

impl StreamWriter {
    pub(super) fn new(folder: &Arc<StreamFolder>) -> Self {
        Self { folder: Arc::clone(folder), repeated: HashMap::new(), failure: None }
    }

    /// Why nothing more was written, if so.
    pub(super) fn failure(self) -> Option<io::Error> {
        self.failure
    }

    /// Writes what `from` sent, if `record` has its digest. Gives the name of the file, from the
    /// folder on; none where there are no bytes, a limit is reached, or writing failed.
    pub(super) fn write(
        &mut self,
        flow: &FlowRef<'_>,
        from: Side,
        record: &DirectionRecord,
    ) -> Option<String> {
        if record.stream_len == 0 || self.failure.is_some() {
            return None;
        }
        if record.sha256.is_none() {
            self.folder.leave_out();
            return None;
        }
        if !self.folder.admits(record.stream_len) {
            return None;
        }
        match self.try_write(flow, from) {
            Ok(name) => Some(name),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    fn try_write(&mut self, flow: &FlowRef<'_>, from: Side) -> io::Result<String> {
        let (name, mut file) = self.new_file(&base_name(&flow.summary(), from))?;
        let mut result = Ok(());
        flow.read_beginning(from.peer(), |piece| {
            if result.is_ok() {
                result = file.write_all(piece);
            }
        });
        if result.is_err() {
            // Half a stream would be taken for a whole one; that it stays is no new error.
            fs::remove_file(self.folder.path.join(&name)).unwrap_or_default();
        }
        result.map(|()| name)
    }

    /// A new file of that name, with a number behind it where there is one already.
    fn new_file(&mut self, base: &str) -> io::Result<(String, File)> {
        let digest = Sha256::digest(base);
        let folder = format!("{:02x}", digest.first().copied().unwrap_or_default());
        loop {
            let name = match self.repeated.get(base) {
                Some(count) => format!("{folder}/{base}.{count}"),
                None => format!("{folder}/{base}"),
            };
            match new_file(&self.folder.path.join(&name)) {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    make_folder_if_missing(&self.folder.path.join(&folder))?;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    *self.repeated.entry(base.to_owned()).or_insert(1) += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// When the flow began, its endpoints and the direction.
fn base_name(flow: &FlowSummary, from: Side) -> String {
    let start = time::for_names(flow.started.as_nanos());
    let vlan = flow.tuple.vlan.map(|vlan| format!("_vlan{vlan}")).unwrap_or_default();
    let [client, server] = [flow.tuple.client, flow.tuple.server].map(endpoint);
    format!("{start}_{client}_{server}{vlan}_{}", direction_name(from))
}

/// An address and a port, without the colons that some file systems do not take.
fn endpoint(address: SocketAddr) -> String {
    format!("{}.{}", address.ip().to_string().replace(':', "-"), address.port())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Another worker may be faster.
fn make_folder_if_missing(path: &Path) -> io::Result<()> {
    match make_folder(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

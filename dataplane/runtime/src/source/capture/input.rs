//! Opens what a capture is read from: a regular file, which every worker reads itself, or anything
//! else, which one thread reads for all of them.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::{
        fd::AsFd as _,
        unix::fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use rustix::fs::OFlags;

use super::{
    CaptureError, Progress,
    compression::{self, Compression},
    feed::Feed,
    record,
    window::{Bytes, Window},
};

/// The path that means standard input.
const STDIN: &str = "-";

/// What a worker does while a pipe is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps until there is more.
    Sleeps,
    /// It goes on with other things, and asks again.
    Polls,
}

/// Ends captures early, from another thread: each ends where it is, within a fraction of a second.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends them.
    pub fn set(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether they end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A capture that was opened for some workers.
pub(super) struct Input {
    /// One for each worker.
    pub(super) windows: Vec<Window>,
    /// How much of the file was read, where one thread reads it for all.
    pub(super) progress: Progress,
}

impl Input {
    /// Opens the capture for so many workers. Waits for nothing, whatever is at the path.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(super) fn open(
        path: &Path,
        workers: u16,
        wait: Wait,
        interrupt: &Interrupt,
    ) -> Result<Self, CaptureError> {
        let failed = |error| CaptureError::Read { path: path.to_owned(), error };
        let file = open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
        let total = if metadata.is_file() { metadata.len() } else { 0 };
        let progress = Progress { consumed: Arc::new(AtomicU64::new(0)), total };
        let is_fed = path.as_os_str() == STDIN
            || !metadata.is_file()
            || is_compressed(&file).map_err(failed)?;
        let sources = if is_fed {
            Feed::start(file, record::MAGIC_BYTES, workers, wait, interrupt, &progress.consumed)
                .map(|feeds| feeds.into_iter().map(Bytes::Feed).collect())
        } else {
            // Each has a position of its own.
            (0..workers).map(|_| open(path).map(Bytes::File)).collect::<io::Result<Vec<_>>>()
        };
        let windows = sources.map_err(failed)?.into_iter().map(Window::new).collect();
        Ok(Self { windows, progress })
    }
}

/// Opens a file. A pipe that nobody writes to yet does not make it wait.
fn open(path: &Path) -> io::Result<File> {
    if path.as_os_str() == STDIN {
        return io::stdin().as_fd().try_clone_to_owned().map(File::from);
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Whether a regular file is compressed.
fn is_compressed(file: &File) -> io::Result<bool> {
    let mut magic = [0; compression::MAGIC_BYTES];
    let count = file.read_at(&mut magic, 0)?;
    Ok(Compression::of(&magic[..count]).is_some())
}

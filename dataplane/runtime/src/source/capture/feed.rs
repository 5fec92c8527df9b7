//! What can be read only once, or only at a cost: pipes, standard input and compressed captures.
//! One thread reads, decompresses and hands every piece to each worker, so that nothing is read or
//! decompressed twice, and no worker waits within a system call.
//!
//! ```text
//! pipe, file ──▶ Patient ──▶ decompression ──▶ pump ──▶ one queue for each worker ──▶ Window
//! ```

use std::{
    fs::File,
    io::{self, BufReader, Cursor, ErrorKind, Read},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel},
    },
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    Interrupt, ProblemCause, Wait,
    compression::{self, Compression},
};

/// Bytes of one piece, at most.
const PIECE: usize = 64 * 1024;

/// Pieces that wait for a worker, at most: with them a worker holds 1 MiB.
const QUEUE: usize = 16;

/// How long a silent pipe is waited for before the reader looks whether anybody still wants it.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A worker's end of a feed.
#[derive(Debug)]
pub(super) struct Feed {
    pieces: Receiver<Piece>,
    piece: Arc<[u8]>,
    /// Bytes of the piece that were read.
    at: usize,
    wait: Wait,
    end: Option<Result<(), ProblemCause>>,
    _wanted: Arc<()>,
}

/// What the reader sends to each worker. A queue that closes without an end is one whose reader
/// has failed.
#[derive(Debug, Clone)]
enum Piece {
    Bytes(Arc<[u8]>),
    End(Result<(), ProblemCause>),
}

/// What one read of a feed gives.
pub(super) enum Fed {
    /// So many bytes.
    Bytes(usize),
    /// None for now.
    NotYet,
    /// The end, or why there is no more.
    End(Result<(), ProblemCause>),
}

impl Feed {
    /// Starts the thread that reads `file`, for so many workers. The first piece has at least
    /// `first` bytes, if there are so many: whoever opens a capture waits for that one alone. What
    /// was read of the file is counted in `consumed`.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(super) fn start(
        file: File,
        first: usize,
        workers: u16,
        wait: Wait,
        interrupt: &Interrupt,
        consumed: &Arc<AtomicU64>,
    ) -> io::Result<Vec<Self>> {
        let wanted = Arc::new(());
        let (queues, feeds) = (0..workers)
            .map(|_| {
                let (queue, pieces) = sync_channel(QUEUE);
                let (piece, _wanted) = (Arc::default(), Arc::clone(&wanted));
                (queue, Self { pieces, piece, at: 0, wait, end: None, _wanted })
            })
            .unzip();
        let patient = Patient {
            file,
            wanted: Arc::downgrade(&wanted),
            interrupt: interrupt.clone(),
            consumed: Arc::clone(consumed),
        };
        thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || pump(patient, first, queues))?;
        Ok(feeds)
    }

    /// Reads the next bytes into `buffer`, which is not empty.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Fed {
        if let Some(end) = &self.end {
            return Fed::End(end.clone());
        }
        while self.at == self.piece.len() {
            match self.next() {
                Ok(Piece::Bytes(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Piece::End(end)) => {
                    self.end = Some(end.clone());
                    return Fed::End(end);
                }
                Err(TryRecvError::Empty) => return Fed::NotYet,
                Err(TryRecvError::Disconnected) => {
                    return Fed::End(Err(ProblemCause::Read(ErrorKind::Other)));
                }
            }
        }
        let rest = &self.piece[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Fed::Bytes(count)
    }

    fn next(&self) -> Result<Piece, TryRecvError> {
        match self.wait {
            Wait::Sleeps => self.pieces.recv().map_err(|RecvError| TryRecvError::Disconnected),
            Wait::Polls => self.pieces.try_recv(),
        }
    }
}

/// Reads to the end, as long as somebody takes what is read.
fn pump(patient: Patient, first: usize, mut queues: Vec<SyncSender<Piece>>) {
    let interrupt = patient.interrupt.clone();
    let mut send = |piece: &Piece| {
        queues.retain(|queue| queue.send(piece.clone()).is_ok());
        !queues.is_empty()
    };
    let end = read_all(patient, first, |bytes| send(&Piece::Bytes(bytes.into())));
    send(&Piece::End(if interrupt.is_set() { Ok(()) } else { end }));
}

/// Gives everything that can be read to `take`, until that says that it is enough.
fn read_all(
    patient: Patient,
    first: usize,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), ProblemCause> {
    let mut source = BufReader::with_capacity(PIECE, patient);
    let mut magic = Vec::new();
    source
        .by_ref()
        .take(compression::MAGIC_BYTES as u64)
        .read_to_end(&mut magic)
        .map_err(|error| ProblemCause::Read(error.kind()))?;
    let compression = Compression::of(&magic);
    let source = Cursor::new(magic).chain(source);
    let mut reader = match compression {
        Some(compression) => compression.reader(source),
        None => Box::new(source),
    };
    let mut piece = vec![0; PIECE];
    let (mut filled, mut wanted) = (0, first);
    loop {
        let end = match reader.read(&mut piece[filled..]) {
            Ok(0) => Some(Ok(())),
            Ok(count) => {
                filled += count;
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => Some(Err(ProblemCause::of(&error, compression))),
        };
        if filled >= wanted || filled > 0 && end.is_some() {
            if !take(&piece[..filled]) {
                return Ok(());
            }
            (filled, wanted) = (0, 1);
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Reads what is there, and waits where there is nothing: but no longer than somebody wants it.
struct Patient {
    file: File,
    wanted: Weak<()>,
    interrupt: Interrupt,
    consumed: Arc<AtomicU64>,
}

impl Patient {
    /// Waits until the file has something, or has ended. False if nobody waits any more.
    fn is_ready(&self) -> io::Result<bool> {
        while self.wanted.strong_count() > 0 && !self.interrupt.is_set() {
            // A file and an end are ready, too, and a pipe that nobody has opened yet is not.
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.is_ready()? {
            match self.file.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.consumed.fetch_add(count as u64, Relaxed);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}

//! Lines that wait to be written, and the thread that writes them.
//!
//! Only that thread waits for the reader of the log. What finds no room, or cannot be written, is
//! counted, and the log says so as soon as it flows again.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// Pause before another try, where the reader's end was set to refuse rather than to wait.
const RETRY: Duration = Duration::from_millis(20);

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    has_lines: Condvar,
    is_idle: Condvar,
    capacity: usize,
    no_room: AtomicU64,
    unwritten: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// The thread has taken lines that it has not written yet.
    is_writing: bool,
}

/// Lines that were lost since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lost {
    /// The queue was full: the reader of the log is slow, or does not read.
    pub(crate) no_room: u64,
    /// They could not be written.
    pub(crate) unwritten: u64,
}

impl Lost {
    /// All of them.
    pub(crate) const fn lines(self) -> u64 {
        self.no_room.saturating_add(self.unwritten)
    }
}

impl Queue {
    /// An empty queue for that many bytes.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            has_lines: Condvar::new(),
            is_idle: Condvar::new(),
            capacity,
            no_room: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
        })
    }

    /// Appends a line, or counts it where there is no room. Never waits for the reader.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.lines.len().saturating_add(line.len()) > self.capacity {
            self.no_room.fetch_add(1, Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        drop(state);
        self.has_lines.notify_one();
    }

    /// Waits until everything has been written, for at most this long.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        // What is still there at the end of the patience stays unwritten.
        drop(self.is_idle.wait_timeout_while(self.lock(), patience, is_busy));
    }

    /// What was lost since the start.
    pub(super) fn lost(&self) -> Lost {
        Lost { no_room: self.no_room.load(Relaxed), unwritten: self.unwritten.load(Relaxed) }
    }

    /// Exchanges the lines that wait for an empty `batch`; waits up to this long for the first.
    fn take(&self, batch: &mut Vec<u8>, patience: Duration) {
        let mut state = self.lock();
        state.is_writing = false;
        if state.lines.is_empty() {
            self.is_idle.notify_all();
            let is_empty = |state: &mut State| state.lines.is_empty();
            let waited = self.has_lines.wait_timeout_while(state, patience, is_empty);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        mem::swap(&mut state.lines, batch);
        state.is_writing = !batch.is_empty();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what waits. Lives on a thread of its own, which alone may block.
#[derive(Debug)]
pub(super) struct Writer<W> {
    queue: Arc<Queue>,
    out: W,
    batch: Vec<u8>,
    /// Only a part of the last line could be written.
    is_torn: bool,
    /// Lost lines that the log has told of.
    told: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the lines of the queue to `out`.
    pub(super) const fn new(queue: Arc<Queue>, out: W) -> Self {
        Self { queue, out, batch: Vec::new(), is_torn: false, told: 0 }
    }

    /// Writes what waits; waits up to `patience` for the first line.
    pub(super) fn turn(&mut self, patience: Duration) {
        self.batch.clear();
        self.queue.take(&mut self.batch, patience);
        if self.batch.is_empty() {
            return;
        }
        if self.is_torn && self.put(b"\n") == 1 {
            self.is_torn = false;
        }
        let batch = mem::take(&mut self.batch);
        let (written, rest) = batch.split_at(self.put(&batch));
        self.is_torn = written.last().map_or(self.is_torn, |last| *last != b'\n');
        self.queue.unwritten.fetch_add(lines(rest), Relaxed);
        if rest.is_empty() {
            self.tell_losses();
        }
        self.batch = batch;
    }

    /// Writes as much of this as can be written. Returns how many bytes that was.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.out.write(rest) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
                Err(_lost) => break,
            }
        }
        written
    }

    /// Says what was lost, now that lines can be written again.
    fn tell_losses(&mut self) {
        let lost = self.queue.lost();
        let lines = lost.lines().saturating_sub(self.told);
        if lines > 0 {
            let Lost { no_room, unwritten } = lost;
            tracing::warn!(
                lines,
                no_room_since_start = no_room,
                unwritten_since_start = unwritten,
                "the log has lost lines: its reader was slow, or they could not be written"
            );
            self.told = lost.lines();
        }
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How each write ends: bytes taken, or an error. When all are used up, everything is taken.
    struct Reader {
        ends: Vec<Result<usize, io::ErrorKind>>,
        text: Vec<u8>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let end = if self.ends.is_empty() { Ok(bytes.len()) } else { self.ends.remove(0) };
            let taken = end.map_err(io::Error::from)?.min(bytes.len());
            self.text.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn over(
        ends: &[Result<usize, io::ErrorKind>],
        capacity: usize,
    ) -> (Arc<Queue>, Writer<Reader>) {
        let queue = Queue::new(capacity);
        let reader = Reader { ends: ends.to_vec(), text: Vec::new() };
        (Arc::clone(&queue), Writer::new(queue, reader))
    }

    fn text(writer: &Writer<Reader>) -> &str {
        str::from_utf8(&writer.out.text).unwrap()
    }

    #[test]
    fn a_full_queue_counts_what_it_does_not_take() {
        let (queue, mut writer) = over(&[], 8);
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            queue.push(line.as_bytes());
        }
        assert_eq!(queue.lost(), Lost { no_room: 2, unwritten: 0 });
        writer.turn(Duration::ZERO);
        queue.push(b"five\n");
        writer.turn(Duration::ZERO);
        assert_eq!(text(&writer), "one\ntwo\nfive\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_a_torn_one_is_ended() {
        let full = Err(io::ErrorKind::StorageFull);
        let (queue, mut writer) = over(&[Ok(6), full, full, full], 100);
        queue.push(b"one\n");
        queue.push(b"two\n");
        queue.push(b"three\n");
        writer.turn(Duration::ZERO);
        assert_eq!(queue.lost(), Lost { no_room: 0, unwritten: 2 });
        queue.push(b"four\n");
        writer.turn(Duration::ZERO);
        assert_eq!(queue.lost().lines(), 3);
        queue.push(b"five\n");
        writer.turn(Duration::ZERO);
        assert_eq!(text(&writer), "one\ntw\nfive\n");
    }

    #[test]
    fn a_reader_that_takes_little_or_asks_for_patience_gets_everything() {
        let (blocked, interrupted) = (io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted);
        let (queue, mut writer) = over(&[Ok(1), Err(blocked), Err(interrupted), Ok(2)], 100);
        queue.push(b"one\ntwo\n");
        writer.turn(Duration::ZERO);
        assert_eq!((text(&writer), queue.lost()), ("one\ntwo\n", Lost::default()));
    }

    #[test]
    fn a_flush_waits_for_the_last_line_and_not_for_ever() {
        let (queue, mut writer) = over(&[], 100);
        queue.push(b"one\n");
        queue.flush(Duration::from_millis(1));
        let flushed = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.flush(Duration::from_secs(600))
        });
        writer.turn(Duration::ZERO);
        writer.turn(Duration::ZERO);
        flushed.join().unwrap();
        assert_eq!(text(&writer), "one\n");
    }
}

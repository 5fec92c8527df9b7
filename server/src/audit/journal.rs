//! The files: lines are appended to one, which becomes an older one after a day or 64 MiB.
//!
//! ```text
//! audit.jsonl                 the lines of now
//! audit.000000004711.jsonl    older ones, by the number of the first line; 10 are kept
//! ```
//!
//! What was written is on the disk when it counts as written. A write that fails leaves no trace:
//! the file is cut back to the last line that counts.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use mos_text::Chain;
use rustix::fs::{FlockOperation, flock};

use super::entry::{Entry, Event, Line};
use crate::words::bounds::{AUDIT_FILE_BYTES, AUDIT_FILES_KEPT, AUDIT_LINE_BYTES};

const DAY_SECONDS: u64 = 24 * 3600;

/// An entry, and when it happened.
pub(super) type Dated = (SystemTime, Entry);

/// What was appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appended {
    /// The number of the first entry.
    pub(super) first: u64,
    /// Whether a new file was begun.
    pub(super) has_begun: bool,
}

/// The files, and where their chain goes on.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    bytes_max: u64,
    open: Option<Open>,
    /// What is written; `None` before the first look at the files.
    written: Option<Written>,
    /// Entries about the files themselves, to be written first.
    own: Vec<Dated>,
}

/// The file of now.
#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    /// The number of its first line, and the day that it begins with.
    first: u64,
    day: u64,
}

/// How far the files are written.
#[derive(Debug, Clone, Copy)]
struct Written {
    chain: Chain,
    /// Which file is that of now, and its bytes.
    id: (u64, u64),
    length: u64,
}

impl Journal {
    /// Nothing is opened yet.
    pub(super) const fn new(path: PathBuf, bytes_max: Option<u64>) -> Self {
        let bytes_max = match bytes_max {
            Some(bytes) => bytes,
            None => AUDIT_FILE_BYTES,
        };
        Self { path, bytes_max, open: None, written: None, own: Vec::new() }
    }

    /// Where the chain goes on; `None` before anything is known.
    pub(super) fn chain(&self) -> Option<Chain> {
        self.written.map(|written| written.chain)
    }

    /// Appends entries, so that they are there after a loss of power.
    ///
    /// # Errors
    ///
    /// When they are not certain to be there. Then none of them is.
    pub(super) fn append(&mut self, entries: &[&Dated]) -> io::Result<Appended> {
        let now = SystemTime::now();
        let has_begun = self.ready(now)?;
        let Self { open: Some(open), written: Some(written), own, .. } = self else {
            return Err(io::Error::other("no file is open"));
        };
        let (mut bytes, mut chain) = (Vec::new(), written.chain);
        for (at, entry) in own.iter().chain(entries.iter().copied()) {
            let line = Line::write(chain, *at, entry)?;
            chain = chain.follow(&line).map_err(io::Error::other)?;
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        let first = written.chain.next + own.len() as u64;
        let appended = open.file.write_all(&bytes).and_then(|()| open.file.sync_data());
        if let Err(error) = appended {
            // It is cut back again before the next line, in case that this fails, too.
            let _cut_or_left: io::Result<()> = open.file.set_len(written.length);
            self.open = None;
            return Err(error);
        }
        written.length += bytes.len() as u64;
        written.chain = chain;
        own.clear();
        Ok(Appended { first, has_begun })
    }

    /// Makes sure that the file of now is open, ends behind the last line that counts, and is to
    /// take more. Whether it is a new one.
    fn ready(&mut self, now: SystemTime) -> io::Result<bool> {
        let is_there = |open: &Open| id(&self.path).is_ok_and(|id| id == open.id);
        if !self.open.as_ref().is_some_and(is_there) {
            self.open = None;
            self.reopen(now)?;
        }
        let (Some(open), Some(written)) = (&self.open, self.written) else { return Ok(false) };
        let is_full = written.length >= self.bytes_max || open.day != day(now);
        if written.length == 0 || !is_full {
            return Ok(false);
        }
        fs::rename(&self.path, older(&self.path, open.first))?;
        self.open = None;
        self.reopen(now)?;
        self.forget(now);
        Ok(true)
    }

    /// Opens the file of now.
    fn reopen(&mut self, now: SystemTime) -> io::Result<()> {
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).mode(0o640).open(&self.path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| io::Error::new(error.kind(), "another process writes to this file"))?;
        // That the file is there is durable, too.
        folder(&self.path).and_then(|folder| File::open(folder)?.sync_all())?;
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        let length = match self.written {
            // What is behind the last line that counts was refused.
            Some(written) if written.id == id && metadata.len() >= written.length => written.length,
            Some(_) | None => whole(&file, metadata.len())?,
        };
        if length < metadata.len() {
            file.set_len(length)?;
            file.sync_data()?;
            if self.written.is_none() {
                let bytes = metadata.len() - length;
                tracing::warn!(bytes, "a last line of the audit that was not whole was cut off");
                self.own.push((now, Entry::of(Event::Cut).with("bytes", bytes)));
            }
        }
        let chain = match (self.written, last_line(&file, length)?) {
            (Some(written), _) => written.chain,
            (None, Some(line)) => {
                Chain::behind(&line).map_err(|error| damaged(&self.path, &error))?
            }
            (None, None) => self.newest()?,
        };
        let (first, day) = match first_line(&file)? {
            Some(line) => (line.seq, line.at().map_or_else(|| day(now), |at| day_of(at.seconds))),
            None => (chain.next, day(now)),
        };
        self.written = Some(Written { chain, id, length });
        self.open = Some(Open { file, id, first, day });
        Ok(())
    }

    /// Where the chain of the newest older file goes on; the beginning, if there is none.
    fn newest(&self) -> io::Result<Chain> {
        let Some(path) = olders(&self.path)?.pop() else { return Ok(Chain::default()) };
        let file = File::open(&path)?;
        let length = whole(&file, file.metadata()?.len())?;
        match last_line(&file, length)? {
            Some(line) => Chain::behind(&line).map_err(|error| damaged(&path, &error)),
            None => Err(damaged(&path, &"it has no line")),
        }
    }

    /// Removes files that are too old to be kept, which is entered.
    fn forget(&mut self, now: SystemTime) {
        let mut older = olders(&self.path).unwrap_or_default();
        older.truncate(older.len().saturating_sub(AUDIT_FILES_KEPT));
        for path in older {
            match fs::remove_file(&path) {
                Ok(()) => {
                    let target = path.display().to_string();
                    self.own.push((now, Entry { target, ..Entry::of(Event::Removed) }));
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "an old audit file stays");
                }
            }
        }
    }
}

/// All files, the oldest first, that of now last.
pub(super) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = olders(path)?;
    files.extend(path.exists().then(|| path.to_owned()));
    Ok(files)
}

/// The first line of a file.
pub(super) fn first_line(mut file: &File) -> io::Result<Option<Line>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    let most = u64::try_from(AUDIT_LINE_BYTES).unwrap_or(u64::MAX);
    BufReader::new(io::Read::take(file, most)).read_until(b'\n', &mut line)?;
    Ok(line.pop_if(|end| *end == b'\n').and_then(|_| Line::read(&line).ok()))
}

/// Older files, the oldest first.
fn olders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path)?)? {
        let name = entry?.path();
        if number(path, &name).is_some() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// The name of an older file, by the number of its first line.
fn older(path: &Path, first: u64) -> PathBuf {
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!(".{first:012}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The number of the first line of an older file.
fn number(path: &Path, name: &Path) -> Option<u64> {
    let stem = Path::new(name.file_name()?);
    let stem = if path.extension().is_some() { Path::new(stem.file_stem()?) } else { stem };
    let number = stem.extension()?.to_str()?.parse().ok()?;
    (older(path, number).file_name() == name.file_name()).then_some(number)
}

fn folder(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(folder) => Ok(folder),
        None => Err(io::Error::other("this is no path of a file")),
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn day(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / DAY_SECONDS
}

fn day_of(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default() / DAY_SECONDS
}

fn damaged(path: &Path, problem: &dyn std::fmt::Display) -> io::Error {
    let path = path.display();
    io::Error::other(format!("{path}: {problem}; move the file away to begin another chain"))
}

/// Where the last end of a line is before `end`, or the beginning.
fn line_end(file: &File, end: u64) -> io::Result<u64> {
    let mut piece = [0; 4096];
    let mut end = end;
    while end > 0 {
        let length = end.min(piece.len() as u64);
        let at = end - length;
        let held = usize::try_from(length).unwrap_or(piece.len());
        let (bytes, _) = piece.split_at_mut(held);
        file.read_exact_at(bytes, at)?;
        if let Some(found) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(at + found as u64 + 1);
        }
        end = at;
    }
    Ok(0)
}

/// How much of a file is whole lines.
fn whole(file: &File, length: u64) -> io::Result<u64> {
    line_end(file, length)
}

/// The last of the whole lines in so many bytes, without its end.
fn last_line(file: &File, length: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(end) = length.checked_sub(1) else { return Ok(None) };
    let start = line_end(file, end)?;
    let bytes = usize::try_from(end - start).ok().filter(|bytes| *bytes <= AUDIT_LINE_BYTES);
    let bytes = bytes.ok_or_else(|| io::Error::other("its last line is too long for an audit"))?;
    let mut line = vec![0; bytes];
    file.read_exact_at(&mut line, start)?;
    Ok(Some(line))
}

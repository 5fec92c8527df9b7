//! Reads the files page by page, the oldest line first.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use prost_types::Timestamp;

use super::{
    Audit,
    entry::Line,
    journal::{files, first_line},
};
use crate::words::bounds::{AUDIT_LINE_BYTES, AUDIT_PAGE_BYTES};

/// Where a page begins: a file, by the number of its first line, and a byte of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) file: u64,
    pub(crate) byte: u64,
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// Entries of then and later.
    pub(crate) since: Option<Timestamp>,
    /// Of this principal.
    pub(crate) principal: String,
    /// Of methods that end so.
    pub(crate) method: String,
    /// Where to begin; `None`: with the oldest.
    pub(crate) from: Option<Position>,
    /// Entries of a page.
    pub(crate) size: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) lines: Vec<Line>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<Position>,
}

impl Audit {
    /// A page of what was entered. It may have fewer lines than asked for, and more may follow.
    ///
    /// # Errors
    ///
    /// When the files cannot be read.
    pub(crate) async fn page(&self, query: Query) -> io::Result<Page> {
        let Some(path) = self.path().cloned() else { return Ok(Page::default()) };
        let _one_after_the_other = self.reading.lock().await;
        let read = tokio::task::spawn_blocking(move || page(&path, &query)).await;
        read.map_err(|_panicked| io::Error::other("the reading has ended by a panic"))?
    }
}

fn page(path: &Path, query: &Query) -> io::Result<Page> {
    let mut page = Page::default();
    let mut left = AUDIT_PAGE_BYTES;
    for (first, file) in wanted(path, query)? {
        let from = query.from.filter(|from| from.file == first).map_or(0, |from| from.byte);
        let end = read(&file, query, from, &mut left, &mut page)?;
        if let Some(byte) = end {
            page.next = Some(Position { file: first, byte });
            break;
        }
    }
    Ok(page)
}

/// The files that may have what is asked for, each with the number of its first line.
fn wanted(path: &Path, query: &Query) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut wanted: Vec<(u64, PathBuf)> = Vec::new();
    for name in files(path)? {
        let Some(line) = first_line(&File::open(&name)?)? else { continue };
        let is_later = |from: Position| from.file > line.seq;
        if query.from.is_some_and(is_later) {
            continue;
        }
        // All that came before was entered before this line.
        if query.from.is_none()
            && let Some((since, at)) = query.since.zip(line.at())
            && is_before(&at, &since)
        {
            wanted.clear();
        }
        wanted.push((line.seq, name));
    }
    Ok(wanted)
}

/// Adds the lines of a file to the page. Returns the byte to go on at, if the page is full.
fn read(
    path: &Path,
    query: &Query,
    from: u64,
    left: &mut u64,
    page: &mut Page,
) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let most = u64::try_from(AUDIT_LINE_BYTES).unwrap_or(u64::MAX);
    let (mut reader, mut at, mut bytes) = (BufReader::new(file), from, Vec::new());
    loop {
        bytes.clear();
        let length = reader.by_ref().take(most).read_until(b'\n', &mut bytes)? as u64;
        // A line without an end is being written.
        if bytes.pop_if(|end| *end == b'\n').is_none() {
            return Ok(None);
        }
        if page.lines.len() >= query.size || *left < length {
            return Ok(Some(at));
        }
        at += length;
        *left -= length;
        page.lines.extend(Line::read(&bytes).ok().filter(|line| fits(query, line)));
    }
}

fn fits(query: &Query, line: &Line) -> bool {
    let Query { since, principal, method, .. } = query;
    let is_late = |since: &Timestamp| line.at().is_none_or(|at| !is_before(&at, since));
    since.as_ref().is_none_or(is_late)
        && (principal.is_empty() || *principal == line.entry.principal)
        && line.entry.method.ends_with(method.as_str())
}

fn is_before(a: &Timestamp, b: &Timestamp) -> bool {
    (a.seconds, a.nanos) < (b.seconds, b.nanos)
}

//! Keeps what runs to its files: they are read again when they have changed. A mistake in them
//! never takes effect: what held before holds on, and the log and the status say why.

mod certificates;
mod roles;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

pub(super) use self::{certificates::Certificates, roles::RolesFile};

/// How often it is looked whether files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changes where a file is written, or another takes its place: file, size, and time in
/// nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

/// Files, and what is read from them.
pub(super) trait Kept: Send + Sync + 'static {
    /// The files; none where there is nothing to keep to.
    fn paths(&self) -> Vec<PathBuf>;

    /// Reads them all, and has what they say take effect or not.
    fn read(&self);
}

/// The stamps of files when they were last read; `None` where one cannot be looked at.
#[derive(Debug, Default)]
struct Known(Vec<Option<Stamp>>);

impl Known {
    /// Reads the files of `kept`, unless they are those that are known. One that cannot be looked
    /// at is tried again each time.
    fn look(&mut self, kept: &impl Kept) {
        let stamps: Vec<_> = kept.paths().iter().map(|path| stamp(path)).collect();
        if stamps != self.0 || stamps.contains(&None) {
            kept.read();
        }
        self.0 = stamps;
    }
}

/// Keeps to files, as they are and as they become. What is read first may be newer than what was
/// read at the start.
pub(super) async fn keep(kept: Arc<impl Kept>) {
    let mut known = Known::default();
    loop {
        let kept = Arc::clone(&kept);
        // It may be on a disk that hangs. An error is a panic, logged already.
        let looked = spawn_blocking(move || {
            known.look(&*kept);
            known
        });
        known = looked.await.unwrap_or_default();
        sleep(LOOK_EVERY).await;
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

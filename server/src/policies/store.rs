//! Generations on disk: a file for each, written whole or not at all.
//!
//! ```text
//! policies.42.tmp ── fsync ── rename ──▶ policies.42 ── fsync of the folder ──▶ acknowledged
//! ```
//!
//! The first line of a file is the SHA-256 of the rest, which is JSON. A file that does not agree
//! with its first line is passed over, and the generation before it holds.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use super::{error::StoreError, generation::Generation};
use crate::words::bounds::POLICY_GENERATIONS;

/// Names of files begin so.
const PREFIX: &str = "policies.";

/// Names of files that are not complete end so.
const UNFINISHED: &str = ".tmp";

/// Bytes of one file, at most.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// A folder of generations, which no other process writes to.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Locked as long as it is open.
    folder: File,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What can be read, newest first.
    pub(super) generations: VecDeque<Arc<Generation>>,
    /// What cannot be read and is newer than all that can: numbers, and what is wrong.
    pub(super) unreadable: Vec<(u64, String)>,
}

impl Store {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or another process has it.
    pub(super) fn open(path: &Path) -> Result<(Self, Found), StoreError> {
        let failed = |what: &str, error: &io::Error| {
            StoreError::new(&format!("cannot {what} {}", path.display()), error)
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed("make the folder", &error))?;
        let folder = File::open(path).map_err(|error| failed("open the folder", &error))?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("have for itself the folder", &error.into()))?;
        let found = found(path).map_err(|error| failed("read the folder", &error))?;
        Ok((Self { path: path.to_owned(), folder }, found))
    }

    /// Writes a generation, so that it is there after a loss of power. Forgets those that are too
    /// old to be kept.
    ///
    /// # Errors
    ///
    /// When it is not certain to be there. Then the generation before still is.
    pub(super) fn write(&self, generation: &Generation) -> Result<(), StoreError> {
        let file = self.path.join(format!("{PREFIX}{}", generation.number));
        let unfinished = self.path.join(format!("{PREFIX}{}{UNFINISHED}", generation.number));
        let written = self.write_whole(generation, &unfinished, &file);
        if written.is_err() {
            // That one of them is left does not matter: the next one takes its place.
            let _left: io::Result<()> = fs::remove_file(&unfinished);
        }
        written.map_err(|error| StoreError::new(&file.display().to_string(), &error))?;
        for number in numbers(&self.path).unwrap_or_default() {
            if number + POLICY_GENERATIONS as u64 <= generation.number {
                let old = self.path.join(format!("{PREFIX}{number}"));
                let _left: io::Result<()> = fs::remove_file(old);
            }
        }
        Ok(())
    }

    fn write_whole(
        &self,
        generation: &Generation,
        unfinished: &Path,
        file: &Path,
    ) -> io::Result<()> {
        let json = serde_json::to_string(generation)?;
        let mut options = File::options();
        let mut output =
            options.write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
        output.write_all(format!("{}\n{json}", digest(&json)).as_bytes())?;
        output.sync_all()?;
        fs::rename(unfinished, file)?;
        self.folder.sync_all()
    }
}

/// The generations of a folder. What was not finished is removed.
fn found(path: &Path) -> io::Result<Found> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(UNFINISHED) {
            // On a disk that only can be read it stays, and is never read.
            let _left: io::Result<()> = fs::remove_file(entry.path());
        }
    }
    let mut numbers = numbers(path)?;
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut found = Found::default();
    for number in numbers {
        match read(&path.join(format!("{PREFIX}{number}")), number) {
            Ok(generation) => found.generations.push_back(Arc::new(generation)),
            Err(problem) if found.generations.is_empty() => {
                found.unreadable.push((number, problem));
            }
            Err(problem) => tracing::warn!(number, problem, "an old generation is passed over"),
        }
    }
    found.generations.truncate(POLICY_GENERATIONS);
    Ok(found)
}

/// The numbers of the generations of a folder, in no order.
fn numbers(path: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

/// The generation of one file, or what is wrong with the file.
fn read(path: &Path, number: u64) -> Result<Generation, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(FILE_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let (sum, json) = text.split_once('\n').ok_or("it has no checksum")?;
    if digest(json) != sum {
        return Err("its checksum is wrong".to_owned());
    }
    let generation: Generation = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if generation.number == number {
        Ok(generation)
    } else {
        Err(format!("it holds generation {}", generation.number))
    }
}

fn digest(json: &str) -> String {
    Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::policies::{error::StoreFailure, policy::Draft};

    fn generation(number: u64) -> Generation {
        let now = SystemTime::now();
        let draft = Draft {
            id: format!("web-{number}"),
            priority: 10,
            filter: "server.port = 443".to_owned(),
            monitor: true,
            options: mos_stack::SockOptChange {
                stop: Some(mos_stack::StopScope::Client),
                ..Default::default()
            },
            comment: "a \"quoted\" comment".to_owned(),
            expires: Some(now),
        };
        Generation::first(now).next(number, vec![draft], "uid 0", now).unwrap()
    }

    fn numbers_of(found: &Found) -> Vec<u64> {
        found.generations.iter().map(|generation| generation.number).collect()
    }

    #[test]
    fn what_was_written_is_read_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let (store, found) = Store::open(&path).unwrap();
        assert_eq!(numbers_of(&found), [0; 0]);
        let all: Vec<_> = (1..=12).map(generation).collect();
        all.iter().for_each(|generation| store.write(generation).unwrap());
        drop(store);
        let (_, found) = Store::open(&path).unwrap();
        assert_eq!(numbers_of(&found), [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
        assert_eq!(*found.generations[0], all[11]);
        assert_eq!(found.unreadable, []);
    }

    #[test]
    fn a_file_that_is_torn_at_any_byte_or_has_any_byte_wrong_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path()).unwrap();
        let (store, _) = open();
        store.write(&generation(1)).unwrap();
        store.write(&generation(2)).unwrap();
        drop(store);
        let file = folder.path().join("policies.2");
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[length] ^= 1;
            for damaged in [&whole[..length], &wrong] {
                fs::write(&file, damaged).unwrap();
                let (_, found) = open();
                assert_eq!(numbers_of(&found), [1], "{length}");
                assert_eq!(found.unreadable.len(), 1);
            }
            fs::write(folder.path().join("policies.3.tmp"), &whole[..length]).unwrap();
            assert_eq!(open().1.unreadable.len(), 1, "what was not finished is not looked at");
        }
        fs::write(&file, &whole).unwrap();
        assert_eq!(numbers_of(&open().1), [2, 1]);
    }

    /// Names the folder in which a child of a test writes.
    const FOLDER: &str = "MOSD_TEST_POLICIES";

    /// The child of the next test: writes one generation after another, and tells each.
    #[test]
    fn writes_until_it_is_killed() {
        let Some(folder) = std::env::var_os(FOLDER) else { return };
        let (store, found) = Store::open(Path::new(&folder)).unwrap();
        let newest = found.generations.front().map_or(0, |generation| generation.number);
        for number in newest + 1.. {
            store.write(&generation(number)).unwrap();
            let mut stdout = io::stdout();
            stdout.write_all(format!("\nstored {number}\n").as_bytes()).unwrap();
            stdout.flush().unwrap();
        }
    }

    #[test]
    fn nothing_acknowledged_is_lost_where_writing_is_killed_at_200_random_points() {
        let folder = tempfile::tempdir().unwrap();
        let child = || {
            let test = "policies::store::tests::writes_until_it_is_killed";
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(FOLDER, folder.path())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut known = 0;
        for kill in 0..200_u64 {
            let mut child = child();
            let mut stdout = child.stdout.take().unwrap();
            // It has begun once it tells anything.
            stdout.read_exact(&mut [0; 1]).unwrap();
            let micros = kill.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
            std::thread::sleep(std::time::Duration::from_micros(micros));
            child.kill().unwrap();
            child.wait().unwrap();
            let mut told = String::new();
            stdout.read_to_string(&mut told).unwrap();
            let stored = told.lines().rev().find_map(|line| line.strip_prefix("stored "));
            let acknowledged = stored.map_or(known, |number| number.parse().unwrap());
            let (_, found) = Store::open(folder.path()).unwrap();
            assert_eq!(found.unreadable, [], "kill {kill}");
            known = found.generations.front().map_or(0, |newest| newest.number);
            assert!((acknowledged..=acknowledged + 1).contains(&known), "kill {kill}");
            for kept in &found.generations {
                assert_eq!(kept.policies[0].draft.id, format!("web-{}", kept.number));
            }
        }
        assert!(known > 0, "nothing was written at all");
    }

    #[test]
    fn a_folder_has_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = Store::open(folder.path()).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(error.message.contains("have for itself"), "{error}");
        drop(first);
        Store::open(folder.path()).unwrap();
    }

    #[test]
    fn what_the_disk_does_not_take_is_told_by_its_kind() {
        for (kind, failure) in [
            (io::ErrorKind::StorageFull, StoreFailure::Full),
            (io::ErrorKind::QuotaExceeded, StoreFailure::Full),
            (io::ErrorKind::ReadOnlyFilesystem, StoreFailure::ReadOnly),
            (io::ErrorKind::Other, StoreFailure::Failed),
        ] {
            assert_eq!(StoreError::new("x", &kind.into()).kind, failure);
        }
        // A folder in the place of the file: neither this nor the next try leaves anything behind.
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        fs::create_dir(folder.path().join("policies.1")).unwrap();
        assert_eq!(store.write(&generation(1)).unwrap_err().kind, StoreFailure::Failed);
        store.write(&generation(2)).unwrap();
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2);
    }
}

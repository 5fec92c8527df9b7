//! The file of a Unix socket: never taken from a process that still listens on it, readable by its
//! owner and group alone from the moment it exists, and removed by us only while it is ours.
//!
//! Who takes or gives back a path holds the lock of its folder (`flock`), so that nobody acts on
//! what another is about to change. Nothing is locked in between: as long as a process has a socket
//! open, the kernel itself answers for it, even if the process hangs or its backlog is full.

use std::{
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{Mode, fchmod},
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    },
};

/// Mode of the socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// Mode of a folder that is made for it.
const FOLDER_MODE: u32 = 0o750;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How often the lock of a folder is asked for, and the pause in between. It is held for an
/// instant.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a path cannot be had.
#[derive(Debug)]
pub(super) enum Untaken {
    /// Another process listens there.
    InUse,
    /// Something that is not a socket is there; a symbolic link is none.
    NotASocket,
    /// Anything else.
    Io(io::Error),
}

impl From<io::Error> for Untaken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Untaken {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A socket file of ours. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile(OwnFile);

/// Names a socket file of ours.
#[derive(Debug, Clone)]
pub(crate) struct OwnFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OwnFile {
    /// Removes the file, unless another is there by now: that has another inode as long as our
    /// socket is open, so close the socket afterwards.
    pub(crate) fn remove(&self) {
        // Without the lock, too, the file is looked at before it is removed.
        let _locked: Result<File, Untaken> = lock_folder(&self.path, 1);
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            // Whoever takes the path next removes what is left.
            let _gone: io::Result<()> = fs::remove_file(&self.path);
        }
    }
}

impl SocketFile {
    /// Listens on this path.
    ///
    /// # Errors
    ///
    /// When another process listens there, or the file system refuses.
    pub(super) fn bind(path: &Path) -> Result<(Self, UnixListener), Untaken> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        }
        let _locked = lock_folder(path, LOCK_ATTEMPTS)?;
        let address = SocketAddrUnix::new(path)?;
        remove_stale(path, &address)?;
        let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        // The kernel makes the file with the mode of the socket, less the umask: never with more.
        fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
        bind(&socket, &address)?;
        let identity = identity(&fs::symlink_metadata(path)?);
        let file = Self(OwnFile { path: path.to_owned(), identity });
        // The umask may have taken the group's part.
        fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
        listen(&socket, BACKLOG)?;
        Ok((file, UnixListener::from(socket)))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Names it.
    pub(super) fn own(&self) -> OwnFile {
        self.0.clone()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// What tells this file from another that has its path later.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn new_socket(flags: SocketFlags) -> rustix::io::Result<std::os::fd::OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The right to take or to remove files of sockets in the folder of this path, until it is dropped.
fn lock_folder(path: &Path, attempts: u32) -> Result<File, Untaken> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or_else(|| Path::new(".")))?;
    for _ in 0..attempts {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(Untaken::InUse)
}

/// Removes a socket that nobody listens on any more. Only a refused connection proves that: a full
/// backlog, a lack of rights and everything else mean that somebody may.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), Untaken> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(Untaken::NotASocket),
        Ok(_) => {}
    }
    let probe = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let refused = connect(&probe, address).map_err(io::Error::from).err();
    match refused.map(|error| error.kind()) {
        Some(io::ErrorKind::ConnectionRefused) => Ok(fs::remove_file(path)?),
        // Its owner has just removed it.
        Some(io::ErrorKind::NotFound) => Ok(()),
        Some(_) | None => Err(Untaken::InUse),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_and_its_folder_are_for_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/mosd.sock");
        let _bound = SocketFile::bind(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o750));
    }

    #[test]
    fn a_file_of_another_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mosd.sock");
        let (file, _first) = SocketFile::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (other, _second) = SocketFile::bind(&path).unwrap();
        drop(file);
        UnixStream::connect(&path).unwrap();
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn a_listener_with_a_full_backlog_keeps_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mosd.sock");
        let address = SocketAddrUnix::new(&path).unwrap();
        let owner = new_socket(SocketFlags::CLOEXEC).unwrap();
        bind(&owner, &address).unwrap();
        listen(&owner, 0).unwrap();
        let mut waiting = Vec::new();
        let full = loop {
            let client = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).unwrap();
            match connect(&client, &address) {
                Ok(()) => waiting.push(client),
                Err(error) => break io::Error::from(error).kind(),
            }
        };
        assert_eq!(full, io::ErrorKind::WouldBlock);
        assert!(matches!(SocketFile::bind(&path), Err(Untaken::InUse)));
        drop((owner, waiting));
        SocketFile::bind(&path).unwrap();
    }

    #[test]
    fn a_symbolic_link_is_refused_wherever_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let [link, target] = ["link.sock", "target.sock"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(SocketFile::bind(&link), Err(Untaken::NotASocket)));
        drop(UnixListener::bind(&target).unwrap());
        assert!(matches!(SocketFile::bind(&link), Err(Untaken::NotASocket)));
        assert!(target.exists());
    }
}

//! Opens what lies below a folder, and nothing else.
//!
//! The kernel keeps the bounds: `openat2` with RESOLVE_BENEATH refuses a path that leads out of the folder, by whatever link
//! and however the links change meanwhile. Where there is no `openat2` (before Linux 5.6, or behind a filter of system calls)
//! each name of the path is opened by itself and no symbolic link is followed at all.
//!
//! What is not yet known to be a regular file is opened with O_PATH, which opens no device and wakes nobody at the other end of
//! a pipe.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Something whose links change while it is resolved is tried again, so often.
const ATTEMPTS: usize = 8;
/// For so long after a change a further one may leave no trace: clocks of file systems are coarse.
const SETTLING: Duration = Duration::from_secs(2);

/// The folder.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    how: How,
    /// The folder as it was opened, and what it was.
    handle: Option<(OwnedFd, u64, u64)>,
}

/// How paths below the folder are resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    /// By the kernel, bound to the folder.
    Beneath,
    /// Name by name, without links.
    NameByName,
    /// Links lead wherever they lead.
    Following,
}

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Looked {
    File(State),
    Directory,
    /// Neither.
    Other,
}

/// What tells one content of a file from another. Times are seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    device: u64,
    inode: u64,
    pub(super) len: u64,
    pub(super) modified: (i64, u32),
    changed: (i64, u32),
}

impl Root {
    pub(super) fn new(path: PathBuf, follow_symlinks: bool) -> Self {
        let how = match follow_symlinks {
            true => How::Following,
            false if kernel_can() => How::Beneath,
            false => How::NameByName,
        };
        Root { path, how, handle: None }
    }

    /// Looks whether the folder is still the one at its path, and opens it if not.
    pub(super) fn refresh(&mut self) -> Result<(), Errno> {
        let now = match rustix::fs::stat(&self.path) {
            Ok(now) => identity(&now),
            Err(errno) => {
                self.handle = None;
                return Err(errno);
            }
        };
        if self.handle.as_ref().is_some_and(|(_, device, inode)| (*device, *inode) == now) {
            return Ok(());
        }
        self.handle = None;
        let folder = rustix::fs::open(&self.path, LOOKING | OFlags::DIRECTORY, Mode::empty())?;
        let (device, inode) = identity(&rustix::fs::fstat(&folder)?);
        self.handle = Some((folder, device, inode));
        Ok(())
    }

    /// Says what is at a path, without opening it. INVARIANT: paths are those of `proto::content::FilePath`.
    pub(super) fn look(&self, path: &[u8]) -> Result<Looked, Errno> {
        let stat = rustix::fs::fstat(self.resolve(path, LOOKING)?)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Looked::File(State::of(&stat)),
            FileType::Directory => Looked::Directory,
            _ => Looked::Other,
        })
    }

    /// Opens a regular file for reading.
    pub(super) fn open(&self, path: &[u8]) -> Result<(File, State), Errno> {
        // What was a file when it was looked at may be a pipe by now: opening must not wait for its other end.
        let file = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC)?;
        let stat = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((file.into(), State::of(&stat))),
            _ => Err(Errno::NOENT),
        }
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let (root, ..) = self.handle.as_ref().ok_or(Errno::NOENT)?;
        let path = if path.is_empty() { b"." } else { path };
        match self.how {
            How::Beneath => open_beneath(root.as_fd(), path, flags),
            How::NameByName => open_name_by_name(root.as_fd(), path, flags),
            How::Following => rustix::fs::openat(root, path, flags, Mode::empty()),
        }
    }
}

const LOOKING: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..ATTEMPTS {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // Something was renamed while a `..` of a link was followed: the kernel could not be certain.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn open_name_by_name(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = path.split(|byte| *byte == b'/').peekable();
    let mut folder: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let at = folder.as_ref().map_or(root, |folder| folder.as_fd());
        let flags = if names.peek().is_some() { LOOKING | OFlags::DIRECTORY } else { flags };
        folder = Some(rustix::fs::openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    folder.ok_or(Errno::NOENT)
}

/// Whether `openat2` is there and allowed.
fn kernel_can() -> bool {
    rustix::fs::openat2(CWD, ".", LOOKING, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS).is_ok()
}

/// Reads into the whole buffer, as far as there is something. Gives how much that was.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

impl State {
    // The types of these fields are not the same everywhere.
    #[allow(clippy::unnecessary_cast)]
    fn of(stat: &Stat) -> Self {
        let (device, inode) = identity(stat);
        State {
            device,
            inode,
            len: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// The last change was long enough ago that the next one will show.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let settled = |(seconds, nanos)| {
            time(seconds, nanos).is_none_or(|at| now.duration_since(at).is_ok_and(|since| since >= SETTLING))
        };
        let ((modified, modified_nanos), (changed, changed_nanos)) = (self.modified, self.changed);
        settled((modified, modified_nanos)) && settled((changed, changed_nanos))
    }

    /// `None`: before 1970.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        time(self.modified.0, self.modified.1)
    }
}

fn time(seconds: i64, nanos: u32) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

#[allow(clippy::unnecessary_cast)]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

//! Opens what lies below a folder, and nothing else.
//!
//! The kernel keeps the bounds: `openat2` with RESOLVE_BENEATH refuses a path that leads out of the folder, by whatever
//! link and however the links change meanwhile. Where there is no `openat2` (before Linux 5.6, or behind a filter of
//! system calls) each name of the path is opened by itself and no symbolic link is followed at all.
//!
//! What is not yet known to be a regular file is opened with O_PATH, which opens no device and wakes nobody at the
//! other end of a pipe.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Something whose links change while it is resolved is tried again, so often.
#[cfg(target_os = "linux")]
const ATTEMPTS: usize = 8;
/// For so long after a change a further one may leave no trace: clocks of file systems are coarse.
const SETTLING: Duration = Duration::from_secs(2);

/// The folder.
#[derive(Debug)]
pub(crate) struct Root {
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
pub(crate) enum Looked {
    File(State),
    Directory,
    /// Neither.
    Other,
}

/// What tells one content of a file from another. Times are seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    device: u64,
    inode: u64,
    pub(crate) len: u64,
    pub(crate) modified: (i64, u32),
    changed: (i64, u32),
}

impl Root {
    pub(crate) fn new(path: PathBuf, follow_symlinks: bool) -> Self {
        let how = match follow_symlinks {
            true => How::Following,
            false if kernel_can() => How::Beneath,
            false => How::NameByName,
        };
        Root { path, how, handle: None }
    }

    /// Looks whether the folder is still the one at its path, and opens it if not.
    pub(crate) fn refresh(&mut self) -> Result<(), Errno> {
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
    pub(crate) fn look(&self, path: &[u8]) -> Result<Looked, Errno> {
        let stat = rustix::fs::fstat(self.resolve(path, LOOKING)?)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Looked::File(State::of(&stat)),
            FileType::Directory => Looked::Directory,
            _ => Looked::Other,
        })
    }

    /// Opens a regular file for reading.
    pub(crate) fn open(&self, path: &[u8]) -> Result<(File, State), Errno> {
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

#[cfg(target_os = "linux")]
const LOOKING: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOKING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
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

#[cfg(not(target_os = "linux"))]
fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    open_name_by_name(root, path, flags)
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
#[cfg(target_os = "linux")]
fn kernel_can() -> bool {
    use rustix::fs::{CWD, ResolveFlags};
    rustix::fs::openat2(CWD, ".", LOOKING, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn kernel_can() -> bool {
    false
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

    /// The content was changed long enough ago that the next change will have another date.
    pub(crate) fn is_dated(&self, now: SystemTime) -> bool {
        is_past(self.modified, now)
    }

    /// Nothing has happened to it for so long that whatever happens next will show. A date of modification can be set
    /// to anything; the time of the change cannot.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        is_past(self.modified, now) && is_past(self.changed, now)
    }

    /// `None`: before 1970.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        time(self.modified)
    }
}

fn is_past(at: (i64, u32), now: SystemTime) -> bool {
    time(at).is_none_or(|at| now.duration_since(at).is_ok_and(|since| since >= SETTLING))
}

fn time((seconds, nanos): (i64, u32)) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

#[allow(clippy::unnecessary_cast)]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

#[cfg(test)]
impl State {
    /// Of a file that has not been touched for long.
    pub(crate) fn old(len: u64) -> Self {
        State { device: 1, inode: 1, len, modified: (1, 0), changed: (1, 0) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("hubbub-beneath-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(place.join("public/sub")).unwrap();
        std::fs::write(place.join("public/sub/a"), "inside").unwrap();
        std::fs::write(place.join("secret"), "secret").unwrap();
        symlink("../secret", place.join("public/out")).unwrap();
        symlink("..", place.join("public/up")).unwrap();
        symlink(place.join("secret"), place.join("public/absolute")).unwrap();
        symlink("/proc/self/cwd", place.join("public/magic")).unwrap();
        symlink("sub/a", place.join("public/in")).unwrap();
        symlink("sub", place.join("public/folder")).unwrap();
        place
    }

    #[test]
    fn nothing_outside_is_opened_whatever_the_kernel_can() {
        let place = place("outside");
        for how in [How::Beneath, How::NameByName] {
            let mut root = Root { how, ..Root::new(place.join("public"), false) };
            root.refresh().unwrap();
            let is_file = |path: &str| {
                let (looked, opened) = (root.look(path.as_bytes()), root.open(path.as_bytes()));
                let looked = matches!(looked, Ok(Looked::File(_)));
                assert_eq!(looked, opened.is_ok(), "{how:?} {path}: {opened:?}");
                looked
            };
            assert!(is_file("sub/a"), "{how:?}");
            for path in ["out", "absolute", "up/secret", "magic/Cargo.toml", "sub", "", "none", "sub/a/b"] {
                assert!(!is_file(path), "{how:?} {path}");
            }
            // Without the kernel's help no link is followed, wherever it leads.
            for path in ["in", "folder/a"] {
                assert_eq!(is_file(path), how == How::Beneath, "{how:?} {path}");
            }
        }
        let mut root = Root::new(place.join("public"), true);
        root.refresh().unwrap();
        assert_eq!(root.how, How::Following);
        assert!(root.open(b"out").is_ok());
        std::fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_change_is_settled_after_two_seconds_whatever_date_it_was_given() {
        let now = UNIX_EPOCH + Duration::from_secs(100);
        for (modified, changed, is_dated, is_settled) in [
            ((90, 0), (90, 0), true, true),
            ((98, 0), (98, 0), true, true),
            ((98, 1), (98, 1), false, false),
            ((90, 0), (99, 0), true, false),
            ((1000, 0), (90, 0), false, false),
            ((-5, 0), (90, 0), true, true),
        ] {
            let state = State { modified, changed, ..State::old(0) };
            assert_eq!((state.is_dated(now), state.is_settled(now)), (is_dated, is_settled), "{state:?}");
        }
    }
}

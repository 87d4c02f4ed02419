//! Folders whose files are served.
//!
//! | file | what is in it |
//! |---|---|
//! | `folder.rs` | which folder, and how |
//! | `beneath.rs` | opens files, and never one outside the folder |
//! | `version.rs` | one state of a file in one coding, and the fields that describe it |
//! | `cache.rs` | small files in memory, as many as there is room for |
//! | `kinds.rs` | content types by name |
//! | `answer.rs` | what a request for a file is answered with |
//!
//! Each shard has its own cache, so nothing is locked. Whatever is answered has been looked up in the file system in
//! the same turn of the shard: what lies in memory saves reading a file, never asking whether it is still the same.

mod answer;
mod beneath;
mod cache;
pub(crate) mod folder;
mod kinds;
mod version;

use std::sync::Arc;

use hubbub_proto::content::{file_path, preferred};
use hubbub_proto::head::{Fields, Head};
use rustix::io::Errno;

use self::answer::Refusal;
pub(crate) use self::answer::{ALLOW, FileAnswer, FileContent};
pub(crate) use self::beneath::read_at;
use self::beneath::{Looked, Root, State};
use self::cache::{Cache, Page};
pub use self::folder::Folder;
use self::version::{CODINGS, Version};
use crate::config::settings::{Service, Settings};

/// Files up to this size are read whole, answered in one write with the head, and kept in memory.
/// PERF: larger ones cost less by sendfile(2), without a copy (benches/README.md, Static files).
const SMALL_BYTES: u64 = 32 << 10;
/// A file that changes while it is read is read again, so often.
const ATTEMPTS: usize = 3;

/// The folders of one shard.
pub(crate) struct Folders(Vec<Option<Site>>);

/// One folder, as one shard serves it.
struct Site {
    folder: Folder,
    root: Root,
    cache: Cache,
    /// The turn in which the folder was looked up last.
    looked_up: u64,
}

/// What a folder says to a request.
pub(crate) enum Found {
    /// It has no such file; somebody else may.
    Missing,
    /// This.
    Answer(FileAnswer),
}

impl Folders {
    pub(crate) fn new(settings: &Settings) -> Self {
        let sites = settings.endpoints.iter().map(|endpoint| match &endpoint.service {
            Service::Files(folder) => Some(Site::new(folder, settings.shards.max(1))),
            _ => None,
        });
        Folders(sites.collect())
    }

    /// Looks for what a GET or HEAD wants; `rest` is its path behind the prefix of the endpoint with this number.
    pub(crate) fn find(&mut self, number: usize, rest: &str, head: &Head<'_>, turn: u64) -> Found {
        let Some(Some(site)) = self.0.get_mut(number) else { return Found::Missing };
        site.find(rest, head, turn).unwrap_or_else(|refusal| match refusal {
            Refusal::Missing | Refusal::Directory => Found::Missing,
            refusal => Found::Answer(refusal.into()),
        })
    }
}

impl Site {
    fn new(folder: &Folder, shards: usize) -> Self {
        Site {
            root: Root::new(folder.path.clone(), folder.follow_symlinks),
            cache: Cache::new(folder.cache_bytes / shards),
            folder: folder.clone(),
            looked_up: 0,
        }
    }

    fn find(&mut self, rest: &str, head: &Head<'_>, turn: u64) -> Result<Found, Refusal> {
        let named = file_path(rest, self.folder.dotfiles).ok_or(Refusal::Missing)?;
        if self.looked_up != turn {
            self.root.refresh()?;
            self.looked_up = turn;
        }
        if named.folder {
            let index = self.index(&named.path).ok_or(Refusal::Missing)?;
            return self.serve(&index, head, turn);
        }
        match self.serve(&named.path, head, turn) {
            Err(Refusal::Directory) => {
                // `/folder` and `/folder/` differ in what relative links on the page mean.
                let index = self.index(&named.path).ok_or(Refusal::Missing)?;
                match self.root.look(&index)? {
                    Looked::File(_) => Ok(Found::Answer(FileAnswer::to_folder(head, &self.folder))),
                    Looked::Directory | Looked::Other => Err(Refusal::Missing),
                }
            }
            other => other,
        }
    }

    /// The file that stands for a folder.
    fn index(&self, path: &[u8]) -> Option<Vec<u8>> {
        let index = self.folder.index.as_ref()?.as_bytes();
        Some(if path.is_empty() { index.to_vec() } else { [path, b"/", index].concat() })
    }

    fn serve(&mut self, path: &[u8], head: &Head<'_>, turn: u64) -> Result<Found, Refusal> {
        let version = self.version(path, &head.fields, turn)?;
        Ok(Found::Answer(FileAnswer::new(head, version, path, &self.root, &self.folder)?))
    }

    /// The version of a file that the client likes best, with its content if it is small.
    fn version(&mut self, path: &[u8], fields: &Fields<'_>, turn: u64) -> Result<Arc<Version>, Refusal> {
        if let Some(page) = self.cache.get(path)
            && page.seen == turn
        {
            let version = &page.versions[choose(&page.versions, fields)];
            if !version.is_to_be_read() {
                return Ok(version.clone());
            }
        }
        let states = self.states(path)?;
        let mut page = match self.cache.get(path) {
            Some(page) if page.is(&states) => {
                page.seen = turn;
                page.clone()
            }
            _ => Page::new(states.iter().map(|(coding, state)| Version::new(path, *coding, state, &self.folder)), turn),
        };
        let at = choose(&page.versions, fields);
        if page.versions[at].is_to_be_read() {
            let version = &page.versions[at];
            let (content, state) = self.read(&version.file_name(path))?;
            if state != version.state {
                // Replaced between two looks: what was read is what is described.
                return Ok(Arc::new(Version::new(path, version.coding, &state, &self.folder).with(content)));
            }
            page.versions[at] = Arc::new(version.as_ref().clone().with(content));
        }
        let version = page.versions[at].clone();
        if page.versions.iter().all(|version| version.is_settled) {
            self.cache.put(path, page);
        }
        Ok(version)
    }

    /// The file and its compressed neighbours, as they are now.
    fn states(&self, path: &[u8]) -> Result<Vec<(Option<usize>, State)>, Refusal> {
        let own = match self.root.look(path)? {
            Looked::File(state) => state,
            Looked::Directory => return Err(Refusal::Directory),
            // Pipes, sockets, devices: nobody publishes those.
            Looked::Other => return Err(Refusal::Missing),
        };
        let mut states = vec![(None, own)];
        for (number, coding) in CODINGS.iter().enumerate() {
            // One that is older than the file was made of something else.
            if let Ok(Looked::File(state)) = self.root.look(&[path, coding.suffix.as_bytes()].concat())
                && state.modified.0 >= own.modified.0
            {
                states.push((Some(number), state));
            }
        }
        Ok(states)
    }

    fn read(&self, path: &[u8]) -> Result<(Vec<u8>, State), Refusal> {
        for _ in 0..ATTEMPTS {
            let (file, state) = self.root.open(path)?;
            if state.len > SMALL_BYTES {
                continue;
            }
            let mut content = vec![0; state.len as usize];
            if beneath::read_at(&file, &mut content, 0)? == content.len() {
                return Ok((content, state));
            }
        }
        Err(Refusal::Busy)
    }
}

/// The place of the version that the client likes best. The first is the file itself.
fn choose(versions: &[Arc<Version>], fields: &Fields<'_>) -> usize {
    if versions.len() == 1 {
        return 0;
    }
    let names: Vec<&str> = versions.iter().filter_map(|version| version.coding_name()).collect();
    let wanted = preferred(fields, &names);
    versions.iter().position(|version| version.coding_name() == wanted).unwrap_or(0)
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            // A path that leads through a file, out of the folder, in a circle, or has a name longer than names are.
            Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL => {
                Refusal::Missing
            }
            // Nothing behind a pipe or a device.
            Errno::NXIO | Errno::NODEV => Refusal::Missing,
            Errno::ACCESS | Errno::PERM => Refusal::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Refusal::Busy,
            other => Refusal::Failed(std::io::Error::from(other).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hubbub_proto::head::HeadLimits;

    use super::answer::FileContent;
    use super::*;

    fn ask(site: &mut Site, rest: &str, turn: u64) -> (u16, Option<bytes::Bytes>) {
        let head = Head::parse(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &HeadLimits::default()).unwrap();
        match site.find(rest, &head, turn) {
            Ok(Found::Answer(FileAnswer { reply, content: FileContent::Bytes(content), .. })) => {
                (reply.status, Some(content))
            }
            Ok(Found::Answer(answer)) => (answer.reply.status, None),
            Ok(Found::Missing) | Err(_) => (404, None),
        }
    }

    #[test]
    fn a_small_file_that_is_settled_is_kept_in_memory_until_it_changes() {
        let place = std::env::temp_dir().join(format!("hubbub-files-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("small"), "small").unwrap();
        std::fs::write(place.join("small.gz"), "compressed").unwrap();
        std::fs::write(place.join("large"), vec![b'x'; SMALL_BYTES as usize + 1]).unwrap();
        let mut site = Site::new(&Folder::new(&place), 1);
        let mut turn = 0;
        let mut next = move || {
            turn += 1;
            turn
        };
        let (_, first) = ask(&mut site, "/small", next());
        assert!(site.cache.get(b"small").is_none(), "what has just changed may change again without a trace");
        // Time is all that it waits for.
        let deadline = Instant::now() + Duration::from_secs(30);
        while site.cache.get(b"small").is_none() {
            assert!(Instant::now() < deadline);
            ask(&mut site, "/small", next());
        }
        let (_, kept) = ask(&mut site, "/small", next());
        let (_, again) = ask(&mut site, "/small", next());
        let (first, kept, again) = (first.unwrap(), kept.unwrap(), again.unwrap());
        assert_eq!((first.as_ref(), first == kept), (&b"small"[..], true));
        assert_eq!((kept.as_ptr() == again.as_ptr(), first.as_ptr() == kept.as_ptr()), (true, false));
        assert_eq!(ask(&mut site, "/large", next()), (200, None), "large files are left where they are");
        // A change of the neighbour is one of the file.
        std::fs::remove_file(place.join("small.gz")).unwrap();
        let (_, changed) = ask(&mut site, "/small", next());
        assert!(changed.unwrap().as_ptr() != kept.as_ptr());
        std::fs::write(place.join("small"), "SMALL").unwrap();
        assert_eq!(ask(&mut site, "/small", next()).1.unwrap().as_ref(), b"SMALL");
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!(ask(&mut site, "/small", next()), (404, None));
    }
}

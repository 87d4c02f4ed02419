//! Small files in memory, as many as there is room for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::beneath::State;
use super::version::Version;

/// What a page takes beside its contents: its path, twice, and the fields of its versions.
const PAGE_BYTES: usize = 1 << 10;

/// A path, and the versions of the file that is there.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The file itself, then its compressed neighbours. Their contents come as they are wanted.
    pub(crate) versions: Vec<Arc<Version>>,
    /// The turn in which all of them were last seen to be as they are here.
    pub(crate) seen: u64,
    /// Asked for since there was last need of room.
    used: bool,
}

impl Page {
    pub(crate) fn new(versions: impl Iterator<Item = Version>, seen: u64) -> Self {
        Page { versions: versions.map(Arc::new).collect(), seen, used: false }
    }

    /// Nothing has changed.
    pub(crate) fn is(&self, states: &[(Option<usize>, State)]) -> bool {
        let mine = self.versions.iter().map(|version| (version.coding, version.state));
        mine.eq(states.iter().copied())
    }

    fn bytes(&self) -> usize {
        let content = |version: &Arc<Version>| version.content.as_ref().map_or(0, |content| content.len());
        PAGE_BYTES + self.versions.iter().map(content).sum::<usize>()
    }
}

/// Pages by path. Those that were not asked for again go first, the oldest before the others.
pub(crate) struct Cache {
    pages: HashMap<Arc<[u8]>, Page>,
    /// Every path once, in the order in which they are looked at when there is need of room.
    order: VecDeque<Arc<[u8]>>,
    bytes: usize,
    max_bytes: usize,
}

impl Cache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Cache { pages: HashMap::new(), order: VecDeque::new(), bytes: 0, max_bytes }
    }

    pub(crate) fn get(&mut self, path: &[u8]) -> Option<&mut Page> {
        let page = self.pages.get_mut(path)?;
        page.used = true;
        Some(page)
    }

    /// Puts a page in its place, or in the place of an older one of the same path, if it fits in at all.
    pub(crate) fn put(&mut self, path: &[u8], page: Page) {
        let bytes = page.bytes();
        if bytes > self.max_bytes {
            return;
        }
        if let Some(known) = self.pages.get_mut(path) {
            self.bytes -= known.bytes();
            *known = page;
        } else {
            let path: Arc<[u8]> = path.into();
            self.order.push_back(path.clone());
            self.pages.insert(path, page);
        }
        self.bytes += bytes;
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.bytes > self.max_bytes
            && let Some(path) = self.order.pop_front()
        {
            match self.pages.get_mut(&path) {
                Some(page) if page.used => {
                    page.used = false;
                    self.order.push_back(path);
                }
                _ => {
                    let gone = self.pages.remove(&path);
                    self.bytes -= gone.as_ref().map_or(0, Page::bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Folder;
    use super::*;

    fn page(path: &[u8], len: usize) -> Page {
        let version = Version::new(path, None, &State::old(len as u64), &Folder::new("public"));
        Page::new(std::iter::once(version.with(vec![0; len])), 1)
    }

    #[test]
    fn there_is_never_more_than_there_is_room_for() {
        let mut cache = Cache::new(20 * (PAGE_BYTES + 100));
        for round in 0..3 {
            for number in 0..1000 {
                let path = format!("{number}").into_bytes();
                cache.put(&path, page(&path, (number * 7 + round) % 3000));
                assert!(cache.bytes <= cache.max_bytes);
                assert_eq!(cache.pages.len(), cache.order.len());
                assert_eq!(cache.bytes, cache.pages.values().map(Page::bytes).sum::<usize>());
            }
        }
        let before = cache.bytes;
        cache.put(b"huge", page(b"huge", 1 << 20));
        assert!(cache.get(b"huge").is_none() && cache.bytes == before, "one that never fits drives nobody out");
        let mut none = Cache::new(0);
        none.put(b"a", page(b"a", 1));
        assert!(none.get(b"a").is_none());
    }

    #[test]
    fn what_is_asked_for_stays_before_what_is_not() {
        let mut cache = Cache::new(10 * (PAGE_BYTES + 10));
        cache.put(b"favourite", page(b"favourite", 10));
        for number in 0..100 {
            let path = format!("{number}").into_bytes();
            cache.put(&path, page(&path, 10));
            assert!(cache.get(b"favourite").is_some(), "after {number}");
        }
        assert!(cache.get(b"0").is_none() && cache.get(b"99").is_some());
    }
}

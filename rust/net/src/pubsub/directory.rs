//! Who is in which room, for everyone who asks. Broadcasts do not come here: each shard keeps its own members.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::settings::Policy;
use crate::id::SessionId;
use crate::pubsub::position::Stamp;
use crate::pubsub::space::Space;
use crate::session::link::Link;

/// The rooms of one space. A room exists while somebody is in it.
#[derive(Debug, Default)]
pub struct Directory {
    space: Space,
    inner: Mutex<Inner>,
    /// `Inner::keeps` has something. PERF: who broadcasts, and whoever comes back, need not wait for the lock to know.
    remembers: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    rooms: HashMap<Arc<str>, Room>,
    policies: HashMap<Arc<str>, Policy>,
    /// Broadcasts that members did not get, of the rooms where this has happened. It goes with the room.
    dropped: HashMap<Arc<str>, u64>,
    /// Rooms made so far: the next room's epoch.
    epoch: u64,
    /// Messages that rooms remember, where they say so themselves.
    keeps: HashMap<Arc<str>, usize>,
    /// Broadcasts so far that are remembered.
    remembered: u64,
}

#[derive(Debug)]
struct Room {
    members: HashSet<SessionId>,
    position: Position,
}

/// A place in a room's stream of messages: the same offset under another epoch is another message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Which life of the room.
    pub epoch: u64,
    /// Broadcasts so far in this life.
    pub offset: u64,
}

/// What joining came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Joined {
    /// It is a member now; tell its shard.
    Now(Arc<str>),
    /// It was one before.
    Already,
    /// It is in as many rooms as it may.
    Full,
    /// The session has ended.
    Ended,
}

impl Directory {
    pub(crate) fn new(space: Space) -> Self {
        Directory { space, ..Directory::default() }
    }

    /// Makes the session a member, if it is in fewer than `most` rooms.
    pub fn join(&self, link: &Link, name: &str, most: Option<usize>) -> Joined {
        let mut inner = self.lock();
        // INVARIANT: a space's part of the link's list changes only under that directory's lock and the list's own, and
        // `leave_all` sets `closing` before it takes either: nobody joins after having left everything.
        let mut rooms = link.lock_rooms();
        if link.is_closing() {
            return Joined::Ended;
        }
        let mut mine = rooms.iter().filter(|(space, _)| *space == self.space);
        if mine.clone().any(|(_, room)| &**room == name) {
            return Joined::Already;
        }
        // PERF: counting ends at the limit.
        if most.is_some_and(|most| most == 0 || mine.nth(most - 1).is_some()) {
            return Joined::Full;
        }
        let name = inner.enter(name, link.id());
        rooms.push((self.space, name.clone()));
        Joined::Now(name)
    }

    /// Ends a membership. `None`: there was none.
    pub fn leave(&self, link: &Link, name: &str) -> Option<Arc<str>> {
        let mut inner = self.lock();
        let mut rooms = link.lock_rooms();
        let at = rooms.iter().position(|(space, room)| *space == self.space && &**room == name)?;
        let (_, name) = rooms.remove(at);
        inner.exit(&name, link.id());
        Some(name)
    }

    /// A session that is closing is no member any more, for whoever asks; the names of its rooms are kept for its end.
    pub fn retire(&self, link: &Link) {
        link.set_closing();
        // As below.
        if link.lock_rooms().is_empty() {
            return;
        }
        let mut inner = self.lock();
        for (_, name) in link.lock_rooms().iter().filter(|(space, _)| *space == self.space) {
            inner.exit(name, link.id());
        }
    }

    /// Ends all memberships in this space of a session that has ended, in time proportional to their number.
    pub(crate) fn leave_all(&self, link: &Link) -> Vec<Arc<str>> {
        link.set_closing();
        // Most sessions that end were in no room: they need not wait for the lock. Whoever joins after this look
        // sees `closing`.
        if !link.lock_rooms().iter().any(|(space, _)| *space == self.space) {
            return Vec::new();
        }
        let mut inner = self.lock();
        let mut left = Vec::new();
        link.lock_rooms().retain(|(space, name)| {
            let stays = *space != self.space;
            if !stays {
                left.push(name.clone());
            }
            stays
        });
        for name in &left {
            inner.exit(name, link.id());
        }
        left
    }

    /// The names of all rooms.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.lock().rooms.keys().cloned().collect()
    }

    /// The number of rooms.
    pub fn len(&self) -> usize {
        self.lock().rooms.len()
    }

    /// No room exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sessions are in a room; 0 if it does not exist.
    pub fn count(&self, name: &str) -> usize {
        self.lock().rooms.get(name).map_or(0, |room| room.members.len())
    }

    /// The session is in the room.
    pub fn contains(&self, name: &str, id: SessionId) -> bool {
        self.lock().rooms.get(name).is_some_and(|room| room.members.contains(&id))
    }

    /// The members of a room, in no particular order.
    pub fn members(&self, name: &str) -> Vec<SessionId> {
        self.lock().rooms.get(name).map_or_else(Vec::new, |room| room.members.iter().copied().collect())
    }

    /// Where the room's stream stands; `None` if the room does not exist.
    pub fn position(&self, name: &str) -> Option<Position> {
        self.lock().rooms.get(name).map(|room| room.position)
    }

    /// Counts one more broadcast to the room, and says what a full outbox means in it.
    pub fn publish(&self, name: &str) -> Option<Policy> {
        let mut inner = self.lock();
        if let Some(room) = inner.rooms.get_mut(name) {
            room.position.offset += 1;
        }
        if inner.policies.is_empty() { None } else { inner.policies.get(name).copied() }
    }

    /// Numbers a broadcast to these rooms if one of them remembers, `default` where it does not say itself.
    pub fn stamp(&self, names: &[Arc<str>], default: usize, epoch: u32) -> Option<Stamp> {
        let mut inner = self.lock();
        let keep = names.iter().map(|name| inner.keeps.get(name).copied().unwrap_or(default)).max()?;
        if keep == 0 {
            return None;
        }
        inner.remembered += 1;
        Some(Stamp { epoch, offset: inner.remembered, keep })
    }

    /// How many messages this room remembers; `None` for the server's default. It outlives the room.
    pub fn keep(&self, name: &str) -> Option<usize> {
        self.lock().keeps.get(name).copied()
    }

    /// Sets how many messages this room remembers.
    pub fn set_keep(&self, name: &str, keep: Option<usize>) {
        let mut inner = self.lock();
        match keep {
            Some(keep) => inner.keeps.insert(name.into(), keep),
            None => inner.keeps.remove(name),
        };
        self.remembers.store(!inner.keeps.is_empty(), Ordering::Release);
    }

    /// Some room says itself how much it remembers. No lock is taken for it.
    pub fn remembers(&self) -> bool {
        self.remembers.load(Ordering::Acquire)
    }

    /// Counts broadcasts that members of a room did not get. Each shard calls it once per broadcast, if there were any.
    pub(crate) fn drop_in(&self, name: &Arc<str>, count: u64) {
        let mut inner = self.lock();
        // The last member may have gone, and the room with it.
        if inner.rooms.contains_key(name) {
            *inner.dropped.entry(name.clone()).or_default() += count;
        }
    }

    /// Broadcasts that members of this room did not get because their outboxes were full, in this life of the room.
    pub fn dropped(&self, name: &str) -> u64 {
        self.lock().dropped.get(name).copied().unwrap_or(0)
    }

    /// The rooms where most was dropped, the most first.
    pub fn dropping(&self, most: usize) -> Vec<(Arc<str>, u64)> {
        let mut rooms: Vec<_> = self.lock().dropped.iter().map(|(name, count)| (name.clone(), *count)).collect();
        rooms.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        rooms.truncate(most);
        rooms.into_iter().collect()
    }

    /// What a full outbox means in this room; `None` for the server's default. It outlives the room.
    pub fn policy(&self, name: &str) -> Option<Policy> {
        self.lock().policies.get(name).copied()
    }

    /// Sets what a full outbox means in this room.
    pub fn set_policy(&self, name: &str, policy: Option<Policy>) {
        let mut inner = self.lock();
        match policy {
            Some(policy) => inner.policies.insert(name.into(), policy),
            None => inner.policies.remove(name),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, name: &str, id: SessionId) -> Arc<str> {
        if let Some((name, _)) = self.rooms.get_key_value(name) {
            let name = name.clone();
            if let Some(room) = self.rooms.get_mut(&name) {
                room.members.insert(id);
            }
            return name;
        }
        let name: Arc<str> = name.into();
        self.epoch += 1;
        let position = Position { epoch: self.epoch, offset: 0 };
        self.rooms.insert(name.clone(), Room { members: HashSet::from([id]), position });
        name
    }

    fn exit(&mut self, name: &str, id: SessionId) {
        if let Some(room) = self.rooms.get_mut(name) {
            room.members.remove(&id);
            if room.members.is_empty() {
                self.rooms.remove(name);
                self.dropped.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(slot: u32) -> Link {
        Link::new(SessionId::new(0, 0, slot), crate::io::peer::Peer::Unix)
    }

    #[test]
    fn a_room_exists_while_somebody_is_in_it() {
        let (directory, a, b) = (Directory::default(), link(1), link(2));
        assert_eq!(directory.join(&a, "x", None), Joined::Now("x".into()));
        assert_eq!(directory.join(&a, "x", None), Joined::Already);
        directory.join(&b, "x", None);
        assert_eq!((directory.count("x"), directory.len()), (2, 1));
        assert!(directory.leave(&a, "x").is_some());
        assert!(directory.leave(&a, "x").is_none());
        assert_eq!(directory.members("x"), [b.id()]);
        directory.leave(&b, "x");
        assert!(directory.is_empty());
        assert_eq!(directory.count("x"), 0);
    }

    #[test]
    fn an_ended_session_is_in_no_room_and_enters_none() {
        let (directory, a) = (Directory::default(), link(1));
        directory.join(&a, "x", None);
        directory.join(&a, "y", None);
        assert_eq!(directory.leave_all(&a), ["x".into(), "y".into()] as [Arc<str>; 2]);
        assert!(directory.is_empty());
        assert_eq!(directory.join(&a, "x", None), Joined::Ended);
        assert!(directory.is_empty());
    }

    #[test]
    fn the_rooms_of_two_spaces_have_nothing_in_common() {
        let (hub, protocol, a) = (Directory::default(), Directory::new(Space::Protocol), link(1));
        assert_eq!(protocol.join(&a, "x", None), Joined::Now("x".into()));
        assert_eq!((hub.len(), hub.count("x"), link_rooms(&a)), (0, 0, vec![]));
        assert_eq!(hub.leave(&a, "x"), None);
        assert_eq!(hub.join(&a, "x", Some(1)), Joined::Now("x".into()));
        assert_eq!(hub.join(&a, "y", Some(1)), Joined::Full);
        assert_eq!(protocol.join(&a, "y", Some(2)), Joined::Now("y".into()));
        assert!(protocol.leave(&a, "x").is_some());
        assert_eq!((hub.count("x"), protocol.count("x"), link_rooms(&a)), (1, 0, vec!["x".into()]));
        assert_eq!(protocol.leave_all(&a), ["y".into()] as [Arc<str>; 1]);
        assert_eq!(hub.leave_all(&a), ["x".into()] as [Arc<str>; 1]);
        assert!(hub.is_empty() && protocol.is_empty());
    }

    fn link_rooms(link: &Link) -> Vec<Arc<str>> {
        link.rooms()
    }

    #[test]
    fn who_is_closing_is_in_no_room_and_its_rooms_are_known_at_its_end() {
        let (directory, a, b) = (Directory::default(), link(1), link(2));
        for (link, room) in [(&a, "x"), (&b, "x"), (&a, "y")] {
            directory.join(link, room, None);
        }
        directory.retire(&a);
        directory.retire(&a);
        assert_eq!((directory.members("x"), directory.len()), (vec![b.id()], 1));
        assert_eq!(directory.join(&a, "z", None), Joined::Ended);
        assert_eq!(a.rooms(), ["x".into(), "y".into()] as [Arc<str>; 2]);
        assert_eq!(directory.leave_all(&a), ["x".into(), "y".into()] as [Arc<str>; 2]);
        assert_eq!(directory.members("x"), [b.id()]);
    }

    #[test]
    fn a_session_enters_so_many_rooms_and_others_again_once_it_has_left_some() {
        let (directory, a, b) = (Directory::default(), link(1), link(2));
        for room in ["x", "y"] {
            assert_eq!(directory.join(&a, room, Some(2)), Joined::Now(room.into()));
        }
        assert_eq!(directory.join(&a, "z", Some(2)), Joined::Full);
        assert_eq!(directory.join(&a, "x", Some(2)), Joined::Already);
        assert_eq!(directory.count("z"), 0);
        assert_eq!(directory.join(&b, "z", Some(2)), Joined::Now("z".into()));
        directory.leave(&a, "x");
        assert_eq!(directory.join(&a, "z", Some(2)), Joined::Now("z".into()));
    }

    #[test]
    fn a_new_life_of_a_room_is_a_new_epoch() {
        let (directory, a) = (Directory::default(), link(1));
        directory.join(&a, "x", None);
        directory.publish("x");
        let first = directory.position("x").unwrap();
        assert_eq!(first.offset, 1);
        directory.leave(&a, "x");
        assert_eq!(directory.position("x"), None);
        directory.join(&a, "x", None);
        let second = directory.position("x").unwrap();
        assert_ne!(first.epoch, second.epoch);
        assert_eq!(second.offset, 0);
    }

    #[test]
    fn what_was_dropped_goes_with_the_room() {
        let (directory, a) = (Directory::default(), link(1));
        for (room, count) in [("x", 1), ("y", 3), ("z", 3), ("nobody here", 9)] {
            if count < 9 {
                directory.join(&a, room, None);
            }
            directory.drop_in(&room.into(), count);
        }
        assert_eq!(directory.dropping(2), [("y".into(), 3), ("z".into(), 3)]);
        assert_eq!((directory.dropped("x"), directory.dropped("nobody here")), (1, 0));
        directory.leave(&a, "y");
        assert_eq!(directory.dropping(9), [("z".into(), 3), ("x".into(), 1)]);
        directory.join(&a, "y", None);
        assert_eq!(directory.dropped("y"), 0);
        directory.leave_all(&a);
        assert!(directory.dropping(9).is_empty());
    }

    #[test]
    fn it_is_known_whether_any_room_says_what_it_remembers() {
        let directory = Directory::default();
        assert!(!directory.remembers());
        for (room, keep, some) in
            [("x", Some(1), true), ("y", Some(0), true), ("x", None, true), ("y", None, false), ("x", Some(2), true)]
        {
            directory.set_keep(room, keep);
            assert_eq!(directory.remembers(), some, "{room} {keep:?}");
        }
        assert_eq!(directory.stamp(&["y".into()], 0, 7), None);
        assert_eq!(directory.stamp(&["x".into(), "y".into()], 0, 7), Some(Stamp { epoch: 7, offset: 1, keep: 2 }));
    }

    #[test]
    fn a_policy_belongs_to_the_name() {
        let directory = Directory::default();
        assert_eq!(directory.publish("x"), None);
        directory.set_policy("x", Some(Policy::Drop));
        assert_eq!(directory.publish("x"), Some(Policy::Drop));
        directory.set_policy("x", None);
        assert_eq!(directory.policy("x"), None);
    }
}

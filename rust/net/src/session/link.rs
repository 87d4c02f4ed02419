//! What the two sides of a session share: a few numbers, no lock on the data path.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thin_vec::ThinVec;

use crate::id::SessionId;
use crate::io::peer::Peer;
use crate::pubsub::space::Space;
use crate::session::carrier::Carrier;

/// In a link's state: no further send is taken.
const CLOSING: u8 = 0x80;
/// In a link's state: the kernel takes no more for now.
const BLOCKED: u8 = 0x40;

/// The end of a session that anyone may hold, on any thread.
#[derive(Debug)]
pub struct Link {
    id: SessionId,
    peer: Peer,
    /// Bytes posted to the shard that it has not taken over yet.
    posted: AtomicUsize,
    /// Bytes in the shard's outbox after its last write, or after the last posted message that it took over.
    outbox: AtomicUsize,
    /// Messages (high half) and bytes (low half) that wait for the user.
    inbox: AtomicU64,
    /// The shard has stopped reading until the inbox is half empty.
    paused: AtomicBool,
    /// Somebody waits for the outbox to shrink.
    wants_drain: AtomicBool,
    /// Somebody waits for a pong.
    wants_pong: AtomicBool,
    /// The carrier's number, and whether no further send is taken, or the kernel takes no more.
    state: AtomicU8,
    /// Round trip of the last ping, in microseconds plus one; 0 before the first.
    latency: AtomicU32,
    /// The rooms that the session is in. Kept by the directories, each under its lock first.
    rooms: Mutex<ThinVec<(Space, Arc<str>)>>,
}

impl Link {
    pub(crate) fn new(id: SessionId, peer: Peer) -> Self {
        Link {
            id,
            peer,
            posted: AtomicUsize::new(0),
            outbox: AtomicUsize::new(0),
            inbox: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            wants_drain: AtomicBool::new(false),
            wants_pong: AtomicBool::new(false),
            state: AtomicU8::new(0),
            latency: AtomicU32::new(0),
            rooms: Mutex::new(ThinVec::new()),
        }
    }

    /// The session's address.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The client's address; `None` on a unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer.client()
    }

    /// The connection's own other end, where that is a trusted proxy that has told the client's address; `None` also if
    /// the proxy is at a unix socket.
    pub fn proxy(&self) -> Option<SocketAddr> {
        self.peer.proxy()
    }

    pub(crate) fn origin(&self) -> &Peer {
        &self.peer
    }

    /// Bytes that were sent and that the kernel has not taken yet.
    pub fn buffered(&self) -> usize {
        self.posted.load(Ordering::SeqCst) + self.outbox.load(Ordering::SeqCst)
    }

    /// Bytes in the shard's outbox, those on their way to the shard left out.
    pub(crate) fn outbox(&self) -> usize {
        self.outbox.load(Ordering::Relaxed)
    }

    /// The session is closing or closed: what is sent now goes nowhere.
    pub fn is_closing(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSING != 0
    }

    /// What carries the session now.
    pub fn carrier(&self) -> Carrier {
        Carrier::numbered(self.state.load(Ordering::Relaxed) & !(CLOSING | BLOCKED))
    }

    /// What is sent now is likely to leave at once: the client takes what it is given.
    pub fn is_writable(&self) -> bool {
        match self.carrier() {
            Carrier::Polling => self.buffered() == 0,
            _ => self.state.load(Ordering::Relaxed) & BLOCKED == 0,
        }
    }

    /// Seconds between the last ping and its pong.
    pub fn latency(&self) -> Option<f64> {
        match self.latency.load(Ordering::Relaxed) {
            0 => None,
            n => Some(f64::from(n - 1) / 1e6),
        }
    }

    /// The names of the session's rooms of the hub's, in the order of joining.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        let rooms = self.lock_rooms();
        rooms.iter().filter(|(space, _)| *space == Space::Hub).map(|(_, name)| name.clone()).collect()
    }

    // ---- the poster's side

    /// Counts bytes that a command on its way carries. Gives what is buffered now.
    pub fn add_posted(&self, bytes: usize) -> usize {
        self.posted.fetch_add(bytes, Ordering::SeqCst) + bytes + self.outbox.load(Ordering::SeqCst)
    }

    /// Asks for [`Handler::drained`](crate::Handler::drained). `false`: there is nothing to wait for any more; the event
    /// may come all the same.
    pub fn wait_for_drain(&self, low_water_bytes: usize) -> bool {
        self.wants_drain.store(true, Ordering::SeqCst);
        self.buffered() > low_water_bytes && !self.is_closing()
    }

    /// Asks for [`Handler::pong`](crate::Handler::pong) from now on.
    pub fn wait_for_pong(&self) {
        self.wants_pong.store(true, Ordering::Relaxed);
    }

    /// Says that the user has consumed messages. `true`: the shard waits to be told (`Command::Resume`).
    #[must_use]
    pub fn consumed(&self, messages: u32, bytes: usize, limits: &crate::Limits) -> bool {
        let taken = pack(messages, bytes);
        let left = self.inbox.fetch_sub(taken, Ordering::SeqCst).wrapping_sub(taken);
        self.paused.load(Ordering::SeqCst)
            && is_below(left, limits.inbox_messages / 2, limits.inbox_bytes / 2)
            && self.paused.swap(false, Ordering::SeqCst)
    }

    /// Says that messages which count as consumed wait for the user all the same: until `consumed` is told of them, they
    /// are part of the inbox.
    pub fn hold(&self, messages: u32, bytes: usize) {
        self.inbox.fetch_add(pack(messages, bytes), Ordering::SeqCst);
    }

    // ---- the shard's side

    /// Counts posted bytes as taken over into the outbox, which holds `outbox` bytes now.
    pub(crate) fn take_posted(&self, bytes: usize, outbox: usize) {
        // For a moment they count twice; if they did not count at all, who sends would not be held back.
        self.outbox.store(outbox, Ordering::SeqCst);
        self.posted.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Publishes the outbox's size after something was put into it.
    pub(crate) fn grow_outbox(&self, bytes: usize) {
        self.outbox.store(bytes, Ordering::Release);
    }

    /// Publishes the outbox's size; `true` if somebody waited for it to shrink to this.
    pub(crate) fn set_outbox(&self, bytes: usize, low_water_bytes: usize) -> bool {
        self.outbox.store(bytes, Ordering::SeqCst);
        bytes <= low_water_bytes
            && self.wants_drain.load(Ordering::SeqCst)
            && self.buffered() <= low_water_bytes
            && self.wants_drain.swap(false, Ordering::SeqCst)
    }

    /// Counts delivered messages; `true` if the shard must stop reading for now.
    pub(crate) fn delivered(&self, messages: u32, bytes: usize, limits: &crate::Limits) -> bool {
        let added = pack(messages, bytes);
        let waiting = self.inbox.fetch_add(added, Ordering::SeqCst).wrapping_add(added);
        if is_below(waiting, limits.inbox_messages, limits.inbox_bytes) {
            return false;
        }
        self.paused.store(true, Ordering::SeqCst);
        // The user may have emptied the inbox before the flag stood: then nobody will send the Resume.
        let waiting = self.inbox.load(Ordering::SeqCst);
        let emptied = is_below(waiting, limits.inbox_messages / 2, limits.inbox_bytes / 2);
        !(emptied && self.paused.swap(false, Ordering::SeqCst))
    }

    /// Asks for `Command::Resume` as soon as the user has consumed something. `false`: nothing waits for the user, and
    /// no message of the user's is on its way.
    pub(crate) fn tell_when_consumed(&self) -> bool {
        self.paused.store(true, Ordering::SeqCst);
        // If it was consumed before the flag stood, nobody will send the Resume.
        let consumed = self.inbox.load(Ordering::SeqCst) == 0 && self.paused.swap(false, Ordering::SeqCst);
        // Looked at last: who answers a message posts the answer first and counts the message as consumed then.
        !consumed || self.posted.load(Ordering::SeqCst) != 0
    }

    pub(crate) fn wants_pong(&self) -> bool {
        self.wants_pong.load(Ordering::Relaxed)
    }

    /// Says how long a ping took to be answered.
    pub fn set_latency(&self, micros: u64) {
        let micros = u32::try_from(micros).unwrap_or(u32::MAX - 1);
        self.latency.store(micros.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn set_closing(&self) {
        self.state.fetch_or(CLOSING, Ordering::Release);
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        match blocked {
            true => self.state.fetch_or(BLOCKED, Ordering::Relaxed),
            false => self.state.fetch_and(!BLOCKED, Ordering::Relaxed),
        };
    }

    pub(crate) fn set_carrier(&self, carrier: Carrier) {
        let change = |state| Some(state & (CLOSING | BLOCKED) | carrier.number());
        // INVARIANT: there is always something to change to.
        let _ = self.state.fetch_update(Ordering::Release, Ordering::Relaxed, change);
    }

    pub(crate) fn lock_rooms(&self) -> MutexGuard<'_, ThinVec<(Space, Arc<str>)>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pack(messages: u32, bytes: usize) -> u64 {
    u64::from(messages) << 40 | (bytes as u64 & BYTES)
}

const BYTES: u64 = (1 << 40) - 1;

/// Both numbers may be negative for a moment: messages are counted when the pass that brings them is over, and a user on
/// another thread may have consumed the first ones by then.
fn is_below(inbox: u64, messages: usize, bytes: usize) -> bool {
    let inbox_bytes = (inbox << 24) as i64 >> 24;
    let inbox_messages = (inbox as i64).wrapping_sub(inbox_bytes) >> 40;
    let at_most = |number: i64, limit: usize| usize::try_from(number).map_or(true, |number| number <= limit);
    at_most(inbox_messages, messages) && at_most(inbox_bytes, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn link() -> Link {
        Link::new(SessionId::new(0, 0, 0), Peer::Unix)
    }

    #[test]
    fn reading_pauses_when_the_inbox_is_full_and_resumes_at_half() {
        let limits = Limits { inbox_messages: 4, ..Limits::default() };
        let link = link();
        assert!(!link.delivered(4, 4, &limits));
        assert!(link.delivered(1, 1, &limits));
        assert!(!link.consumed(2, 2, &limits));
        assert!(link.consumed(1, 1, &limits));
        assert!(!link.consumed(2, 2, &limits));
    }

    #[test]
    fn what_is_held_back_counts_until_it_is_consumed() {
        let limits = Limits { inbox_messages: 4, ..Limits::default() };
        let link = Link::new(SessionId::new(0, 0, 0), Peer::Unix);
        for _ in 0..4 {
            assert!(!link.delivered(1, 10, &limits));
            link.hold(1, 10);
            assert!(!link.consumed(1, 10, &limits));
        }
        assert!(link.delivered(1, 10, &limits), "four wait and a fifth comes");
        assert!(!link.consumed(1, 10, &limits));
        assert!(!link.consumed(1, 10, &limits));
        assert!(link.consumed(1, 10, &limits), "half of what is allowed is left");
    }

    #[test]
    fn the_inbox_is_bounded_in_bytes_too() {
        let limits = Limits { inbox_bytes: 100, ..Limits::default() };
        let link = link();
        assert!(!link.delivered(1, 100, &limits));
        assert!(link.delivered(1, 1, &limits));
        assert!(link.consumed(2, 101, &limits));
    }

    #[test]
    fn what_is_consumed_before_it_is_counted_comes_out_even() {
        let limits = Limits { inbox_messages: 4, ..Limits::default() };
        let link = link();
        assert!(!link.consumed(3, 300, &limits));
        assert!(!link.delivered(3, 300, &limits));
        assert_eq!(link.inbox.load(Ordering::SeqCst), 0);
        assert!(!link.consumed(1, 0, &limits));
        assert!(!link.delivered(5, 5, &limits));
        assert!(link.delivered(1, 1, &limits));
    }

    #[test]
    fn one_drain_is_told_once() {
        let link = link();
        assert_eq!(link.add_posted(100), 100);
        assert!(link.wait_for_drain(10));
        link.take_posted(100, 104);
        assert_eq!(link.buffered(), 104);
        assert!(!link.set_outbox(100, 10));
        assert!(link.set_outbox(10, 10));
        assert!(!link.set_outbox(0, 10));
        assert!(!link.wait_for_drain(10));
    }
}

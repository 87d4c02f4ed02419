//! Sessions that are open and that the user does not know yet: broadcasts to everyone run past them, and are held for those
//! whose handler is just being called.

use std::sync::Arc;

use super::Shard;
use super::context::Context;
use super::held::Held;
use super::output::Fate;
use crate::config::settings::Policy;
use crate::id::SessionId;
use crate::pubsub::broadcast::Broadcast;
use crate::session::Session;

impl Shard {
    /// Holds broadcasts to everyone for this session from now on.
    pub(super) fn arrive(&mut self, id: SessionId) {
        if self.sessions.get(id).is_some_and(|session| session.is_open() && !session.known) {
            self.cx.arriving.insert(id.slot() as u32, Held::default());
        }
    }

    /// Lets it have what was held, and from now on each of them.
    pub(super) fn introduce(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        session.known = true;
        let held = self.cx.arriving.remove(&session.slot()).unwrap_or_default();
        for broadcast in held.broadcasts {
            let mark = self.cx.next_mark();
            self.cx.deliver(session, &broadcast, mark);
        }
    }
}

impl Context {
    /// A broadcast to everyone, for a session that the user does not know yet.
    pub(super) fn hold(&mut self, session: &mut Session, broadcast: &Arc<Broadcast>, mark: u32) -> Fate {
        if session.mark == mark || !session.is_open() || !session.is_the_hubs() {
            return Fate::Absent;
        }
        let limit = self.limits.outbox_bytes;
        let Some(held) = self.arriving.get_mut(&session.slot()) else { return Fate::Absent };
        let bytes = held.bytes + broadcast.len() + size_of::<Broadcast>();
        if held.bytes == 0 || bytes <= limit {
            held.bytes = bytes;
            held.broadcasts.push(broadcast.clone());
            return Fate::Reached;
        }
        match broadcast.policy {
            Policy::Close => self.close_as_too_slow(session),
            Policy::Drop => self.counts.dropped += 1,
            Policy::DropOldest => {
                self.counts.dropped += 1;
                self.counts.dropped_newest += 1;
            }
        }
        Fate::Dropped
    }

    /// The number of the next broadcast.
    pub(super) fn next_mark(&mut self) -> u32 {
        self.mark = self.mark.wrapping_add(1).max(1);
        self.mark
    }
}

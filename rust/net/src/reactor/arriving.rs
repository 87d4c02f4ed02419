//! Sessions that are open and that the user does not know yet: broadcasts to everyone run past them, and are held for those
//! whose handler is just being called.

use super::Shard;
use crate::id::SessionId;
use crate::pubsub::held::Held;

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

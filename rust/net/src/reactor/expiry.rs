//! Looks at the sessions whose deadlines have come.

use super::Shard;
use crate::handler::Handler;
use crate::metrics::Reason;
use crate::session::deadlines::Look;
use crate::timers::Millis;

impl Shard {
    /// Judges every deadline as of `seen_until`: what had come by then has been read. What is due since then is the
    /// next turn's.
    pub(super) fn expire(&mut self, seen_until: Millis, handler: &mut impl Handler) {
        let now = self.cx.now;
        let mut due = std::mem::take(&mut self.due);
        self.cx.timers.expire(seen_until, &mut due);
        for entry in due.drain(..) {
            let Some(session) = self.sessions.at(entry.slot) else { continue };
            // An entry that was overtaken by a nearer deadline, or whose session has gone, means nothing.
            if session.timer != entry.at {
                continue;
            }
            session.timer = 0;
            self.cx.now = seen_until;
            self.guard(entry.slot, |shard| shard.look_at(entry.slot));
            self.perform(handler);
        }
        self.due = due;
        self.cx.now = self.cx.now.max(now);
        if self.stop_at().is_some_and(|at| at <= self.cx.now) {
            self.abandon(handler);
        }
    }

    fn look_at(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        match self.cx.look(session) {
            Look::At(at) => self.cx.arm(session, at),
            Look::Never => {}
            Look::HandshakeExpired => self.handshake_expired(slot),
            Look::BodyExpired => self.body_expired(slot),
            Look::UpgradeExpired => self.give_up_upgrade(slot),
            Look::Lose(cause) => self.lose_connection(slot, cause),
            Look::Drop(cause) => self.drop_session(slot, cause),
        }
        if let Some(id) = self.sessions.at(slot).filter(|session| session.lasting().is_some()).map(|session| session.id)
        {
            self.answer_posts(id);
        }
    }

    /// The body stood still for too long.
    pub(super) fn body_expired(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        self.cx.counts.message_timeouts += 1;
        self.cx.break_off(session, 408, Reason::Timeout, "The request body did not arrive in time.");
    }
}

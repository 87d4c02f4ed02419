//! Closes sessions, drops them, and ends the shard.

use std::time::Duration;

use hubbub_proto::close::CloseCode;

use super::{Shard, State};
use crate::context::millis;
use crate::handler::Notice;
use crate::id::SessionId;
use crate::session::Phase;

impl Shard {
    /// Begins the closing handshake: sends a Close frame, then waits for the peer's.
    pub fn close(&mut self, id: SessionId, code: CloseCode, reason: &str) {
        let Some(session) = self.sessions.get(id).filter(|session| session.is_open()) else { return };
        if let Some(violation) = session.broke {
            // The peer's Close cannot be waited for: nothing it sends is read any more.
            self.cx.fail_for(session, violation);
            return;
        }
        if session.misses() {
            self.cx.catch_up(session);
        }
        self.cx.say_goodbye(session, code, reason);
        if !session.carrier.is_websocket() {
            // Nothing answers to that.
            let farewell = &mut session.rare.get_or_insert_default().farewell;
            farewell.received = farewell.sent.clone();
            self.cx.tell_closed(session, None);
            self.cx.linger(session);
            return;
        }
        session.phase = Phase::Closing;
        if session.is_held_back() {
            // The user takes no further messages: what is unread is discarded until the peer's Close.
            (session.paused, session.throttled) = (false, false);
            self.cx.mark_ready(session);
        }
        self.cx.look_at_clock();
        session.until = self.cx.now + millis(self.cx.limits.close_timeout);
        self.cx.arm_until(session);
    }

    /// Takes the connection away. The user is told, once.
    pub(super) fn drop_session(&mut self, slot: u32, cause: Option<&str>) {
        let Some(mut session) = self.sessions.remove(slot) else { return };
        self.cx.arriving.remove(&slot);
        self.forget(&mut session);
        let memberships = std::mem::take(&mut session.memberships);
        self.rooms.leave_all(memberships, &mut self.sessions);
        self.cx.tell_closed(&mut session, cause);
        session.connection.outbox.clear(&mut self.cx.pool);
        self.cx.set_blocked(&mut session, false);
        self.cx.handshake_over(&mut session);
        self.cx.unseat(&mut session);
        drop(session);
        self.cx.server.connection_ends();
    }

    /// Takes no further connections, and drops those that have not said what they want, or nothing further.
    pub(super) fn stop_accepting(&mut self) {
        self.acceptor.close();
        self.cx.draining = true;
        for slot in self.sessions.occupied() {
            if self.sessions.at(slot).is_some_and(|session| matches!(session.phase, Phase::Handshake(_))) {
                self.drop_session(slot, None);
            }
        }
    }

    /// Says how many failures of TLS the log has not heard of one by one.
    pub(super) fn tell_left_out(&mut self) {
        if let Some(count) = self.cx.tls_lines.take_left_out(self.cx.now) {
            self.cx.notice(Notice::TlsFailuresLeftOut(count));
        }
    }

    /// Closes every session; what is left after the grace is dropped.
    pub(super) fn stop(&mut self, code: CloseCode, reason: &str, grace: Duration) {
        if self.state != State::Running {
            return;
        }
        self.stop_accepting();
        self.state = State::Stopping(self.cx.now + millis(grace));
        for slot in self.sessions.occupied() {
            let Some(session) = self.sessions.at(slot) else { continue };
            let (id, target) = (session.id, session.is_candidate_of());
            let awaited =
                target.and_then(|id| self.sessions.get(id)?.lasting()).is_some_and(|lasting| lasting.holds_output());
            let Some(session) = self.sessions.at(slot) else { continue };
            match session.phase {
                Phase::Open => self.close(id, code, reason),
                Phase::Deciding(_) => self.drop_session(slot, Some("the server is stopping")),
                // By this WebSocket its session's client is to hear the rest.
                Phase::Candidate(_) if awaited => {}
                Phase::Candidate(_) => self.drop_session(slot, None),
                // Exchanges have the grace to come to their end; the connection ends with them.
                Phase::Handshake(_) | Phase::Exchange(_) | Phase::Closing | Phase::Lingering => {}
            }
            self.forsake(slot);
        }
    }
}

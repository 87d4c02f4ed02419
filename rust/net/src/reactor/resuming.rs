//! Sessions that change connections: parting with one, going on with another, and connections that change shards.

use mio::Token;

use super::{Shard, State};
use crate::command::{Command, Moved};
use crate::context::millis;
use crate::id::SessionId;
use crate::session::carrier::Carrier;
use crate::session::connection::Connection;
use crate::session::pending::New;
use crate::session::{Handshake, Phase, Session};

const OVERTAKEN: &str = "The session goes on with another connection.";

impl Shard {
    /// The connection is lost. A session that outlives its connections waits for the next one.
    pub(super) fn lose_connection(&mut self, slot: u32, cause: &str) {
        let Some(session) = self.sessions.at(slot) else { return };
        let waits = session.is_open() && session.resumable().is_some_and(|resumable| resumable.resumes());
        if waits && self.state == State::Running && !self.cx.draining {
            self.detach(slot);
        } else {
            self.drop_session(slot, Some(cause));
        }
    }

    /// Takes a session's connection away; the session stays.
    pub(super) fn detach(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        self.cx.set_blocked(session, false);
        let mut former = std::mem::replace(&mut session.connection, Connection::absent());
        former.outbox.clear(&mut self.cx.pool);
        (session.pinged, session.awaits_pong) = (false, false);
        self.cx.carry_by(session, Carrier::Polling);
        self.cx.counts.parted += 1;
        let at = self.cx.now + millis(self.cx.limits.session_timeout);
        session.last_received = self.cx.now;
        self.cx.arm(session, at);
        let (backlog, low_water) = (session.backlog(), self.cx.limits.high_water_bytes / 2);
        if let Some(link) = &session.link {
            // Who waits for the outbox goes on waiting: what is in it has not gone out.
            link.set_outbox(backlog.max(low_water + 1), low_water);
            link.grow_outbox(backlog);
        }
    }

    /// Lets a session go on with the connection at `slot`.
    pub(super) fn attach(&mut self, slot: u32, id: SessionId, opening: &New, rest: Vec<u8>) {
        let Some(poll) = self.take_connection(slot, id, opening.plan.carrier) else { return };
        let Some(session) = self.sessions.get(id) else { return };
        self.cx.counts.resumed += 1;
        let key = opening.agreed.as_ref().map(|agreed| agreed.key.as_str()).unwrap_or_default();
        let subprotocol = opening.request.subprotocol.as_deref();
        self.cx.write_opening(session, &opening.plan, key, subprotocol, &opening.plan.fields);
        self.cx.announce(session, true, false);
        self.cx.replay(session);
        let (limit, unwritten) = (self.cx.limits.resume_bytes, session.connection.outbox.len());
        if let Some(resumable) = session.resumable_mut() {
            resumable.shrink(limit + unwritten);
        }
        session.ping_micros = self.cx.micros;
        if !session.is_open() {
            // It has ended while its client was away.
            self.cx.say_why(session);
        } else if let Some(interval) = self.cx.heartbeat(session).0 {
            let due = self.cx.now + interval;
            self.cx.arm(session, due);
        }
        if let Some(poll) = poll {
            self.say(poll, 409, OVERTAKEN);
        }
        self.hold_rest(id.slot() as u32, rest);
    }

    /// Gives the connection at `slot` to a session, together with its place, and with what it has still to say. `None`: one
    /// of them is not there. Otherwise: the poll that the session has had, if any.
    pub(super) fn take_connection(&mut self, slot: u32, id: SessionId, carrier: Carrier) -> Option<Option<SessionId>> {
        let mut former = self.sessions.remove(slot)?;
        self.cx.set_blocked(&mut former, false);
        self.cx.handshake_over(&mut former);
        self.cx.server.connection_ends();
        if self.sessions.get(id).is_some_and(|session| !session.is_away()) {
            self.detach(id.slot() as u32);
        }
        let Some(session) = self.sessions.get(id) else {
            self.cx.uncount_address(&mut former);
            former.connection.outbox.clear(&mut self.cx.pool);
            return None;
        };
        // The client may have come from elsewhere.
        self.cx.uncount_address(session);
        session.place = former.place.take();
        session.connection = former.connection;
        // A failed registration shows as a session that is never ready; its deadline ends it.
        let _ = session.connection.stream.reregister(self.poll.registry(), Token(id.slot()));
        session.connection.readable = true;
        session.last_received = self.cx.now;
        if session.is_open() {
            self.cx.carry_by(session, carrier);
        } else {
            session.carrier = carrier;
        }
        self.cx.mark_dirty(session);
        self.cx.mark_ready(session);
        Some(session.resumable_mut().and_then(|resumable| resumable.requests.take_poll()))
    }

    /// Gives a connection, with what it has received, to the shard whose session it asks for.
    pub(super) fn pass_on(&mut self, slot: u32, shard: usize, received: Vec<u8>) {
        let Some(mut former) = self.sessions.remove(slot) else { return };
        let (peer, place, pending) = (former.whence(), former.place.take(), former.pending);
        let mut stream = former.connection.stream;
        let _ = stream.deregister(self.poll.registry());
        let moved = Moved { stream, peer, place, received, pending };
        self.cx.server.handles()[shard].post(Command::Move(Box::new(moved)));
    }

    /// Takes in a connection that asks for a session of this shard.
    pub(super) fn take_over_connection(&mut self, moved: Moved) {
        let Moved { mut stream, peer, place, received, pending } = moved;
        let now = self.cx.now;
        let registry = self.poll.registry();
        let adopted = self.sessions.insert(|id| {
            // A failed registration shows as a session that is never ready; its deadline ends it.
            let _ = stream.register(registry, Token(id.slot()));
            let mut session = Session::new(stream, id, peer.clone(), now);
            session.phase = Phase::Handshake(Box::new(Handshake::new(peer, received, false)));
            (session.place, session.pending) = (place, pending);
            session
        });
        let Some(session) = adopted else {
            if pending {
                self.cx.server.handshake_ends();
            }
            self.cx.server.connection_ends();
            return;
        };
        session.until = self.cx.head_deadline();
        self.cx.arm_until(session);
        if self.cx.draining {
            let slot = session.slot();
            self.drop_session(slot, None);
        } else {
            self.cx.mark_ready(session);
        }
    }
}

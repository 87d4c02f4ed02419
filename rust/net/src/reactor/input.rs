//! Reads sessions, and hands on the messages that they bring.

use std::io;

use hubbub_proto::Violation;
use hubbub_proto::message::Event;

use super::{RECEIVE_BYTES, Shard};
use crate::context::Context;
use crate::handler::Handler;
use crate::session::connection::Received;
use crate::session::input::Handed;
use crate::session::{Phase, Session};

/// Receive calls that one session gets in one turn while a large message comes in.
const DIRECT_RECEIVES: usize = 16;

const ENDED: &str = "the peer closed the connection";

const TALKED: &str = "the client has sent something behind its request";

impl Shard {
    /// Reads from one session, once, and remembers whether there is more.
    pub(super) fn read(&mut self, slot: u32, handler: &mut impl Handler) {
        let Some(session) = self.sessions.at(slot) else { return };
        if !session.connection.readable && !session.holds() {
            return;
        }
        if session.is_waiting() {
            // What is there stays in the kernel, so that TCP pushes back; but a reset is final.
            if session.connection.has_failed() {
                self.lose_connection(slot, "connection reset by peer");
            } else if session.connection.hung_up && session.wants_websocket() {
                // Who says nothing more has no use for a WebSocket: its page is closed, its program has ended.
                self.drop_session(slot, Some("the client has gone"));
            } else if session.connection.hung_up {
                self.cx.tell_hang_up(session);
                self.poll_hung_up(slot);
            }
            return;
        }
        if session.holds() {
            self.read_held(slot, handler);
            return;
        }
        if session.is_open() && self.read_direct(slot, handler) {
            return;
        }
        let awaits_proxy = self.sessions.at(slot).is_some_and(|session| session.awaits_proxy());
        if awaits_proxy && !self.read_proxy_header(slot) {
            return;
        }
        let Some(session) = self.sessions.at(slot) else { return };
        let received = session.connection.receive(RECEIVE_BYTES, |stream| stream.receive(&mut self.buffer));
        match received {
            Received::Full(len) | Received::Short(len) => self.take(slot, len, handler),
            Received::Empty => {}
            Received::End => self.lose_connection(slot, ENDED),
            Received::Lost(error) => self.lose(slot, &error),
        }
        self.settle_session(slot);
    }

    /// Looks after a session that has just been read: more to read, something to write.
    pub(super) fn settle_session(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        if (session.connection.readable || session.holds()) && !session.is_waiting() {
            self.cx.mark_ready(session);
        }
        if session.connection.has_answered() {
            self.cx.mark_dirty(session);
        }
    }

    /// Goes on with what was held back when the inbox was full.
    fn read_held(&mut self, slot: u32, handler: &mut impl Handler) {
        let Some(session) = self.sessions.at(slot) else { return };
        if matches!(session.phase, Phase::Handshake(_)) {
            self.receive_head(slot, 0);
            self.settle_session(slot);
            return;
        }
        let Some(mut held) = session.connection.take_held() else { return };
        self.cx.feed(session, &mut held, handler);
        self.settle_session(slot);
    }

    fn take(&mut self, slot: u32, len: usize, handler: &mut impl Handler) {
        let Some(session) = self.sessions.at(slot) else { return };
        session.last_received = self.cx.now;
        self.cx.counts.bytes_in += len as u64;
        match session.phase {
            Phase::Handshake(_) => self.receive_head(slot, len),
            Phase::Exchange(_) => {
                self.cx.receive_body(session, &self.buffer[..len]);
                self.posted(slot);
            }
            Phase::Candidate(_) => self.read_candidate(slot, len),
            Phase::Open if session.carrier.is_stream() => self.lose_connection(slot, TALKED),
            Phase::Open | Phase::Closing => self.cx.feed(session, &mut self.buffer[..len], handler),
            // The last word is spoken: what still comes is read only so that the peer sees our end.
            Phase::Lingering | Phase::Deciding(_) => {}
        }
    }

    /// The connection cannot go on. Where TLS has failed, the peer is told why before it ends.
    fn lose(&mut self, slot: u32, error: &io::Error) {
        match self.sessions.at(slot) {
            Some(session) if session.connection.stream.has_failed() => self.cx.fail_tls(session, error),
            _ => self.lose_connection(slot, &lost(error)),
        }
    }

    /// While a large payload comes in, receives it into the message's own buffer. `false`: it does not apply.
    fn read_direct(&mut self, slot: u32, handler: &mut impl Handler) -> bool {
        for attempt in 0..DIRECT_RECEIVES {
            let Some(session) = self.sessions.at(slot) else { return true };
            if self.cx.spare.is_empty() {
                self.cx.spare.extend(handler.spent());
            }
            let Some(direct) = session.connection.reader.direct(&mut self.cx.spare) else {
                if attempt == 0 {
                    return false;
                }
                // The last receive may have left bytes in the kernel: this turn is over, the session's reading is not.
                break;
            };
            let room = direct.room.len();
            let received = Received::of(session.connection.stream.receive(direct.room), room);
            session.connection.note(&received);
            match received {
                Received::Full(len) | Received::Short(len) => {
                    session.last_received = self.cx.now;
                    self.cx.counts.bytes_in += len as u64;
                    self.cx.feed_direct(session, len, handler);
                }
                Received::Empty => {}
                Received::End => {
                    self.lose_connection(slot, ENDED);
                    return true;
                }
                Received::Lost(error) => {
                    self.lose(slot, &error);
                    return true;
                }
            }
            let Some(session) = self.sessions.at(slot) else { return true };
            if !session.connection.readable || session.is_held_back() || !session.is_open() {
                break;
            }
        }
        self.settle_session(slot);
        true
    }
}

impl Context {
    /// Takes in bytes of an open or closing session, and hands on the messages in them.
    pub(super) fn feed(&mut self, session: &mut Session, bytes: &mut [u8], handler: &mut impl Handler) {
        let mut input = bytes;
        let mut handed = Handed::default();
        let mut broken = None;
        let limits = self.reader_limits(session);
        while broken.is_none() && matches!(session.phase, Phase::Open | Phase::Closing) {
            match session.connection.reader.next(&mut input, &limits) {
                Ok(None) => break,
                Ok(Some(event)) => broken = self.hand_on(session, event, &mut handed, handler).err(),
                Err(violation) => broken = Some(violation),
            }
            // The inbox is judged after a read, but what a read may inflate to is more than it should ever hold.
            if handed.inflated > self.limits.inbox_bytes && !input.is_empty() && broken.is_none() {
                session.connection.hold(input.to_vec());
                break;
            }
        }
        self.settle_input(session, &handed, broken);
    }

    fn feed_direct(&mut self, session: &mut Session, len: usize, handler: &mut impl Handler) {
        let mut handed = Handed::default();
        let mut broken = None;
        match session.connection.reader.received_directly(len, &self.reader_limits(session)) {
            Ok(None) => {}
            Ok(Some(event)) => broken = self.hand_on(session, event, &mut handed, handler).err(),
            Err(violation) => broken = Some(violation),
        }
        self.settle_input(session, &handed, broken);
    }

    /// Hands on a message at once, where the event is one: its bytes are not copied for it.
    fn hand_on(
        &mut self,
        session: &mut Session,
        event: Event<'_>,
        handed: &mut Handed,
        handler: &mut impl Handler,
    ) -> Result<(), Violation> {
        // What was noted before it is told before it.
        self.perform(handler);
        let id = session.id;
        if let Some((kind, payload)) = self.heed(session, event, handed)? {
            handler.message(id, kind, payload);
        }
        Ok(())
    }
}

fn lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        _ => format!("connection lost: {error}"),
    }
}

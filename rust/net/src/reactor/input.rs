//! Bytes from the kernel to messages.

use std::io;

use hubbub_proto::Violation;
use hubbub_proto::close::CloseCode;
use hubbub_proto::frame::{self, Opcode};
use hubbub_proto::message::{self, Event, Kind, Payload};

use super::context::{Context, millis};
use super::{RECEIVE_BYTES, Shard};
use hubbub_proto::session::Dialect;

use crate::effect::Effect;
use crate::handler::Handler;
use crate::session::carrier::Carrier;
use crate::session::connection::Received;
use crate::session::{Phase, Session};

/// Receive calls that one session gets in one turn while a large message comes in.
const DIRECT_RECEIVES: usize = 16;
/// A ping is answered at once while less than this waits to be written; beyond, only the newest is.
pub(super) const PONG_BACKLOG: usize = 4096;

const ENDED: &str = "the peer closed the connection";
const TALKED: &str = "the client has sent something behind its request";

/// Messages handed on in one pass, for the inbox's account.
#[derive(Default)]
struct Handed {
    messages: u32,
    bytes: usize,
    /// How many of the bytes came compressed: a receive call's worth of them may be a thousand times as much.
    inflated: usize,
}

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

    fn settle_input(&mut self, session: &mut Session, handed: &Handed, broken: Option<Violation>) {
        self.account(session, handed);
        match broken {
            Some(violation) => self.condemn(session, violation),
            None => self.pace(session, handed.messages),
        }
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

    /// What a WebSocket may bring: a packet is longer than its message by one byte.
    fn reader_limits(&self, session: &Session) -> message::Limits {
        let more = usize::from(session.carrier == Carrier::Packets);
        let max = self.max_message_bytes(session);
        message::Limits { max_message_bytes: max.map(|max| max.saturating_add(more)), ..self.message_limits }
    }

    /// The longest message of this session: an Engine.IO endpoint has a limit of its own.
    fn max_message_bytes(&self, session: &Session) -> Option<usize> {
        match session.carrier {
            Carrier::Packets => match session.lasting().filter(|lasting| lasting.dialect() == Dialect::EngineIo) {
                Some(lasting) => Some(lasting.terms.max_payload),
                None => self.message_limits.max_message_bytes,
            },
            _ => self.message_limits.max_message_bytes,
        }
    }

    /// Puts what was handed on into the inbox's account; a full inbox stops the reading.
    fn account(&mut self, session: &mut Session, handed: &Handed) {
        self.watch_progress(session);
        if handed.messages == 0 {
            return;
        }
        self.note_received(session, handed.messages, handed.bytes);
        let Some(link) = &session.link else { return };
        // A session that has just ended is read on, whatever the user does: the peer's FIN is still to come.
        if link.delivered(handed.messages, handed.bytes, &self.limits) && session.is_open() {
            session.paused = true;
            self.counts.inbox_pauses += 1;
        }
    }

    /// Counts messages that have come.
    pub(super) fn note_received(&mut self, session: &mut Session, messages: u32, bytes: usize) {
        self.counts.messages_in += u64::from(messages);
        if let Some(tally) = &mut session.tally {
            tally.traffic.messages_in += u64::from(messages);
            tally.traffic.bytes_in += bytes as u64;
        }
    }

    /// Sees to it that an unfinished message is looked at when it has stood still for too long.
    pub(super) fn watch_progress(&mut self, session: &mut Session) {
        if let Some(timeout) = self.limits.message_timeout.filter(|_| session.connection.reader.is_mid_message()) {
            self.arm(session, self.now + millis(timeout));
        }
    }

    /// Does what an event asks for. Gives the message for the user that it brings.
    fn heed<'a>(
        &'a mut self,
        session: &mut Session,
        event: Event<'a>,
        handed: &mut Handed,
    ) -> Result<Option<(Kind, Payload<'a>)>, Violation> {
        let message = match event {
            // After our Close frame the user has turned away: messages are discarded.
            Event::Message { .. } | Event::Compressed { .. } if !session.is_open() => None,
            Event::Message { kind: Kind::Text, payload } if session.carrier == Carrier::Packets => {
                self.heed_packet(session, payload)
            }
            Event::Message { kind, payload } => {
                let len = payload.as_slice().len();
                if self.max_message_bytes(session).is_some_and(|max| len > max) {
                    return Err(Violation::TooBig);
                }
                Some((kind, payload))
            }
            Event::Compressed { kind, payload } => {
                let payload = self.inflate(session, kind, payload.as_slice())?;
                handed.inflated += payload.as_slice().len();
                Some((kind, payload))
            }
            Event::Ping(payload) => {
                self.answer_ping(session, payload.as_slice());
                None
            }
            Event::Pong(payload) => {
                self.heed_pong(session, payload.as_slice());
                None
            }
            Event::Close { code, reason } => {
                self.heed_close(session, code.unwrap_or(CloseCode::NO_STATUS_RECEIVED), reason);
                None
            }
        };
        if let Some((_, payload)) = &message {
            handed.messages += 1;
            handed.bytes += payload.as_slice().len();
        }
        Ok(message)
    }

    fn inflate(&mut self, session: &mut Session, kind: Kind, payload: &[u8]) -> Result<Payload<'_>, Violation> {
        // INVARIANT: the reader gives compressed messages only where that was agreed on.
        let Some(packing) = session.connection.packing else { return Err(Violation::ReservedBits) };
        self.counts.compressed_in += 1;
        self.counts.compressed_bytes_in += payload.len() as u64;
        let max = self.message_limits.max_message_bytes;
        match self.codecs.inflate(&packing, &mut session.connection.own, (kind, payload), max) {
            Ok(payload) => {
                self.counts.inflated_bytes += payload.as_slice().len() as u64;
                Ok(payload)
            }
            Err(violation) => {
                // Nothing that follows is read, and the streams go with the session's right to them.
                session.connection.reader.end();
                session.connection.own = None;
                Err(violation)
            }
        }
    }

    /// RFC 6455 §5.5.2: a Ping MUST be answered as soon as is practical, unless a Close has come.
    pub(super) fn answer_ping(&mut self, session: &mut Session, payload: &[u8]) {
        if !session.is_open() && session.is_candidate_of().is_none() {
            return;
        }
        if session.connection.outbox.len() < PONG_BACKLOG {
            session.connection.outbox.gather(&mut self.pool, |out| frame::encode(out, Opcode::Pong, payload, None));
        } else {
            // RFC 6455 §5.5.3: of several unanswered pings, the most recent may be answered alone.
            session.rare.get_or_insert_default().unanswered_ping = Some(payload.into());
        }
        self.mark_dirty(session);
    }

    fn heed_pong(&mut self, session: &mut Session, payload: &[u8]) {
        let Some(link) = &session.link else { return };
        // Other traffic may have ended the wait for this pong before it came; it still tells the latency.
        let ours = session.awaits_pong && payload == session.ping_micros.to_be_bytes();
        if ours {
            link.set_latency(self.micros.saturating_sub(session.ping_micros));
            session.awaits_pong = false;
        } else if link.wants_pong() {
            self.effects.push_back(Effect::Pong(session.id, payload.into()));
        }
    }
}

fn lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        _ => format!("connection lost: {error}"),
    }
}

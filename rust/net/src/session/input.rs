//! What frames and packets mean for a session: messages for the user, pings, pongs, Close frames.

use hubbub_proto::Violation;
use hubbub_proto::close::CloseCode;
use hubbub_proto::frame::{self, Opcode};
use hubbub_proto::message::{self, Event, Kind, Payload};
use hubbub_proto::session::Dialect;

use crate::context::{Context, millis};
use crate::effect::Effect;
use crate::session::Session;
use crate::session::carrier::Carrier;

/// A ping is answered at once while less than this waits to be written; beyond, only the newest is.
pub(crate) const PONG_BACKLOG: usize = 4096;

/// Messages handed on in one pass, for the inbox's account.
#[derive(Default)]
pub(crate) struct Handed {
    pub(crate) messages: u32,
    pub(crate) bytes: usize,
    /// How many of the bytes came compressed: a receive call's worth of them may be a thousand times as much.
    pub(crate) inflated: usize,
}

impl Context {
    pub(crate) fn settle_input(&mut self, session: &mut Session, handed: &Handed, broken: Option<Violation>) {
        self.account(session, handed);
        match broken {
            Some(violation) => self.fail_later(session, violation),
            None => self.limit_rate(session, handed.messages),
        }
    }

    /// What a WebSocket may bring: a packet is longer than its message by one byte.
    pub(crate) fn reader_limits(&self, session: &Session) -> message::Limits {
        let more = usize::from(session.carrier == Carrier::Packets);
        let max = self.max_message_bytes(session);
        message::Limits { max_message_bytes: max.map(|max| max.saturating_add(more)), ..self.message_limits }
    }

    /// The longest message of this session: an Engine.IO endpoint has a limit of its own.
    fn max_message_bytes(&self, session: &Session) -> Option<usize> {
        match session.carrier {
            Carrier::Packets => {
                match session.resumable().filter(|resumable| resumable.dialect() == Dialect::EngineIo) {
                    Some(resumable) => Some(resumable.terms.max_payload),
                    None => self.message_limits.max_message_bytes,
                }
            }
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
    pub(crate) fn note_received(&mut self, session: &mut Session, messages: u32, bytes: usize) {
        self.counts.messages_in += u64::from(messages);
        if let Some(tally) = &mut session.tally {
            tally.traffic.messages_in += u64::from(messages);
            tally.traffic.bytes_in += bytes as u64;
        }
    }

    /// Sees to it that an unfinished message is looked at when it has stood still for too long.
    pub(crate) fn watch_progress(&mut self, session: &mut Session) {
        if let Some(timeout) = self.limits.message_timeout.filter(|_| session.connection.reader.is_mid_message()) {
            self.arm(session, self.now + millis(timeout));
        }
    }

    /// Does what an event asks for. Gives the message for the user that it brings.
    pub(crate) fn handle_event<'a>(
        &'a mut self,
        session: &mut Session,
        event: Event<'a>,
        handed: &mut Handed,
    ) -> Result<Option<(Kind, Payload<'a>)>, Violation> {
        let message = match event {
            // After our Close frame the user has turned away: messages are discarded.
            Event::Message { .. } | Event::Compressed { .. } if !session.is_open() => None,
            Event::Message { kind: Kind::Text, payload } if session.carrier == Carrier::Packets => {
                self.handle_packet(session, payload)
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
                self.handle_pong(session, payload.as_slice());
                None
            }
            Event::Close { code, reason } => {
                self.handle_close(session, code.unwrap_or(CloseCode::NO_STATUS_RECEIVED), reason);
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
    pub(crate) fn answer_ping(&mut self, session: &mut Session, payload: &[u8]) {
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

    pub(crate) fn handle_pong(&mut self, session: &mut Session, payload: &[u8]) {
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

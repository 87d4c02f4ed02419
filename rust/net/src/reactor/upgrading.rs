//! Engine.IO's way from polls to a WebSocket: it is tried beside the polls, and then takes over.

use hubbub_proto::Role;
use hubbub_proto::close::{self, CloseCode};
use hubbub_proto::engineio::{ErrorCode, Packet, PacketType, packet};
use hubbub_proto::frame::{self, Opcode};
use hubbub_proto::message::{Event, Kind, Payload};
use hubbub_proto::session::{Action, Requests};

use super::Shard;
use crate::config::settings::Service;
use crate::context::millis;
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::session::Phase;
use crate::session::carrier::Carrier;
use crate::session::input::PONG_BACKLOG;
use crate::session::pending::New;
use crate::session::resumable::Resumable;

impl Shard {
    /// A WebSocket was opened for a session that is on polls.
    pub(super) fn offer(&mut self, slot: u32, id: SessionId, opening: New, rest: Vec<u8>) {
        let service = &self.cx.server.settings().endpoints[opening.request.endpoint as usize].service;
        let (allowed, timeout) = match service {
            Service::EngineIo(settings) => (settings.upgrades, settings.upgrade_timeout),
            _ => return,
        };
        if !allowed {
            self.refuse_as(slot, (Reason::Handshake, ErrorCode::BadRequest), opening);
            return;
        }
        let Some(candidate) = self.sessions.at(slot).map(|session| session.id) else { return };
        let admitted = self.upgraded(id).is_some_and(|requests| requests.handle_candidate(candidate));
        let Some(session) = self.sessions.at(slot) else { return };
        let key = opening.agreed.map(|agreed| agreed.key).unwrap_or_default();
        let subprotocol = opening.request.subprotocol.as_deref();
        self.cx.write_opening(session, &opening.plan, &key, subprotocol, &opening.plan.fields);
        self.cx.handshake_over(session);
        if !admitted {
            // The session has a WebSocket, or is about to. As in the reference, a further one is closed without a word:
            // clients do not expect that it is refused.
            session.phase = Phase::Closing;
            session.connection.outbox.gather(&mut self.cx.pool, |out| {
                let encoded = close::encode(out, Role::Server, None, "", None);
                debug_assert!(encoded.is_ok(), "without a code and a reason");
            });
            self.cx.linger(session);
            return;
        }
        session.phase = Phase::Candidate(id);
        session.until = self.cx.now + millis(timeout);
        self.cx.arm_until(session);
        if !rest.is_empty() {
            self.hear_candidate(slot, rest);
        }
        self.settle_session(slot);
    }

    pub(super) fn read_candidate(&mut self, slot: u32, len: usize) {
        let bytes = self.buffer[..len].to_vec();
        self.hear_candidate(slot, bytes);
    }

    /// Takes in what a WebSocket says before it is its session's.
    fn hear_candidate(&mut self, slot: u32, mut bytes: Vec<u8>) {
        let mut input = &mut bytes[..];
        loop {
            let Some(session) = self.sessions.at(slot) else { return };
            let Phase::Candidate(id) = session.phase else { return };
            let candidate = session.id;
            let action = match session.connection.reader.next(&mut input, &self.cx.message_limits) {
                Ok(None) => return,
                Ok(Some(Event::Ping(payload))) => {
                    self.cx.answer_ping(session, payload.as_slice());
                    continue;
                }
                // Who does not read the answers to its probes would let them pile up.
                Ok(Some(Event::Message { .. })) if session.connection.outbox.len() >= PONG_BACKLOG => Action::Drop,
                Ok(Some(Event::Message { kind, payload })) => self.try_packet(candidate, id, kind, &payload),
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Close { .. } | Event::Compressed { .. })) | Err(_) => Action::Drop,
            };
            match action {
                Action::AnswerProbe => {
                    let Some(session) = self.sessions.at(slot) else { return };
                    let answer = packet::PROBE_ANSWER.as_bytes();
                    session
                        .connection
                        .outbox
                        .gather(&mut self.cx.pool, |out| frame::encode(out, Opcode::Text, answer, None));
                    self.cx.mark_dirty(session);
                    if self.is_polled(id) {
                        self.release_poll(id);
                    }
                }
                Action::Switch => {
                    let rest = input.to_vec();
                    self.switch(slot, id, rest);
                    return;
                }
                Action::Drop => {
                    let Some(session) = self.sessions.at(slot) else { return };
                    self.cx.fail(session, CloseCode::PROTOCOL_ERROR, "");
                    if let Some(requests) = self.upgraded(id) {
                        requests.handle_gone(candidate);
                    }
                    self.candidate_gone(id);
                    return;
                }
            }
        }
    }

    fn try_packet(&mut self, candidate: SessionId, id: SessionId, kind: Kind, payload: &Payload<'_>) -> Action {
        let bytes = payload.as_slice();
        let packet = match kind {
            Kind::Binary => Ok(Packet::Binary(bytes.into())),
            Kind::Text => Packet::parse(std::str::from_utf8(bytes).unwrap_or_default()),
        };
        let packet = packet.as_ref().map_err(|error| *error);
        self.upgraded(id).map_or(Action::Drop, |requests| requests.handle_packet(candidate, packet))
    }

    /// The requests of a session that a WebSocket may still take over.
    fn upgraded(&mut self, id: SessionId) -> Option<&mut Requests<SessionId>> {
        let session = self.sessions.get(id).filter(|session| session.is_open() || session.ends_by_upgrade())?;
        Some(&mut session.resumable_mut()?.requests)
    }

    /// Ends a poll that waits, so that the client can go on.
    fn release_poll(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        self.cx.signal(session, |_, out| out.push(PacketType::Noop as u8));
    }

    /// The WebSocket that was to be will not be; what has waited for it goes out with the next poll.
    pub(super) fn candidate_gone(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.is_open() {
            self.cx.mark_dirty(session);
        } else {
            self.await_poll(id.slot() as u32);
        }
    }

    /// The client of a session that has ended has not sent its `5` in time: what it is to be told goes out with the next
    /// poll.
    pub(super) fn give_up_upgrade(&mut self, slot: u32) {
        let Some(id) = self.sessions.at(slot).map(|session| session.id) else { return };
        if let Some(requests) = self.upgraded(id) {
            requests.give_up_upgrade();
        }
        self.await_poll(slot);
    }

    /// Gives the client of a session that has ended the time to ask for its last words.
    fn await_poll(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot).filter(|session| session.is_away()) else { return };
        session.until = self.cx.now + millis(self.cx.limits.close_timeout);
        self.cx.arm_until(session);
        self.cx.mark_dirty(session);
        self.drop_unless_awaited(slot);
    }

    /// The WebSocket carries the session from here on, or its last words if it has ended.
    fn switch(&mut self, slot: u32, id: SessionId, rest: Vec<u8>) {
        let Some(poll) = self.take_connection(slot, id, Carrier::Packets) else { return };
        let Some(session) = self.sessions.get(id) else { return };
        if session.resumable_mut().is_some_and(Resumable::take_ping) {
            // No poll has come for it, and the client counts on it.
            self.cx.signal(session, |carrier, out| carrier.write_heartbeat(out));
        }
        self.cx.replay(session);
        if let Some(resumable) = session.resumable_mut() {
            resumable.forget_given();
        }
        if !session.is_open() {
            self.cx.say_why(session);
            session.until = self.cx.now + millis(self.cx.limits.close_timeout);
            self.cx.arm_until(session);
        }
        if let Some(poll) = poll {
            self.answer_own(poll, 200, vec![PacketType::Noop as u8], Vec::new());
        }
        self.hold_rest(id.slot() as u32, rest);
    }
}

//! Takes in request heads and acts on them.

use super::Shard;
use crate::command::{Answer, Verdict};
use crate::handler::UNDECIDED;
use crate::http::exchange::Piece;
use crate::http::refusal::BY_THE_PROGRAM;
use crate::http::request_line::RequestLine;
use crate::http::sending::NOTHING;
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::session::Phase;
use crate::session::opening::{Opening, refuse, upgrade_required};

impl Shard {
    /// Takes in bytes of a request head.
    pub(super) fn receive_head(&mut self, slot: u32, len: usize) {
        let Some(session) = self.sessions.at(slot) else { return };
        let Phase::Handshake(handshake) = &mut session.phase else { return };
        if handshake.kept {
            // The next request has begun: from here on its head has as long as the first one had.
            handshake.kept = false;
            session.until = self.cx.head_deadline();
        }
        handshake.unread = false;
        handshake.received.extend_from_slice(&self.buffer[..len]);
        let opening = match handshake.scanner.end(&handshake.received, &self.cx.head_limits) {
            Ok(None) => {
                self.cx.arm_until(session);
                return;
            }
            Ok(Some(end)) => {
                let rest = handshake.received.split_off(end);
                let head = std::mem::take(&mut handshake.received).into_boxed_slice();
                let opening = self.cx.open(session, head);
                self.cx.tell_advice();
                (opening, rest)
            }
            Err(error) => {
                let request_line = RequestLine::read(&handshake.received, self.cx.micros);
                (refuse(&error, request_line), Vec::new())
            }
        };
        self.act(slot, opening.0, opening.1);
    }

    fn act(&mut self, slot: u32, opening: Opening, rest: Vec<u8>) {
        let Some(session) = self.sessions.at(slot) else { return };
        match opening {
            Opening::Call(call) => self.answer_call(slot, *call, rest),
            Opening::Serve { mut request, exchange } => {
                session.describe_transport(&mut request);
                self.cx.serve(session, request, exchange, rest);
                self.settle_session(slot);
            }
            Opening::Send { answer, exchange } => {
                self.cx.send(session, *answer, exchange, rest);
                self.settle_session(slot);
            }
            Opening::Refuse { answer, reason, request_line } => {
                self.cx.refuse_request(session, &answer, reason, request_line);
                self.settle_session(slot);
            }
        }
    }

    /// Does what the user has decided about a request.
    pub(super) fn decide(&mut self, id: SessionId, verdict: Verdict) {
        let Some(session) = self.sessions.get(id) else { return };
        let Phase::Deciding(deciding) = &mut session.phase else { return };
        let request_line = std::mem::take(&mut deciding.request_line);
        let key = deciding.key.take();
        match verdict {
            Verdict::Accept { .. } if deciding.missed => {
                let answer = Answer::plain(404, NOTHING);
                self.cx.refuse_request(session, &answer, Reason::NotFound, request_line);
            }
            Verdict::Accept { .. } if key.is_none() && deciding.plan.carrier.is_websocket() => {
                self.cx.refuse_request(session, &upgrade_required(), Reason::NotWebSocket, request_line);
            }
            Verdict::Accept { subprotocol, mut fields } => {
                let rest = std::mem::take(&mut deciding.rest);
                let subprotocol = subprotocol.or_else(|| deciding.subprotocol.take());
                let packing = deciding.packing.take();
                let plan = std::mem::take(&mut deciding.plan);
                session.connection.compress(packing, &mut fields);
                let key = key.unwrap_or_default();
                self.cx.accept(session, plan, &key, subprotocol.as_deref(), fields, None);
                self.hold_rest(id.slot() as u32, rest);
            }
            Verdict::Answer(mut answer) if !deciding.plan.fields.is_empty() => {
                answer.fields.append(&mut deciding.plan.fields);
                deciding.request_line = request_line;
                self.decide(id, Verdict::Answer(answer));
            }
            Verdict::Answer(answer) if session.is_away() => self.turn_away(id, answer, BY_THE_PROGRAM),
            Verdict::Answer(answer) => {
                let piece = Piece::Shared(answer.body.clone());
                self.cx.answer_asked(session, &answer.into(), piece, request_line);
            }
        }
        let Some(session) = self.sessions.get(id) else { return };
        if session.connection.readable {
            self.cx.mark_ready(session);
        }
    }

    /// The handshake did not end in time.
    pub(super) fn handshake_expired(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        self.cx.counts.handshake_timeouts += 1;
        if session.is_away() {
            let id = session.id;
            self.cx.tell_closed(session, Some(UNDECIDED));
            self.turn_away(id, Answer::plain(503, UNDECIDED), UNDECIDED.as_bytes());
            return;
        }
        let (answer, reason, line) = match &mut session.phase {
            Phase::Handshake(handshake) if handshake.received.is_empty() => {
                // A connection without a single byte is not owed an answer (a probe, a preconnect).
                self.drop_session(slot, None);
                return;
            }
            Phase::Handshake(handshake) => {
                let waited = self.cx.limits.handshake_timeout.unwrap_or_default().as_micros() as u64;
                let line = RequestLine::read(&handshake.received, self.cx.micros.saturating_sub(waited));
                (Answer::plain(408, "The request head did not arrive in time."), Reason::Timeout, line)
            }
            Phase::Deciding(deciding) => {
                let line = std::mem::take(&mut deciding.request_line);
                self.cx.tell_closed(session, Some(UNDECIDED));
                (Answer::plain(503, UNDECIDED), Reason::Undecided, line)
            }
            Phase::Exchange(_) | Phase::Candidate(_) | Phase::Open | Phase::Closing | Phase::Lingering => return,
        };
        self.cx.refuse_request(session, &answer, reason, line);
    }

    /// Answers the request of a session that has no connection of its own, and forgets it.
    fn turn_away(&mut self, id: SessionId, answer: Answer, why: &[u8]) {
        let Some(session) = self.sessions.get(id) else { return };
        let poll = session.lasting_mut().and_then(|lasting| lasting.requests.take_poll());
        self.drop_session(id.slot() as u32, None);
        if let Some(poll) = poll {
            self.explain(poll, why);
            let piece = Piece::Shared(answer.body.clone());
            self.answer(poll, &answer.into(), piece);
        }
    }

    /// What came behind the head that opened a WebSocket is read as soon as it is the session's turn.
    pub(super) fn hold_rest(&mut self, slot: u32, rest: Vec<u8>) {
        if let Some(session) = self.sessions.at(slot).filter(|session| session.carrier.is_websocket())
            && !rest.is_empty()
        {
            session.connection.hold(rest);
        }
        self.settle_session(slot);
    }
}

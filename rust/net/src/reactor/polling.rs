//! Sessions by polls: what waits for the client goes out with its next GET, and a POST brings what it sends.

use hubbub_proto::engineio::{ErrorCode, Secret};
use hubbub_proto::session::{Dialect, Meaning, Part, Polled, read_post};

use super::Shard;
use crate::context::millis;
use crate::effect::Effect;
use crate::http::exchange::{Answering, Exchange, Fields, Piece, Purpose, Reply};
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::reactor::calls::plain;
use crate::session::carrier::Carrier;
use crate::session::request::UNKNOWN;
use crate::session::{Phase, Session};

impl Shard {
    /// A poll has come for a session; its connection waits.
    pub(super) fn poll(&mut self, slot: u32, id: SessionId, cursor: Option<u64>, at_once: bool) {
        let Some(connection) = self.sessions.at(slot).map(|session| session.id) else { return };
        if self.sessions.get(id).is_some_and(|session| !session.is_away()) {
            // Whoever polls has given up its other connection.
            self.detach(id.slot() as u32);
        }
        let Some(session) = self.sessions.get(id) else { return };
        session.last_received = self.cx.now;
        let Some(resumable) = session.resumable_mut() else { return };
        resumable.keeps = cursor.is_some();
        // INVARIANT: a poll that overlaps was refused before it came here.
        let Polled::Waits(overtaken) = resumable.requests.handle_poll(connection) else { return };
        if (resumable.holds_output() || at_once) && !resumable.has_news_now() {
            resumable.signal(|out| Carrier::Polling.write_heartbeat(out));
        }
        self.cx.mark_dirty(session);
        if let Some(interval) = self.cx.heartbeat(session).0 {
            let at = self.cx.now + interval;
            self.cx.arm(session, at);
        }
        if let Some(other) = overtaken {
            self.say(other, 409, "Another poll of this session has come.");
        }
        if self.sessions.at(slot).is_some_and(|poll| poll.connection.hung_up) {
            self.poll_hung_up(slot);
        }
    }

    /// A poll waits for this session.
    pub(super) fn is_polled(&mut self, id: SessionId) -> bool {
        let poll = self.sessions.get(id).and_then(|session| session.resumable()?.requests.poll());
        poll.and_then(|poll| self.sessions.get(poll)).is_some_and(|session| session.waits_for_answer())
    }

    /// Answers the poll that waits for a session, if there is something to say.
    pub(super) fn serve_poll(&mut self, slot: u32) {
        let Some(poll) = self.sessions.at(slot).and_then(|session| session.resumable()?.requests.poll()) else {
            return;
        };
        let waits = self.sessions.get(poll).is_some_and(|session| session.waits_for_answer());
        let now = self.cx.now;
        let Some(session) = self.sessions.at(slot) else { return };
        let timeout = millis(self.cx.limits.session_timeout);
        let Some(resumable) = session.resumable_mut() else { return };
        if waits && !resumable.has_news_now() {
            return;
        }
        resumable.requests.take_poll();
        if resumable.resumes() {
            session.last_received = now;
            self.cx.arm(session, now + timeout);
        }
        if !waits {
            return;
        }
        let Some(resumable) = session.resumable_mut() else { return };
        let body = resumable.payload();
        let opening = std::mem::take(&mut resumable.fields);
        self.answer_own(poll, 200, body, opening);
        self.drop_unless_awaited(slot);
    }

    /// A session that has ended does not wait for somebody to ask why when the server stops, nor for a client that may not.
    pub(super) fn drop_unless_awaited(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot).filter(|session| session.is_away()) else { return };
        let draining = self.cx.draining;
        let is_over = session.resumable().is_some_and(|resumable| resumable.requests.is_over(draining));
        if is_over && matches!(session.phase, Phase::Lingering) {
            self.drop_session(slot, None);
        }
    }

    /// The client of a poll has sent FIN: it has gone, or it only waits for the answer. Messages are not entrusted to such
    /// a connection, so it is answered before one that comes in this turn would go with it.
    pub(super) fn poll_hung_up(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot).filter(|session| session.waits_for_answer()) else { return };
        let id = session.id;
        let Some(Purpose::Poll(polled, _)) = session.exchange().map(|exchange| &exchange.purpose) else { return };
        let polled = *polled;
        let now = self.cx.now;
        let timeout = millis(self.cx.limits.session_timeout);
        let Some(session) = self.sessions.get(polled).filter(|session| session.is_open()) else { return };
        let Some(resumable) = session.resumable_mut().filter(|resumable| resumable.requests.poll() == Some(id)) else {
            return;
        };
        resumable.requests.take_poll();
        resumable.signal(|out| Carrier::Polling.write_heartbeat(out));
        let (body, opening) = (resumable.take_signals(), std::mem::take(&mut resumable.fields));
        if resumable.resumes() {
            session.last_received = now;
            self.cx.arm(session, now + timeout);
        }
        self.answer_own(id, 200, body, opening);
    }

    /// Answers a request of the shard's own with packets.
    pub(super) fn answer_own(&mut self, id: SessionId, status: u16, body: Vec<u8>, more: Fields) {
        let mut fields = self.sessions.get(id).map(Session::take_fields).unwrap_or_default();
        fields.extend(more);
        if status >= 400 {
            self.explain(id, &body);
        }
        let reply: Reply = plain(status, "", &fields);
        self.answer(id, &reply, Piece::Shared(body.into()));
    }

    /// Notes for the access log why a request of the shard's own is refused.
    pub(super) fn explain(&mut self, id: SessionId, words: &[u8]) {
        if self.cx.logs_access
            && let Some(exchange) = self.sessions.get(id).and_then(Session::exchange)
        {
            exchange.request_line.explain(Reason::Handler, words);
        }
    }

    /// Answers a request of the shard's own in words.
    pub(super) fn say(&mut self, id: SessionId, status: u16, text: &str) {
        if self.sessions.get(id).is_some_and(|session| session.waits_for_answer()) {
            self.answer_own(id, status, format!("{text}\n").into_bytes(), Vec::new());
        }
    }

    /// Answers a request for a session that has ended, as such a client expects it.
    fn say_unknown(&mut self, id: SessionId, dialect: Dialect) {
        if dialect == Dialect::Comet {
            return self.say(id, 404, UNKNOWN);
        }
        let code = ErrorCode::SessionIdUnknown;
        if self.sessions.get(id).is_some_and(|session| session.waits_for_answer()) {
            let fields = vec![("Content-Type".into(), "application/json".into())];
            self.answer_own(id, code.status(), code.body().into(), fields);
        }
    }

    /// The body of a POST may be there: then its packets are handed on, in their turn.
    pub(super) fn posted(&mut self, slot: u32) {
        let Some(connection) = self.sessions.at(slot).filter(|session| session.waits_for_answer()) else { return };
        let id = connection.id;
        let Some(post) = connection.exchange().filter(|exchange| exchange.body.is_done()).and_then(Exchange::post)
        else {
            return;
        };
        let (named, secret, dialect) = (post.session, post.secret, post.dialect);
        let session = self.sessions.get(named).filter(|session| session.is_known_by(&secret));
        match session.and_then(Session::resumable_mut) {
            Some(resumable) => resumable.requests.handle_post(id),
            None => return self.say_unknown(id, dialect),
        }
        self.answer_posts(named);
    }

    /// Takes in what was posted, one after the other, and says so, unless the session is not to be read for now.
    pub(super) fn answer_posts(&mut self, id: SessionId) {
        while let Some(session) = self.sessions.get(id).filter(|session| !session.is_held_back())
            && let Some(connection) = session.resumable_mut().and_then(|resumable| resumable.requests.next_post())
        {
            let Some(waiting) = self.sessions.get(connection).filter(|session| session.waits_for_answer()) else {
                continue;
            };
            match waiting.exchange().and_then(Exchange::post).and_then(|post| post.body.take()) {
                Some(body) => self.hand_on(connection, id, &body),
                None => self.answer_own(connection, 200, b"ok".to_vec(), Vec::new()),
            }
        }
    }

    /// Hands on the packets of a POST. It is answered once the session is to be read again.
    fn hand_on(&mut self, connection: SessionId, id: SessionId, body: &[u8]) {
        let Some(session) = self.sessions.get(id) else { return };
        let (open, has_last_words) = (session.is_open(), session.has_last_words());
        let Some(resumable) = session.resumable() else { return };
        let (dialect, terms) = (resumable.dialect(), resumable.terms);
        if !open {
            // A client of Engine.IO gives up at the first error, and would never fetch the last words.
            return match dialect == Dialect::EngineIo && has_last_words {
                true => self.answer_own(connection, 200, b"ok".to_vec(), Vec::new()),
                false => self.say_unknown(connection, dialect),
            };
        }
        let packets = match read_post(dialect, body, terms.max_payload) {
            Ok(packets) => packets,
            Err(error) => {
                self.cx.counts.violations += 1;
                if let Some((code, reason)) = error.failure(dialect) {
                    self.cx.fail(session, code, reason);
                }
                self.say(connection, error.status(), &error.to_string());
                return;
            }
        };
        session.pinged = false;
        if let Some(resumable) = session.resumable_mut() {
            resumable.has_spoken = true;
            resumable.requests.hold_post(connection);
            // How long a poll has waited is counted from its beginning.
            if resumable.requests.poll().is_none() {
                session.last_received = self.cx.now;
            }
        }
        let (mut messages, mut bytes) = (0, 0);
        for packet in packets {
            match packet {
                Meaning::Message(kind, payload) => {
                    messages += 1;
                    bytes += payload.as_slice().len();
                    self.cx.effects.push_back(Effect::Message(id, kind, payload.into_vec()));
                }
                meaning => {
                    if !self.cx.handle_control(session, meaning) {
                        break;
                    }
                }
            }
        }
        self.cx.note_received(session, messages, bytes);
        if let Some(link) = session.link.clone()
            && messages > 0
        {
            if link.delivered(messages, bytes, &self.cx.limits) && session.is_open() {
                session.paused = true;
                self.cx.counts.inbox_pauses += 1;
            }
            self.cx.limit_rate(session, messages);
        }
    }

    /// Somebody has gone who was to be told: a session's requests, or a request's session.
    pub(super) fn forget(&mut self, session: &mut Session) {
        let id = session.id;
        if let Some(resumable) = session.resumable_mut() {
            let dialect = resumable.dialect();
            for connection in resumable.requests.end() {
                match dialect {
                    Dialect::Comet => self.say(connection, 404, "The session has ended."),
                    Dialect::EngineIo => self.say_unknown(connection, dialect),
                }
            }
        }
        let target = match &session.phase {
            Phase::Candidate(target) => *target,
            Phase::Exchange(exchange) => match &exchange.purpose {
                Purpose::Post(post) => post.session,
                Purpose::Poll(polled, _) => *polled,
                Purpose::Served | Purpose::Own => return,
            },
            _ => return,
        };
        let Some(session) = self.sessions.get(target) else { return };
        match session.resumable_mut().map(|resumable| resumable.requests.handle_gone(id)) {
            Some(Part::Candidate) => self.candidate_gone(target),
            Some(Part::Poll) => {
                session.last_received = self.cx.now;
                let at = self.cx.now + millis(self.cx.limits.session_timeout);
                self.cx.arm(session, at);
            }
            Some(Part::Post | Part::None) | None => {}
        }
    }
}

impl Session {
    /// Whoever says this is its client.
    pub(super) fn is_known_by(&self, secret: &Secret) -> bool {
        self.resumable().is_some_and(|resumable| resumable.knows(secret))
    }

    /// It is a request that has not been answered.
    fn waits_for_answer(&self) -> bool {
        matches!(&self.phase, Phase::Exchange(exchange) if exchange.answering == Answering::Waiting)
    }

    /// The fields that the answer to this request is to have.
    fn take_fields(&mut self) -> Fields {
        match self.exchange().map(|exchange| &mut exchange.purpose) {
            Some(Purpose::Poll(_, fields)) => std::mem::take(fields),
            Some(Purpose::Post(post)) => std::mem::take(&mut post.fields),
            Some(Purpose::Served | Purpose::Own) | None => Vec::new(),
        }
    }
}

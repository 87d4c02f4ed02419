//! Acts on requests for sessions: new ones, and those that are there already.

use std::sync::Arc;

use hubbub_proto::close::CloseCode;
use hubbub_proto::engineio::{self, ErrorCode, admit};
use hubbub_proto::session::{Dialect, Stage};

use super::Shard;
use crate::config::settings::Service;
use crate::effect::Effect;
use crate::http::exchange::{Exchange, Fields, Piece, Post, Purpose, Reply};
use crate::http::request_line::RequestLine;
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::server::Full;
use crate::session::address::TOO_MANY;
use crate::session::carrier::Carrier;
use crate::session::lasting::{Lasting, Terms};
use crate::session::link::Link;
use crate::session::pending::{Call, New};
use crate::session::request::{NO_ORIGIN, Named, Wish, preflight, refuse_engineio, unknown};
use crate::session::{Deciding, Phase, Plan, Session};

/// What a client is told that speaks Engine.IO 3.
const OLD_CLIENT: &str =
    "Unsupported protocol version: the client speaks Engine.IO 3 (socket.io-client 2), use its version 3 or 4";
/// What the log is told then.
const ADVICE_ON_OLD_CLIENTS: &str =
    "a client speaks Engine.IO 3 (socket.io-client 2), and was refused: use version 3 or 4 of socket.io-client";

impl Shard {
    pub(super) fn answer_call(&mut self, slot: u32, call: Call, rest: Vec<u8>) {
        let Call { wish, mut opening } = call;
        if let Some(named) = wish.named()
            && named.id.shard() != self.number()
            && named.id.shard() < self.cx.server.handles().len()
        {
            let received = [&opening.request.head, &rest[..]].concat();
            self.pass_on(slot, named.id.shard(), received);
            return;
        }
        match wish {
            Wish::Open => self.begin_session(slot, opening, rest),
            Wish::Resume(named) => {
                let session = self.find(&named).and_then(|session| session.knows_up_to(&named).then_some(session));
                match session.map(|session| session.id) {
                    Some(id) => self.attach(slot, id, &opening, rest),
                    None if named.or_new => self.begin_session(slot, opening, rest),
                    None => self.refuse_call(slot, opening),
                }
            }
            Wish::Poll { named, at_once } => {
                let session = self.find(&named).and_then(|session| session.knows_up_to(&named).then_some(session));
                match session.map(|session| session.id) {
                    Some(id) => self.take_poll(slot, id, (named.cursor, at_once), opening, rest),
                    None if named.or_new => self.begin_session(slot, opening, rest),
                    None => self.refuse_call(slot, opening),
                }
            }
            Wish::Post(named) => {
                if self.find(&named).is_none() {
                    return self.refuse_call(slot, opening);
                }
                self.take_post(slot, named, Dialect::Comet, opening, rest);
            }
            Wish::EngineIo { query, named, method } => {
                let upgrade = opening.agreed.is_some();
                let stage = named
                    .as_ref()
                    .and_then(|named| self.find(named)?.lasting().map(|lasting| lasting.requests.stage()));
                match (admit(&query, &method, upgrade, stage.map(Stage::transport)), named) {
                    (Ok(engineio::Request::Open(_)), _) => self.begin_session(slot, opening, rest),
                    (Ok(engineio::Request::Poll), Some(named)) if self.is_polled(named.id) => {
                        // The reference calls it an overlap: one of the two would miss what the other gets.
                        if let Some(session) = self.sessions.get(named.id) {
                            self.cx.fail(session, CloseCode::PROTOCOL_ERROR, "transport error");
                        }
                        self.refuse_as(slot, (Reason::Handshake, ErrorCode::BadRequest), opening);
                    }
                    (Ok(engineio::Request::Poll), Some(named)) => {
                        self.take_poll(slot, named.id, (None, false), opening, rest);
                    }
                    (Ok(engineio::Request::Post), Some(named)) => {
                        self.take_post(slot, named, Dialect::EngineIo, opening, rest);
                    }
                    (Ok(engineio::Request::Upgrade), Some(named)) => self.offer(slot, named.id, opening, rest),
                    (Ok(_), None) => self.refuse_as(slot, (Reason::Handshake, ErrorCode::BadRequest), opening),
                    (Err(code), _) => self.refuse_as(slot, (Reason::Handshake, code), opening),
                }
            }
            Wish::Refused(reason, code) => self.refuse_as(slot, (reason, code), opening),
            Wish::Preflight => {
                let answer = preflight(std::mem::take(&mut opening.plan.fields));
                self.hold(slot, opening, Purpose::Own, rest);
                let Some(id) = self.sessions.at(slot).map(|session| session.id) else { return };
                self.answer(id, &answer.into(), Piece::Borrowed(&[]));
            }
        }
    }

    /// The session that a client names, if it is there and the client proves to be its.
    pub(super) fn find(&mut self, named: &Named) -> Option<&mut Session> {
        let session = self.sessions.get(named.id)?;
        (session.is_known_by(&named.secret) && (session.is_open() || session.has_last_words())).then_some(session)
    }

    /// Lets the connection wait for something to say to a session's client, who has so many messages and may want an answer
    /// at once.
    fn take_poll(
        &mut self,
        slot: u32,
        id: SessionId,
        (cursor, at_once): (Option<u64>, bool),
        mut opening: New,
        rest: Vec<u8>,
    ) {
        let fields = std::mem::take(&mut opening.plan.fields);
        self.hold(slot, opening, Purpose::Poll(id, fields), rest);
        self.poll(slot, id, cursor, at_once);
    }

    /// Takes in packets for a session.
    fn take_post(&mut self, slot: u32, named: Named, dialect: Dialect, mut opening: New, rest: Vec<u8>) {
        let fields = std::mem::take(&mut opening.plan.fields);
        let post = Post { session: named.id, secret: named.secret, dialect, body: Some(Vec::new()), fields };
        self.hold(slot, opening, Purpose::Post(Box::new(post)), rest);
        self.posted(slot);
    }

    /// Refuses a request of Engine.IO's.
    pub(super) fn refuse_as(&mut self, slot: u32, (reason, code): (Reason, ErrorCode), opening: New) {
        let Some(session) = self.sessions.at(slot) else { return };
        let New { plan, mut request, mut request_line, .. } = opening;
        let is_old = code == ErrorCode::UnsupportedProtocolVersion && request_line.text.contains("EIO=3");
        if is_old {
            self.cx.advice = Some(ADVICE_ON_OLD_CLIENTS.to_owned());
            self.cx.tell_advice();
        }
        let message = match reason {
            Reason::Origin => NO_ORIGIN,
            _ if is_old => OLD_CLIENT,
            _ => code.message(),
        };
        let endpoint = &self.cx.server.settings().endpoints[request.endpoint as usize];
        let upgrade = if matches!(&endpoint.service, Service::EngineIo(settings) if settings.tells) {
            session.describe_transport(&mut request);
            let (link, upgrade) = (Link::new(session.id, session.whence()), request.upgrade);
            self.cx.effects.push_back(Effect::Refused(Arc::new(link), request, code as u8, message));
            upgrade
        } else {
            request.upgrade
        };
        if self.cx.logs_access {
            request_line.explain(reason, message.as_bytes());
        }
        let answer = refuse_engineio((code, message), upgrade, &plan.fields);
        self.cx.refuse_request(session, &answer, reason, request_line);
        self.settle_session(slot);
    }

    fn refuse_call(&mut self, slot: u32, opening: New) {
        let Some(session) = self.sessions.at(slot) else { return };
        let (reason, mut answer) = unknown();
        answer.fields.extend(opening.plan.fields);
        self.cx.refuse_request(session, &answer, reason, opening.request_line);
        self.settle_session(slot);
    }

    /// Opens a session, or asks the user about it first.
    pub(super) fn begin_session(&mut self, slot: u32, new: New, rest: Vec<u8>) {
        let New { agreed, plan, mut request, request_line, exchange, asks, missed } = new;
        let Some(session) = self.sessions.at(slot) else { return };
        session.describe_transport(&mut request);
        let (slot, rest, exchange) = if plan.carrier == Carrier::Polling {
            // The session is not the connection: that one only waits for the first answer.
            let terms = self.cx.terms(request.endpoint);
            match self.seat_away(slot, &plan, terms, exchange, request_line.clone(), rest) {
                Some(away) => (away, Vec::new(), None),
                None => return,
            }
        } else {
            (slot, rest, exchange)
        };
        let Some(session) = self.sessions.at(slot) else { return };
        let (key, packing) = agreed.map_or((None, None), |agreed| (Some(agreed.key), agreed.packing));
        if asks {
            let link = Arc::new(Link::new(session.id, session.whence()));
            session.link = Some(link.clone());
            let subprotocol = request.subprotocol.clone().map(str::into_string);
            let deciding = Deciding { key, subprotocol, packing, request_line, rest, exchange, missed, plan };
            session.phase = Phase::Deciding(Box::new(deciding));
            // From here on it is the user who takes the time, and a long poll takes up no place among the handshakes.
            self.cx.handshake_over(session);
            session.until = self.cx.decision_deadline();
            self.cx.arm_until(session);
            self.cx.effects.push_back(Effect::Request(link, request));
        } else {
            let subprotocol = request.subprotocol.clone();
            let mut fields = Vec::new();
            session.connection.compress(packing, &mut fields);
            let key = key.unwrap_or_default();
            self.cx.accept(session, plan, &key, subprotocol.as_deref(), fields, Some(request));
            self.hold_rest(slot, rest);
        }
    }

    /// Makes a session without a connection of its own; the one at `slot` waits for its first answer.
    #[allow(clippy::too_many_arguments, reason = "all that a session and its first poll begin with")]
    fn seat_away(
        &mut self,
        slot: u32,
        plan: &Plan,
        terms: Terms,
        exchange: Option<Box<Exchange>>,
        request_line: RequestLine,
        rest: Vec<u8>,
    ) -> Option<u32> {
        let now = self.cx.now;
        let lasting = plan.dialect.and_then(|dialect| Lasting::new(dialect, terms));
        let peer = self.sessions.at(slot)?.whence();
        // Handshakes under way do not matter: this one is about to end.
        let room = self.cx.server.room_for_connection() != Err(Full::Sessions);
        let away = match (lasting, exchange) {
            (Some(lasting), Some(exchange)) if room => {
                let id = self.sessions.insert(|id| Session::away(id, peer, lasting, now)).map(|session| session.id);
                id.map(|id| (id, exchange))
            }
            _ => None,
        };
        let Some((id, mut exchange)) = away else {
            let session = self.sessions.at(slot)?;
            let answer = crate::command::Answer::plain(503, "There is no room for a further session.");
            self.cx.refuse_request(session, &answer, Reason::Connections, request_line);
            self.settle_session(slot);
            return None;
        };
        self.cx.server.connection_begins();
        // Who has just connected is no longer among the handshakes; the new session never was.
        self.cx.server.handshake_ends();
        exchange.purpose = Purpose::Poll(id, Vec::new());
        exchange.request_line = request_line;
        exchange.rest = rest;
        let session = self.sessions.at(slot)?;
        self.cx.begin_exchange(session, exchange);
        let poll = session.id;
        let away = self.sessions.get(id)?;
        // It counts beside its connections: otherwise one of them could open any number.
        if !self.cx.seat(away) || !self.seat_polling(id) {
            let fields = plan.fields.clone();
            self.drop_session(id.slot() as u32, None);
            self.answer_own(poll, 429, format!("{TOO_MANY}\n").into_bytes(), fields);
            return None;
        }
        let away = self.sessions.get(id)?;
        if let Some(lasting) = away.lasting_mut() {
            lasting.requests.handle_poll(poll);
        }
        away.until = self.cx.head_deadline();
        self.cx.arm_until(away);
        Some(id.slot() as u32)
    }

    /// Makes the request one that the shard answers by itself, and takes in what has come of its body.
    fn hold(&mut self, slot: u32, opening: New, purpose: Purpose, rest: Vec<u8>) {
        let Some(mut exchange) = opening.exchange else { return };
        let Some(session) = self.sessions.at(slot) else { return };
        exchange.purpose = purpose;
        exchange.request_line = opening.request_line;
        let wanted = std::mem::take(&mut exchange.expects) && rest.is_empty();
        let done = exchange.body.is_done();
        if done {
            exchange.rest = rest;
            self.cx.begin_exchange(session, exchange);
            return;
        }
        self.cx.begin_exchange(session, exchange);
        if wanted {
            session
                .connection
                .outbox
                .gather(&mut self.cx.pool, |out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
            self.cx.mark_dirty(session);
        }
        if !rest.is_empty() {
            self.cx.receive_body(session, &rest);
        }
        self.cx.watch_exchange(session);
    }
}

impl Session {
    /// The client can be given all that it has not got.
    fn knows_up_to(&mut self, named: &Named) -> bool {
        let cursor = named.cursor;
        self.lasting_mut().is_some_and(|lasting| cursor.is_none_or(|cursor| lasting.acknowledge(cursor).is_ok()))
    }
}

/// A text for a client's script.
pub(super) fn plain(status: u16, text: &str, fields: &Fields) -> Reply {
    let mut answer = crate::command::Answer::plain(status, text);
    answer.fields.push(("Cache-Control".into(), "no-store".into()));
    answer.fields.push(("X-Content-Type-Options".into(), "nosniff".into()));
    answer.fields.extend(fields.iter().cloned());
    answer.into()
}

//! Messages and signs of life on carriers other than plain WebSockets.

use std::sync::Arc;
use std::time::Duration;

use hubbub_proto::close::CloseCode;
use hubbub_proto::comet;
use hubbub_proto::engineio::{PacketType, open};
use hubbub_proto::handshake::server as handshake;
use hubbub_proto::message::{Kind, Payload};
use hubbub_proto::response::{Connection, Framing};
use hubbub_proto::session::{Dialect, Meaning, read_text};

use crate::command::Answer;
use crate::context::{Context, millis};
use crate::http::exchange::{Fields, Piece, Reply};
use crate::pubsub::broadcast::Broadcast;
use crate::pubsub::position::Since;
use crate::session::carrier::Carrier;
use crate::session::resumable::{Entry, Resumable};
use crate::session::{Plan, Session};
use crate::timers::Millis;

/// Browsers show nothing of a page before they have so much of it.
const PREAMBLE_BYTES: usize = 1024;

impl Context {
    // ---- the beginning

    /// Writes the head of the response that opens the session, or keeps its fields for the first answer.
    pub(crate) fn write_opening(
        &mut self,
        session: &mut Session,
        plan: &Plan,
        key: &str,
        subprotocol: Option<&str>,
        fields: &Fields,
    ) {
        match plan.carrier {
            Carrier::WebSocket | Carrier::Packets => {
                session
                    .connection
                    .outbox
                    .gather(&mut self.pool, |out| handshake::write_response(out, key, subprotocol, fields));
                self.mark_dirty(session);
            }
            Carrier::Events | Carrier::EventPackets => self.write_stream_head(session, "text/event-stream", fields),
            Carrier::Iframe => {
                self.write_stream_head(session, "text/html; charset=utf-8", fields);
                let preamble = format!("<!doctype html><meta charset=utf-8><!--{}-->\n", " ".repeat(PREAMBLE_BYTES));
                session.connection.outbox.gather(&mut self.pool, |out| out.extend_from_slice(preamble.as_bytes()));
            }
            Carrier::Polling => {
                if let Some(resumable) = session.resumable_mut() {
                    resumable.fields = fields.clone();
                }
            }
        }
    }

    /// The head of a response that ends with the connection.
    fn write_stream_head(&mut self, session: &mut Session, content_type: &str, fields: &Fields) {
        let mut answer = Answer { status: 200, fields: Vec::new(), body: bytes::Bytes::new() };
        for (name, value) in [
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            // nginx would hold it back otherwise.
            ("X-Accel-Buffering", "no"),
        ] {
            answer.fields.push((name.into(), value.into()));
        }
        answer.fields.extend(fields.iter().cloned());
        let reply = Reply::from(answer);
        self.write_head(session, &reply, Framing::Silent, Connection::Close);
    }

    /// Tells a client what it needs to know of its session.
    pub(crate) fn announce(&mut self, session: &mut Session, recovered: bool, may_upgrade: bool) {
        let id = session.id;
        let Some(resumable) = session.resumable() else { return };
        let (sid, terms) = (resumable.sid(id), resumable.terms);
        let in_millis = |duration: Option<Duration>| duration.map_or(0, |duration| duration.as_millis() as u64);
        let (ping_interval, ping_timeout) = (in_millis(terms.ping_interval), in_millis(terms.ping_timeout));
        let max_payload = terms.max_payload as u64;
        let mut json = Vec::new();
        match resumable.dialect() {
            Dialect::Comet => {
                comet::open(
                    &mut json,
                    &comet::Open { sid: sid.as_str(), recovered, ping_interval, ping_timeout, max_payload },
                );
            }
            Dialect::EngineIo => {
                open::encode(
                    &mut json,
                    &open::Open { sid: &sid, may_upgrade, ping_interval, ping_timeout, max_payload },
                );
                // The carrier has its own way to say that it is an open packet.
                json.remove(0);
            }
        }
        self.signal(session, |carrier, out| carrier.write_open(out, &json));
    }

    /// Says something of the protocol's own.
    pub(crate) fn signal(&mut self, session: &mut Session, write: impl FnOnce(Carrier, &mut Vec<u8>)) {
        let carrier = session.carrier;
        if session.is_away() {
            if let Some(resumable) = session.resumable_mut() {
                resumable.signal(|out| write(carrier, out));
            }
        } else {
            session.connection.outbox.gather(&mut self.pool, |out| write(carrier, out));
        }
        self.mark_dirty(session);
    }

    /// Says why the session ends, behind everything else.
    pub(crate) fn say_end(&mut self, session: &mut Session, code: CloseCode, reason: &str) {
        let mut json = Vec::new();
        // Engine.IO has no words for it.
        if session.resumable().is_none_or(Resumable::resumes) {
            comet::close(&mut json, code.0, reason);
        }
        let carrier = session.carrier;
        if !session.is_away() {
            session.connection.outbox.gather(&mut self.pool, |out| carrier.write_close(out, &json));
        } else if let Some(resumable) = session.resumable_mut() {
            resumable.end(code, reason, |out| carrier.write_close(out, &json));
        }
    }

    /// Says again why the session has ended, on a connection that has come too late to hear of it.
    pub(crate) fn say_why(&mut self, session: &mut Session) {
        let ended = session.resumable_mut().and_then(|resumable| resumable.ended.take());
        if let Some((code, reason)) = ended {
            self.say_goodbye(session, code, &reason);
        }
    }

    // ---- what was missed

    /// Tells an event stream its place, so that nothing is missed before the first broadcast.
    pub(crate) fn write_place(&mut self, session: &mut Session) {
        if self.limits.history_messages > 0 || self.server.directory().remembers() {
            let place = Since { epoch: self.server.epoch(), offset: self.histories.newest }.text();
            session
                .connection
                .outbox
                .gather(&mut self.pool, |out| out.extend_from_slice(format!("id: {place}\n\n").as_bytes()));
        }
    }

    /// Gives an event stream what its rooms remember of the time in which it was away, of all that it has joined together in
    /// one row, and what was said meanwhile in those that it has joined before.
    pub(crate) fn catch_up(&mut self, session: &mut Session) {
        let Some(rare) = session.rare.as_mut() else { return };
        let Some(since) = rare.since else { return };
        let names = std::mem::take(&mut rare.missed);
        if self.limits.history_messages == 0 && !self.server.directory().remembers() {
            // Nothing is remembered anywhere: the id is the user's own.
            return;
        }
        let (id, epoch, told) = (session.id, self.server.epoch(), rare.told);
        let held = Since { epoch, offset: rare.held_from };
        let earlier = rare.caught_up.len();
        rare.caught_up.extend(names);
        let (earlier, names) = rare.caught_up.split_at(earlier);
        let is_late = |broadcast: &Broadcast| broadcast.stamp.is_some_and(|stamp| stamp.offset <= told);
        let mut kept = self.histories.kept(names, since, epoch);
        // Ids only rise: what lies before one that the client has seen, in a room that it had not joined yet, comes too late.
        let late = kept.iter().any(|broadcast| is_late(broadcast) && !broadcast.is_for_any(earlier));
        let gap =
            late || !self.histories.is_gapless(names, since, epoch) || !self.histories.is_gapless(earlier, held, epoch);
        kept.retain(|broadcast| !is_late(broadcast));
        kept.extend(self.histories.kept(earlier, held, epoch));
        kept.sort_by_key(|broadcast| broadcast.stamp.map(|stamp| stamp.offset));
        kept.dedup_by_key(|broadcast| broadcast.stamp.map(|stamp| stamp.offset));
        kept.retain(|broadcast| {
            !broadcast.skip.contains(&id)
                && !broadcast.except.iter().any(|room| names.contains(room) || earlier.contains(room))
        });
        if gap {
            session.connection.outbox.gather(&mut self.pool, |out| out.extend_from_slice(b"event: gap\ndata:\n\n"));
        }
        if let Some(stamp) = kept.last().and_then(|broadcast| broadcast.stamp) {
            rare.told = stamp.offset;
        }
        if since.epoch != epoch && kept.is_empty() {
            // From here on it has a place, so that it does not come with the same id again.
            rare.told = self.histories.newest;
            self.write_place(session);
        }
        for broadcast in kept {
            let block = broadcast.carried(Carrier::Events).clone();
            session.connection.outbox.push_shared(&mut self.pool, block);
            session.note_message(broadcast.len());
            self.counts.replayed += 1;
        }
        self.mark_dirty(session);
    }

    // ---- messages out

    /// Appends a message of one session's.
    pub(crate) fn carry(&mut self, session: &mut Session, kind: Kind, payload: &Piece<'_>) {
        let bytes = match payload {
            Piece::Borrowed(bytes) => bytes,
            Piece::Shared(bytes) => &bytes[..],
        };
        let carrier = session.carrier;
        if !session.is_away() {
            session.connection.outbox.gather(&mut self.pool, |out| carrier.write(out, kind, bytes));
        }
        if session.resumable().is_some() {
            let kept = match payload {
                Piece::Borrowed(bytes) => bytes::Bytes::copy_from_slice(bytes),
                Piece::Shared(bytes) => bytes.clone(),
            };
            self.keep(session, Entry::Own(kind, kept));
        }
    }

    /// Keeps a message for a session that may change connections.
    pub(crate) fn keep(&mut self, session: &mut Session, entry: Entry) {
        let (away, unwritten, now) = (session.is_away(), session.connection.outbox.len(), self.now);
        let most = self.limits.resume_bytes + unwritten;
        match session.resumable_mut() {
            Some(resumable) if away => resumable.queue(entry, now),
            Some(resumable) if resumable.resumes() => resumable.remember(entry, most),
            _ => {}
        }
    }

    /// The same, for a broadcast.
    pub(crate) fn keep_broadcast(&mut self, session: &mut Session, broadcast: &Arc<Broadcast>) {
        if session.resumable().is_some() {
            self.keep(session, Entry::Broadcast(broadcast.clone()));
        }
    }

    // ---- packets in

    /// A WebSocket of packets has brought a text message. Gives the message for the user that it carries, if any.
    pub(crate) fn handle_packet<'a>(
        &mut self,
        session: &mut Session,
        text: Payload<'a>,
    ) -> Option<(Kind, Payload<'a>)> {
        let dialect = session.resumable().map_or(Dialect::Comet, Resumable::dialect);
        match read_text(dialect, text) {
            Meaning::Message(kind, payload) => return Some((kind, payload)),
            meaning => self.handle_control(session, meaning),
        };
        None
    }

    /// Does what a packet asks for that is no message. `false`: what comes behind it is not taken any more.
    pub(crate) fn handle_control(&mut self, session: &mut Session, meaning: Meaning<'_>) -> bool {
        match meaning {
            Meaning::Message(..) | Meaning::Nothing => return true,
            Meaning::Heartbeat => {
                self.handle_heartbeat(session);
                return true;
            }
            Meaning::Close { code, reason, forfeits: true } => {
                if let Some(resumable) = session.resumable_mut() {
                    resumable.requests.forfeit();
                }
                session.rare.get_or_insert_default().farewell.received = Some((code, reason));
                self.tell_closed(session, None);
                self.linger(session);
                if session.resumable().is_some_and(|resumable| resumable.requests.poll().is_some()) {
                    self.signal(session, |_, out| out.push(PacketType::Noop as u8));
                }
            }
            Meaning::Close { code, reason, .. } => self.handle_close(session, code, reason),
            Meaning::Fail(reason) => {
                self.counts.violations += 1;
                self.fail(session, CloseCode::PROTOCOL_ERROR, reason);
            }
        }
        false
    }

    pub(crate) fn handle_heartbeat(&mut self, session: &mut Session) {
        if std::mem::take(&mut session.awaits_pong)
            && let Some(link) = &session.link
        {
            link.set_latency(self.micros.saturating_sub(session.ping_micros));
        }
    }

    // ---- signs of life

    /// From one ping to the next, and how long an answer may take.
    pub(crate) fn heartbeat(&self, session: &Session) -> (Option<Millis>, Option<Millis>) {
        let (interval, timeout) = match session.resumable() {
            Some(resumable) => (resumable.terms.ping_interval, resumable.terms.ping_timeout),
            None => (self.limits.ping_interval, self.limits.ping_timeout),
        };
        (interval.map(millis), timeout.map(millis))
    }

    /// Sends a stream's sign of life when it is due. `None`: the client has taken nothing since the last one.
    pub(crate) fn keep_stream_alive(&mut self, session: &mut Session) -> Option<Option<Millis>> {
        let Some(interval) = self.heartbeat(session).0 else { return Some(None) };
        let due = session.ping_micros / 1000 + interval;
        if due > self.now {
            return Some(Some(due));
        }
        if session.pinged && session.connection.blocked && self.heartbeat(session).1.is_some() {
            return None;
        }
        session.ping_micros = self.micros;
        session.pinged = session.connection.blocked;
        if !session.connection.blocked {
            self.signal(session, |carrier, out| carrier.write_heartbeat(out));
        }
        Some(Some(self.now + interval))
    }
}

//! HTTP for a user that serves it: the body in, the response out, and the next request on the same connection.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use hubbub_proto::body::{LAST_CHUNK, chunk_head};
use hubbub_proto::response::{Connection, Framing, is_without_content};

use super::Shard;
use super::context::{Context, millis};
use super::output::{SHARE_BYTES, SLOW};
use crate::effect::Effect;
use crate::handler::{Notice, Request};
use crate::http::exchange::{Answering, Content, Exchange, Piece, Purpose, Reply, Source};
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::session::link::Link;
use crate::session::{Handshake, Phase, Session};

/// What is left of a request's body once it is answered is read up to here, so that the connection can go on.
pub(super) const DRAIN_BYTES: u64 = 64 << 10;
/// And for so long.
const DRAIN_TIME: Duration = Duration::from_secs(1);

impl Shard {
    // ---- what the user says

    /// Answers a request whole: head and content leave in one write. Of requests that are not HTTP's it is the answer
    /// instead of a session.
    pub fn answer(&mut self, id: SessionId, reply: &Reply, piece: Piece<'_>) {
        let Some(session) = self.sessions.get(id) else { return };
        if let Phase::Deciding(deciding) = &mut session.phase {
            let request_line = std::mem::take(&mut deciding.request_line);
            self.cx.answer_asked(session, reply, piece, request_line);
        } else if self.cx.begin(session, reply, Some(piece.len() as u64), Reason::Handler) {
            self.cx.put(session, piece, true);
        }
    }

    /// Begins a response whose content follows.
    pub fn respond(&mut self, id: SessionId, reply: &Reply) {
        if let Some(session) = self.sessions.get(id) {
            self.cx.begin(session, reply, None, Reason::Handler);
        }
    }

    /// Appends content to the response. Gives the bytes that wait to be written now.
    pub fn content(&mut self, id: SessionId, piece: Piece<'_>, last: bool) -> usize {
        let Some(session) = self.sessions.get(id) else {
            self.cx.counts.late_sends += 1;
            return 0;
        };
        self.cx.put(session, piece, last)
    }

    /// Lets the rest of the response be so many bytes of a file.
    pub fn send_file(&mut self, id: SessionId, file: File, len: u64) {
        let Some(session) = self.sessions.get(id) else { return };
        self.cx.send_source(session, Source { file, at: 0, left: len, is_read: false });
    }

    /// Ends a response that will not become complete. What was sent before is delivered; then the connection ends, so
    /// that the client does not take it for the whole.
    pub fn cut(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(exchange) = session.exchange().filter(|exchange| !exchange.is_answered()) else { return };
        exchange.keep = false;
        exchange.file = None;
        self.cx.answered(session);
        self.cx.mark_dirty(session);
    }

    /// RFC 9110 §10.1.1: asks a client that waits for it to send the body.
    pub fn want(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(exchange) = session.exchange() else { return };
        if std::mem::take(&mut exchange.expects) && exchange.answering == Answering::Waiting {
            exchange.progress = self.cx.now;
            session
                .connection
                .outbox
                .gather(&mut self.cx.pool, |out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
            self.cx.mark_dirty(session);
            self.cx.watch_exchange(session);
        }
    }

    // ---- how it goes on

    /// The outbox has been written, or as much of it as the kernel takes.
    pub(super) fn exchange_written(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        if session.connection.blocked {
            self.cx.watch_exchange(session);
        }
        let (empty, blocked) = (session.connection.outbox.is_empty(), session.connection.blocked);
        let Some(exchange) = session.exchange() else { return };
        if exchange.file.is_some() && !blocked {
            self.cx.mark_dirty(session);
        } else if exchange.is_answered() && empty {
            self.exchange_over(slot);
        }
    }

    /// The response is written: what follows on this connection?
    fn exchange_over(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        let ends = self.cx.draining || session.connection.has_failed();
        let Some(exchange) = session.exchange() else { return };
        // Row 4 of the list of attacks: a body is never parsed as the next request.
        let may_drain = exchange.body.left().is_none_or(|left| left <= DRAIN_BYTES);
        if ends || !exchange.keep || !may_drain {
            self.cx.linger(session);
            self.cx.write(session);
        } else if exchange.body.is_done() {
            self.renew(slot);
        } else if session.until == 0 {
            self.cx.look_at_clock();
            session.until = self.cx.now + millis(DRAIN_TIME);
            self.cx.arm_until(session);
        }
    }

    /// The connection is free for the next request, under a new id.
    fn renew(&mut self, slot: u32) {
        let Some(session) = self.sessions.renew(slot) else { return };
        let peer = session.whence();
        let Phase::Exchange(exchange) = &mut session.phase else { return };
        let rest = std::mem::take(&mut exchange.rest);
        let handshake = Handshake::new(peer, rest, true);
        session.until = match self.cx.limits.keep_alive_timeout {
            _ if !handshake.kept => self.cx.head_deadline(),
            Some(timeout) => self.cx.now + millis(timeout),
            None => 0,
        };
        session.phase = Phase::Handshake(Box::new(handshake));
        session.link = None;
        session.told = false;
        session.paused = false;
        self.cx.arm_until(session);
    }
}

impl Context {
    /// Hands a request to the user.
    pub(super) fn serve(
        &mut self,
        session: &mut Session,
        request: Request,
        mut exchange: Box<Exchange>,
        rest: Vec<u8>,
    ) {
        let link = Arc::new(Link::new(session.id, session.whence()));
        session.link = Some(link.clone());
        session.until = 0;
        exchange.progress = self.now;
        let done = exchange.body.is_done();
        if done {
            exchange.rest = rest;
            session.phase = Phase::Exchange(exchange);
            self.begins(session, link, request);
        } else {
            session.phase = Phase::Exchange(exchange);
            self.begins(session, link, request);
            if !rest.is_empty() {
                self.receive_body(session, &rest);
            }
            self.watch_exchange(session);
        }
        if done && session.connection.hung_up {
            self.tell_hang_up(session);
        }
    }

    fn begins(&mut self, session: &mut Session, link: Arc<Link>, request: Request) {
        self.handshake_over(session);
        self.counts.requests += 1;
        self.effects.push_back(Effect::Exchange(link, request));
    }

    // ---- the response

    /// Writes the head. `whole` is the length of the content where all of it is there. `false`: there is a head already.
    pub(super) fn begin(&mut self, session: &mut Session, reply: &Reply, whole: Option<u64>, reason: Reason) -> bool {
        let draining = self.draining;
        let Some(exchange) = session.exchange().filter(|exchange| exchange.answering == Answering::Waiting) else {
            return false;
        };
        let declared = reply.fields.length();
        let (framing, content) = match declared.or(whole) {
            // RFC 9110 §8.6: no Content-Length in a 204; in a 304, and in the answer to HEAD, that of the answer to GET.
            _ if reply.status == 304 => (declared.map_or(Framing::Silent, Framing::Length), Content::Discarded),
            _ if is_without_content(reply.status) => (Framing::Silent, Content::Discarded),
            Some(0) if exchange.head_only && declared.is_none() => (Framing::Silent, Content::Discarded),
            length if exchange.head_only => (length.map_or(Framing::Silent, Framing::Length), Content::Discarded),
            Some(length) => (Framing::Length(length), Content::Length(length)),
            None if exchange.modern => (Framing::Chunked, Content::Chunked),
            None => (Framing::Silent, Content::UntilClose),
        };
        // RFC 9110 §10.1.1: whether a client that was not asked for its body sends it nevertheless is not known.
        let unasked = exchange.expects;
        let undrained = whole.is_some() && exchange.body.left().is_some_and(|left| left > DRAIN_BYTES);
        exchange.keep &= !draining && !reply.fields.close() && !unasked && !undrained && content != Content::UntilClose;
        exchange.answering = Answering::Sending(content);
        let after = match (exchange.keep, exchange.modern) {
            (false, _) => Connection::Close,
            (true, true) => Connection::Keep,
            (true, false) => Connection::KeepAlive,
        };
        let request_line = std::mem::take(&mut exchange.request_line);
        exchange.progress = self.now;
        // What goes to and fro in a session is no news for anybody.
        let quiet = reply.status == 200 && !matches!(exchange.purpose, Purpose::Served);
        self.write_head(session, reply, framing, after);
        if !quiet {
            self.note_answer(session, reply.status, (reason, request_line));
        }
        true
    }

    /// Appends content; gives the bytes that wait to be written.
    pub(super) fn put(&mut self, session: &mut Session, mut piece: Piece<'_>, last: bool) -> usize {
        let Some(exchange) = session.exchange() else { return 0 };
        let Answering::Sending(content) = exchange.answering else {
            self.counts.late_sends += 1;
            return 0;
        };
        let mut last = last;
        let mut wrong = None;
        match content {
            Content::Discarded => piece.truncate(0),
            Content::Length(left) => {
                let len = piece.len() as u64;
                if len > left {
                    piece.truncate(left as usize);
                    wrong = Some("a response has more content than its Content-Length says");
                } else if last && len < left {
                    wrong = Some("a response has less content than its Content-Length says");
                }
                last |= wrong.is_some();
                exchange.answering = Answering::Sending(Content::Length(left.saturating_sub(len)));
            }
            Content::Chunked | Content::UntilClose => {}
        }
        if let Some(wrong) = wrong {
            // The client must not take what follows for a part of this, nor this for the whole.
            exchange.keep = false;
            self.notice(Notice::WrongLength(wrong.into()));
        }
        if !self.has_room(session, piece.len()) {
            self.counts.slow_closed += 1;
            self.tell_closed(session, Some(SLOW));
            self.linger(session);
            return 0;
        }
        self.append(session, piece, content == Content::Chunked, last);
        if last {
            self.answered(session);
        }
        self.mark_dirty(session);
        self.relieve(session);
        let waiting = session.connection.outbox.len();
        if let Some(link) = &session.link {
            link.grow_outbox(waiting);
        }
        waiting
    }

    /// The user knows the end; what comes of the connection is not its affair any more.
    pub(super) fn answered(&mut self, session: &mut Session) {
        if let Some(exchange) = session.exchange() {
            exchange.answering = Answering::Done;
        }
        session.told = true;
        if let Some(link) = &session.link {
            link.set_closing();
        }
        session.paused = false;
        if session.connection.readable {
            self.mark_ready(session);
        }
    }

    fn append(&mut self, session: &mut Session, piece: Piece<'_>, chunked: bool, last: bool) {
        let pool = &mut self.pool;
        let chunk = chunked && !piece.is_empty();
        let len = piece.len();
        let before = |out: &mut Vec<u8>| {
            if chunk {
                chunk_head(out, len);
            }
        };
        let after = |out: &mut Vec<u8>| {
            if chunk {
                out.extend_from_slice(b"\r\n");
            }
            if chunked && last {
                out.extend_from_slice(LAST_CHUNK);
            }
        };
        match piece {
            Piece::Borrowed(bytes) => session.connection.outbox.gather(pool, |out| {
                before(out);
                out.extend_from_slice(bytes);
                after(out);
            }),
            Piece::Shared(bytes) if bytes.len() < SHARE_BYTES => session.connection.outbox.gather(pool, |out| {
                before(out);
                out.extend_from_slice(&bytes);
                after(out);
            }),
            Piece::Shared(bytes) => {
                if chunk {
                    session.connection.outbox.gather(pool, before);
                }
                session.connection.outbox.push_shared(pool, bytes);
                if chunked {
                    session.connection.outbox.gather(pool, after);
                }
            }
        }
    }
}

impl Context {
    /// Tells the user of an exchange that the client has sent FIN, once.
    pub(super) fn tell_hang_up(&mut self, session: &mut Session) {
        let (id, told) = (session.id, session.told);
        if let Some(exchange) = session.exchange()
            && !told
            && !std::mem::replace(&mut exchange.told_end, true)
        {
            self.effects.push_back(Effect::HungUp(id));
        }
    }
}

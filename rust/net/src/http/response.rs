//! The response to a request that the user serves.

use std::sync::Arc;

use hubbub_proto::body::{LAST_CHUNK, chunk_head};
use hubbub_proto::response::{Connection, Framing, is_without_content};

use crate::context::Context;
use crate::effect::Effect;
use crate::handler::{Notice, Request};
use crate::http::exchange::{Answering, Content, Exchange, Piece, Purpose, Reply};
use crate::metrics::Reason;
use crate::session::link::Link;
use crate::session::output::{SHARE_BYTES, SLOW};
use crate::session::{Phase, Session};

/// What is left of a request's body once it is answered is read up to here, so that the connection can go on.
pub(crate) const DRAIN_BYTES: u64 = 64 << 10;

impl Context {
    /// Hands a request to the user.
    pub(crate) fn serve(
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
    pub(crate) fn begin(&mut self, session: &mut Session, reply: &Reply, whole: Option<u64>, reason: Reason) -> bool {
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
    pub(crate) fn put(&mut self, session: &mut Session, mut piece: Piece<'_>, last: bool) -> usize {
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
    pub(crate) fn answered(&mut self, session: &mut Session) {
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
    pub(crate) fn tell_hang_up(&mut self, session: &mut Session) {
        let (id, told) = (session.id, session.told);
        if let Some(exchange) = session.exchange()
            && !told
            && !std::mem::replace(&mut exchange.told_end, true)
        {
            self.effects.push_back(Effect::HungUp(id));
        }
    }
}

//! HTTP answers that end what was no session: the shard's own refusals, and what a user answers instead.

use std::time::Duration;

use hubbub_proto::response::{Connection, FieldLines, Framing, ResponseLine};

use crate::command::Answer;
use crate::context::Context;
use crate::handler::Notice;
use crate::http::exchange::{Piece, Reply};
use crate::http::request_line::RequestLine;
use crate::metrics::Reason;
use crate::session::{Phase, Session};

/// Why a request was refused, where the user has said so.
pub(crate) const BY_THE_PROGRAM: &[u8] = b"refused by the program";

impl Context {
    /// Sends an HTTP response; the connection ends after it, so nothing after the head is ever taken for
    /// another request.
    pub(crate) fn refuse_request(
        &mut self,
        session: &mut Session,
        answer: &Answer,
        reason: Reason,
        mut request_line: RequestLine,
    ) {
        if self.logs_access {
            request_line.explain(reason, &answer.body);
        }
        let reply = answer.clone().into();
        self.finish_with(session, &reply, &answer.body, (reason, request_line));
    }

    /// What `refuse_request` does, with a reply that the user has made.
    fn finish_with(
        &mut self,
        session: &mut Session,
        reply: &Reply,
        body: &[u8],
        (reason, request_line): (Reason, RequestLine),
    ) {
        // RFC 9110 §9.3.2: the answer to HEAD must not have content; its fields are those of the answer to GET.
        let head_only = request_line.text.starts_with("HEAD ");
        // RFC 9110 §8.6: a 204 or 304 carries no content, and no Content-Length of its own.
        let silent = matches!(reply.status, 204 | 304);
        let framing = if silent { Framing::Silent } else { Framing::Length(body.len() as u64) };
        let content = if head_only || silent { &[] } else { body };
        self.write_head(session, reply, framing, Connection::Close);
        session.connection.outbox.gather(&mut self.pool, |out| out.extend_from_slice(content));
        self.note_answer(session, reply.status, (reason, request_line));
        session.told |= session.link.is_none();
        self.handshake_over(session);
        self.tell_closed(session, None);
        self.linger(session);
    }

    /// The user answers a request that it was asked about.
    pub(crate) fn answer_asked(
        &mut self,
        session: &mut Session,
        reply: &Reply,
        piece: Piece<'_>,
        mut request_line: RequestLine,
    ) {
        let Phase::Deciding(deciding) = &mut session.phase else { return };
        // After an upgrade attempt, and after an error, nothing that follows is taken for another request.
        match deciding.exchange.take().filter(|_| reply.status < 400) {
            Some(mut exchange) => {
                exchange.rest = std::mem::take(&mut deciding.rest);
                exchange.request_line = request_line;
                self.handshake_over(session);
                self.tell_closed(session, None);
                session.phase = Phase::Exchange(exchange);
                session.until = 0;
                self.begin(session, reply, Some(piece.len() as u64), Reason::Handler);
                self.put(session, piece, true);
            }
            None => {
                if self.logs_access {
                    request_line.explain(Reason::Handler, BY_THE_PROGRAM);
                }
                let body = match &piece {
                    Piece::Borrowed(bytes) => bytes,
                    Piece::Shared(bytes) => &bytes[..],
                };
                self.finish_with(session, reply, body, (Reason::Handler, request_line));
            }
        }
    }

    /// Appends a response's head.
    pub(crate) fn write_head(&mut self, session: &mut Session, reply: &Reply, framing: Framing, after: Connection) {
        let date = self.date.now();
        let server = self.server.settings().server_field.as_deref();
        let line = ResponseLine { status: reply.status, framing, connection: after, date: Some(&date), server };
        session.connection.outbox.gather(&mut self.pool, |out| reply.fields.write(out, &line));
        self.mark_dirty(session);
    }

    /// For the counters and the access log.
    pub(crate) fn note_answer(
        &mut self,
        session: &Session,
        status: u16,
        (reason, request_line): (Reason, RequestLine),
    ) {
        self.counts.refused += u64::from(status >= 400);
        self.figures().tables.answered(status, reason);
        if self.logs_access {
            let took = Duration::from_micros(self.elapsed().saturating_sub(request_line.began));
            let why = if status >= 400 { request_line.why } else { "".into() };
            let (peer, request_line) = (session.peer(), request_line.text);
            self.notice(Notice::Answered { peer, request_line, status, why, took });
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        let mut fields = FieldLines::new();
        for (name, value) in &answer.fields {
            // The answer's length is that of its body.
            if !name.eq_ignore_ascii_case("content-length") {
                let pushed = fields.push(name.as_bytes(), value.as_bytes());
                debug_assert!(pushed.is_ok(), "fields are checked at the door: {name:?}: {value:?}");
            }
        }
        Reply { status: answer.status, fields }
    }
}

//! Does what the user says of HTTP requests, and goes on to the next request on the same connection.

use std::fs::File;
use std::time::Duration;

use super::Shard;
use crate::context::millis;
use crate::http::exchange::{Answering, Piece, Reply, Source};
use crate::http::response::DRAIN_BYTES;
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::session::{Handshake, Phase};

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

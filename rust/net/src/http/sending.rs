//! Who serves a request, and files for those that a folder serves.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::head::Head;
use rustix::io::Errno;

use crate::command::Answer;
use crate::config::routes::rest;
use crate::config::settings::Service;
use crate::context::Context;
use crate::handler::Notice;
use crate::http::exchange::{Answering, Content, Exchange, Piece, Source};
use crate::http::files::{ALLOW, FileAnswer, FileContent, Found, read_at};
use crate::io::stream::Stream;
use crate::metrics::Reason;
use crate::session::link::Link;
use crate::session::{Phase, Session};
use crate::timers::Millis;

pub(crate) const NOTHING: &str = "Nothing is served here.";

/// A file that has to be read is read in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;
/// The kernel is asked to send so much of a file in one turn; then it is others' turn.
const TURN_BYTES: usize = 512 << 10;

/// Who serves a request.
pub(crate) enum Route {
    /// An endpoint.
    Endpoint {
        number: usize,
        path_params: Vec<(String, String)>,
        /// It is there for any path, and a folder has been asked before.
        missed: bool,
    },
    /// A folder, with this.
    File(Box<FileAnswer>),
    /// Nobody.
    Nobody { answer: Answer, reason: Reason },
}

impl Context {
    /// Asks one endpoint after the other. A folder passes on what it does not have, and what is neither GET nor HEAD.
    pub(crate) fn route(&mut self, head: &Head<'_>, upgrade: bool) -> Route {
        let endpoints = &self.server.settings().endpoints;
        let reading = matches!(head.method, "GET" | "HEAD");
        let mut missed = false;
        for (number, path_params) in self.server.routes().candidates(head.path(), upgrade) {
            let endpoint = &endpoints[number];
            match endpoint.service {
                Service::Files(_) => {
                    missed = true;
                    if reading
                        && let Found::Answer(answer) =
                            self.folders.find(number, rest(endpoint, head.path()), head, self.turn)
                    {
                        return Route::File(Box::new(answer));
                    }
                }
                // It is for WebSockets at any path: that it would upgrade says nothing of a file.
                Service::WebSocket if missed && endpoint.path.is_none() && !endpoint.asks => {}
                _ => {
                    let missed = missed && endpoint.path.is_none();
                    return Route::Endpoint { number, path_params, missed };
                }
            }
        }
        match head.method {
            _ if !missed => Route::Nobody { answer: Answer::plain(404, NOTHING), reason: Reason::NotFound },
            _ if reading => Route::File(Box::new(FileAnswer::missing())),
            "OPTIONS" => Route::File(Box::new(FileAnswer::options())),
            _ => {
                // RFC 9110 §15.5.6: a 405 MUST name the methods that are allowed.
                let mut answer = Answer::plain(405, "Files are read with GET.");
                answer.fields.push(("Allow".into(), ALLOW.into()));
                Route::Nobody { answer, reason: Reason::Method }
            }
        }
    }

    /// Sends what a folder answers. The user hears nothing of it.
    pub(crate) fn send(
        &mut self,
        session: &mut Session,
        answer: FileAnswer,
        mut exchange: Box<Exchange>,
        rest: Vec<u8>,
    ) {
        session.link = Some(Arc::new(Link::new(session.id, session.whence())));
        session.told = true;
        session.until = 0;
        exchange.rest = rest;
        if self.logs_access
            && let (400.., FileContent::Bytes(words)) = (answer.reply.status, &answer.content)
        {
            exchange.request_line.explain(answer.reason, words);
        }
        session.phase = Phase::Exchange(exchange);
        self.handshake_over(session);
        if let Some(failure) = answer.failure {
            self.notice(Notice::FileFailed(failure));
        }
        let len = match &answer.content {
            FileContent::Bytes(bytes) => bytes.len() as u64,
            FileContent::File(source) => source.left,
        };
        self.begin(session, &answer.reply, Some(len), answer.reason);
        match answer.content {
            FileContent::Bytes(bytes) => {
                self.put(session, Piece::Shared(bytes), true);
            }
            FileContent::File(source) => self.send_source(session, source),
        }
    }

    /// Lets the rest of the response be a part of a file.
    pub(crate) fn send_source(&mut self, session: &mut Session, source: Source) {
        let Some(exchange) = session.exchange() else { return };
        match exchange.answering {
            Answering::Sending(Content::Discarded) => {
                self.put(session, Piece::Borrowed(&[]), true);
            }
            Answering::Sending(_) if exchange.file.is_none() => {
                exchange.file = Some(source);
                self.mark_dirty(session);
            }
            Answering::Waiting | Answering::Sending(_) | Answering::Done => {}
        }
    }

    /// Writes what waits, and sends on in the file that follows it.
    pub(crate) fn flush_file(&mut self, session: &mut Session) {
        self.top_up(session);
        match session.connection.stream.takes_files() && session.sends_file() {
            true => self.write_by(session, Stream::send_before_file),
            false => self.write(session),
        }
        self.send_directly(session);
    }

    /// Reads on in the file that the content comes from, as far as the outbox is to be filled, where the kernel cannot
    /// send it by itself.
    fn top_up(&mut self, session: &mut Session) {
        if session.connection.outbox.len() >= self.limits.high_water_bytes.max(PIECE_BYTES)
            || session.connection.has_failed()
        {
            return;
        }
        let Some(mut source) = session.take_source(false) else { return };
        let mut piece = vec![0; usize::try_from(source.left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
        match read_at(&source.file, &mut piece, source.at) {
            Err(errno) => self.file_failed(session, &std::io::Error::from(errno).to_string()),
            Ok(0) if source.left > 0 => self.file_failed(session, SHORTER),
            Ok(len) => {
                piece.truncate(len);
                source.at += len as u64;
                source.left -= len as u64;
                self.put(session, Piece::Shared(Bytes::from(piece)), source.left == 0);
                if source.left > 0 {
                    session.put_back(source);
                }
            }
        }
    }

    /// Lets the kernel send on in the file that the content comes from, once all that stands before it is written.
    fn send_directly(&mut self, session: &mut Session) {
        if session.connection.blocked || session.connection.has_failed() || !session.connection.outbox.is_empty() {
            return;
        }
        let Some(mut source) = session.take_source(true) else { return };
        let mut room = TURN_BYTES;
        // Until the kernel says that it takes no more: only then does the poll tell when it does again.
        while source.left > 0 && room > 0 {
            let len = usize::try_from(source.left).unwrap_or(room).min(room);
            match session.connection.stream.send_file(&source.file, &mut source.at, len) {
                Ok(0) => return self.file_failed(session, SHORTER),
                Ok(taken) => {
                    self.counts.bytes_out += taken as u64;
                    source.left -= taken as u64;
                    room -= taken;
                    session.note_sent(taken as u64, self.now);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.set_blocked(session, true);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    // Not from this file system.
                    Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                        source.is_read = true;
                        break;
                    }
                    Some(Errno::IO | Errno::STALE | Errno::ACCESS) => {
                        return self.file_failed(session, &error.to_string());
                    }
                    _ => return self.write_failed(session),
                },
            }
        }
        if source.left == 0 {
            self.put(session, Piece::Borrowed(&[]), true);
        } else {
            session.put_back(source);
        }
    }

    fn file_failed(&mut self, session: &mut Session, why: &str) {
        self.notice(Notice::FileFailed(why.into()));
        self.tell_closed(session, Some(why));
        self.linger(session);
    }
}

const SHORTER: &str = "it is shorter than it was";

impl Session {
    /// What is still to be sent of a file, if it is `directly` that the kernel can send it, or not.
    fn take_source(&mut self, directly: bool) -> Option<Source> {
        let takes_files = self.connection.stream.takes_files();
        let exchange = self.exchange()?;
        let Answering::Sending(content) = exchange.answering else { return None };
        exchange.file.take_if(|source| {
            // Chunks have heads, and what is longer than was said must not be sent: whoever reads it sees to that.
            let is_plain = matches!(content, Content::Length(left) if source.left <= left);
            directly == (takes_files && is_plain && !source.is_read)
        })
    }

    /// A file is still to be sent.
    pub(crate) fn sends_file(&self) -> bool {
        matches!(&self.phase, Phase::Exchange(exchange) if exchange.file.is_some())
    }

    fn put_back(&mut self, source: Source) {
        if let Some(exchange) = self.exchange() {
            exchange.file = Some(source);
        }
    }

    /// The kernel has taken something of the content.
    fn note_sent(&mut self, taken: u64, now: Millis) {
        if let Some(exchange) = self.exchange() {
            exchange.progress = now;
            if let Answering::Sending(Content::Length(left)) = &mut exchange.answering {
                *left = left.saturating_sub(taken);
            }
        }
    }
}

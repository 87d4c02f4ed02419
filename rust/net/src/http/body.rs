//! The body of a request on its way to whoever serves it, or past it.

use hubbub_proto::body::BodyError;

use crate::command::Answer;
use crate::context::{Context, millis};
use crate::effect::Effect;
use crate::http::exchange::{Answering, Exchange, Purpose};
use crate::http::response::DRAIN_BYTES;
use crate::metrics::Reason;
use crate::session::{Phase, Session};

pub(crate) const TOO_LARGE: &str = "The request body is too large.";

/// Why a request's body is not taken.
enum Refused {
    TooLarge,
    Malformed(BodyError),
}

impl Context {
    /// Sees to it that an exchange is looked at when it has stood still for too long.
    pub(crate) fn watch_exchange(&mut self, session: &mut Session) {
        let Some(timeout) = self.limits.message_timeout else { return };
        if let Phase::Exchange(exchange) = &session.phase {
            let at = exchange.progress + millis(timeout);
            self.arm(session, at);
        }
    }

    /// Takes in bytes of a request's body.
    pub(crate) fn receive_body(&mut self, session: &mut Session, bytes: &[u8]) {
        let Phase::Exchange(exchange) = &mut session.phase else { return };
        let max = match exchange.purpose {
            Purpose::Post(_) => self.limits.max_post_bytes(),
            _ => self.limits.max_body_bytes,
        };
        let max = max.unwrap_or(u64::MAX);
        exchange.progress = self.now;
        // Who has begun to send does not wait to be asked.
        exchange.expects = false;
        let answered = exchange.is_answered();
        let mut gathered = std::mem::take(&mut self.gathered);
        let refused = exchange.read_body(bytes, max, &mut gathered);
        let (len, last) = (gathered.len(), exchange.body.is_done());
        match refused {
            Ok(()) if answered => {
                if last {
                    // What follows is the next request.
                    self.mark_dirty(session);
                } else if exchange.received > max.max(DRAIN_BYTES) {
                    self.linger(session);
                }
            }
            Ok(()) if !matches!(exchange.purpose, Purpose::Served) => {
                if let Some(body) = exchange.post().and_then(|post| post.body.as_mut()) {
                    body.extend_from_slice(&gathered);
                }
            }
            Ok(()) => {
                if len > 0 || last {
                    self.effects.push_back(Effect::Content(session.id, std::mem::take(&mut gathered), last));
                    self.account_body(session, len, last);
                }
                if last && session.connection.hung_up {
                    self.tell_hang_up(session);
                }
            }
            Err(Refused::TooLarge) => self.break_off(session, 413, Reason::Body, TOO_LARGE),
            Err(Refused::Malformed(error)) => {
                self.counts.violations += 1;
                let text = format!("The request body is malformed: {error}.");
                self.break_off(session, error.status(), Reason::Malformed, &text);
            }
        }
        gathered.clear();
        self.gathered = gathered;
    }

    fn account_body(&mut self, session: &mut Session, len: usize, last: bool) {
        let Some(link) = &session.link else { return };
        if link.delivered(1, len, &self.limits) && !last {
            session.paused = true;
            self.counts.inbox_pauses += 1;
        }
    }

    /// The request cannot be read to its end: says so if nothing has been said yet, and ends the connection.
    pub(crate) fn break_off(&mut self, session: &mut Session, status: u16, reason: Reason, text: &str) {
        let Phase::Exchange(exchange) = &mut session.phase else { return };
        if exchange.answering == Answering::Waiting {
            let request_line = std::mem::take(&mut exchange.request_line);
            self.tell_closed(session, Some(text));
            self.refuse_request(session, &Answer::plain(status, text), reason, request_line);
        } else {
            // Half a response is out: that it ends early is all that can be said.
            self.tell_closed(session, Some(text));
            self.linger(session);
        }
    }
}

impl Exchange {
    /// Reads what is there of the body into `content`, and keeps what comes behind it.
    fn read_body(&mut self, bytes: &[u8], max: u64, content: &mut Vec<u8>) -> Result<(), Refused> {
        let mut input = bytes;
        while let Some(slice) = self.body.next(&mut input).map_err(Refused::Malformed)? {
            self.received += slice.len() as u64;
            if self.received > max {
                return Err(Refused::TooLarge);
            }
            content.extend_from_slice(slice);
        }
        if self.body.is_done() {
            self.rest = input.to_vec();
        }
        Ok(())
    }
}

//! A session's deadlines and its keepalive.

use hubbub_proto::close::CloseCode;
use hubbub_proto::engineio::PacketType;
use hubbub_proto::frame::{self, Opcode};

use crate::context::{Context, millis};
use crate::http::exchange::Exchange;
use crate::session::carrier::Carrier;
use crate::session::resumable::Resumable;
use crate::session::{Phase, Session};
use crate::timers::Millis;

/// What a look at a session's deadlines has come to.
pub(crate) enum Look {
    /// Look again then.
    At(Millis),
    /// It waits for nothing.
    Never,
    /// Its request is too late.
    HandshakeExpired,
    /// The body of its request is.
    BodyExpired,
    /// Its client does not go on to the WebSocket by which it was to hear the rest.
    UpgradeExpired,
    /// Its connection is given up.
    Lose(&'static str),
    /// Take it away.
    Drop(Option<&'static str>),
}

impl Context {
    pub(crate) fn look(&mut self, session: &mut Session) -> Look {
        match session.phase {
            Phase::Exchange(ref exchange) => self.look_at_exchange(session, exchange),
            Phase::Handshake(_) | Phase::Deciding(_) if session.until == 0 => Look::Never,
            Phase::Handshake(_) | Phase::Deciding(_) if session.until > self.now => Look::At(session.until),
            Phase::Handshake(ref handshake) if handshake.kept => Look::Drop(None),
            Phase::Handshake(_) | Phase::Deciding(_) => Look::HandshakeExpired,
            Phase::Open => self.look_at_open(session),
            Phase::Candidate(_) if session.until > self.now => Look::At(session.until),
            Phase::Candidate(_) => Look::Drop(None),
            Phase::Closing | Phase::Lingering if session.until > self.now => Look::At(session.until),
            Phase::Closing => {
                self.counts.close_timeouts += 1;
                Look::Drop(Some("the peer did not answer the Close frame in time"))
            }
            Phase::Lingering if session.ends_by_upgrade() => Look::UpgradeExpired,
            Phase::Lingering => Look::Drop(None),
        }
    }

    fn look_at_exchange(&self, session: &Session, exchange: &Exchange) -> Look {
        if exchange.is_answered() && session.connection.outbox.is_empty() {
            // Only the rest of the body is awaited.
            return if session.until <= self.now { Look::Drop(None) } else { Look::At(session.until) };
        }
        let Some(timeout) = self.limits.message_timeout.map(millis) else { return Look::Never };
        // A body that nobody has asked for, or that we do not read, cannot make progress; nor does the response while
        // it is the user who is slow. What changes that looks after the deadline again.
        let reading = !session.is_waiting() && !session.connection.readable && !exchange.expects;
        let writing = session.connection.blocked && (!session.connection.outbox.is_empty() || exchange.file.is_some());
        match exchange.progress + timeout {
            _ if !reading && !writing => Look::Never,
            deadline if deadline > self.now => Look::At(deadline),
            _ if writing => Look::Drop(Some("the client does not read the response")),
            _ => Look::BodyExpired,
        }
    }

    fn look_at_open(&mut self, session: &mut Session) -> Look {
        let mut next = self.release(session);
        if session.broke.is_some() {
            self.fail_if_handled(session);
            return if session.is_open() { Look::At(session.until) } else { Look::Never };
        }
        if session.is_away() && session.resumable().is_some_and(Resumable::resumes) {
            return match self.look_at_away(session) {
                Look::At(at) => soonest(next, Some(at)).map_or(Look::Never, Look::At),
                Look::Never => next.map_or(Look::Never, Look::At),
                other => other,
            };
        }
        if let Err(deadline) = self.check_progress(session) {
            match deadline {
                at @ Some(_) => next = soonest(next, at),
                None => {
                    self.counts.message_timeouts += 1;
                    self.fail(session, CloseCode::POLICY_VIOLATION, "an unfinished message made no progress");
                    return Look::Never;
                }
            }
        }
        let kept = match session.carrier.is_stream() {
            true => self.keep_stream_alive(session).ok_or(Silent),
            false => self.check_keepalive(session),
        };
        match kept {
            Ok(at) => next = soonest(next, at),
            Err(Silent) => {
                self.counts.ping_timeouts += 1;
                if session.resumable().is_some_and(Resumable::resumes) {
                    return Look::Lose("keepalive ping timeout");
                }
                self.fail(session, CloseCode::INTERNAL_ERROR, "keepalive ping timeout");
                return Look::Never;
            }
        }
        next.map_or(Look::Never, Look::At)
    }

    /// A session without a connection of its own: a poll that has waited for long enough is answered, and a client that
    /// does not come again is given up.
    fn look_at_away(&mut self, session: &mut Session) -> Look {
        let (now, last) = (self.now, session.last_received);
        let Some(resumable) = session.resumable() else { return Look::Never };
        if resumable.requests.poll().is_none() {
            let due = last + millis(self.limits.session_timeout);
            if due > now {
                return Look::At(due);
            }
            self.counts.session_timeouts += 1;
            return Look::Drop(Some("the client has not come back"));
        }
        let Some(interval) = self.heartbeat(session).0 else { return Look::Never };
        if last + interval > now {
            return Look::At(last + interval);
        }
        self.signal(session, |carrier, out| carrier.write_heartbeat(out));
        Look::At(now + interval)
    }

    /// `Ok`: no message is unfinished. `Err(Some)`: one is, look again then. `Err(None)`: it has stood still too long.
    fn check_progress(&self, session: &Session) -> Result<(), Option<Millis>> {
        let Some(timeout) = self.limits.message_timeout else { return Ok(()) };
        // A session that we do not read, or have not read to the end, cannot make progress: that is not the peer's
        // fault. Resuming and reading look after the deadline again.
        if !session.connection.reader.is_mid_message() || session.is_held_back() || session.connection.readable {
            return Ok(());
        }
        let deadline = session.last_received + millis(timeout);
        Err((deadline > self.now).then_some(deadline))
    }

    /// Sends the ping when it is due. Gives when to look again.
    fn check_keepalive(&mut self, session: &mut Session) -> Result<Option<Millis>, Silent> {
        let (Some(interval), timeout) = self.heartbeat(session) else { return Ok(None) };
        let pinged = session.ping_micros / 1000;
        session.pinged &= session.last_received < pinged;
        if session.pinged {
            let Some(timeout) = timeout else {
                return Ok(Some(self.ping_again(session, interval)));
            };
            let deadline = pinged + timeout;
            if deadline > self.now {
                // The answer may come long before: the next silence begins with it.
                return Ok(Some(deadline.min(self.now + interval)));
            }
            // What lies unread because the handler is slow may well be the answer.
            if session.is_held_back() || session.connection.readable {
                return Ok(Some(self.now + timeout));
            }
            return Err(Silent);
        }
        // A client that sees our pings relies on them, however much it says itself.
        let from = if session.carrier == Carrier::WebSocket { session.last_received } else { pinged };
        let due = from + interval;
        if due > self.now {
            return Ok(Some(due));
        }
        self.send_ping(session);
        Ok(Some(self.now + timeout.unwrap_or(interval).min(interval)))
    }

    fn ping_again(&mut self, session: &mut Session, interval: Millis) -> Millis {
        if session.ping_micros / 1000 + interval <= self.now {
            self.send_ping(session);
        }
        self.now + interval
    }

    fn send_ping(&mut self, session: &mut Session) {
        (session.pinged, session.awaits_pong) = (true, true);
        session.ping_micros = self.micros;
        if session.is_away() {
            self.signal(session, |_, out| out.push(PacketType::Ping as u8));
            return;
        }
        let payload = self.micros.to_be_bytes();
        let carrier = session.carrier;
        // Nobody is given up who has not been asked. Where nobody is ever given up, a peer with a backlog need not get
        // one ping after the other behind it.
        if self.limits.ping_timeout.is_some() || session.connection.outbox.len() < self.limits.high_water_bytes {
            session.connection.outbox.gather(&mut self.pool, |out| match carrier {
                Carrier::Packets => carrier.write_heartbeat(out),
                _ => frame::encode(out, Opcode::Ping, &payload, None),
            });
            self.mark_dirty(session);
        }
    }
}

/// The peer has not answered.
struct Silent;

fn soonest(a: Option<Millis>, b: Option<Millis>) -> Option<Millis> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

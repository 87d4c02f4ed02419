//! How a session ends: the closing handshake, failures, what the user is told.

use std::io;
use std::time::Duration;

use hubbub_proto::close::{self, CloseCode};
use hubbub_proto::{Role, Violation};

use crate::context::{Context, millis};
use crate::effect::Effect;
use crate::handler::{Closed, Notice};
use crate::session::{Phase, Session};

/// How long a connection that was answered with HTTP may take to go away.
const HTTP_LINGER: Duration = Duration::from_secs(1);

impl Context {
    /// The peer has sent its Close frame.
    pub(crate) fn handle_close(&mut self, session: &mut Session, code: CloseCode, reason: String) {
        if session.is_open() {
            // RFC 6455 §5.5.1: the answer typically echoes the status code that was received; a browser shows the
            // reason that it gets back.
            self.say_goodbye(session, code, &reason);
        }
        session.rare.get_or_insert_default().farewell.received = Some((code, reason));
        self.tell_closed(session, None);
        self.linger(session);
    }

    /// The peer has broken the protocol. Whole messages that came before are the user's, and so are the answers to
    /// them: the Close frame waits until they have been handled, though no longer than a peer's Close would be waited
    /// for. Meanwhile nothing is read.
    pub(crate) fn fail_later(&mut self, session: &mut Session, violation: Violation) {
        self.counts.violations += 1;
        self.look_at_clock();
        session.broke = Some(violation);
        session.until = self.now + millis(self.limits.close_timeout);
        self.fail_if_handled(session);
    }

    /// Fails a session that has broken the protocol, unless the user still has messages of it to handle.
    pub(crate) fn fail_if_handled(&mut self, session: &mut Session) {
        let Some(violation) = session.broke else { return };
        let unhandled = session.link.as_ref().is_some_and(|link| link.tell_when_consumed());
        if session.is_open() && unhandled && session.until > self.now {
            session.paused = true;
            self.arm_until(session);
        } else {
            self.fail_for(session, violation);
        }
    }

    pub(crate) fn fail_for(&mut self, session: &mut Session, violation: Violation) {
        self.fail(session, violation.close_code(), &violation.to_string());
    }

    /// RFC 6455 §7.1.7, "Fail the WebSocket Connection": say why, and take nothing more.
    pub(crate) fn fail(&mut self, session: &mut Session, code: CloseCode, reason: &str) {
        if session.is_open() {
            self.say_goodbye(session, code, reason);
        }
        if let Some(resumable) = session.resumable_mut() {
            resumable.requests.forfeit();
        }
        let cause = format!("closed with {}: {reason}", code.0);
        self.tell_closed(session, Some(&cause));
        self.linger(session);
    }

    /// The peer has broken TLS, or has never spoken it. The alert, or the HTTP answer, is written; then it ends.
    pub(crate) fn fail_tls(&mut self, session: &mut Session, error: &io::Error) {
        self.counts.tls_failures += 1;
        if session.pending && self.tls_lines.may_write(self.now) {
            self.notice(Notice::TlsFailed { peer: session.peer(), reason: error.to_string() });
        }
        self.handshake_over(session);
        session.connection.outbox.clear(&mut self.pool);
        session.connection.readable = true;
        self.tell_closed(session, Some(&error.to_string()));
        self.linger(session);
    }

    /// Puts our Close frame behind all that is queued.
    pub(crate) fn say_goodbye(&mut self, session: &mut Session, code: CloseCode, reason: &str) {
        if session.carrier.is_websocket() {
            // RFC 6455 §7.4.1: 1005 stands for "no code was there"; it is never sent.
            let written = (code != CloseCode::NO_STATUS_RECEIVED).then_some(code);
            session.connection.outbox.gather(&mut self.pool, |out| {
                // INVARIANT: reasons of ours and of the user (checked at the door) have at most 123 bytes.
                let encoded = close::encode(out, Role::Server, written, reason, None);
                debug_assert!(encoded.is_ok(), "a close reason is too long: {reason:?}");
            });
        } else {
            self.say_end(session, code, reason);
        }
        session.rare.get_or_insert_default().farewell.sent = Some((code, reason.to_owned()));
        if let Some(link) = &session.link {
            self.server.directory().retire(link);
        }
        self.mark_dirty(session);
    }

    /// Tells the user that the session has ended, once, and takes it out of its rooms.
    pub(crate) fn tell_closed(&mut self, session: &mut Session, cause: Option<&str>) {
        if std::mem::replace(&mut session.told, true) {
            return;
        }
        let Some(link) = &session.link else { return };
        let rooms = self.server.leave_all_rooms(link);
        let farewell = session.rare.as_mut().map(|rare| std::mem::take(&mut rare.farewell)).unwrap_or_default();
        let was_session = !matches!(session.phase, Phase::Deciding(_) | Phase::Exchange(_));
        let cause = cause.map(str::to_owned);
        let tally = session.tally.take().map(|tally| (self.now.saturating_sub(tally.opened), tally.traffic));
        let (lasted, traffic) = tally.unwrap_or_default();
        let lasted = Duration::from_millis(lasted);
        let closed = Closed { received: farewell.received, sent: farewell.sent, cause, rooms, lasted, traffic };
        if was_session {
            self.counts.closed += 1;
            self.figures().tables.session_closed(session.carrier.into(), closed.code());
        }
        self.effects.push_back(Effect::Closed(session.id, closed));
    }

    /// Everything is said: write the rest, send FIN, wait a while for the peer's.
    pub(crate) fn linger(&mut self, session: &mut Session) {
        let http = matches!(session.phase, Phase::Handshake(_) | Phase::Deciding(_) | Phase::Exchange(_));
        session.phase = Phase::Lingering;
        (session.paused, session.throttled) = (false, false);
        if session.connection.readable {
            self.mark_ready(session);
        }
        self.mark_dirty(session);
        let wait = if http { HTTP_LINGER.min(self.limits.close_timeout) } else { self.limits.close_timeout };
        self.look_at_clock();
        session.until = self.now + millis(wait);
        self.arm_until(session);
    }
}

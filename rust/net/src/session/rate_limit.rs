//! How fast a session may send.

use hubbub_proto::close::CloseCode;

use crate::config::settings::RatePolicy;
use crate::context::Context;
use crate::session::Session;
use crate::timers::Millis;

const TOO_FAST: &str = "more messages than messages_per_second allows";

impl Context {
    /// Counts messages that a read has brought. Like the inbox, the rate is judged after a read: what came in it is
    /// handed on, and is waited for afterwards.
    pub(crate) fn limit_rate(&mut self, session: &mut Session, messages: u32) {
        let Some(rate) = self.limits.message_rate.filter(|_| messages > 0 && session.is_open()) else { return };
        let now = self.nanos();
        let full_at = &mut session.rare.get_or_insert_default().full_at;
        rate.take(full_at, u64::from(messages), now);
        match self.limits.rate_policy {
            RatePolicy::Close if rate.is_overdrawn(*full_at, now) => {
                self.counts.rate_closed += 1;
                self.fail(session, CloseCode::POLICY_VIOLATION, TOO_FAST);
            }
            RatePolicy::Close => {}
            RatePolicy::Pause => {
                if let Some(at) = rate.next_at(*full_at, now) {
                    session.throttled = true;
                    self.counts.rate_pauses += 1;
                    self.arm(session, up_to_millis(at));
                }
            }
        }
    }

    /// Reads a session on that has waited for long enough. Gives when to look again, if it has not.
    pub(crate) fn release(&mut self, session: &mut Session) -> Option<Millis> {
        if !session.throttled {
            return None;
        }
        let full_at = session.rare.as_ref().map_or(0, |rare| rare.full_at);
        let next = self.limits.message_rate.and_then(|rate| rate.next_at(full_at, self.nanos()));
        if let Some(at) = next {
            return Some(up_to_millis(at));
        }
        session.throttled = false;
        // The time in which it was not read is nobody's silence.
        session.last_received = self.now;
        self.watch_progress(session);
        if session.connection.readable || session.holds() {
            self.mark_ready(session);
        }
        None
    }

    /// The moment of the last look at the clock.
    pub(crate) fn nanos(&self) -> u64 {
        self.micros.saturating_mul(1000)
    }
}

/// The first millisecond in which this moment has passed.
pub(crate) fn up_to_millis(nanos: u64) -> Millis {
    nanos.div_ceil(1_000_000)
}

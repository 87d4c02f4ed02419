//! TLS handshakes: a bounded share of each turn, before all else, so that nothing which is read waits for them.
//!
//! A handshake costs a key agreement and a signature, as much as hundreds of messages. Hundreds of clients that come
//! back at once must not make the others wait for all of them.

use std::time::Instant;

use super::Shard;
use crate::handler::Handler;

impl Shard {
    /// Takes handshakes a step further, until this turn's share is spent. The others wait for the next turn.
    pub(super) fn continue_tls_handshakes(&mut self, handler: &mut impl Handler) {
        if self.cx.tls_handshakes.is_empty() {
            return;
        }
        let mut now = Instant::now();
        let until = now + self.cx.tls_handshakes.share(now);
        // Who has more to read after its step stands behind the others, and waits for the next turn.
        for _ in 0..self.cx.tls_handshakes.waiting.len() {
            let Some(slot) = self.cx.tls_handshakes.waiting.pop_front() else { break };
            if let Some(session) = self.sessions.at(slot) {
                session.in_ready = false;
                self.guard(slot, |shard| shard.read(slot, handler));
                self.perform(handler);
                now = Instant::now();
            }
            if now >= until || handler.is_full() {
                break;
            }
        }
        self.cx.tls_handshakes.spent = Some(now);
    }
}

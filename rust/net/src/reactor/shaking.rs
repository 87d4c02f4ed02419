//! TLS handshakes: a bounded share of each turn, before all else, so that nothing which is read waits for them.
//!
//! A handshake costs a key agreement and a signature, as much as hundreds of messages. Hundreds of clients that come
//! back at once must not make the others wait for all of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Shard;
use crate::handler::Handler;

/// Handshakes get as much time as everything else has taken since the last of them, within these bounds.
const LEAST: Duration = Duration::from_millis(1);
const MOST: Duration = Duration::from_millis(4);

/// Sessions in their TLS handshake that have something to read, each once, in the order in which they came.
#[derive(Default)]
pub(super) struct Shaking {
    waiting: VecDeque<u32>,
    /// When the last share was spent.
    spent: Option<Instant>,
}

impl Shaking {
    pub(super) fn push(&mut self, slot: u32) {
        self.waiting.push_back(slot);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How long this turn may take over handshakes.
    fn share(&self, now: Instant) -> Duration {
        self.spent.map_or(MOST, |spent| now.saturating_duration_since(spent)).clamp(LEAST, MOST)
    }
}

impl Shard {
    /// Takes handshakes a step further, until this turn's share is spent. The others wait for the next turn.
    pub(super) fn shake_hands(&mut self, handler: &mut impl Handler) {
        if self.cx.shaking.is_empty() {
            return;
        }
        let mut now = Instant::now();
        let until = now + self.cx.shaking.share(now);
        // Who has more to read after its step stands behind the others, and waits for the next turn.
        for _ in 0..self.cx.shaking.waiting.len() {
            let Some(slot) = self.cx.shaking.waiting.pop_front() else { break };
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
        self.cx.shaking.spent = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_the_rest_has_taken_within_bounds() {
        let now = Instant::now();
        let after = |spent: Duration| Shaking { spent: now.checked_sub(spent), ..Shaking::default() }.share(now);
        assert_eq!(Shaking::default().share(now), MOST);
        assert_eq!(after(Duration::ZERO), LEAST);
        assert_eq!(after(2 * LEAST), 2 * LEAST);
        assert_eq!(after(100 * MOST), MOST);
    }
}

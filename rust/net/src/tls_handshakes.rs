//! Connections in their TLS handshake, and how much of a turn they may take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Handshakes get as much time as everything else has taken since the last of them, within these bounds.
const LEAST: Duration = Duration::from_millis(1);

const MOST: Duration = Duration::from_millis(4);

/// Sessions in their TLS handshake that have something to read, each once, in the order in which they came.
#[derive(Default)]
pub(crate) struct TlsHandshakes {
    pub(crate) waiting: VecDeque<u32>,
    /// When the last share was spent.
    pub(crate) spent: Option<Instant>,
}

impl TlsHandshakes {
    pub(crate) fn push(&mut self, slot: u32) {
        self.waiting.push_back(slot);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How long this turn may take over handshakes.
    pub(crate) fn share(&self, now: Instant) -> Duration {
        self.spent.map_or(MOST, |spent| now.saturating_duration_since(spent)).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_the_rest_has_taken_within_bounds() {
        let now = Instant::now();
        let after =
            |spent: Duration| TlsHandshakes { spent: now.checked_sub(spent), ..TlsHandshakes::default() }.share(now);
        assert_eq!(TlsHandshakes::default().share(now), MOST);
        assert_eq!(after(Duration::ZERO), LEAST);
        assert_eq!(after(2 * LEAST), 2 * LEAST);
        assert_eq!(after(100 * MOST), MOST);
    }
}

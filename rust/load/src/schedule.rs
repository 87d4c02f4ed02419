//! When the messages of an open loop are due: at fixed times, whatever comes back.

use std::time::Duration;

/// The due times of one thread, in nanoseconds since the run began.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Nanoseconds between two messages.
    step: f64,
    /// When the first one is due.
    first: f64,
    /// Messages that have become due.
    taken: u64,
}

impl Schedule {
    /// The times of a thread that has `part` of `rate` messages a second. The threads begin one message apart.
    pub(crate) fn new(rate: f64, part: f64, thread: usize, now: u64) -> Schedule {
        Schedule { step: 1e9 / (rate * part), first: now as f64 + thread as f64 * 1e9 / rate, taken: 0 }
    }

    /// The next message's time, if it has come.
    pub(crate) fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.next();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }

    /// How long it is until the next one.
    pub(crate) fn left(&self, now: u64) -> Duration {
        Duration::from_nanos(self.next().saturating_sub(now))
    }

    fn next(&self) -> u64 {
        // Multiplied, not added up: no error gathers.
        (self.first + self.taken as f64 * self.step) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_however_late_one_looks() {
        let mut schedule = Schedule::new(1000.0, 0.5, 1, 5_000_000);
        assert_eq!(schedule.left(5_000_000), Duration::from_millis(1));
        assert_eq!(schedule.take(5_999_999), None);
        let times: Vec<u64> = std::iter::from_fn(|| schedule.take(12_000_000)).collect();
        assert_eq!(times, [6_000_000, 8_000_000, 10_000_000, 12_000_000]);
    }
}

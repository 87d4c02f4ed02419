//! So many things in a second: a token bucket that is one number.
//!
//! The number is the moment at which the bucket is full again, in nanoseconds: each thing moves it on by the time that a
//! token takes to come. A moment that has passed means a full bucket, so whoever was idle holds 0 and nothing runs.

/// How fast, and how much at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Nanoseconds in which one token comes.
    each: u64,
    /// Nanoseconds in which the whole bucket comes.
    full: u64,
}

/// The moment when a bucket is full again, in nanoseconds of its owner's clock.
pub(crate) type FullAt = u64;

impl Rate {
    /// So many in a second, and up to `burst` at once: one second's worth if it is not given, but at least one.
    ///
    /// A number that is no rate (0, below, or none at all) is taken as the slowest there is.
    pub fn new(per_second: f64, burst: Option<u32>) -> Rate {
        // Slower than one in a century is no rate; a float that is too large becomes the largest number.
        let each = ((1e9 / per_second.max(1e-9)) as u64).max(1);
        let burst = burst.map_or(per_second.ceil(), f64::from).max(1.0) as u64;
        Rate { each, full: each.saturating_mul(burst) }
    }

    /// Takes `count` tokens, whether they are there or not.
    pub(crate) fn take(&self, full_at: &mut FullAt, count: u64, now: u64) {
        *full_at = (*full_at).max(now).saturating_add(self.each.saturating_mul(count));
    }

    /// More was taken than there was.
    pub(crate) fn is_overdrawn(&self, full_at: FullAt, now: u64) -> bool {
        full_at.saturating_sub(now) > self.full
    }

    /// When a token will be there; `None`: one is.
    pub(crate) fn next_at(&self, full_at: FullAt, now: u64) -> Option<u64> {
        let at = full_at.saturating_sub(self.full - self.each);
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let rate = Rate::new(10.0, Some(3));
        let mut bucket = 0;
        let now = 7 * SECOND;
        for _ in 0..3 {
            assert_eq!(rate.next_at(bucket, now), None);
            rate.take(&mut bucket, 1, now);
        }
        assert!(!rate.is_overdrawn(bucket, now));
        assert_eq!(rate.next_at(bucket, now), Some(now + SECOND / 10));
        assert_eq!(rate.next_at(bucket, now + SECOND / 10), None);
        rate.take(&mut bucket, 1, now + SECOND / 10);
        assert_eq!(rate.next_at(bucket, now + SECOND / 10), Some(now + SECOND / 5));
        assert_eq!(rate.next_at(bucket, now + SECOND), None);
    }

    #[test]
    fn what_was_taken_too_much_is_waited_for() {
        let rate = Rate::new(10.0, None);
        let mut bucket = 0;
        rate.take(&mut bucket, 10, SECOND);
        assert!(!rate.is_overdrawn(bucket, SECOND));
        rate.take(&mut bucket, 90, SECOND);
        assert!(rate.is_overdrawn(bucket, SECOND));
        // A hundred at ten in a second, ten of them at once: the next one after nine seconds and a tenth.
        assert_eq!(rate.next_at(bucket, SECOND), Some(SECOND + 91 * SECOND / 10));
    }

    #[test]
    fn the_rate_is_kept_over_time_and_idling_saves_up_one_burst() {
        let rate = Rate::new(100.0, Some(20));
        let (mut bucket, mut taken) = (0, 0);
        for now in (0..10 * SECOND).step_by(3_000_000) {
            while rate.next_at(bucket, now).is_none() {
                rate.take(&mut bucket, 1, now);
                taken += 1;
            }
        }
        assert!((1000..=1020).contains(&taken), "{taken}");
    }

    #[test]
    fn the_slowest_and_the_fastest_do_not_overflow() {
        for rate in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE, 1e-3, 1.0, 1e9, 1e30, f64::INFINITY] {
            for burst in [None, Some(0), Some(1), Some(u32::MAX)] {
                let rate = Rate::new(rate, burst);
                let mut bucket = 0;
                assert_eq!(rate.next_at(bucket, 0), None);
                rate.take(&mut bucket, u64::MAX, SECOND);
                rate.take(&mut bucket, 1, SECOND);
                assert!(rate.next_at(bucket, SECOND).is_none_or(|at| at > SECOND));
            }
        }
    }
}

//! A timer wheel: one entry per session that waits for something, nothing per message.

/// Milliseconds since the shard started.
pub(crate) type Millis = u64;

const SLOTS: usize = 512;
const TICK: Millis = 8;

/// One rotation is about four seconds; later entries are looked at once per rotation.
pub(crate) struct Wheel {
    buckets: Vec<Vec<Entry>>,
    /// INVARIANT: every entry due at or before `tick` has been handed out.
    tick: u64,
    entries: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) slot: u32,
    pub(crate) at: Millis,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Wheel { buckets: vec![Vec::new(); SLOTS], tick: 0, entries: 0 }
    }

    /// Adds an entry; it is handed out once, by the first `expire` after `at`.
    pub(crate) fn insert(&mut self, slot: u32, at: Millis) {
        let tick = (at / TICK + 1).max(self.tick + 1);
        self.buckets[tick as usize % SLOTS].push(Entry { slot, at });
        self.entries += 1;
    }

    /// Moves what is due at `now` into `due`.
    pub(crate) fn expire(&mut self, now: Millis, due: &mut Vec<Entry>) {
        let target = now / TICK;
        if target <= self.tick {
            return;
        }
        let steps = (target - self.tick).min(SLOTS as u64);
        for step in 1..=steps {
            let bucket = &mut self.buckets[(self.tick + step) as usize % SLOTS];
            if bucket.is_empty() {
                continue;
            }
            bucket.retain(|entry| {
                let keep = entry.at / TICK + 1 > target;
                if !keep {
                    due.push(*entry);
                }
                keep
            });
            if bucket.is_empty() && bucket.capacity() > 64 {
                *bucket = Vec::new();
            }
        }
        self.tick = target;
        self.entries -= due.len();
    }

    /// When `expire` should be called next; `None` while nothing waits.
    pub(crate) fn next(&self) -> Option<Millis> {
        if self.entries == 0 {
            return None;
        }
        let step = (1..=SLOTS as u64).find(|step| !self.buckets[(self.tick + step) as usize % SLOTS].is_empty())?;
        Some((self.tick + step) * TICK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(wheel: &mut Wheel, now: Millis) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        let mut slots: Vec<u32> = due.iter().map(|entry| entry.slot).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn an_entry_is_handed_out_once_and_never_early() {
        for at in [0, 1, 7, 8, 9, 4095, 4096, 5000, 20_000, 100_000] {
            let mut wheel = Wheel::new();
            wheel.insert(1, at);
            let mut now = 0;
            let mut seen = None;
            while seen.is_none() {
                let next = wheel.next().expect("an entry waits");
                assert!(next > now, "the wheel must move: {next} after {now}");
                now = next;
                if !expired(&mut wheel, now).is_empty() {
                    seen = Some(now);
                }
            }
            let seen = seen.unwrap();
            assert!(seen >= at && seen <= at + 2 * TICK, "due {at}, seen {seen}");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn a_long_sleep_hands_out_everything_that_was_due() {
        let mut wheel = Wheel::new();
        for slot in 0..1000 {
            wheel.insert(slot, Millis::from(slot) * 37);
        }
        assert_eq!(expired(&mut wheel, 1_000_000).len(), 1000);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn later_rotations_stay() {
        let mut wheel = Wheel::new();
        wheel.insert(1, 100);
        wheel.insert(2, 100 + SLOTS as u64 * TICK);
        assert_eq!(expired(&mut wheel, 200), [1]);
        assert_eq!(expired(&mut wheel, 4000), []);
        assert_eq!(expired(&mut wheel, 4300), [2]);
    }
}

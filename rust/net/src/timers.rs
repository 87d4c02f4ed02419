//! A timer wheel: one entry per session that waits for something, nothing per message.

/// Milliseconds since the shard started.
pub(crate) type Millis = u64;

const SLOTS: usize = 512;
const TICK: Millis = 8;

/// One rotation is about four seconds; later entries are looked at once per rotation.
pub(crate) struct Wheel {
    buckets: Vec<Vec<Entry>>,
    /// INVARIANT: bit n stands while bucket n has entries.
    /// Every turn asks for the next entry: it must not look through the buckets.
    occupied: [u64; SLOTS / 64],
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
        Wheel { buckets: vec![Vec::new(); SLOTS], occupied: [0; SLOTS / 64], tick: 0, entries: 0 }
    }

    /// Adds an entry; it is handed out once, by the first `expire` after `at`.
    pub(crate) fn insert(&mut self, slot: u32, at: Millis) {
        let tick = (at / TICK + 1).max(self.tick + 1);
        let bucket = tick as usize % SLOTS;
        self.buckets[bucket].push(Entry { slot, at });
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
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
            let number = (self.tick + step) as usize % SLOTS;
            let bucket = &mut self.buckets[number];
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
            if bucket.is_empty() {
                self.occupied[number / 64] &= !(1 << (number % 64));
                if bucket.capacity() > 64 {
                    *bucket = Vec::new();
                }
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
        let first = (self.tick + 1) as usize % SLOTS;
        let bucket = self.occupied_from(first).or_else(|| self.occupied_from(0))?;
        let steps = (bucket + SLOTS - first) % SLOTS;
        Some((self.tick + 1 + steps as u64) * TICK)
    }

    /// The first bucket from here to the end of the wheel that has entries.
    fn occupied_from(&self, bucket: usize) -> Option<usize> {
        let mut mask = u64::MAX << (bucket % 64);
        for word in bucket / 64..self.occupied.len() {
            let bits = self.occupied[word] & mask;
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
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
        assert!(expired(&mut wheel, 4000).is_empty());
        assert_eq!(expired(&mut wheel, 4300), [2]);
    }
}

//! How long the user's side takes: written by whoever calls the user's code, once per batch or second; read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Upper bounds of the histograms' buckets, in seconds. A last bucket takes the rest.
pub const BOUNDS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The beats of the event loop's timer that `Lag::recent_max` looks back on: a minute of them.
const BEATS: usize = 60;

/// Durations by size. Only the counts of the buckets are kept: their sum is the number of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.nanos.fetch_add(nanos(duration), Ordering::Relaxed);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// For each bound, and for all: how many durations were no longer.
    pub fn cumulative(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sum = 0;
        std::array::from_fn(|at| {
            sum += self.buckets[at].load(Ordering::Relaxed);
            sum
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.cumulative()[BOUNDS.len()]
    }

    /// All together, in seconds.
    pub fn sum(&self) -> f64 {
        self.nanos.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// The slowest run of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowest {
    /// Messages of one session in one batch, or one call.
    pub took: Duration,
    /// The number of the endpoint, as the settings list them.
    pub endpoint: usize,
    /// `"on_message"` and its like.
    pub handler: &'static str,
}

/// How late the event loop's timer runs.
#[derive(Debug)]
pub struct Lag {
    beats: Histogram,
    recent: [AtomicU64; BEATS],
    /// When the next beat is due, in nanoseconds since `started`; 0: none is.
    due: AtomicU64,
    started: Instant,
}

impl Default for Lag {
    fn default() -> Self {
        let recent = std::array::from_fn(|_| AtomicU64::new(0));
        Lag { beats: Histogram::default(), recent, due: AtomicU64::new(0), started: Instant::now() }
    }
}

impl Lag {
    /// The timer has run, if one was set; `next` is when it is due again, `None` at the end.
    pub fn beat(&self, next: Option<Duration>) {
        let now = nanos(self.started.elapsed());
        let next = next.map_or(0, |next| (now + nanos(next)).max(1));
        let due = self.due.swap(next, Ordering::Relaxed);
        if due == 0 {
            return;
        }
        let late = now.saturating_sub(due);
        let at = self.beats.count() as usize % BEATS;
        self.recent[at].store(late, Ordering::Relaxed);
        self.beats.add(Duration::from_nanos(late));
    }

    /// All beats.
    pub fn beats(&self) -> &Histogram {
        &self.beats
    }

    /// By how many seconds the beat that should have come is late at this moment.
    pub fn overdue(&self) -> f64 {
        match self.due.load(Ordering::Relaxed) {
            0 => 0.0,
            due => nanos(self.started.elapsed()).saturating_sub(due) as f64 / 1e9,
        }
    }

    /// The latest of the last sixty beats and the one that is due, in seconds.
    pub fn recent_max(&self) -> f64 {
        let most = self.recent.iter().map(|late| late.load(Ordering::Relaxed)).max().unwrap_or(0);
        (most as f64 / 1e9).max(self.overdue())
    }
}

/// What the user's side has taken since the server was made.
#[derive(Debug, Default)]
pub struct Times {
    passes: AtomicU64,
    pass_nanos: AtomicU64,
    slow: AtomicU64,
    slowest_nanos: AtomicU64,
    slowest: Mutex<Option<Slowest>>,
    /// From the moment that a shard hands a batch over until it is taken.
    pub handover: Histogram,
    /// Of the event loop's timer.
    pub lag: Lag,
}

impl Times {
    /// A pass over a batch of events is over: handlers were called, tasks were resumed.
    pub fn passed(&self, took: Duration) {
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.pass_nanos.fetch_add(nanos(took), Ordering::Relaxed);
    }

    /// A run of a handler is over.
    pub fn ran(&self, run: Slowest) {
        // PERF: once per session in a batch; nearly always this comparison is all.
        if nanos(run.took) > self.slowest_nanos.load(Ordering::Relaxed) {
            self.slowest_nanos.store(nanos(run.took), Ordering::Relaxed);
            *self.lock_slowest() = Some(run);
        }
    }

    /// That run was longer than the operator finds right.
    pub fn was_slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }

    /// Passes so far.
    pub fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }

    /// What they have taken, in seconds.
    pub fn pass_seconds(&self) -> f64 {
        self.pass_nanos.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// Runs that were too slow.
    pub fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// The slowest run so far.
    pub fn slowest(&self) -> Option<Slowest> {
        *self.lock_slowest()
    }

    fn lock_slowest(&self) -> MutexGuard<'_, Option<Slowest>> {
        self.slowest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_from_its_own_on() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 4_999, 5_001, 7_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        assert_eq!(histogram.cumulative(), [2, 3, 3, 4, 5, 5, 5, 5, 5, 5, 6]);
        assert_eq!(histogram.count(), 6);
        assert!((histogram.sum() - 7.010201).abs() < 1e-9);
    }

    #[test]
    fn only_a_slower_run_takes_the_place_of_the_slowest() {
        let times = Times::default();
        let run = |millis, handler| Slowest { took: Duration::from_millis(millis), endpoint: 0, handler };
        times.ran(run(2, "on_message"));
        times.ran(run(1, "on_close"));
        assert_eq!(times.slowest(), Some(run(2, "on_message")));
        times.ran(run(3, "on_close"));
        assert_eq!(times.slowest(), Some(run(3, "on_close")));
    }

    #[test]
    fn a_beat_is_late_by_what_has_passed_since_it_was_due() {
        let lag = Lag::default();
        lag.beat(Some(Duration::ZERO));
        assert_eq!(lag.beats().count(), 0, "the first one sets the clock");
        lag.beat(Some(Duration::ZERO));
        lag.beat(Some(Duration::from_secs(3600)));
        assert_eq!((lag.beats().count(), lag.overdue()), (2, 0.0));
        assert!(lag.beats().sum() > 0.0 && lag.recent_max() > 0.0 && lag.recent_max() <= lag.beats().sum());
        let late = lag.beats().sum();
        lag.beat(None);
        assert_eq!((lag.beats().count(), lag.beats().sum()), (3, late), "one that comes early is not late");
        assert_eq!(lag.overdue(), 0.0, "nothing is due after the end");
    }
}

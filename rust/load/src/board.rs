//! What the threads of a run share: the stage that it is in, and what each has counted.
//!
//! The conductor gives orders (a stage, and a tick within it); each thread obeys after the turn that it is in, hands over
//! what it has counted since the last order, and goes on. Between orders the threads share nothing, except for the
//! deliveries of broadcasts.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::Waker;

use crate::error::Error;
use crate::tally::Tally;

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Connections are opened.
    Connecting,
    /// Broadcast: a call has to reach every connection once.
    Gathering,
    /// Load that is not measured.
    WarmingUp,
    /// The measured window.
    Measuring,
    /// The last replies.
    Draining,
    /// Over.
    Over,
}

const STAGES: [Stage; 6] =
    [Stage::Connecting, Stage::Gathering, Stage::WarmingUp, Stage::Measuring, Stage::Draining, Stage::Over];

/// A stage in the upper half, a tick in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order(u64);

impl Order {
    pub(crate) fn stage(self) -> Stage {
        STAGES[(self.0 >> 32) as usize % STAGES.len()]
    }
}

/// The state of one thread, to be read by the conductor at any time.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// Open connections.
    pub(crate) open: AtomicUsize,
    /// Replies or deliveries to come.
    pub(crate) awaited: AtomicU64,
    /// The thread has all it is to have: all connections open, or all back after a storm (then, that storm's number).
    pub(crate) ready: AtomicU64,
    /// When it became so, in nanoseconds since the run began.
    pub(crate) ready_at: AtomicU64,
}

/// Broadcasts, which are sent by one thread and received by all.
#[derive(Debug, Default)]
pub(crate) struct Airwaves {
    /// How many messages each sender has sent.
    pub(crate) published: Vec<AtomicU64>,
    /// Their deliveries.
    pub(crate) delivered: Vec<AtomicU64>,
    /// How many deliveries let the sender go on.
    pub(crate) wanted: Vec<AtomicU64>,
    /// Connections that have heard a roll call.
    pub(crate) heard: AtomicUsize,
}

impl Airwaves {
    pub(crate) fn new(senders: usize) -> Airwaves {
        let zeros = || (0..senders).map(|_| AtomicU64::new(0)).collect();
        Airwaves { published: zeros(), delivered: zeros(), wanted: zeros(), heard: AtomicUsize::new(0) }
    }
}

/// What is shared.
#[derive(Debug)]
pub(crate) struct Board {
    /// When the run began.
    pub(crate) epoch: Instant,
    order: AtomicU64,
    wakers: Vec<Waker>,
    pub(crate) gauges: Vec<Gauges>,
    pub(crate) airwaves: Airwaves,
    /// The number of the storm that is to be, from 1 on.
    pub(crate) storm: AtomicU64,
    stop: AtomicBool,
    desk: Mutex<Desk>,
    news: Condvar,
}

/// What the threads hand over.
#[derive(Debug, Default)]
struct Desk {
    tallies: Vec<(usize, Stage, Tally)>,
    /// The last order that each thread has obeyed.
    obeyed: Vec<u64>,
    error: Option<Error>,
}

impl Board {
    pub(crate) fn new(epoch: Instant, wakers: Vec<Waker>, senders: usize) -> Board {
        let threads = wakers.len();
        Board {
            epoch,
            order: AtomicU64::new(0),
            wakers,
            gauges: (0..threads).map(|_| Gauges::default()).collect(),
            airwaves: Airwaves::new(senders),
            storm: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            desk: Mutex::new(Desk { obeyed: vec![0; threads], ..Desk::default() }),
            news: Condvar::new(),
        }
    }

    /// The order in force.
    pub(crate) fn order(&self) -> Order {
        Order(self.order.load(Ordering::Acquire))
    }

    /// Gives an order and waits, for `patience` at most, until all have obeyed and handed over.
    pub(crate) fn command(&self, stage: Stage, patience: Duration) -> Vec<(usize, Stage, Tally)> {
        let tick = self.order.load(Ordering::Relaxed) as u32 + 1;
        let order = (stage as u64) << 32 | u64::from(tick);
        self.order.store(order, Ordering::Release);
        self.wakers.iter().for_each(wake);
        let late = |desk: &mut Desk| desk.error.is_none() && desk.obeyed.iter().any(|obeyed| *obeyed < order);
        let waited = self.news.wait_timeout_while(self.desk(), patience, late);
        let (mut desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut desk.tallies)
    }

    /// A thread hands over what it has counted in `stage`, and has obeyed `order`.
    pub(crate) fn hand_over(&self, thread: usize, stage: Stage, tally: Tally, order: Order) {
        let mut desk = self.desk();
        desk.tallies.push((thread, stage, tally));
        desk.obeyed[thread] = order.0;
        self.news.notify_all();
    }

    /// A thread has ended and will obey nothing more.
    pub(crate) fn leave(&self, thread: usize) {
        self.desk().obeyed[thread] = u64::MAX;
        self.news.notify_all();
    }

    /// A thread cannot go on. The first error counts.
    pub(crate) fn fail(&self, error: Error) {
        self.desk().error.get_or_insert(error);
        self.news.notify_all();
    }

    pub(crate) fn take_error(&self) -> Option<Error> {
        self.desk().error.take()
    }

    /// Waits until something may have changed.
    pub(crate) fn wait(&self, time: Duration) {
        let desk = self.desk();
        if desk.error.is_none() && !self.is_stopped() {
            drop(self.news.wait_timeout(desk, time));
        }
    }

    /// A gauge has reached what the conductor may be waiting for.
    pub(crate) fn tell(&self) {
        drop(self.desk());
        self.news.notify_all();
    }

    /// The caller wants no more.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.tell();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Ends the turn of a thread.
    pub(crate) fn wake(&self, thread: usize) {
        wake(&self.wakers[thread]);
    }

    /// Ends the turn of all threads.
    pub(crate) fn wake_all(&self) {
        self.wakers.iter().for_each(wake);
    }

    /// Open connections of all threads.
    pub(crate) fn open(&self) -> usize {
        self.gauges.iter().map(|gauges| gauges.open.load(Ordering::Relaxed)).sum()
    }

    /// Replies or deliveries to come.
    pub(crate) fn awaited(&self) -> u64 {
        self.gauges.iter().map(|gauges| gauges.awaited.load(Ordering::Relaxed)).sum()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A thread that panicked is told as an error; what it has handed over is whole.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: &Waker) {
    // It writes to an eventfd of ours. If that could not be done the thread would look at the order a little later.
    let _ = waker.wake();
}

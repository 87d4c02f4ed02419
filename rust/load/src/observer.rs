//! Tells the caller how a run goes on, a few times a second, and lets it end the run.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// `opening`, `roll call`, `warming up`, `measuring`, `holding` or `draining`.
    pub stage: &'static str,
    /// Connections that are open in the stage `opening`; else messages, deliveries or handshakes since the stage began.
    pub count: u64,
    /// How long the stage has lasted.
    pub elapsed: Duration,
}

/// The caller's function and when to call it next.
pub(crate) struct Observer<'f> {
    call: &'f mut dyn FnMut(&Progress) -> ControlFlow<()>,
    stage: &'static str,
    began: Instant,
    next: Instant,
}

/// How often the caller hears of the run.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

impl<'f> Observer<'f> {
    pub(crate) fn new(call: &'f mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Observer<'f> {
        let now = Instant::now();
        Observer { call, stage: "", began: now, next: now }
    }

    /// Tells the caller if it is time to; fails if it wants no more.
    pub(crate) fn tell(&mut self, stage: &'static str, count: u64) -> Result<(), Error> {
        let now = Instant::now();
        if stage != self.stage {
            self.stage = stage;
            self.began = now;
        } else if now < self.next {
            return Ok(());
        }
        self.next = now + INTERVAL;
        match (self.call)(&Progress { stage, count, elapsed: now - self.began }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }
}

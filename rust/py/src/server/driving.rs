//! The turns of a server in the event loop: what has happened is dispatched, what was sent is written, and when to come back.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::Server;
use crate::core::{Runtime, lock};
use crate::dispatch::{PASS_TIME, Progress, survive};
use crate::errors;
use crate::home::{self, Home, Way};
use crate::inbox::Batch;
use crate::waiting::Waiter;

/// Batches of other threads that are worked through in one turn of the loop.
const BATCHES: usize = 64;

/// A batch in the middle of its dispatch, and the shard thread that it came from.
pub(super) struct Unfinished {
    progress: Progress,
    shard: Option<usize>,
}

pub(super) struct Timer {
    at: Instant,
    /// Has `cancel()`.
    pub(super) handle: Py<PyAny>,
}

impl Server {
    /// Turns of the shard on this thread, as long as there is something to read and time is left. Gives when to come
    /// back.
    pub(super) fn turn_inline(&self, py: Python<'_>) -> PyResult<Option<Duration>> {
        let started = Instant::now();
        loop {
            let mut progress = self.read_inline()?;
            let dispatched = progress.dispatch(py, &self.core);
            let wait = self.flush_home();
            let done = progress.is_done();
            if done {
                self.take_back(progress.batch);
            } else {
                self.put_off(Unfinished { progress, shard: None });
            }
            dispatched.and(self.wake_flushed(py))?;
            if done && wait != Some(Duration::ZERO) {
                return Ok(wait);
            }
            if !done || started.elapsed() > PASS_TIME {
                return Ok(Some(Duration::ZERO));
            }
        }
    }

    /// Reads what is there, unless the last pass has left something to be dispatched: the inbox stays small.
    fn read_inline(&self) -> PyResult<Progress> {
        let unfinished = lock(&self.unfinished).take();
        let batch = home::with(self.core.key(), |home| {
            home.scheduled = true;
            match &mut home.way {
                Way::Inline { shard, events } if unfinished.is_none() => {
                    shard.turn(events, Some(Duration::ZERO))?;
                    Ok(std::mem::replace(events, Batch::attached()))
                }
                _ => Ok(Batch::default()),
            }
        });
        match (unfinished, batch) {
            (Some(unfinished), _) => Ok(unfinished.progress),
            (None, batch) => Ok(Progress::new(batch.unwrap_or_else(|| Ok(Batch::default())).map_err(errors::os)?)),
        }
    }

    /// Keeps a batch's memory for the next turn.
    fn take_back(&self, mut batch: Batch) {
        batch.clear();
        home::with(self.core.key(), |home| match &mut home.way {
            Way::Inline { events, .. } if events.is_empty() => *events = batch,
            _ => {}
        });
    }

    /// Works through what the shards' threads have sent. Gives when to come back.
    pub(super) fn turn_remote(&self, py: Python<'_>) -> PyResult<Option<Duration>> {
        home::with(self.core.key(), |home| home.scheduled = true);
        if let Some(inbox) = &*lock(&self.inbox) {
            inbox.answer_bell();
        }
        let mut again = None;
        let mut dispatched = Ok(());
        for round in 0.. {
            let Some(mut unfinished) = self.next_batch() else { break };
            dispatched = unfinished.progress.dispatch(py, &self.core);
            let done = unfinished.progress.is_done();
            match (done, unfinished.shard) {
                (true, Some(shard)) => self.give_back(shard, unfinished.progress.batch),
                (true, None) => {}
                (false, _) => self.put_off(unfinished),
            }
            if !done || dispatched.is_err() || round == BATCHES {
                again = Some(Duration::ZERO);
                break;
            }
        }
        self.flush_home();
        dispatched.and(self.wake_flushed(py))?;
        Ok(again)
    }

    /// Gives a batch's memory back to the shard that filled it. Nothing of Python's is left in it.
    fn give_back(&self, shard: usize, batch: Batch) {
        if let Some(inbox) = &*lock(&self.inbox) {
            inbox.give_back(shard, batch);
        }
    }

    /// The next pass goes on with it.
    fn put_off(&self, unfinished: Unfinished) {
        let before = lock(&self.unfinished).replace(unfinished);
        drop(before);
    }

    fn next_batch(&self) -> Option<Unfinished> {
        lock(&self.unfinished).take().or_else(|| {
            let filled = lock(&self.inbox).as_ref()?.next()?;
            self.core.server.times().handover.add(filled.at.elapsed());
            Some(Unfinished { progress: Progress::new(filled.batch), shard: Some(filled.shard) })
        })
    }

    /// Writes or posts what was sent. Gives when a further turn is needed.
    pub(super) fn flush_home(&self) -> Option<Duration> {
        let flushed = home::with(self.core.key(), |home| {
            home.scheduled = false;
            self.core.catch_up(home);
            self.core.introduce(home);
            self.write_out(home)
        });
        flushed.flatten()
    }

    /// The same in the middle of a handler.
    pub(super) fn flush_handler(&self) -> Option<Duration> {
        let flushed = home::with(self.core.key(), |home| {
            self.core.catch_up(home);
            self.write_out(home)
        });
        flushed.flatten()
    }

    fn write_out(&self, home: &mut Home) -> Option<Duration> {
        match &mut home.way {
            Way::Remote => {
                self.core.post_collected();
                None
            }
            Way::Inline { shard, events } => {
                shard.obey_posted(events);
                shard.flush(events);
                let outlook = shard.outlook();
                let again = outlook.again || !events.is_empty() || shard.has_unflushed();
                if again { Some(Duration::ZERO) } else { outlook.wait }
            }
        }
    }

    /// Sees to it that the next turn comes in time.
    pub(super) fn come_back(&self, py: Python<'_>, wait: Option<Duration>) -> PyResult<()> {
        match (wait, self.core.runtime_to_call()) {
            (None, _) | (_, None) => Ok(()),
            (Some(Duration::ZERO), Some(runtime)) => runtime.call_soon.call1(py, (&runtime.turn,)).map(drop),
            (Some(wait), Some(runtime)) => self.arm(py, &runtime, wait),
        }
    }

    pub(super) fn wake_flushed(&self, py: Python<'_>) -> PyResult<()> {
        let waiting = lock(&self.core.flushes).take();
        let mut result = Ok(());
        for waiter in waiting {
            result = result.and(survive(py, Waiter::wake(&waiter, py)));
        }
        result
    }

    /// Sees to it that `tick` is called after `wait`, unless it is called before anyway.
    fn arm(&self, py: Python<'_>, runtime: &Runtime, wait: Duration) -> PyResult<()> {
        let at = Instant::now() + wait;
        if lock(&self.timer).as_ref().is_some_and(|timer| timer.at <= at + Duration::from_millis(1)) {
            return Ok(());
        }
        let handle = runtime.call_later.call1(py, (wait.as_secs_f64(), &runtime.tick))?;
        let before = lock(&self.timer).replace(Timer { at, handle });
        cancel(py, before.map(|timer| timer.handle))
    }
}

pub(super) fn cancel(py: Python<'_>, handle: Option<Py<PyAny>>) -> PyResult<()> {
    match handle {
        Some(handle) => handle.call_method0(py, "cancel").map(drop),
        None => Ok(()),
    }
}

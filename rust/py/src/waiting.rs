//! What `await` meets.
//!
//! On asyncio and uvloop a task that waits is given a [`Waiter`], which has the interface of a future: the task
//! registers its wake-up with it. PERF: the wake-up is then called straight from the batch that brings the
//! message; no future is made, no handle queued. On trio `hubbub._bridge.park` awaits instead, with the same
//! awaitables and the same waiter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hubbub_net::Command;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;
use pyo3::{PyTraverseError, intern};

use crate::core::{Core, Runtime, lock};
use crate::errors;
use crate::place::{Place, Waiters};
use crate::session::Session;

/// Stands for a future, to the task that waits. Used again and again by the same session.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Waiter {
    core: Arc<Core>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blocking: bool,
    wakeup: Option<Wakeup>,
    cancelled: bool,
    /// What the cancellation says about itself: anyio knows its own by it.
    message: Option<Py<PyAny>>,
}

struct Wakeup {
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

impl Waiter {
    pub(crate) fn new(py: Python<'_>, core: &Arc<Core>) -> PyResult<Py<Waiter>> {
        Py::new(py, Waiter { core: core.clone(), state: Mutex::default() })
    }

    /// Gets ready to be yielded to a task.
    pub(crate) fn arm(&self) {
        let before = std::mem::replace(&mut *lock(&self.state), State { blocking: true, ..State::default() });
        drop(before);
    }

    /// A task waits here.
    pub(crate) fn is_waiting(&self) -> bool {
        lock(&self.state).wakeup.is_some()
    }

    /// Runs the task that waits here, now: only where no task is running, as in the dispatch of a batch.
    pub(crate) fn wake(slf: &Py<Self>, py: Python<'_>) -> PyResult<()> {
        let wakeup = lock(&slf.get().state).wakeup.take();
        match wakeup {
            None => Ok(()),
            Some(Wakeup { callback, context: None }) => callback.call1(py, (slf,)).map(drop),
            Some(Wakeup { callback, context: Some(context) }) => {
                context.call_method1(py, intern!(py, "run"), (callback, slf)).map(drop)
            }
        }
    }

    /// Lets the task that waits here run in the loop's next turn.
    pub(crate) fn wake_soon(slf: &Py<Self>, py: Python<'_>) -> PyResult<bool> {
        let Some(Wakeup { callback, context }) = lock(&slf.get().state).wakeup.take() else { return Ok(false) };
        let Some(runtime) = slf.get().core.runtime_to_call() else { return Ok(false) };
        let context = context.map(|context| [("context", context)].into_py_dict(py)).transpose()?;
        runtime.call_soon.bind(py).call((callback, slf), context.as_ref())?;
        Ok(true)
    }
}

#[pymethods]
impl Waiter {
    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        lock(&self.state).blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        lock(&self.state).blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.core.runtime().map(|runtime| runtime.event_loop.clone_ref(py)).ok_or_else(errors::not_started)
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(&self, callback: Py<PyAny>, context: Option<Py<PyAny>>) {
        let before = lock(&self.state).wakeup.replace(Wakeup { callback, context });
        drop(before);
    }

    fn remove_done_callback(&self, callback: &Bound<'_, PyAny>) -> usize {
        let wakeup = lock(&self.state).wakeup.take_if(|wakeup| wakeup.callback.is(callback));
        usize::from(wakeup.is_some())
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(slf: Py<Self>, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        if !slf.get().is_waiting() {
            return Ok(false);
        }
        let before = {
            let mut state = lock(&slf.get().state);
            state.cancelled = true;
            std::mem::replace(&mut state.message, msg)
        };
        drop(before);
        Waiter::wake_soon(&slf, py)
    }

    /// Nobody waits here any more (trio: the task was cancelled).
    fn forget(&self) {
        let wakeup = lock(&self.state).wakeup.take();
        drop(wakeup);
    }

    fn cancelled(&self) -> bool {
        lock(&self.state).cancelled
    }

    fn done(&self) -> bool {
        !self.is_waiting()
    }

    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let (cancelled, message) = {
            let mut state = lock(&self.state);
            (state.cancelled, state.message.take())
        };
        if cancelled { Err(errors::cancelled(py, message)) } else { Ok(()) }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(state) = self.state.try_lock()
            && let Some(wakeup) = &state.wakeup
        {
            visit.call(&wakeup.callback)?;
            visit.call(&wakeup.context)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.forget();
    }
}

/// What a session's tasks wait for. Made when the first of them does.
#[derive(Default)]
pub(crate) struct Waits {
    /// Messages that came and that nobody has received yet.
    pub(crate) queue: VecDeque<(Py<PyAny>, usize)>,
    /// The task that waits for a message.
    pub(crate) receiver: Option<Py<Waiter>>,
    /// What `__anext__` gives, always the same.
    pub(crate) next: Option<Py<Recv>>,
    pub(crate) draining: Waiters,
    pub(crate) closing: Waiters,
    pings: Vec<Arc<Ping>>,
    /// With so many pings, those that nobody waits for are looked for.
    sweep_at: usize,
}

/// So many pings are kept, the newest, although nobody waits for them: their round trip is the session's latency.
const KEEP_PINGS: usize = 4;

/// A ping whose pong is awaited.
pub(crate) struct Ping {
    pub(crate) payload: Vec<u8>,
    pub(crate) sent: Instant,
    /// Seconds.
    pub(crate) latency: Mutex<Option<f64>>,
    pub(crate) waiter: Place<Waiter>,
}

/// Awaits the next message of a session.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Recv {
    session: Py<Session>,
    /// An orderly end is `StopAsyncIteration` (`async for`), not `ConnectionClosedOK` (`recv`).
    iterating: bool,
}

impl Recv {
    pub(crate) fn new(session: Py<Session>, iterating: bool) -> Self {
        Recv { session, iterating }
    }

    fn ended(&self, py: Python<'_>) -> Option<PyErr> {
        let closed = self.session.get().end()?;
        Some(match self.iterating && errors::is_ok(closed.code()) {
            true => PyStopAsyncIteration::new_err(()),
            false => errors::connection_closed(py, &self.session.get().public_name(), closed),
        })
    }
}

#[pymethods]
impl Recv {
    fn __await__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        iterate(slf.get().session.get().core(), py, slf.clone_ref(py).into_any())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        let message = self.session.get().waits().as_mut().and_then(|waits| waits.queue.pop_front());
        if let Some((data, len)) = message {
            self.session.get().consumed(py, 1, len);
            return Err(PyStopIteration::new_err((data,)));
        }
        if let Some(error) = self.ended(py) {
            self.session.get().notice_end(py);
            return Err(error);
        }
        self.session.get().leave_if_asked(py);
        self.session.get().receiver(py).map(Some)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.session)
    }
}

/// Awaits something else of a session.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Wait {
    session: Py<Session>,
    what: What,
}

pub(crate) enum What {
    /// The outbox has shrunk to the low-water mark, or the session has ended.
    Drain,
    /// The session has ended.
    Close,
    /// The pong has come; the result is the round trip in seconds.
    Pong(Arc<Ping>),
}

impl Wait {
    pub(crate) fn new(session: Py<Session>, what: What) -> Self {
        Wait { session, what }
    }

    /// `Ok(None)`: it has come.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        let core = self.session.get().core();
        let ended = self.session.get().end();
        match &self.what {
            What::Drain => {
                if ended.is_some() || !self.session.get().link().wait_for_drain(self.session.get().low_water_bytes()) {
                    return Ok(None);
                }
                park_in(py, core, |waiter| self.session.get().waits().get_or_insert_default().draining.add(waiter))
            }
            What::Close => {
                if ended.is_some() {
                    return Ok(None);
                }
                park_in(py, core, |waiter| self.session.get().waits().get_or_insert_default().closing.add(waiter))
            }
            What::Pong(ping) => {
                if let Some(latency) = *lock(&ping.latency) {
                    return Err(PyStopIteration::new_err((latency,)));
                }
                if let Some(closed) = ended {
                    self.session.get().notice_end(py);
                    return Err(errors::connection_closed(py, &self.session.get().public_name(), closed));
                }
                park_in(py, core, |waiter| {
                    ping.waiter.put(waiter);
                    Vec::new()
                })
            }
        }
    }
}

impl Waits {
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.receiver)?;
        visit.call(&self.next)?;
        self.queue.iter().try_for_each(|(data, _)| visit.call(data))?;
        self.draining.traverse(visit)?;
        self.closing.traverse(visit)
    }

    /// Waits for the pong to a ping. Gives those pings that nobody waits for any more: to be dropped when no lock is held.
    #[must_use]
    pub(crate) fn add_ping(&mut self, ping: Arc<Ping>) -> Vec<Arc<Ping>> {
        let mut gone = Vec::new();
        if self.pings.len() >= self.sweep_at.max(2 * KEEP_PINGS) {
            let newest = self.pings.len() - KEEP_PINGS;
            for (at, ping) in std::mem::take(&mut self.pings).into_iter().enumerate() {
                let kept = at >= newest || Arc::strong_count(&ping) > 1;
                if kept { &mut self.pings } else { &mut gone }.push(ping);
            }
            self.sweep_at = 2 * self.pings.len();
        }
        self.pings.push(ping);
        gone
    }

    /// The pings that a pong with this payload answers. RFC 6455 §5.5.3: the peer may answer the most recent ping only, so
    /// earlier ones are answered too.
    #[must_use]
    pub(crate) fn answered(&mut self, payload: &[u8]) -> Vec<Arc<Ping>> {
        match self.pings.iter().position(|ping| *ping.payload == *payload) {
            Some(at) => self.pings.drain(..=at).collect(),
            None => Vec::new(),
        }
    }

    /// All pings.
    #[must_use]
    pub(crate) fn take_pings(&mut self) -> Vec<Arc<Ping>> {
        std::mem::take(&mut self.pings)
    }
}

#[pymethods]
impl Wait {
    fn __await__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        iterate(slf.get().session.get().core(), py, slf.clone_ref(py).into_any())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        self.poll(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.session)
    }
}

/// Awaits nothing: what is given when there is nothing to wait for.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Done;

#[pymethods]
impl Done {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<()> {
        None
    }
}

/// The iterator that an `await` on this object goes through.
pub(crate) fn iterate(core: &Core, py: Python<'_>, awaitable: Py<PyAny>) -> PyResult<Py<PyAny>> {
    if !core.parks() {
        return Ok(awaitable);
    }
    match core.runtime().as_deref() {
        Some(Runtime { park: Some(park), .. }) => park.call1(py, (awaitable,)),
        _ => Ok(awaitable),
    }
}

/// A fresh waiter, kept by `keep` and yielded to the task. `keep` gives those that are not needed any more.
pub(crate) fn park_in(
    py: Python<'_>,
    core: &Arc<Core>,
    keep: impl FnOnce(Py<Waiter>) -> Vec<Py<Waiter>>,
) -> PyResult<Option<Py<Waiter>>> {
    let waiter = Waiter::new(py, core)?;
    waiter.get().arm();
    let gone = keep(waiter.clone_ref(py));
    drop(gone);
    Ok(Some(waiter))
}

impl Session {
    /// The waiter for the session's next message, armed. INVARIANT: no lock is held while Python code may run.
    fn receiver(&self, py: Python<'_>) -> PyResult<Py<Waiter>> {
        let kept = self.waits().as_ref().and_then(|waits| Some(waits.receiver.as_ref()?.clone_ref(py)));
        let waiter = match kept {
            Some(waiter) if waiter.get().is_waiting() => return Err(errors::concurrent_recv(py)),
            Some(waiter) => waiter,
            None => {
                let waiter = Waiter::new(py, self.core())?;
                let before = self.waits().get_or_insert_default().receiver.replace(waiter.clone_ref(py));
                drop(before);
                waiter
            }
        };
        waiter.get().arm();
        Ok(waiter)
    }

    /// Says that the user has consumed messages; a paused session is read again when there is room.
    pub(crate) fn consumed(&self, py: Python<'_>, messages: u32, bytes: usize) {
        if self.link().consumed(messages, bytes, &self.core().server.settings().limits) {
            self.core().post(py, self.link().id().shard(), Command::Resume(self.link().id()));
        }
    }
}

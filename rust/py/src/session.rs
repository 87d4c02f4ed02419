//! A session as Python holds it: the base of `hubbub.WebSocket`.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use hubbub_net::proto::close::{CloseCode, MAX_REASON_BYTES};
use hubbub_net::{Closed, Command, Joined, Link, Request, SessionId};
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyString, PyWeakrefMethods};

use crate::buffers;
use crate::core::{Core, lock};
use crate::opening::{Opening, remote_address};
use crate::waiting::{Done, Ping, Recv, Wait, Waits, What};
use crate::{errors, objects};

/// What a session consists of, without the Python object around it.
pub(crate) struct Inner {
    link: Arc<Link>,
    core: Arc<Core>,
    pub(crate) endpoint: usize,
    request: Arc<Request>,
    end: OnceLock<Box<Closed>>,
    /// The Close frame that was asked for here.
    goodbye: OnceLock<Box<(CloseCode, String)>>,
    waits: Mutex<Option<Box<Waits>>>,
    /// The server is stopping: close as soon as the handler waits for a message again.
    leaving: AtomicBool,
    /// The handler has met the end: a send or a receive has raised.
    noticed: AtomicBool,
}

impl Inner {
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// How it ended, once it has.
    pub(crate) fn end(&self) -> Option<&Closed> {
        self.end.get().map(|closed| &**closed)
    }

    pub(crate) fn set_end(&self, closed: Box<Closed>) {
        // It is told once; a second time would be the shard's error and changes nothing.
        let _ = self.end.set(closed);
    }

    pub(crate) fn waits(&self) -> MutexGuard<'_, Option<Box<Waits>>> {
        lock(&self.waits)
    }

    /// The handler has turned away from this session: what still comes from it is not delivered.
    pub(crate) fn said_goodbye(&self) -> bool {
        self.goodbye.get().is_some()
    }

    pub(crate) fn low_water_bytes(&self) -> usize {
        self.core.server.settings().limits.high_water_bytes / 2
    }

    pub(crate) fn close(&self, py: Python<'_>, code: CloseCode, reason: &str) {
        if self.end().is_none() && self.goodbye.set(Box::new((code, reason.to_owned()))).is_ok() {
            let id = self.link.id();
            self.core.post(py, id.shard(), Command::Close(id, code, reason.to_owned()));
        }
    }

    /// The server is stopping: closes now if the session is idle, else when its handler comes back for more.
    pub(crate) fn leave(&self, py: Python<'_>) {
        let in_task = self.core.user().is_some_and(|user| user.endpoints[self.endpoint].start.is_some());
        let receiving = |waits: &Waits| waits.receiver.as_ref().is_some_and(|waiter| waiter.get().is_waiting());
        let idle = !in_task || self.waits().as_deref().is_some_and(receiving);
        if idle {
            self.close(py, CloseCode::GOING_AWAY, "");
        } else {
            self.leaving.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn leave_if_asked(&self, py: Python<'_>) {
        if self.leaving.load(Ordering::SeqCst) {
            self.close(py, CloseCode::GOING_AWAY, "");
        }
    }

    pub(crate) fn notice_end(&self) {
        self.noticed.store(true, Ordering::Relaxed);
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        self.notice_end();
        match self.end() {
            Some(closed) => errors::connection_closed(py, closed),
            None => errors::connection_closing(py, self.goodbye.get().map(|goodbye| &**goodbye)),
        }
    }
}

/// One session. Made by the server only.
#[pyclass(subclass, frozen, weakref, module = "hubbub._core")]
pub struct Session {
    inner: Arc<Inner>,
    state: Mutex<Option<Py<PyAny>>>,
    request: Mutex<Option<Py<PyAny>>>,
}

/// What a session is made of: only the server has one.
#[pyclass(frozen, module = "hubbub._core")]
pub(crate) struct Seed(Mutex<Option<Sown>>);

type Sown = (Arc<Inner>, Option<Py<PyAny>>);

impl Session {
    /// Makes the Python object of a session that has just been opened.
    pub(crate) fn make(
        py: Python<'_>,
        core: &Arc<Core>,
        session_type: &Py<PyAny>,
        link: Arc<Link>,
        request: Arc<Request>,
        object: Option<Py<PyAny>>,
    ) -> PyResult<Py<Session>> {
        let inner = Inner {
            link,
            core: core.clone(),
            endpoint: request.endpoint,
            request,
            end: OnceLock::new(),
            goodbye: OnceLock::new(),
            waits: Mutex::default(),
            leaving: AtomicBool::new(false),
            noticed: AtomicBool::new(false),
        };
        let seed = Seed(Mutex::new(Some((Arc::new(inner), object))));
        let made = session_type.bind(py).call1((seed,))?;
        Ok(made.cast_into::<Session>()?.unbind())
    }

    pub(crate) fn id(&self) -> SessionId {
        self.inner.link.id()
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

#[pymethods]
impl Session {
    #[new]
    fn new(py: Python<'_>, seed: &Seed) -> PyResult<Self> {
        let (inner, request) = lock(&seed.0).take().ok_or_else(errors::not_started)?;
        // What on_request has attached to the request is the session's from now on.
        let state = request.as_ref().map(|request| request.getattr(py, "state")).transpose()?;
        Ok(Session { inner, state: Mutex::new(state), request: Mutex::new(request) })
    }

    // ---- out

    /// Sends a message, at once; await the result to wait while the peer is slow.
    ///
    /// `str` is sent as a text message, `bytes`, `bytearray` and contiguous `memoryview` as a binary one.
    /// The awaitable is done as soon as at most `Limits.high_water_bytes` wait to be written; beyond that it
    /// waits until half of them are. It may be ignored. From any thread; awaiting belongs to the hub's event loop.
    ///
    /// `compress=False` sends it as it is even if compression was agreed on.
    ///
    /// Raises `ConnectionClosed` when the session is closing or closed, `TypeError` for any other type of data,
    /// `UnicodeEncodeError` for a `str` with lone surrogates (RFC 6455 §5.6).
    #[pyo3(signature = (data, *, compress = true))]
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, compress: bool) -> PyResult<Py<PyAny>> {
        if self.inner.link.is_closing() || self.inner.said_goodbye() {
            return Err(self.inner.closed_error(py));
        }
        let link = &self.inner.link;
        let waiting = buffers::with_message(data, |message| self.inner.core.send(py, link, message, compress))?;
        if waiting <= self.inner.core.server.settings().limits.high_water_bytes {
            return done(py);
        }
        Ok(Py::new(py, Wait::new(self.inner.clone(), What::Drain))?.into_any())
    }

    /// Closes the session; await the result to wait until it has ended.
    ///
    /// `code` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; `reason` has at most 123 bytes in UTF-8. What was sent
    /// before is still delivered; messages that come from now on are not. The peer has `Limits.close_timeout` seconds
    /// to answer. Closing again changes nothing.
    ///
    /// Raises `ValueError` for any other code and for a longer reason (RFC 6455 §7.1.2, §7.4).
    #[pyo3(signature = (code = 1000, reason = ""))]
    fn close(&self, py: Python<'_>, code: i64, reason: &str) -> PyResult<Py<PyAny>> {
        let sent = u16::try_from(code).ok().map(CloseCode).filter(|code| code.may_be_sent());
        let sent = sent.ok_or_else(|| errors::wrong_close_code(code))?;
        if reason.len() > MAX_REASON_BYTES {
            return Err(errors::long_close_reason(reason.len()));
        }
        self.inner.close(py, sent, reason);
        Ok(Py::new(py, Wait::new(self.inner.clone(), What::Close))?.into_any())
    }

    /// Drops the connection, without a Close frame: the peer and `on_close` see 1006 (RFC 6455 §7.1.7).
    fn abort(&self, py: Python<'_>) {
        self.inner.core.post(py, self.id().shard(), Command::Abort(self.id()));
    }

    /// Sends a ping; await the result for the round trip in seconds.
    ///
    /// `data` has at most 125 bytes; without it the payload is one that no other ping of this process has.
    ///
    /// Raises `ConnectionClosed`, here or when awaited, if the session ends before the pong comes, `ValueError` for more
    /// than 125 bytes, `TypeError` for anything but `str` and bytes (RFC 6455 §5.5.2).
    #[pyo3(signature = (data = None))]
    fn ping(&self, py: Python<'_>, data: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        if self.inner.link.is_closing() || self.inner.said_goodbye() {
            return Err(self.inner.closed_error(py));
        }
        let payload = match data {
            None => ping_payload(),
            Some(data) => match data.cast::<PyString>() {
                Ok(text) => text.to_str()?.as_bytes().to_vec(),
                Err(_) => buffers::copy(data)?,
            },
        };
        if payload.len() > 125 {
            return Err(errors::long_ping(payload.len()));
        }
        let ping = Arc::new(Ping {
            payload: payload.clone(),
            sent: Instant::now(),
            latency: Mutex::default(),
            waiter: Mutex::default(),
        });
        self.inner.waits().get_or_insert_default().pings.push(ping.clone());
        self.inner.link.wait_for_pong();
        self.inner.core.post(py, self.id().shard(), Command::Ping(self.id(), payload));
        Ok(Py::new(py, Wait::new(self.inner.clone(), What::Pong(ping)))?.into_any())
    }

    // ---- in

    fn _recv(&self) -> Recv {
        Recv::new(self.inner.clone(), false)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> PyResult<Py<Recv>> {
        let kept = self.inner.waits().as_ref().and_then(|waits| Some(waits.next.as_ref()?.clone_ref(py)));
        if let Some(next) = kept {
            return Ok(next);
        }
        let next = Py::new(py, Recv::new(self.inner.clone(), true))?;
        self.inner.waits().get_or_insert_default().next = Some(next.clone_ref(py));
        Ok(next)
    }

    // ---- rooms

    /// Puts the session into a room; it gets what is broadcast there from now on. Joining twice changes nothing.
    ///
    /// Raises `ConnectionClosed` when the session has ended, `TypeError` if the name is not `str`.
    fn join(&self, py: Python<'_>, room: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = room_name(room)?;
        match self.inner.core.server.directory().join(&self.inner.link, name.to_str()?) {
            Joined::Now(name) => self.inner.core.post_now(py, self.id().shard(), Command::Join(self.id(), name)),
            Joined::Already => {}
            Joined::Ended => return Err(self.inner.closed_error(py)),
        }
        Ok(())
    }

    /// Takes the session out of a room. Leaving a room that it is not in changes nothing.
    ///
    /// Raises `TypeError` if the name is not `str`.
    fn leave(&self, py: Python<'_>, room: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = room_name(room)?;
        if let Some(name) = self.inner.core.server.directory().leave(&self.inner.link, name.to_str()?) {
            self.inner.core.post_now(py, self.id().shard(), Command::Leave(self.id(), name));
        }
        Ok(())
    }

    /// The names of the rooms that the session is in; after its end, of those that it was in.
    #[getter]
    fn rooms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        match self.inner.end() {
            // In on_close, the rooms that it was in can still be seen.
            Some(closed) => PyFrozenSet::new(py, closed.rooms.iter().map(|name| &**name)),
            None => PyFrozenSet::new(py, self.inner.link.rooms().iter().map(|name| &**name)),
        }
    }

    // ---- what it is

    /// The hub that the session belongs to.
    #[getter]
    fn hub<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.inner.core.hub.bind(py).upgrade().ok_or_else(errors::not_started)
    }

    /// The session's name in this process: 16 hexadecimal digits. It is no secret and proves nothing.
    #[getter(id)]
    fn id_text(&self) -> String {
        format!("{:016x}", public_id(self.id().as_u64()))
    }

    /// `(host, port)` of the peer; `None` on a unix socket.
    #[getter]
    fn remote_address(&self) -> Option<(String, u16)> {
        remote_address(&self.inner.link)
    }

    #[getter]
    fn _opening(&self) -> Opening {
        Opening::new(self.inner.link.clone(), self.inner.request.clone())
    }

    #[getter]
    fn _request(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.request).as_ref().map(|request| request.clone_ref(py))
    }

    fn _keep_request(&self, request: Py<PyAny>) {
        *lock(&self.request) = Some(request);
    }

    #[getter]
    fn _path_params(&self) -> Vec<(String, String)> {
        self.inner.request.path_params.clone()
    }

    #[getter]
    fn _subprotocol(&self) -> Option<&str> {
        self.inner.request.subprotocol.as_deref()
    }

    #[getter]
    fn _noticed(&self) -> bool {
        self.inner.noticed.load(Ordering::Relaxed)
    }

    /// Anything that the program wants to keep with the session; what `on_request` has attached, or an empty namespace.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let kept = lock(&self.state).as_ref().map(|state| state.clone_ref(py));
        if let Some(state) = kept {
            return Ok(state);
        }
        let fresh = objects::simple_namespace(py)?.call0()?.unbind();
        *lock(&self.state) = Some(fresh.clone_ref(py));
        Ok(fresh)
    }

    #[setter]
    fn set_state(&self, state: Py<PyAny>) {
        *lock(&self.state) = Some(state);
    }

    // ---- how it is

    /// Seconds that the last ping took to be answered, ours or the keepalive's; `None` before the first.
    #[getter]
    fn latency(&self) -> Option<f64> {
        self.inner.link.latency()
    }

    /// Bytes that were sent and that the operating system has not taken yet.
    #[getter]
    fn buffered_amount(&self) -> usize {
        self.inner.link.buffered()
    }

    /// The session has ended: nothing comes any more, and nothing can be sent.
    #[getter]
    fn closed(&self) -> bool {
        self.inner.end().is_some()
    }

    /// The peer's close code; 1005 if its Close frame had none, 1006 if none came (RFC 6455 §7.1.5); `None` while open.
    #[getter]
    fn close_code(&self) -> Option<u16> {
        self.inner.end().map(|closed| closed.code().0)
    }

    /// The peer's close reason or, where no Close frame came, what happened (RFC 6455 §7.1.6); `None` while open.
    #[getter]
    fn close_reason(&self) -> Option<String> {
        self.inner.end().map(errors::reason)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for place in [&self.state, &self.request] {
            if let Ok(place) = place.try_lock() {
                visit.call(&*place)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        *lock(&self.state) = None;
        *lock(&self.request) = None;
    }
}

/// The awaitable that is done already, always the same object.
fn done(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static DONE: pyo3::sync::PyOnceLock<Py<Done>> = pyo3::sync::PyOnceLock::new();
    DONE.get_or_try_init(py, || Py::new(py, Done)).map(|done| done.clone_ref(py).into_any())
}

pub(crate) fn room_name<'a, 'py>(room: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyString>> {
    room.cast::<PyString>().map_err(|_| errors::wrong_room(room))
}

/// A number of its own for each number, without a pattern and different in each process (the finaliser of SplitMix64,
/// which is a bijection).
fn public_id(id: u64) -> u64 {
    static SECRET: OnceLock<u64> = OnceLock::new();
    let secret = *SECRET.get_or_init(|| std::collections::hash_map::RandomState::new().hash_one(0));
    let mut mixed = id ^ secret;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A payload that no other ping of this process has.
fn ping_payload() -> Vec<u8> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    format!("ping {}", NEXT.fetch_add(1, Ordering::Relaxed)).into_bytes()
}

//! A session as Python holds it: the base of `hubbub.WebSocket`.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use hubbub_net::proto::close::{CloseCode, MAX_REASON_BYTES};
use hubbub_net::proto::message::Kind;
use hubbub_net::{Carrier, Closed, Command, Joined, Link, Request, SessionId, Space};
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyString, PyWeakrefMethods};

use crate::buffers::{self, Message};
use crate::core::{Core, lock};
use crate::opening::{Opening, proxy_address, remote_address};
use crate::place::Place;
use crate::waiting::{Done, Ping, Recv, Wait, Waits, What};
use crate::{errors, events, objects};

/// One session. Made by the server only.
///
/// PERF: idle sessions are many: this holds what each of them needs, [`Rare`] the rest.
#[pyclass(subclass, frozen, weakref, module = "hubbub._core")]
pub struct Session {
    link: Arc<Link>,
    core: Arc<Core>,
    request: Arc<Request>,
    rare: OnceLock<Box<Rare>>,
}

/// What a session has only once something of it was needed.
#[derive(Default)]
struct Rare {
    state: Place<PyAny>,
    /// The user's `hubbub.Request`.
    request: Place<PyAny>,
    /// What its handlers run in, once one of them has set a variable.
    context: Place<PyAny>,
    end: OnceLock<Box<Closed>>,
    /// The Close frame that was asked for here.
    goodbye: OnceLock<(CloseCode, String)>,
    waits: Mutex<Option<Box<Waits>>>,
    /// The server is stopping: close as soon as the handler waits for a message again.
    leaving: AtomicBool,
    /// The handler has met the end: a send or a receive has raised.
    noticed: AtomicBool,
    /// The connection is being dropped from here.
    aborted: AtomicBool,
}

/// What a session is made of: only the server has one.
#[pyclass(frozen, module = "hubbub._core")]
pub(crate) struct Seed(Mutex<Option<Sown>>);

struct Sown {
    link: Arc<Link>,
    core: Arc<Core>,
    request: Arc<Request>,
    object: Option<Py<PyAny>>,
}

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
        let seed = Seed(Mutex::new(Some(Sown { link, core: core.clone(), request, object })));
        let made = session_type.bind(py).call1((seed,))?;
        Ok(made.cast_into::<Session>()?.unbind())
    }

    pub(crate) fn id(&self) -> SessionId {
        self.link.id()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The number of its endpoint.
    pub(crate) fn endpoint(&self) -> usize {
        self.request.endpoint as usize
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// How it ended, once it has.
    pub(crate) fn end(&self) -> Option<&Closed> {
        self.rare.get()?.end.get().map(|closed| &**closed)
    }

    pub(crate) fn set_end(&self, closed: Box<Closed>) {
        // It is told once; a second time would be the shard's error and changes nothing.
        let _ = self.rare().end.set(closed);
    }

    pub(crate) fn waits(&self) -> MutexGuard<'_, Option<Box<Waits>>> {
        lock(&self.rare().waits)
    }

    fn goodbye(&self) -> Option<&(CloseCode, String)> {
        self.rare.get()?.goodbye.get()
    }

    /// The handler has turned away from this session: what still comes from it is not delivered.
    pub(crate) fn said_goodbye(&self) -> bool {
        self.goodbye().is_some()
    }

    pub(crate) fn context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rare.get()?.context.get(py)
    }

    pub(crate) fn keep_context(&self, context: Py<PyAny>) {
        self.rare().context.put(context);
    }

    pub(crate) fn low_water_bytes(&self) -> usize {
        self.core.server.settings().limits.high_water_bytes / 2
    }

    fn enter(&self, py: Python<'_>, space: Space, room: &str, most: Option<usize>) -> PyResult<()> {
        match self.core.server.rooms(space).join(&self.link, room, most) {
            Joined::Now(name) => self.core.join(py, &self.link, space, name),
            Joined::Already => {}
            Joined::Full => return Err(errors::too_many_rooms(py, most.unwrap_or_default())),
            Joined::Ended => return Err(self.closed_error(py)),
        }
        Ok(())
    }

    fn exit(&self, py: Python<'_>, space: Space, room: &str) {
        if let Some(name) = self.core.server.rooms(space).leave(&self.link, room) {
            self.core.post(py, self.id().shard(), Command::Leave(self.id(), space, name));
        }
    }

    pub(crate) fn say_goodbye(&self, py: Python<'_>, code: CloseCode, reason: &str) {
        if self.end().is_none() && self.rare().goodbye.set((code, reason.to_owned())).is_ok() {
            let id = self.link.id();
            // Before the shard hears of it: who asks next, and on any thread, is told so.
            self.core.server.directory().retire(&self.link);
            self.core.post(py, id.shard(), Command::Close(id, code, reason.to_owned()));
        }
    }

    /// The server is stopping: closes now if the session is idle, else when its handler comes back for more.
    pub(crate) fn take_leave(&self, py: Python<'_>) {
        let in_task = self.core.user().is_some_and(|user| user.endpoints[self.endpoint()].start.is_some());
        let receiving = |waits: &Waits| waits.receiver.as_ref().is_some_and(|waiter| waiter.get().is_waiting());
        // Nothing comes that the handler of an event stream could wait for.
        let ends = !in_task || self.is_event_stream();
        let idle = ends || self.waits().as_deref().is_some_and(receiving);
        if idle {
            self.say_goodbye(py, CloseCode::GOING_AWAY, "");
        } else {
            self.rare().leaving.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn leave_if_asked(&self, py: Python<'_>) {
        if self.rare.get().is_some_and(|rare| rare.leaving.load(Ordering::SeqCst)) {
            self.say_goodbye(py, CloseCode::GOING_AWAY, "");
        }
    }

    /// What sending gives: it is done unless so much waits that the sender should.
    pub(crate) fn sent(slf: &Bound<'_, Self>, py: Python<'_>, waiting: usize) -> PyResult<Py<PyAny>> {
        if waiting <= slf.get().core.server.settings().limits.high_water_bytes {
            return done(py);
        }
        Ok(Py::new(py, Wait::new(slf.clone().unbind(), What::Drain))?.into_any())
    }

    /// Nothing that is sent now goes anywhere.
    pub(crate) fn is_closing(&self) -> bool {
        self.link.is_closing() || self.said_goodbye() || self.is_aborted()
    }

    /// Nothing comes from its client.
    fn is_event_stream(&self) -> bool {
        self.link.carrier() == Carrier::Events
    }

    fn is_aborted(&self) -> bool {
        self.rare.get().is_some_and(|rare| rare.aborted.load(Ordering::SeqCst))
    }

    pub(crate) fn notice_end(&self, py: Python<'_>) {
        self.rare().noticed.store(true, Ordering::Relaxed);
        let user = self.core.user();
        if let Some(noticed) = user.as_ref().and_then(|user| user.endpoints[self.endpoint()].noticed.as_ref())
            && let Err(error) = noticed.call0(py)
        {
            error.write_unraisable(py, None);
        }
    }

    /// The session's name in this process.
    pub(crate) fn public_name(&self) -> String {
        format!("{:016x}", public_id(self.id().as_u64()))
    }

    /// Appends to an event stream.
    fn say(slf: &Bound<'_, Self>, py: Python<'_>, block: Vec<u8>) -> PyResult<Py<PyAny>> {
        let this = slf.get();
        if this.is_closing() {
            return Err(this.closed_error(py));
        }
        this.link.add_posted(block.len());
        this.core.post(py, this.id().shard(), Command::Event(this.id(), block.into()));
        if this.link.buffered() <= this.core.server.settings().limits.high_water_bytes {
            return done(py);
        }
        Ok(Py::new(py, Wait::new(slf.clone().unbind(), What::Drain))?.into_any())
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        self.notice_end(py);
        let name = self.public_name();
        match self.end() {
            Some(closed) => errors::connection_closed(py, &name, closed),
            None if self.is_aborted() => errors::connection_aborted(py, &name),
            None => errors::connection_closing(py, &name, self.goodbye()),
        }
    }
}

#[pymethods]
impl Session {
    #[new]
    fn new(py: Python<'_>, seed: &Seed) -> PyResult<Self> {
        let Sown { link, core, request, object } = lock(&seed.0).take().ok_or_else(errors::not_started)?;
        let session = Session { link, core, request, rare: OnceLock::new() };
        if let Some(object) = object {
            // What on_request has attached to the request is the session's from now on.
            session.rare().state.put(object.getattr(py, "state")?);
            session._keep_request(object);
        }
        Ok(session)
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
    fn send(slf: &Bound<'_, Self>, py: Python<'_>, data: &Bound<'_, PyAny>, compress: bool) -> PyResult<Py<PyAny>> {
        let this = slf.get();
        if this.is_closing() {
            return Err(this.closed_error(py));
        }
        let link = &this.link;
        let waiting = buffers::with_message(data, |message| this.core.send(py, link, message, compress))?;
        Self::sent(slf, py, waiting)
    }

    /// Sends an event of an event stream: `hubbub.EventStream` has the arguments.
    #[pyo3(signature = (data, event, id, retry))]
    fn _send_event(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        data: Option<&Bound<'_, PyAny>>,
        event: Option<&str>,
        id: Option<&str>,
        retry: Option<u64>,
    ) -> PyResult<Py<PyAny>> {
        let block = match data {
            Some(data) => buffers::with_message(data, |message| events::encode(Some(&message), event, id, retry))??,
            None => events::encode(None, event, id, retry)?,
        };
        Self::say(slf, py, block)
    }

    /// Sends a comment, which no listener sees.
    fn _send_comment(slf: &Bound<'_, Self>, py: Python<'_>, text: &str) -> PyResult<Py<PyAny>> {
        Self::say(slf, py, events::comment(text))
    }

    /// Sends messages with nothing between them. What is sent to a session that has ended is dropped, and so is what is
    /// volatile if the client takes nothing just now.
    fn _send_all(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        messages: Vec<Bound<'_, PyAny>>,
        compress: bool,
        volatile: bool,
    ) -> PyResult<Py<PyAny>> {
        let this = slf.get();
        if this.is_closing() {
            return done(py);
        }
        if volatile && !this.link.is_writable() {
            this.core.server.count_volatile_dropped();
            return done(py);
        }
        let mut collected = Vec::with_capacity(messages.len());
        for message in &messages {
            collected.push(match message.cast::<PyString>() {
                Ok(text) => Message::Borrowed(Kind::Text, text.to_str()?.as_bytes()),
                Err(_) => buffers::bytes_message(message.cast::<PyBytes>()?),
            });
        }
        let waiting = this.core.send_all(py, &this.link, collected, compress);
        Self::sent(slf, py, waiting)
    }

    /// Closes the session; await the result to wait until it has ended.
    ///
    /// `code` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; `reason` has at most 123 bytes in UTF-8. What was sent
    /// before is still delivered; messages that come from now on are not. The peer has `Limits.close_timeout` seconds
    /// to answer. Closing again changes nothing.
    ///
    /// Raises `ValueError` for any other code and for a longer reason (RFC 6455 §7.1.2, §7.4).
    #[pyo3(signature = (code = 1000, reason = ""))]
    fn close(slf: &Bound<'_, Self>, py: Python<'_>, code: i64, reason: &str) -> PyResult<Py<PyAny>> {
        let sent = u16::try_from(code).ok().map(CloseCode).filter(|code| code.may_be_sent());
        let sent = sent.ok_or_else(|| errors::wrong_close_code(code))?;
        if reason.len() > MAX_REASON_BYTES {
            return Err(errors::long_close_reason(reason.len()));
        }
        slf.get().say_goodbye(py, sent, reason);
        Ok(Py::new(py, Wait::new(slf.clone().unbind(), What::Close))?.into_any())
    }

    /// Drops the connection, without a Close frame: the peer and `on_close` see 1006 (RFC 6455 §7.1.7).
    fn abort(&self, py: Python<'_>) {
        self.rare().aborted.store(true, Ordering::SeqCst);
        self.core.post(py, self.id().shard(), Command::Abort(self.id()));
    }

    /// Sends a ping; await the result for the round trip in seconds.
    ///
    /// `data` has at most 125 bytes; without it the payload is one that no other ping of this process has.
    ///
    /// Only a WebSocket answers pings: on another transport (`ws.transport`) it raises `RuntimeError`. A session that
    /// changes its transport meanwhile does not get the pong.
    ///
    /// Raises `ConnectionClosed`, here or when awaited, if the session ends before the pong comes, `ValueError` for more
    /// than 125 bytes, `TypeError` for anything but `str` and bytes (RFC 6455 §5.5.2).
    #[pyo3(signature = (data = None))]
    fn ping(slf: &Bound<'_, Self>, py: Python<'_>, data: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let this = slf.get();
        if this.is_closing() {
            return Err(this.closed_error(py));
        }
        if !this.link.carrier().is_websocket() {
            return Err(errors::no_ping(this.link.carrier().name()));
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
            waiter: Place::default(),
        });
        let gone = this.waits().get_or_insert_default().add_ping(ping.clone());
        drop(gone);
        this.link.wait_for_pong();
        this.core.post(py, this.id().shard(), Command::Ping(this.id(), payload));
        Ok(Py::new(py, Wait::new(slf.clone().unbind(), What::Pong(ping)))?.into_any())
    }

    // ---- in

    fn _recv(slf: Py<Self>) -> Recv {
        Recv::new(slf, false)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: &Bound<'_, Self>, py: Python<'_>) -> PyResult<Py<Recv>> {
        let this = slf.get();
        let kept = this.waits().as_ref().and_then(|waits| Some(waits.next.as_ref()?.clone_ref(py)));
        if let Some(next) = kept {
            return Ok(next);
        }
        let next = Py::new(py, Recv::new(slf.clone().unbind(), true))?;
        if this.end().is_some() {
            return Ok(next);
        }
        let before = this.waits().get_or_insert_default().next.replace(next.clone_ref(py));
        drop(before);
        Ok(next)
    }

    // ---- rooms

    /// Puts the session into a room; it gets what is broadcast there from now on. Joining twice changes nothing.
    ///
    /// Raises `TooManyRooms` beyond `Limits.rooms_per_session`, `ConnectionClosed` when the session has ended, `TypeError`
    /// if the name is not `str`.
    fn join(&self, py: Python<'_>, room: &Bound<'_, PyAny>) -> PyResult<()> {
        let most = self.core.server.settings().limits.rooms_per_session;
        self.enter(py, Space::Hub, room_name(room)?.to_str()?, most)
    }

    /// Puts the session into a room of a protocol's, which is none of the hub's; whoever calls it counts them.
    fn _join(&self, py: Python<'_>, room: &str) -> PyResult<()> {
        self.enter(py, Space::Protocol, room, None)
    }

    /// Takes it out of such a room.
    fn _leave(&self, py: Python<'_>, room: &str) {
        self.exit(py, Space::Protocol, room);
    }

    /// Takes the session out of a room. Leaving a room that it is not in changes nothing.
    ///
    /// Raises `TypeError` if the name is not `str`.
    fn leave(&self, py: Python<'_>, room: &Bound<'_, PyAny>) -> PyResult<()> {
        self.exit(py, Space::Hub, room_name(room)?.to_str()?);
        Ok(())
    }

    /// The names of the rooms that the session is in; after its end, of those that it was in.
    #[getter]
    fn rooms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        match self.end() {
            // In on_close, the rooms that it was in can still be seen.
            Some(closed) => PyFrozenSet::new(py, closed.rooms.iter().map(|name| &**name)),
            None => PyFrozenSet::new(py, self.link.rooms().iter().map(|name| &**name)),
        }
    }

    // ---- what it is

    /// What carries the session now: `"websocket"`, `"eventsource"`, `"iframe"` or `"polling"`.
    #[getter]
    fn transport(&self) -> &'static str {
        self.link.carrier().name()
    }

    /// The hub that the session belongs to.
    #[getter]
    fn hub<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.core.hub.bind(py).upgrade().ok_or_else(errors::not_started)
    }

    /// The session's name in this process: 16 hexadecimal digits. It is no secret and proves nothing.
    #[getter(id)]
    fn id_text(&self) -> String {
        self.public_name()
    }

    /// `(host, port)` of the client; `None` on a unix socket.
    /// Where a trusted proxy has told it, the port is 0 unless the proxy has told that as well.
    #[getter]
    fn remote_address(&self) -> Option<(String, u16)> {
        remote_address(&self.link)
    }

    /// `(host, port)` of the trusted proxy that has told `remote_address`; `None` if none has, or it is at a unix socket.
    #[getter]
    fn proxy_address(&self) -> Option<(String, u16)> {
        proxy_address(&self.link)
    }

    #[getter]
    fn _opening(&self) -> Opening {
        Opening::new(self.link.clone(), self.request.clone())
    }

    #[getter]
    fn _request(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rare.get()?.request.get(py)
    }

    fn _keep_request(&self, request: Py<PyAny>) {
        self.rare().request.put(request);
    }

    #[getter]
    fn _path_params(&self) -> Vec<(String, String)> {
        self.request.path_params.to_vec()
    }

    #[getter]
    fn _subprotocol(&self) -> Option<&str> {
        self.request.subprotocol.as_deref()
    }

    /// Messages that a handler has been given wait for somebody behind it: they count in the inbox.
    fn _hold(&self, messages: u32, bytes: usize) {
        self.link.hold(messages, bytes);
    }

    /// They do not wait any more.
    fn _release(&self, py: Python<'_>, messages: u32, bytes: usize) {
        self.consumed(py, messages, bytes);
    }

    /// The coroutine that serves it is called now.
    fn _arrive(&self, py: Python<'_>) {
        self.core.arrive(py, self.id());
    }

    #[getter]
    fn _noticed(&self) -> bool {
        self.rare.get().is_some_and(|rare| rare.noticed.load(Ordering::Relaxed))
    }

    /// Anything that the program wants to keep with the session; what `on_request` has attached, or an empty namespace.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(state) = self.rare().state.get(py) {
            return Ok(state);
        }
        let fresh = objects::simple_namespace(py)?.call0()?.unbind();
        Ok(self.rare().state.get_or_put(py, fresh))
    }

    #[setter]
    fn set_state(&self, state: Py<PyAny>) {
        self.rare().state.put(state);
    }

    // ---- how it is

    /// Seconds that the last ping took to be answered, ours or the keepalive's; `None` before the first.
    #[getter]
    fn latency(&self) -> Option<f64> {
        self.link.latency()
    }

    /// Bytes that were sent and that the operating system has not taken yet.
    #[getter]
    fn buffered_amount(&self) -> usize {
        self.link.buffered()
    }

    /// The session has ended: nothing comes any more, and nothing can be sent.
    #[getter]
    fn closed(&self) -> bool {
        self.end().is_some()
    }

    /// The peer's close code; 1005 if its Close frame had none, 1006 if none came (RFC 6455 §7.1.5); `None` while open.
    #[getter]
    fn close_code(&self) -> Option<u16> {
        self.end().map(|closed| closed.code().0)
    }

    /// The peer's close reason or, where no Close frame came, what happened (RFC 6455 §7.1.6); `None` while open.
    #[getter]
    fn close_reason(&self) -> Option<String> {
        self.end().map(errors::reason)
    }

    /// Code and reason of the Close frame that was sent from here, `None` if none was, or not yet.
    #[getter]
    fn close_sent(&self) -> Option<(u16, &str)> {
        let sent = self.end()?.sent.as_ref();
        sent.map(|(code, reason)| (code.0, reason.as_str()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(rare) = self.rare.get() else { return Ok(()) };
        for place in [&rare.state, &rare.request, &rare.context] {
            place.traverse(&visit)?;
        }
        match rare.waits.try_lock().as_deref() {
            Ok(Some(waits)) => waits.traverse(&visit),
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        let Some(rare) = self.rare.get() else { return };
        let objects = (rare.state.take(), rare.request.take(), rare.context.take());
        let waits = lock(&rare.waits).take();
        // Not under the locks: what goes may run code of its own.
        drop((objects, waits));
    }
}

/// The awaitable that is done already, always the same object.
pub(crate) fn done(py: Python<'_>) -> PyResult<Py<PyAny>> {
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

//! One HTTP request and the response to it, as an ASGI application has them: `scope`, `receive`, `send`.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use hubbub_net::proto::message::Kind;
use hubbub_net::proto::response::FieldLines;
use hubbub_net::{Command, Link, Reply, Request, SessionId};
use pyo3::exceptions::{PyStopIteration, PyTypeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{PyTraverseError, intern};

use crate::buffers::{self, Message};
use crate::core::{Core, Part, lock};
use crate::opening::Opening;
use crate::place::Waiters;
use crate::session::done;
use crate::waiting::{Waiter, iterate, park_in};
use crate::{errors, scope};

/// One request and its response. Made by the server only.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Exchange {
    core: Arc<Core>,
    link: Arc<Link>,
    request: Arc<Request>,
    state: Mutex<State>,
}

struct State {
    /// Content that nobody has received yet.
    queue: VecDeque<(Py<PyAny>, usize)>,
    /// No further content comes.
    complete: bool,
    /// The application has been told so.
    told_complete: bool,
    /// A client that waits for it has been asked for the body.
    wanted: bool,
    /// The client is lost.
    lost: bool,
    /// The client has sent FIN: it has gone, or only waits for the response.
    hung_up: bool,
    /// The response has no end by itself.
    endless: bool,
    /// The server has ended such a response, because it stops.
    cut_short: bool,
    answer: Answer,
    receivers: Waiters,
    senders: Waiters,
}

enum Answer {
    Waiting,
    /// Kept back until there is content: most often head and content then leave together.
    Begun(Box<Reply>),
    Sending,
    Complete,
}

impl Exchange {
    pub(crate) fn new(core: Arc<Core>, link: Arc<Link>, request: Arc<Request>) -> Self {
        let state = State {
            queue: VecDeque::new(),
            complete: !request.has_body,
            told_complete: false,
            wanted: !request.expects_continue,
            lost: false,
            hung_up: false,
            endless: false,
            cut_short: false,
            answer: Answer::Waiting,
            receivers: Waiters::default(),
            senders: Waiters::default(),
        };
        Exchange { core, link, request, state: Mutex::new(state) }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.link.id()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    // ---- what the network tells; each gives the tasks that are to go on

    pub(crate) fn content(&self, data: Option<Py<PyAny>>, len: usize, last: bool) -> Vec<Py<Waiter>> {
        let mut state = self.state();
        if let Some(data) = data {
            state.queue.push_back((data, len));
        }
        state.complete |= last;
        state.receivers.take()
    }

    pub(crate) fn hung_up(&self) -> Vec<Py<Waiter>> {
        let mut state = self.state();
        state.hung_up = true;
        state.receivers.take()
    }

    pub(crate) fn lost(&self) -> Vec<Py<Waiter>> {
        let mut state = self.state();
        state.lost = true;
        let mut waiters = state.receivers.take();
        waiters.append(&mut state.senders.take());
        waiters
    }

    pub(crate) fn drained(&self) -> Vec<Py<Waiter>> {
        self.state().senders.take()
    }

    // ---- how the response goes on

    fn begin(&self, event: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = event.py();
        let status = event.get_item(intern!(py, "status"))?.ok_or_else(|| missing("status"))?;
        let status: u16 = status.extract().ok().filter(|status| (200..=599).contains(status)).ok_or_else(|| {
            PyValueError::new_err(format!("a response's status is a whole number from 200 to 599, not {status}"))
        })?;
        let (mut fields, mut endless) = (FieldLines::new(), false);
        if let Some(headers) = event.get_item(intern!(py, "headers"))? {
            for pair in headers.try_iter()? {
                let pair = pair?;
                let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
                let name = name.cast::<PyBytes>().map_err(|_| not_bytes("name", &name))?;
                let value = value.cast::<PyBytes>().map_err(|_| not_bytes("value", &value))?;
                endless |= name.as_bytes().eq_ignore_ascii_case(b"content-type") && is_endless(value.as_bytes());
                fields
                    .push(name.as_bytes(), value.as_bytes())
                    .map_err(|error| errors::wrong_response_field(error, name.as_bytes(), value.as_bytes()))?;
            }
        }
        let mut state = self.state();
        if !matches!(state.answer, Answer::Waiting) {
            return Err(errors::wrong_event("http.response.start was sent before"));
        }
        state.answer = Answer::Begun(Box::new(Reply { status, fields }));
        state.endless = endless;
        Ok(())
    }

    fn body(&self, event: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let py = event.py();
        let more = match event.get_item(intern!(py, "more_body"))? {
            Some(more) => more.is_truthy()?,
            None => false,
        };
        let body = event.get_item(intern!(py, "body"))?;
        if let Some(text) = body.as_ref().filter(|body| body.is_instance_of::<PyString>()) {
            return Err(PyTypeError::new_err(format!("the content of a response is bytes, not str: {text:.20?}")));
        }
        let answer = {
            let mut state = self.state();
            let next = if more { Answer::Sending } else { Answer::Complete };
            match state.answer {
                Answer::Begun(_) | Answer::Sending => std::mem::replace(&mut state.answer, next),
                Answer::Waiting => return Err(errors::wrong_event("http.response.start comes first")),
                Answer::Complete => return Err(errors::wrong_event("the response is complete")),
            }
        };
        let put = |message: Message<'_>| match answer {
            Answer::Begun(reply) if !more => self.core.put(py, &self.link, Part::Whole(reply), message),
            Answer::Begun(reply) => {
                self.core.post(py, self.id().shard(), Command::Respond(self.id(), reply));
                self.core.put(py, &self.link, Part::Content { last: false }, message)
            }
            _ => self.core.put(py, &self.link, Part::Content { last: !more }, message),
        };
        let waiting = match &body {
            Some(body) if !body.is_none() => buffers::with_message(body, put)?,
            _ => put(Message::Borrowed(Kind::Binary, b"")),
        };
        if !more {
            self.complete(py)?;
        } else if self.core.leaving.load(Ordering::SeqCst) {
            self.leave(py)?;
        } else if waiting > self.core.server.settings().limits.high_water_bytes {
            return Ok(Py::new(py, Draining(self.core.exchange(py, self.id())))?.into_any());
        }
        done(py)
    }

    fn send_path(&self, event: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let py = event.py();
        let path: PathBuf = event.get_item(intern!(py, "path"))?.ok_or_else(|| missing("path"))?.extract()?;
        let opened = py.detach(|| {
            // Looked at first: to open a pipe could take for ever.
            let about = std::fs::metadata(&path)?;
            let file = about.is_file().then(|| File::open(&path)).transpose()?;
            Ok::<_, std::io::Error>(file.map(|file| (file, about.len())))
        });
        let opened = opened.map_err(|error| errors::os_at(error, &path))?;
        let (file, len) =
            opened.ok_or_else(|| PyValueError::new_err(format!("{} is no regular file", path.display())))?;
        let mut reply = {
            let mut state = self.state();
            match state.answer {
                Answer::Begun(_) => match std::mem::replace(&mut state.answer, Answer::Complete) {
                    Answer::Begun(reply) => reply,
                    _ => return Err(errors::wrong_event("http.response.start comes first")),
                },
                _ => return Err(errors::wrong_event("http.response.pathsend follows http.response.start")),
            }
        };
        let declared = reply.fields.length();
        if declared.is_none() {
            // INVARIANT: a number in digits is a length, and there is none yet.
            let _ = reply.fields.push(b"content-length", len.to_string().as_bytes());
        }
        let len = declared.map_or(len, |declared| declared.min(len));
        let id = self.id();
        self.core.post(py, id.shard(), Command::Respond(id, reply));
        self.core.post(py, id.shard(), Command::File(id, file, len));
        self.complete(py)?;
        done(py)
    }

    /// The last was said: who still receives is told that it is over, in the loop's next turn.
    fn complete(&self, py: Python<'_>) -> PyResult<()> {
        self.core.end_exchange(self.id());
        let (unread, receivers) = {
            let mut state = self.state();
            (std::mem::take(&mut state.queue), state.receivers.take())
        };
        drop(unread);
        for waiter in receivers {
            Waiter::wake_soon(&waiter, py)?;
        }
        Ok(())
    }
}

#[pymethods]
impl Exchange {
    /// The ASGI scope; `base` has what all requests for the application share.
    fn scope<'py>(&self, py: Python<'py>, base: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        scope::scope(py, base, &self.link, &self.request)
    }

    /// ASGI's `receive`: the result awaits `http.request`, or `http.disconnect` once the client has gone or the response
    /// is complete.
    fn receive(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Receiving>> {
        Py::new(py, Receiving { exchange: slf, over: AtomicBool::new(false) })
    }

    /// ASGI's `send`, for `http.response.start`, `http.response.body` and `http.response.pathsend`. It takes effect at
    /// once; the result awaits room in the outbox.
    fn send(&self, event: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let py = event.py();
        let is_over = {
            let state = self.state();
            state.lost || state.cut_short
        };
        if is_over {
            return Err(errors::client_disconnected(py));
        }
        let kind = event.get_item(intern!(py, "type"))?.ok_or_else(|| missing("type"))?;
        let kind = kind.cast::<PyString>()?.to_str()?;
        match kind {
            "http.response.body" => self.body(event),
            "http.response.start" => {
                self.begin(event)?;
                done(py)
            }
            "http.response.pathsend" => self.send_path(event),
            other => Err(errors::wrong_event(&format!("{other:?} cannot be sent here"))),
        }
    }

    /// The response ends here, whatever is missing: with the connection if its head is out, else with 500. `True`: there
    /// was something missing, and a client to miss it.
    fn give_up(&self, py: Python<'_>) -> PyResult<bool> {
        let (answer, lost) = {
            let mut state = self.state();
            (std::mem::replace(&mut state.answer, Answer::Complete), state.lost)
        };
        let id = self.id();
        match answer {
            Answer::Complete => return Ok(false),
            _ if lost => return Ok(false),
            Answer::Waiting | Answer::Begun(_) => {
                let mut fields = FieldLines::new();
                // INVARIANT: this is a field in order.
                let _ = fields.push(b"content-type", b"text/plain; charset=utf-8");
                let reply = Box::new(Reply { status: 500, fields });
                let text = Message::Borrowed(Kind::Binary, b"Internal Server Error\n");
                self.core.put(py, &self.link, Part::Whole(reply), text);
            }
            Answer::Sending => self.core.post(py, id.shard(), Command::Cut(id)),
        }
        self.complete(py)?;
        Ok(true)
    }

    /// The server stops: a response that has no end by itself ends here, and the application is told as if its client had
    /// gone. `True`: this was one.
    fn leave(&self, py: Python<'_>) -> PyResult<bool> {
        let (answer, senders) = {
            let mut state = self.state();
            if !state.endless || state.lost || matches!(state.answer, Answer::Waiting | Answer::Complete) {
                return Ok(false);
            }
            state.cut_short = true;
            (std::mem::replace(&mut state.answer, Answer::Complete), state.senders.take())
        };
        let part = match answer {
            Answer::Begun(reply) => Part::Whole(reply),
            _ => Part::Content { last: true },
        };
        self.core.put(py, &self.link, part, Message::Borrowed(Kind::Binary, b""));
        self.complete(py)?;
        for waiter in senders {
            Waiter::wake_soon(&waiter, py)?;
        }
        Ok(true)
    }

    /// The client was lost before the response was complete, or so the application was told.
    #[getter]
    fn disconnected(&self) -> bool {
        let state = self.state();
        state.lost || state.hung_up || state.cut_short
    }

    /// For the log: method and path.
    fn __str__(&self) -> PyResult<String> {
        let (method, _, path, _) = self.opening().line()?;
        Ok(format!("{method} {path:?}"))
    }

    #[getter]
    fn opening(&self) -> Opening {
        Opening::new(self.link.clone(), self.request.clone())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(state) = self.state.try_lock() {
            state.receivers.traverse(&visit)?;
            state.senders.traverse(&visit)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let mut state = self.state();
        let waiters = (state.receivers.take(), state.senders.take());
        drop(state);
        drop(waiters);
    }
}

/// Awaits the next event of a request. It is a coroutine to whoever asks, so that a task can be made of it.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Receiving {
    exchange: Py<Exchange>,
    /// It has given an event, or was told to end: as a coroutine, it is of no further use.
    over: AtomicBool,
}

impl Receiving {
    /// `Ok(None)`: nothing has come yet.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let exchange = self.exchange.get();
        let mut state = exchange.state();
        if !matches!(state.answer, Answer::Complete) {
            if let Some((data, len)) = state.queue.pop_front() {
                let more = !(state.complete && state.queue.is_empty());
                state.told_complete |= !more;
                drop(state);
                let limits = &exchange.core.server.settings().limits;
                if exchange.link.consumed(1, len, limits) {
                    exchange.core.post(py, exchange.id().shard(), Command::Resume(exchange.id()));
                }
                return request(py, data.into_bound(py), more).map(Some);
            }
            if state.complete && !state.told_complete {
                state.told_complete = true;
                drop(state);
                return request(py, PyBytes::new(py, b"").into_any(), false).map(Some);
            }
            if !state.lost && !state.hung_up {
                let ask = !std::mem::replace(&mut state.wanted, true);
                drop(state);
                if ask {
                    exchange.core.post(py, exchange.id().shard(), Command::Want(exchange.id()));
                }
                return Ok(None);
            }
        }
        drop(state);
        let event = PyDict::new(py);
        event.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
        Ok(Some(event))
    }
}

fn request<'py>(py: Python<'py>, body: Bound<'py, PyAny>, more: bool) -> PyResult<Bound<'py, PyDict>> {
    let event = PyDict::new(py);
    event.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
    event.set_item(intern!(py, "body"), body)?;
    event.set_item(intern!(py, "more_body"), more)?;
    Ok(event)
}

#[pymethods]
impl Receiving {
    fn __await__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let core = slf.get().exchange.get().core.clone();
        iterate(&core, py, slf.into_any())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        if self.over.load(Ordering::Relaxed) {
            return Err(errors::awaited_before());
        }
        match self.poll(py)? {
            Some(event) => {
                self.over.store(true, Ordering::Relaxed);
                Err(PyStopIteration::new_err((event.unbind(),)))
            }
            None => {
                let exchange = self.exchange.get();
                park_in(py, &exchange.core, |waiter| exchange.state().receivers.add(waiter))
            }
        }
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Option<Py<Waiter>>> {
        self.__next__(py)
    }

    /// Nothing is caught here: what is thrown in comes out again. INVARIANT: it is raised; an exception that is
    /// returned is a value to Python, and a task that was cancelled would go on for ever.
    #[pyo3(signature = (kind, value = None, traceback = None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let over = self.over.swap(true, Ordering::Relaxed);
        if over {
            return Err(errors::awaited_before());
        }
        Err(errors::thrown(kind, value, traceback)?)
    }

    fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Awaits room in the outbox; an exchange that is over has room.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Draining(Option<Py<Exchange>>);

#[pymethods]
impl Draining {
    fn __await__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &slf.get().0 {
            Some(exchange) => iterate(&exchange.get().core.clone(), py, slf.into_any()),
            None => Ok(slf.into_any()),
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        let Some(exchange) = &self.0 else { return Ok(None) };
        let exchange = exchange.get();
        let low_water = exchange.core.server.settings().limits.high_water_bytes / 2;
        let is_over = {
            let state = exchange.state();
            state.lost || state.cut_short
        };
        if is_over || !exchange.link.wait_for_drain(low_water) {
            return Err(PyStopIteration::new_err(()));
        }
        park_in(py, &exchange.core, |waiter| exchange.state().senders.add(waiter))
    }
}

/// A response of this type goes on until somebody ends it: an event stream (HTML standard, "Server-sent events"), or
/// pictures of which each replaces the one before.
fn is_endless(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"text/event-stream"[..], b"multipart/x-mixed-replace"].iter().any(|kind| essence.eq_ignore_ascii_case(kind))
}

fn missing(key: &str) -> PyErr {
    errors::wrong_event(&format!("the event has no {key:?}"))
}

fn not_bytes(what: &str, value: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("the {what} of a response's field is bytes, not {value:.60?}"))
}

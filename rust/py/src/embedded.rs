//! One connection to the hub, from its client's end: ASGI's events of another server's to bytes for the shard, and back.

use std::sync::{Mutex, MutexGuard};

use hubbub_net::proto::body::{LAST_CHUNK, chunk_head};
use hubbub_net::proto::client::{Arrival, InvalidRequest, Reader, write_request};
use hubbub_net::proto::close::{CloseCode, MAX_REASON_BYTES};
use hubbub_net::proto::frame::{self, Header, Opcode};
use hubbub_net::proto::handshake::client::key;
use hubbub_net::proto::head::{Body, ResponseHead};
use hubbub_net::proto::message::{Event, Kind};
use hubbub_net::proto::{Role, close};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::core::lock;
use crate::{buffers, errors};

/// RFC 6455 §10.3: masking keeps scripts from choosing the bytes on a wire that proxies look at. This one does not leave
/// the process.
const MASK: [u8; 4] = [0; 4];

/// One connection to the hub, from its client's end.
#[pyclass(frozen, module = "hubbub._core")]
pub struct EmbeddedClient {
    method: String,
    target: PyBackedBytes,
    fields: Vec<(PyBackedBytes, PyBackedBytes)>,
    host: PyBackedBytes,
    /// The client speaks HTTP/1: fields that concern its connection mean something to it.
    http1: bool,
    upgrade: bool,
    state: Mutex<State>,
}

struct State {
    /// Not there while it reads: what it makes of Python's must not be made under the lock.
    reader: Option<Reader>,
    chunked: bool,
    /// The hub has asked for the body.
    continued: bool,
    /// The client's Close frame has been given out.
    closed: bool,
    /// Pongs.
    replies: Vec<u8>,
}

impl EmbeddedClient {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The fields for the hub: the client's own, but for those that concern its connection to the host.
    fn fields(&self, expects: bool) -> Vec<(&[u8], &[u8])> {
        let kept = |name: &[u8]| {
            !(is_one_of(name, &HOPS) || name.starts_with(b":") || (self.upgrade && is_one_of(name, &HANDSHAKE)))
                && (expects || !name.eq_ignore_ascii_case(b"expect"))
        };
        let mut fields: Vec<(&[u8], &[u8])> = Vec::with_capacity(self.fields.len() + 5);
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
            fields.push((b"host", &self.host));
        }
        fields.extend(self.fields.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (&**name, &**value)));
        fields
    }
}

/// RFC 9110 §7.6.1: they concern one connection, not the request.
const HOPS: [&[u8]; 4] = [b"connection", b"keep-alive", b"proxy-connection", b"upgrade"];
/// The host has shaken hands with the client; we do so with the hub.
const HANDSHAKE: [&[u8]; 3] = [b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"];

fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[pymethods]
impl EmbeddedClient {
    /// `headers` are pairs of bytes; `host` is for requests that have no Host field.
    #[new]
    fn new(
        method: String,
        target: PyBackedBytes,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
        host: PyBackedBytes,
        http1: bool,
        upgrade: bool,
    ) -> Self {
        let reader = Reader::new(&method);
        let state =
            State { reader: Some(reader), chunked: false, continued: false, closed: false, replies: Vec::new() };
        EmbeddedClient { method, target, fields: headers, host, http1, upgrade, state: Mutex::new(state) }
    }

    /// The request, with the beginning of its body; `last`: that is all of it.
    fn request<'py>(&self, py: Python<'py>, body: &[u8], last: bool) -> PyResult<Bound<'py, PyBytes>> {
        let mut fields = self.fields(body.is_empty() && !last);
        let (mut out, own) = (Vec::new(), key([0; 16]));
        if self.upgrade {
            fields.push((b"connection", b"Upgrade"));
            fields.push((b"upgrade", b"websocket"));
            fields.push((b"sec-websocket-version", b"13"));
            fields.push((b"sec-websocket-key", own.as_bytes()));
        } else {
            fields.push((b"connection", b"close"));
        }
        let framing = self.framing(body, last);
        write_request(&mut out, &self.method, &self.target, fields, framing).map_err(invalid)?;
        let chunked = framing == Body::Chunked;
        self.state().chunked = chunked;
        put(&mut out, body, chunked, last);
        Ok(PyBytes::new(py, &out))
    }

    /// More of the body.
    fn content<'py>(&self, py: Python<'py>, body: &[u8], last: bool) -> Bound<'py, PyBytes> {
        let mut out = Vec::with_capacity(body.len() + 32);
        put(&mut out, body, self.state().chunked, last);
        PyBytes::new(py, &out)
    }

    /// A message as a frame.
    fn message<'py>(&self, py: Python<'py>, data: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        buffers::with_message(data, |message| {
            let payload = message.as_slice();
            let opcode = if message.kind() == Kind::Text { Opcode::Text } else { Opcode::Binary };
            let header = Header { fin: true, opcode, len: payload.len() as u64, mask: Some(MASK) }.encode();
            PyBytes::new_with(py, header.len() + payload.len(), |bytes| {
                let (front, rest) = bytes.split_at_mut(header.len());
                front.copy_from_slice(&header);
                // What is masked with zeros is what it was.
                rest.copy_from_slice(payload);
                Ok(())
            })
        })?
    }

    /// The client's Close frame, once. `None`: there was none, so the connection is to be dropped.
    fn close<'py>(&self, py: Python<'py>, code: u16, reason: &str) -> Option<Bound<'py, PyBytes>> {
        let code = CloseCode(code);
        if !(code.may_be_sent() || code == CloseCode::NO_STATUS_RECEIVED) {
            return None;
        }
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.state().closed, true) {
            let mut end = reason.len().min(MAX_REASON_BYTES);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            // It is no longer than it may be.
            let _ = close::encode(&mut out, Role::Client, Some(code), &reason[..end], Some(MASK));
        }
        Some(PyBytes::new(py, &out))
    }

    /// What the hub has sent, as events for the host.
    fn feed<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let Some(mut reader) = self.state().reader.take() else { return Ok(Vec::new()) };
        let (mut replies, mut continued) = (Vec::new(), false);
        let (mut events, mut content): (Vec<PyResult<_>>, Vec<u8>) = (Vec::new(), Vec::new());
        let read = reader
            .read(&mut data.to_vec(), &mut |arrival| match arrival {
                Arrival::Continue => continued = true,
                Arrival::Head(head) => events.push(self.head(py, &head)),
                Arrival::Content(piece) => content.extend_from_slice(piece),
                Arrival::Frame(Event::Ping(payload)) => {
                    frame::encode(&mut replies, Opcode::Pong, payload.as_slice(), Some(MASK));
                }
                Arrival::Frame(Event::Message { kind, payload }) => {
                    events.push(message(py, kind, payload.as_slice()));
                }
                Arrival::Frame(Event::Close { code, reason }) => events.push(closed(py, code, &reason)),
                // Nothing was compressed, and no pong was asked for.
                Arrival::Frame(Event::Compressed { .. } | Event::Pong(_)) => {}
            })
            .map_err(|fault| errors::wrong_event(&fault.to_string()));
        let complete = reader.is_complete();
        {
            let mut state = self.state();
            state.replies.append(&mut replies);
            state.continued |= continued;
            state.reader = Some(reader);
        }
        read?;
        if complete || !content.is_empty() {
            events.push(self.body(py, &content, !complete));
        }
        events.into_iter().collect()
    }

    /// What the client's end answers by itself.
    fn replies<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let replies = std::mem::take(&mut self.state().replies);
        PyBytes::new(py, &replies)
    }

    /// The hub has asked for the body.
    #[getter]
    fn continued(&self) -> bool {
        self.state().continued
    }

    /// The response is complete.
    #[getter]
    fn complete(&self) -> bool {
        self.state().reader.as_ref().is_some_and(Reader::is_complete)
    }
}

impl EmbeddedClient {
    /// How the end of the body is told: all of it is here, or the client has told its length, or nobody knows it.
    fn framing(&self, body: &[u8], last: bool) -> Body {
        if last {
            return if body.is_empty() && !self.tells_length() { Body::None } else { Body::Length(body.len() as u64) };
        }
        let told = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
        let length = told.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
        length.map_or(Body::Chunked, Body::Length)
    }

    fn tells_length(&self) -> bool {
        self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"))
    }

    fn head<'py>(&self, py: Python<'py>, head: &ResponseHead<'_>) -> PyResult<Bound<'py, PyDict>> {
        let event = PyDict::new(py);
        if head.status == 101 {
            event.set_item(intern!(py, "type"), intern!(py, "websocket.accept"))?;
            let subprotocol = head.fields.one("sec-websocket-protocol").ok().flatten();
            event.set_item(intern!(py, "subprotocol"), subprotocol.map(String::from_utf8_lossy))?;
        } else {
            let kind = if self.upgrade { "websocket.http.response.start" } else { "http.response.start" };
            event.set_item(intern!(py, "type"), kind)?;
            event.set_item(intern!(py, "status"), head.status)?;
        }
        event.set_item(intern!(py, "headers"), headers(py, head, self.http1)?)?;
        Ok(event)
    }

    fn body<'py>(&self, py: Python<'py>, content: &[u8], more: bool) -> PyResult<Bound<'py, PyDict>> {
        let event = PyDict::new(py);
        let kind = if self.upgrade { "websocket.http.response.body" } else { "http.response.body" };
        event.set_item(intern!(py, "type"), kind)?;
        event.set_item(intern!(py, "body"), PyBytes::new(py, content))?;
        event.set_item(intern!(py, "more_body"), more)?;
        Ok(event)
    }
}

fn put(out: &mut Vec<u8>, body: &[u8], chunked: bool, last: bool) {
    if chunked && !body.is_empty() {
        chunk_head(out, body.len());
    }
    out.extend_from_slice(body);
    if chunked && !body.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    if chunked && last {
        out.extend_from_slice(LAST_CHUNK);
    }
}

/// Pairs of bytes, the names in lower case, but for what is the host's to say.
fn headers<'py>(py: Python<'py>, head: &ResponseHead<'_>, http1: bool) -> PyResult<Bound<'py, PyList>> {
    const HOSTS: [&[u8]; 6] = [
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"date",
        b"sec-websocket-accept",
        b"sec-websocket-protocol",
    ];
    // RFC 9110 §15.5.22: a 426 MUST say what to upgrade to.
    let upgrades = http1 && head.status == 426;
    let kept = head.fields.iter().filter(|field| {
        !is_one_of(field.name.as_bytes(), &HOSTS) && (upgrades || !field.name.eq_ignore_ascii_case("upgrade"))
    });
    let pairs = kept.map(|field| {
        let name = PyBytes::new(py, field.name.to_ascii_lowercase().as_bytes());
        PyTuple::new(py, [name, PyBytes::new(py, field.value)])
    });
    PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)
}

fn message<'py>(py: Python<'py>, kind: Kind, payload: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let event = PyDict::new(py);
    event.set_item(intern!(py, "type"), intern!(py, "websocket.send"))?;
    let name = if kind == Kind::Text { intern!(py, "text") } else { intern!(py, "bytes") };
    event.set_item(name, buffers::to_python(py, kind, payload))?;
    Ok(event)
}

fn closed<'py>(py: Python<'py>, code: Option<CloseCode>, reason: &str) -> PyResult<Bound<'py, PyDict>> {
    let event = PyDict::new(py);
    event.set_item(intern!(py, "type"), intern!(py, "websocket.close"))?;
    event.set_item(intern!(py, "code"), code.unwrap_or(CloseCode::NORMAL).0)?;
    event.set_item(intern!(py, "reason"), reason)?;
    Ok(event)
}

fn invalid(error: InvalidRequest) -> PyErr {
    errors::wrong_setting(error.to_string())
}

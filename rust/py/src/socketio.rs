//! Packets of Socket.IO to Python's values and back.

use hubbub_net::proto::message::Kind as Form;
use hubbub_net::proto::socketio::json::MAX_DEPTH;
use hubbub_net::proto::socketio::packet::{self, Header, Kind, RESERVED_EVENTS};
use hubbub_net::proto::socketio::{Assembled, Assembler, Limits, Packet, PacketError, msgpack};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::buffers::Message;
use crate::json::{Json, Reader};
use crate::msgpack::MessagePack;
use crate::session::{Session, done};
use crate::{buffers, errors, values};

/// The most that receivers take, as in the reference.
const MAX_ATTACHMENTS: usize = 10;

/// A packet that has come.
#[pyclass(frozen, module = "hubbub._core")]
pub struct SocketIoPacket {
    kind: Kind,
    /// None for "/".
    nsp: Option<Py<PyString>>,
    #[pyo3(get)]
    id: Option<u64>,
    #[pyo3(get)]
    data: Py<PyAny>,
}

#[pymethods]
impl SocketIoPacket {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __match_args__: (&str, &str, &str, &str) = ("type", "nsp", "id", "data");

    #[getter]
    fn r#type(&self) -> u8 {
        self.kind.number()
    }

    #[getter]
    fn nsp<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match &self.nsp {
            Some(nsp) => nsp.bind(py).clone(),
            None => pyo3::intern!(py, "/").clone(),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (nsp, data) = (self.nsp(py).repr()?, self.data.bind(py).repr()?);
        let id = self.id.map_or_else(|| "None".into(), |id| id.to_string());
        Ok(format!("SocketIoPacket(type={}, nsp={nsp}, id={id}, data={data})", self.kind.number()))
    }
}

impl SocketIoPacket {
    fn new(py: Python<'_>, kind: Kind, nsp: &str, id: Option<u64>, data: Py<PyAny>) -> Self {
        let nsp = (nsp != "/").then(|| PyString::new(py, nsp).unbind());
        SocketIoPacket { kind, nsp, id, data }
    }

    /// Its attributes, in their order.
    /// PERF: four values out of a tuple cost a tenth of four attributes.
    fn into_parts<'py>(self, py: Python<'py>) -> Parts<'py> {
        (self.kind.number(), self.nsp(py), self.id, self.data)
    }

    fn of(py: Python<'_>, packet: &Packet<'_>, data: Py<PyAny>) -> Self {
        SocketIoPacket::new(py, packet.kind(), packet.namespace(), packet.ack(), data)
    }
}

/// `(type, nsp, id, data)` of a packet.
type Parts<'py> = (u8, Bound<'py, PyString>, Option<u64>, Py<PyAny>);

/// One connection's messages to packets.
#[pyclass(module = "hubbub._core")]
pub struct SocketIoDecoder {
    assembler: Assembler<PyBackedBytes>,
    limits: Limits,
}

#[pymethods]
impl SocketIoDecoder {
    // The numbers of `Limits::default()`, where help() can show them.
    #[new]
    #[pyo3(signature = (
        *, max_attachments=10, max_packet_bytes=1048576, max_depth=64, max_arguments=256, max_namespace_bytes=4096
    ))]
    fn new(
        max_attachments: u32,
        max_packet_bytes: usize,
        max_depth: u32,
        max_arguments: usize,
        max_namespace_bytes: usize,
    ) -> PyResult<Self> {
        check_depth(max_depth)?;
        let limits = Limits { max_attachments, max_packet_bytes, max_arguments, max_depth, max_namespace_bytes };
        Ok(SocketIoDecoder { assembler: Assembler::new(), limits })
    }

    /// Takes a message; the packet, if it is complete.
    fn feed(&mut self, data: &Bound<'_, PyAny>) -> PyResult<Option<SocketIoPacket>> {
        let py = data.py();
        let Ok(text) = data.cast::<PyString>() else {
            let bytes = PyBackedBytes::from(buffers::to_bytes(data)?);
            let done = self.assembler.binary(bytes, &self.limits).map_err(|error| errors::bad_packet(py, &error))?;
            let Some(Assembled { packet, attachments }) = done else { return Ok(None) };
            let mut reader = Reader::new(py, &attachments);
            let data = packet.build(&mut reader);
            return Ok(Some(SocketIoPacket::of(py, &packet, reader.done(data)?)));
        };
        let mut reader = Reader::new(py, &[]);
        match self.assembler.text_with(text.to_str()?, &self.limits, &mut reader) {
            Ok(Some((packet, data))) => Ok(Some(SocketIoPacket::of(py, &packet, reader.done(data)?))),
            Ok(None) => Ok(None),
            Err(error) => Err(errors::bad_packet(py, &error)),
        }
    }

    /// The same, as a tuple.
    fn take<'py>(&mut self, data: &Bound<'py, PyAny>) -> PyResult<Option<Parts<'py>>> {
        Ok(self.feed(data)?.map(|packet| packet.into_parts(data.py())))
    }

    /// The namespace of the packet whose attachments are due.
    #[getter]
    fn pending_nsp(&self) -> Option<&str> {
        self.assembler.pending().map(Packet::namespace)
    }

    /// Bytes that are kept for it.
    #[getter]
    fn pending_bytes(&self) -> usize {
        self.assembler.kept_bytes()
    }

    /// Forgets it.
    fn reset(&mut self) {
        self.assembler.reset();
    }
}

/// The same, for the MessagePack parser: each message is a packet.
#[pyclass(frozen, module = "hubbub._core")]
pub struct MsgpackDecoder {
    limits: Limits,
}

#[pymethods]
impl MsgpackDecoder {
    // The numbers of `Limits::default()`, where help() can show them.
    #[new]
    #[pyo3(signature = (*, max_packet_bytes=1048576, max_depth=64, max_arguments=256, max_namespace_bytes=4096))]
    fn new(
        max_packet_bytes: usize,
        max_depth: u32,
        max_arguments: usize,
        max_namespace_bytes: usize,
    ) -> PyResult<Self> {
        check_depth(max_depth)?;
        let limits = Limits { max_packet_bytes, max_arguments, max_depth, max_namespace_bytes, ..Limits::default() };
        Ok(MsgpackDecoder { limits })
    }

    /// Takes a message; the packet.
    fn feed(&self, data: &Bound<'_, PyAny>) -> PyResult<SocketIoPacket> {
        let py = data.py();
        if data.is_instance_of::<PyString>() {
            return Err(errors::bad_packet(py, &PacketError::MessagePack));
        }
        let bytes = buffers::to_bytes(data)?;
        let mut reader = Reader::new(py, &[]);
        let packed = msgpack::parse(bytes.as_bytes(), &self.limits, &mut reader);
        let packed = packed.map_err(|error| errors::bad_packet(py, &error))?;
        Ok(SocketIoPacket::new(py, packed.kind, packed.namespace, packed.ack, reader.done(packed.data)?))
    }

    /// The same, as a tuple.
    fn take<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Parts<'py>> {
        Ok(self.feed(data)?.into_parts(data.py()))
    }

    /// Nothing is ever due.
    #[getter]
    fn pending_nsp(&self) -> Option<&str> {
        None
    }

    #[getter]
    fn pending_bytes(&self) -> usize {
        0
    }

    fn reset(&self) {}
}

/// A packet as messages: its text, and its attachments.
#[pyfunction]
#[pyo3(signature = (r#type, nsp, id, data, *, max_attachments=10))]
pub(crate) fn socketio_encode<'py>(
    r#type: u8,
    nsp: &str,
    id: Option<u64>,
    data: &Bound<'py, PyAny>,
    max_attachments: usize,
) -> PyResult<Bound<'py, PyList>> {
    let py = data.py();
    let (text, attachments) = write(r#type, nsp, id, data, max_attachments)?;
    let messages = PyList::new(py, [buffers::to_python(py, Form::Text, &text)])?;
    for attachment in attachments {
        messages.append(attachment)?;
    }
    Ok(messages)
}

/// Sends a packet to one session. What is sent to one that has ended is dropped, and so is what is volatile if the client
/// takes nothing just now.
#[pyfunction]
#[pyo3(signature = (session, r#type, nsp, id, data, compress=true, volatile=false))]
#[allow(clippy::too_many_arguments, reason = "they are the packet's")]
pub(crate) fn socketio_send(
    session: &Bound<'_, Session>,
    r#type: u8,
    nsp: &str,
    id: Option<u64>,
    data: &Bound<'_, PyAny>,
    compress: bool,
    volatile: bool,
) -> PyResult<Py<PyAny>> {
    let py = data.py();
    // PERF: the text goes from here to the outbox; a str between would be one more copy and one more object.
    let (text, attachments) = write(r#type, nsp, id, data, MAX_ATTACHMENTS)?;
    let this = session.get();
    if this.is_closing() || (volatile && !this.link().is_writable()) {
        return done(py);
    }
    let text = match text.len() < buffers::SHARE_BYTES {
        true => Message::Borrowed(Form::Text, &text),
        false => Message::Shared(Form::Text, text.into()),
    };
    let attachments: Vec<_> = attachments.iter().map(|attachment| attachment.bind(py)).collect();
    let attachments = attachments.iter().map(|attachment| buffers::bytes_message(attachment));
    let messages = std::iter::once(text).chain(attachments);
    let waiting = this.core().send_all(py, this.link(), messages, compress);
    Session::sent(session, py, waiting)
}

/// The text of a packet, and its attachments.
fn write(
    number: u8,
    nsp: &str,
    id: Option<u64>,
    data: &Bound<'_, PyAny>,
    max_attachments: usize,
) -> PyResult<(Vec<u8>, Vec<Py<PyBytes>>)> {
    let kind = check(number, nsp, id, data)?;
    let mut header = Header { kind, attachments: 0, namespace: nsp, ack: id };
    let mut json = Json { out: Vec::with_capacity(256), ..Json::default() };
    packet::encode(&mut json.out, &header, "");
    let start = json.out.len();
    if !data.is_none() {
        values::write(&mut json, data)?;
    }
    let Json { mut out, attachments, has_lookalike } = json;
    if !attachments.is_empty() {
        if !matches!(kind, Kind::Event | Kind::Ack) {
            return Err(errors::wrong_packet("only events and acknowledgements carry bytes"));
        }
        if attachments.len() > max_attachments {
            let (number, most) = (attachments.len(), max_attachments);
            let text = format!("data has {number} attachments, and a receiver takes no more than {most}");
            return Err(errors::wrong_packet(&text));
        }
        if has_lookalike {
            let text = "data has bytes, and a dict with \"_placeholder\": True that a receiver would take for some";
            return Err(errors::wrong_packet(text));
        }
        header.attachments = attachments.len() as u32;
        let json = out.split_off(start);
        out.clear();
        packet::encode(&mut out, &header, "");
        out.extend_from_slice(&json);
    }
    Ok((out, attachments))
}

/// The same, for the MessagePack parser: one message, with the bytes in it.
#[pyfunction]
#[pyo3(signature = (r#type, nsp, id, data))]
pub(crate) fn socketio_encode_msgpack<'py>(
    r#type: u8,
    nsp: &str,
    id: Option<u64>,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    let py = data.py();
    let kind = check(r#type, nsp, id, data)?;
    let mut packed = MessagePack(Vec::with_capacity(256));
    msgpack::encode(&mut packed.0, kind, nsp, id, !data.is_none());
    if !data.is_none() {
        values::write(&mut packed, data)?;
    }
    PyList::new(py, [PyBytes::new(py, &packed.0)])
}

/// That a receiver will take it.
fn check(number: u8, nsp: &str, id: Option<u64>, data: &Bound<'_, PyAny>) -> PyResult<Kind> {
    // With attachments an event and an acknowledgement are 5 and 6 on the wire.
    let number = if let 5 | 6 = number { number - 3 } else { number };
    let kind = Kind::from_number(number).ok_or_else(|| errors::wrong_packet("a packet's type is from 0 to 6"))?;
    if !nsp.starts_with('/') || nsp.contains(',') {
        return Err(errors::wrong_packet(&format!(
            "a namespace begins with a slash and has no comma: {nsp:?} is none"
        )));
    }
    if id.is_some() && !matches!(kind, Kind::Event | Kind::Ack) {
        return Err(errors::wrong_packet("only events and acknowledgements have an id"));
    }
    let is_array = data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>();
    let (fits, takes) = match kind {
        Kind::Connect => (data.is_none() || data.is_instance_of::<PyDict>(), "CONNECT takes a dict or None"),
        Kind::Disconnect => (data.is_none(), "DISCONNECT takes no data"),
        Kind::Event => (is_array, "EVENT takes a list or tuple, the name first"),
        Kind::Ack => (is_array, "ACK takes a list or tuple"),
        Kind::ConnectError => {
            (data.is_instance_of::<PyDict>() || data.is_instance_of::<PyString>(), "CONNECT_ERROR takes a dict or str")
        }
    };
    if !fits {
        return Err(errors::wrong_data(takes, data));
    }
    if kind == Kind::Event {
        check_name(data)?;
    }
    Ok(kind)
}

fn check_name(data: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(name) = data.get_item(0) else {
        return Err(errors::wrong_packet("an event has a name: data is empty"));
    };
    if let Ok(name) = name.cast::<PyString>() {
        let is_reserved = name.to_str().is_ok_and(|name| RESERVED_EVENTS.contains(&name));
        return if is_reserved { Err(errors::wrong_packet(&format!("{name:?} is a reserved event"))) } else { Ok(()) };
    }
    let is_number = name.is_instance_of::<PyInt>() || name.is_instance_of::<PyFloat>();
    if is_number && !name.is_instance_of::<PyBool>() {
        return Ok(());
    }
    Err(errors::wrong_data("an event's name is a str or a number", &name))
}

fn check_depth(max_depth: u32) -> PyResult<()> {
    if (1..=MAX_DEPTH).contains(&max_depth) {
        return Ok(());
    }
    Err(errors::wrong_setting(format!("max_depth is from 1 to {MAX_DEPTH}, not {max_depth}")))
}

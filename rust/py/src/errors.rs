//! Every exception that the extension raises: what went wrong in Rust becomes a Python exception here.

use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::response::FieldError;
use hubbub_net::{Closed, TlsError};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::objects;

/// The connection has ended: `ConnectionClosedOK` or `ConnectionClosedError`.
pub(crate) fn connection_closed(py: Python<'_>, closed: &Closed) -> PyErr {
    let code = closed.code();
    let frame = |frame: &Option<(CloseCode, String)>| frame.as_ref().map(|(code, reason)| (code.0, reason.clone()));
    raise(py, code, (code.0, reason(closed), frame(&closed.received), frame(&closed.sent)))
}

/// The connection is about to end; how, is not known yet.
pub(crate) fn connection_closing(py: Python<'_>, sent: Option<&(CloseCode, String)>) -> PyErr {
    let (code, reason) = match sent {
        Some((code, reason)) => (*code, reason.as_str()),
        None => (CloseCode::NO_STATUS_RECEIVED, ""),
    };
    let frame = sent.map(|(code, reason)| (code.0, reason.clone()));
    raise(py, code, (code.0, reason.to_owned(), None, frame))
}

type Arguments = (u16, String, Option<(u16, String)>, Option<(u16, String)>);

fn raise(py: Python<'_>, code: CloseCode, arguments: Arguments) -> PyErr {
    let class = if is_ok(code) { objects::connection_closed_ok(py) } else { objects::connection_closed_error(py) };
    class.and_then(|class| class.call1(arguments)).map_or_else(|error| error, PyErr::from_value)
}

/// The connection ended as it should: it did its work, or one side went away in an orderly manner.
pub(crate) fn is_ok(code: CloseCode) -> bool {
    matches!(code, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS_RECEIVED)
}

/// The reason that the user sees: the peer's, or why there is none.
pub(crate) fn reason(closed: &Closed) -> String {
    match (&closed.received, &closed.cause) {
        (Some((_, reason)), _) => reason.clone(),
        (None, Some(cause)) => cause.clone(),
        (None, None) => String::new(),
    }
}

/// Two tasks wait for the same session's messages.
pub(crate) fn concurrent_recv(py: Python<'_>) -> PyErr {
    let text = "recv() is already waiting in another task: one task at a time receives from a session";
    objects::concurrency_error(py).and_then(|class| class.call1((text,))).map_or_else(|error| error, PyErr::from_value)
}

/// The session is in as many rooms as it may.
pub(crate) fn too_many_rooms(py: Python<'_>, most: usize) -> PyErr {
    objects::too_many_rooms(py).and_then(|class| class.call1((most,))).map_or_else(|error| error, PyErr::from_value)
}

/// The awaiting task was cancelled.
pub(crate) fn cancelled(py: Python<'_>, message: Option<Py<PyAny>>) -> PyErr {
    let class = objects::cancelled_error(py);
    let error = class.and_then(|class| match message {
        Some(message) => class.call1((message,)),
        None => class.call0(),
    });
    error.map_or_else(|error| error, PyErr::from_value)
}

pub(crate) fn wrong_payload(data: &Bound<'_, PyAny>) -> PyErr {
    let given = type_name(data);
    PyTypeError::new_err(format!("a message is str, bytes, bytearray or memoryview, not {given}"))
}

pub(crate) fn wrong_buffer(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "a message's buffer must be contiguous bytes (C order, item size 1); this one is {what}"
    ))
}

pub(crate) fn wrong_room(name: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("a room's name is str, not {}", type_name(name)))
}

pub(crate) fn wrong_close_code(code: i64) -> PyErr {
    PyValueError::new_err(format!(
        "close code {code} may not be sent: 1000 to 1003, 1007 to 1014, and 3000 to 4999 may (RFC 6455 §7.4)"
    ))
}

pub(crate) fn long_close_reason(bytes: usize) -> PyErr {
    PyValueError::new_err(format!("a close reason has at most 123 bytes in UTF-8, this one has {bytes}"))
}

pub(crate) fn long_ping(bytes: usize) -> PyErr {
    PyValueError::new_err(format!("a ping carries at most 125 bytes, this one has {bytes}"))
}

pub(crate) fn no_ping(transport: &str) -> PyErr {
    PyRuntimeError::new_err(format!("only a WebSocket can be pinged; this session is carried by {transport}"))
}

pub(crate) fn wrong_field(what: &str, text: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{text:?} is no valid {what} (RFC 9110 §5): control characters, CR and LF are not allowed"
    ))
}

/// A field that the program may not give.
pub(crate) fn own_field(name: &str) -> PyErr {
    PyValueError::new_err(format!("{name} is said by the network itself"))
}

/// A field of a response that would not be what it seems.
pub(crate) fn wrong_response_field(error: FieldError, name: &[u8], value: &[u8]) -> PyErr {
    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    match error {
        FieldError::Name => wrong_field("field name", &name),
        FieldError::Value => wrong_field("field value", &value),
        FieldError::Length => PyValueError::new_err(format!("content-length is one decimal number, not {value:?}")),
    }
}

/// An ASGI application sends what cannot be sent now.
pub(crate) fn wrong_event(text: &str) -> PyErr {
    PyRuntimeError::new_err(text.to_owned())
}

/// The client of a request has gone; ASGI wants an `OSError`.
pub(crate) fn client_disconnected(py: Python<'_>) -> PyErr {
    let text = "the client has disconnected";
    objects::client_disconnected(py)
        .and_then(|class| class.call1((text,)))
        .map_or_else(|error| error, PyErr::from_value)
}

/// An `OSError` that names the file.
pub(crate) fn os_at(error: std::io::Error, path: &std::path::Path) -> PyErr {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, words, path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(error.to_string()),
    }
}

pub(crate) fn already_decided() -> PyErr {
    PyRuntimeError::new_err("this request has been answered already")
}

pub(crate) fn not_started() -> PyErr {
    PyRuntimeError::new_err("the server is not running")
}

/// A peer has sent what is no packet of Socket.IO: `PacketError`, in words.
pub(crate) fn bad_packet(py: Python<'_>, offence: &impl std::fmt::Display) -> PyErr {
    let class = objects::packet_error(py);
    class.and_then(|class| class.call1((offence.to_string(),))).map_or_else(|error| error, PyErr::from_value)
}

/// A packet that no receiver would take.
pub(crate) fn wrong_packet(text: &str) -> PyErr {
    PyValueError::new_err(text.to_owned())
}

/// A packet with data that its type does not have.
pub(crate) fn wrong_data(takes: &str, data: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("{takes}, not {}", type_name(data)))
}

pub(crate) fn no_message() -> PyErr {
    PyValueError::new_err("there is no message to send")
}

pub(crate) fn wrong_setting(text: String) -> PyErr {
    PyValueError::new_err(text)
}

/// An `OSError` of the subclass that its number calls for, with the system's words.
pub(crate) fn os(error: std::io::Error) -> PyErr {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => {
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, words))
        }
        (None, std::io::ErrorKind::InvalidInput) => PyValueError::new_err(error.to_string()),
        (None, _) => PyOSError::new_err(error.to_string()),
    }
}

/// Certificates or keys are not as they should be: an `OSError` with the file's name if it cannot be read.
pub(crate) fn tls(error: &TlsError) -> PyErr {
    match error {
        TlsError::Unreadable { path, source } => match source.raw_os_error() {
            Some(number) => {
                let text = source.to_string();
                let words = text.split(" (os error").next().unwrap_or_default().to_owned();
                PyOSError::new_err((number, words, path.as_os_str().to_owned()))
            }
            None => PyOSError::new_err(error.to_string()),
        },
        other => PyValueError::new_err(other.to_string()),
    }
}

/// The exceptions that end the program, not just a handler.
pub(crate) fn is_fatal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py)
}

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().qualname().map_or_else(|_| "something else".into(), |name| name.to_string())
}

//! Every exception that the extension raises: what went wrong in Rust becomes a Python exception here.

use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::response::FieldError;
use hubbub_net::{Closed, TlsError};
use pyo3::exceptions::{
    PyBaseException, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit, PyTypeError, PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::objects;

/// The connection has ended: `ConnectionClosedOK` or `ConnectionClosedError`.
pub(crate) fn connection_closed(py: Python<'_>, session: &str, closed: &Closed) -> PyErr {
    let code = closed.code();
    let frame = |frame: &Option<(CloseCode, String)>| frame.as_ref().map(|(code, reason)| (code.0, reason.clone()));
    raise(py, session, code, (code.0, reason(closed), frame(&closed.received), frame(&closed.sent)))
}

/// The connection is about to end; how, is not known yet.
pub(crate) fn connection_closing(py: Python<'_>, session: &str, sent: Option<&(CloseCode, String)>) -> PyErr {
    let (code, reason) = match sent {
        Some((code, reason)) => (*code, reason.as_str()),
        None => (CloseCode::NO_STATUS_RECEIVED, ""),
    };
    let frame = sent.map(|(code, reason)| (code.0, reason.clone()));
    raise(py, session, code, (code.0, reason.to_owned(), None, frame))
}

/// The connection is being dropped from here.
pub(crate) fn connection_aborted(py: Python<'_>, session: &str) -> PyErr {
    let code = CloseCode::ABNORMAL_CLOSURE;
    raise(py, session, code, (code.0, "aborted".to_owned(), None, None))
}

type Arguments = (u16, String, Option<(u16, String)>, Option<(u16, String)>);

/// It says whose end it tells: that another session has gone is news to a handler's own.
fn raise(py: Python<'_>, session: &str, code: CloseCode, arguments: Arguments) -> PyErr {
    let class = if is_ok(code) { objects::connection_closed_ok(py) } else { objects::connection_closed_error(py) };
    let made = class.and_then(|class| class.call1(arguments)).and_then(|error| {
        error.setattr(intern!(py, "_session"), session)?;
        in_context(error)
    });
    made.map_or_else(|error| error, PyErr::from_value)
}

/// What is raised while the caller deals with another exception, in a `finally` say, must not hide that: Python links the
/// two where it raises by itself.
fn in_context(error: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = error.py();
    let handled = py.import(intern!(py, "sys"))?.call_method0(intern!(py, "exc_info"))?.get_item(1)?;
    if !handled.is_none() {
        error.setattr(intern!(py, "__context__"), handled)?;
    }
    Ok(error)
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

/// A coroutine of ours that has ended is awaited again.
pub(crate) fn awaited_before() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// What `throw` was given, as an exception: an instance, or a class with an instance or an argument.
pub(crate) fn thrown(
    kind: &Bound<'_, PyAny>,
    value: Option<&Bound<'_, PyAny>>,
    traceback: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyErr> {
    let given = value.filter(|value| !value.is_none());
    let error = match given {
        Some(value) if kind.is_instance_of::<PyType>() && !value.is_instance(kind)? => kind.call1((value,))?,
        Some(value) if kind.is_instance_of::<PyType>() => value.clone(),
        Some(_) => return Err(PyTypeError::new_err("instance exception may not have a separate value")),
        None if kind.is_instance_of::<PyType>() => kind.call0()?,
        None => kind.clone(),
    };
    if !error.is_instance_of::<PyBaseException>() {
        return Err(PyTypeError::new_err(format!(
            "exceptions must be classes or instances deriving from BaseException, not {}",
            type_name(&error)
        )));
    }
    if let Some(traceback) = traceback.filter(|traceback| !traceback.is_none()) {
        error.call_method1("with_traceback", (traceback,))?;
    }
    Ok(PyErr::from_value(error))
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
        .and_then(in_context)
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

//! Every extraction of bytes from Python objects.

use bytes::Bytes;
use hubbub_net::proto::message::Kind;
use pyo3::buffer::PyBuffer;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

use crate::errors;

/// From this size on a message is not copied into the outbox: the outbox holds the Python object instead.
/// Below it, a copy saves two reference counts and a further piece in the vectored write.
pub(crate) const SHARE_BYTES: usize = 8 << 10;

/// The bytes of a message, borrowed from Python or not.
pub(crate) enum Message<'a> {
    /// Small, or copied already.
    Borrowed(Kind, &'a [u8]),
    /// Large and immutable: shared.
    Shared(Kind, Bytes),
}

impl Message<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Message::Borrowed(kind, _) | Message::Shared(kind, _) => *kind,
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Message::Borrowed(_, bytes) => bytes,
            Message::Shared(_, bytes) => bytes,
        }
    }
}

/// Gives `f` the bytes of a str (as UTF-8, a text message) or of a bytes-like object (a binary message).
pub(crate) fn with_message<R>(data: &Bound<'_, PyAny>, f: impl FnOnce(Message<'_>) -> R) -> PyResult<R> {
    if let Ok(text) = data.cast_exact::<PyString>() {
        return text_message(text, f);
    }
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return Ok(f(bytes_message(bytes)));
    }
    if let Ok(text) = data.cast::<PyString>() {
        return Ok(f(Message::Borrowed(Kind::Text, text.to_str()?.as_bytes())));
    }
    Ok(f(Message::Borrowed(Kind::Binary, &copy(data)?)))
}

/// The message that some bytes are. An object of a class of the program's is copied: its end may run code, and nobody knows
/// when and where what is shared ends.
pub(crate) fn bytes_message<'a>(bytes: &'a Bound<'_, PyBytes>) -> Message<'a> {
    let slice = bytes.as_bytes();
    match slice.len() < SHARE_BYTES || !bytes.is_exact_instance_of::<PyBytes>() {
        true => Message::Borrowed(Kind::Binary, slice),
        false => Message::Shared(Kind::Binary, shared(bytes)),
    }
}

/// The bytes themselves, not copied.
pub(crate) fn shared(bytes: &Bound<'_, PyBytes>) -> Bytes {
    Bytes::from_owner(PyBackedBytes::from(bytes.clone()))
}

/// A copy of the bytes of any object that `with_message` takes as binary.
pub(crate) fn copy(data: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if !(data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>()) {
        return Err(errors::wrong_payload(data));
    }
    let buffer = PyBuffer::<u8>::get(data).map_err(|_| errors::wrong_buffer("not made of bytes"))?;
    if !buffer.is_c_contiguous() {
        return Err(errors::wrong_buffer("not contiguous"));
    }
    buffer.to_vec(data.py())
}

/// Whether `copy` takes it.
pub(crate) fn is_bytes_like(data: &Bound<'_, PyAny>) -> bool {
    data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>()
}

/// Any object that `copy` takes as bytes: itself, if it cannot change.
pub(crate) fn to_bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    match data.cast_exact::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone()),
        Err(_) => Ok(PyBytes::new(data.py(), &copy(data)?)),
    }
}

/// For a `str` itself: see [`bytes_message`].
fn text_message<R>(text: &Bound<'_, PyString>, f: impl FnOnce(Message<'_>) -> R) -> PyResult<R> {
    let utf8 = text.to_str()?;
    if utf8.len() < SHARE_BYTES {
        return Ok(f(Message::Borrowed(Kind::Text, utf8.as_bytes())));
    }
    let shared = Bytes::from_owner(Utf8(PyBackedStr::try_from(text.clone())?));
    Ok(f(Message::Shared(Kind::Text, shared)))
}

/// A Python string as the owner of its UTF-8 bytes.
struct Utf8(PyBackedStr);

impl AsRef<[u8]> for Utf8 {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A received message as Python gets it.
pub(crate) fn to_python(py: Python<'_>, kind: Kind, bytes: &[u8]) -> Py<PyAny> {
    if kind == Kind::Binary {
        return PyBytes::new(py, bytes).into_any().unbind();
    }
    // PERF: CPython's UTF-8 decoder goes through ASCII eight bytes at a time; it was 5 % of the 16 KiB echo, and 2 % of
    // that of 64 B (benches/README.md).
    if bytes.is_ascii() {
        return ascii(py, bytes);
    }
    // INVARIANT: proto has validated every text message; a lossy copy can only be an exact one.
    match std::str::from_utf8(bytes) {
        Ok(text) => PyString::new(py, text).into_any().unbind(),
        Err(_) => PyString::new(py, &String::from_utf8_lossy(bytes)).into_any().unbind(),
    }
}

/// A str of these ASCII bytes.
#[allow(unsafe_code)]
fn ascii(py: Python<'_>, bytes: &[u8]) -> Py<PyAny> {
    debug_assert!(bytes.is_ascii());
    // SAFETY: PyUnicode_New(len, 127) gives a new compact ASCII string with room for `len` bytes (and a final 0 that is
    // there already), or null. Nobody else knows of it yet, so its bytes may be written; they are ASCII, as they must be.
    unsafe {
        let text = ffi::PyUnicode_New(bytes.len() as ffi::Py_ssize_t, 127);
        let text = Bound::from_owned_ptr(py, text);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), ffi::PyUnicode_1BYTE_DATA(text.as_ptr()), bytes.len());
        text.unbind()
    }
}

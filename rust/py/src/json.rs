//! Python's values to JSON and back, as Socket.IO has them: JSON, and bytes beside it.
//!
//! | Python | JSON |
//! |---|---|
//! | `None`, `True`, `False`, `str` | as they are; a str with lone surrogates is refused |
//! | `int` | its digits, all of them; beyond what a double can hold it is refused |
//! | `float` | the shortest digits that give it back; NaN and infinities are `null`, as `JSON.stringify` has it |
//! | `list`, `tuple` | an array |
//! | `dict` | an object; keys may be `int`, `float`, `bool` and `None` as well, and are written as `json.dumps` does |
//! | `bytes`, `bytearray`, `memoryview` | a placeholder; the bytes are put aside |

use hubbub_net::proto::message::Kind as Form;
use hubbub_net::proto::socketio::json::Build;
use hubbub_net::proto::socketio::packet::encode_placeholder;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList};
use serde_json::ser::{CompactFormatter, Formatter};

use crate::buffers;
use crate::values::{Sink, Written, unfit};

/// JSON that is being written.
#[derive(Default)]
pub(crate) struct Json {
    /// The JSON, behind what was there before.
    pub(crate) out: Vec<u8>,
    /// The bytes that placeholders stand for, in order.
    pub(crate) attachments: Vec<Py<PyBytes>>,
    /// A dict that a reader would take for a placeholder if there are attachments.
    pub(crate) has_lookalike: bool,
}

impl Sink for Json {
    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn bool(&mut self, is: bool) {
        let marks = [br#"{"_placeholder":"#, br#","_placeholder":"#];
        self.has_lookalike |= is && marks.iter().any(|mark| self.out.ends_with(*mark));
        self.out.extend_from_slice(if is { b"true" } else { b"false" });
    }

    fn int(&mut self, number: &Bound<'_, PyInt>) -> Written {
        if let Ok(small) = number.extract::<i64>() {
            let _ = CompactFormatter.write_i64(&mut self.out, small);
            return Ok(());
        }
        let beyond = || unfit(PyValueError::new_err("an int beyond what a double can hold"));
        // As int says it itself: a class that derives from it may say something else. Only what is far beyond has too
        // many digits for Python.
        let digits = number.py().get_type::<PyInt>().call_method1("__repr__", (number,)).map_err(|_| beyond())?;
        let digits = digits.extract::<&str>().map_err(unfit)?;
        if !digits.parse().is_ok_and(f64::is_finite) {
            return Err(beyond());
        }
        self.out.extend_from_slice(digits.as_bytes());
        Ok(())
    }

    fn float(&mut self, number: f64) {
        if number.is_finite() {
            let _ = CompactFormatter.write_f64(&mut self.out, number);
        } else {
            self.null();
        }
    }

    fn text(&mut self, text: &str) {
        // PERF: looking first whether anything must be escaped, 32 bytes at a time, is a tenth of the time that
        // serde_json needs to look at each.
        if is_plain(text.as_bytes()) {
            self.out.reserve(text.len() + 2);
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
        } else {
            let _ = serde_json::to_writer(&mut self.out, text);
        }
    }

    fn bytes(&mut self, bytes: &Bound<'_, PyAny>) -> Written {
        let bytes = buffers::to_bytes(bytes).map_err(unfit)?;
        encode_placeholder(&mut self.out, self.attachments.len() as u32);
        self.attachments.push(bytes.unbind());
        Ok(())
    }

    fn array(&mut self, _: usize) {
        self.out.push(b'[');
    }

    fn element(&mut self, index: usize) {
        if index > 0 {
            self.out.push(b',');
        }
    }

    fn end_array(&mut self) {
        self.out.push(b']');
    }

    fn object(&mut self, _: usize) {
        self.out.push(b'{');
    }

    fn member(&mut self, index: usize, name: &str) {
        self.element(index);
        self.text(name);
        self.out.push(b':');
    }

    fn end_object(&mut self) {
        self.out.push(b'}');
    }

    fn other(&mut self, _: &Bound<'_, PyAny>) -> Option<Written> {
        None
    }
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    let mut blocks = text.chunks_exact(32);
    // Without a way out in the middle of a block the compiler makes one comparison of it.
    blocks.all(|block| block.iter().fold(true, |all, byte| all & is_plain(byte)))
        && blocks.remainder().iter().all(is_plain)
}

/// Makes Python's values of JSON, or of what is much like it.
pub(crate) struct Reader<'py, 'a> {
    pub(crate) py: Python<'py>,
    attachments: &'a [PyBackedBytes],
    /// The first thing that Python could not do.
    failed: Option<PyErr>,
}

impl<'py, 'a> Reader<'py, 'a> {
    pub(crate) fn new(py: Python<'py>, attachments: &'a [PyBackedBytes]) -> Self {
        Reader { py, attachments, failed: None }
    }

    /// What was made, or `None` of nothing.
    ///
    /// # Errors
    /// Something could not be made: there is no memory for it.
    pub(crate) fn done(self, value: Option<Bound<'py, PyAny>>) -> PyResult<Py<PyAny>> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(value.map_or_else(|| self.py.None(), Bound::unbind)),
        }
    }

    pub(crate) fn made(&mut self, made: PyResult<Bound<'py, PyAny>>) -> Bound<'py, PyAny> {
        made.unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            self.py.None().into_bound(self.py)
        })
    }
}

impl<'py> Build for Reader<'py, '_> {
    type Value = Bound<'py, PyAny>;
    type Object = Bound<'py, PyDict>;
    type Key = Bound<'py, PyAny>;

    fn null(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    fn bool(&mut self, is: bool) -> Self::Value {
        PyBool::new(self.py, is).to_owned().into_any()
    }

    fn number(&mut self, number: &str, is_int: bool) -> Self::Value {
        if let (true, Ok(small)) = (is_int, number.parse::<i64>()) {
            return PyInt::new(self.py, small).into_any();
        }
        // Beyond a double it is an infinity, as in JavaScript: nobody could be sent such an int.
        let is_int = is_int && number.parse().is_ok_and(f64::is_finite);
        let class = if is_int { self.py.get_type::<PyInt>() } else { self.py.get_type::<PyFloat>() };
        let made = class.call1((number,));
        self.made(made)
    }

    fn text(&mut self, text: &str) -> Self::Value {
        buffers::to_python(self.py, Form::Text, text.as_bytes()).into_bound(self.py)
    }

    fn array(&mut self, elements: impl ExactSizeIterator<Item = Self::Value>) -> Self::Value {
        let made = PyList::new(self.py, elements).map(Bound::into_any);
        self.made(made)
    }

    fn object(&mut self) -> Self::Object {
        PyDict::new(self.py)
    }

    fn key(&mut self, key: &str) -> Self::Key {
        self.text(key)
    }

    fn member(&mut self, object: &mut Self::Object, key: Self::Key, value: Self::Value) {
        if let Err(error) = object.set_item(key, value) {
            self.failed.get_or_insert(error);
        }
    }

    fn end(&mut self, object: Self::Object) -> Self::Value {
        object.into_any()
    }

    fn placeholder(&mut self, object: Self::Object, num: u32) -> Self::Value {
        let Some(bytes) = self.attachments.get(num as usize) else { return object.into_any() };
        let made = bytes.into_pyobject(self.py).map_err(PyErr::from).map(Bound::into_any);
        self.made(made)
    }
}

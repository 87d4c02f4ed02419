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
//!
//! Subclasses count as what they derive from. Anything else is refused with the path to it.

use hubbub_net::proto::message::Kind as Form;
use hubbub_net::proto::socketio::json::{Build, MAX_DEPTH};
use hubbub_net::proto::socketio::packet::encode_placeholder;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::ser::{CompactFormatter, Formatter};

use crate::{buffers, errors};

/// A path is shown as far as so many steps.
const SHOWN_STEPS: usize = 12;

/// What has been written.
#[derive(Default)]
pub(crate) struct Writer {
    /// The JSON, behind what was there before.
    pub(crate) out: Vec<u8>,
    /// The bytes that placeholders stand for, in order.
    pub(crate) attachments: Vec<Py<PyBytes>>,
    /// A dict that a reader would take for a placeholder if there are attachments.
    pub(crate) has_lookalike: bool,
}

/// Why a value cannot be written, and where it is.
pub(crate) struct Unfit {
    error: PyErr,
    /// From the inside out.
    path: Vec<String>,
}

type Written = Result<(), Box<Unfit>>;

impl Writer {
    /// Appends a value; `depth` is its own if it is a container, 1 for the outermost.
    pub(crate) fn value(&mut self, value: &Bound<'_, PyAny>, depth: u32) -> Written {
        // The usual types first, by one comparison of pointers each; then what derives from them.
        if let Ok(text) = value.cast_exact::<PyString>() {
            return self.text(text);
        }
        if let Ok(number) = value.cast_exact::<PyInt>() {
            return self.int(number);
        }
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            return self.dict(dict, depth);
        }
        if let Ok(list) = value.cast_exact::<PyList>() {
            return self.array(list.iter(), depth);
        }
        if value.is_none() {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        if let Ok(is) = value.cast_exact::<PyBool>() {
            self.out.extend_from_slice(if is.is_true() { b"true" } else { b"false" });
            return Ok(());
        }
        if let Ok(number) = value.cast_exact::<PyFloat>() {
            self.float(number.value());
            return Ok(());
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return self.array(tuple.iter(), depth);
        }
        if buffers::is_bytes_like(value) {
            return self.bytes(value);
        }
        self.derived(value, depth)
    }

    #[cold]
    fn derived(&mut self, value: &Bound<'_, PyAny>, depth: u32) -> Written {
        if let Ok(text) = value.cast::<PyString>() {
            return self.text(text);
        }
        if let Ok(number) = value.cast::<PyInt>() {
            return self.int(number);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dict(dict, depth);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return self.array(list.iter(), depth);
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            self.float(number.value());
            return Ok(());
        }
        let given = errors::type_name(value);
        let takes = "None, bool, int, float, str, list, tuple, dict or bytes";
        Err(unfit(PyTypeError::new_err(format!("{given} cannot be sent: JSON takes {takes}"))))
    }

    fn array<'py>(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: u32) -> Written {
        check_depth(depth)?;
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(&item, depth + 1).map_err(|unfit| unfit.inside(|| format!("[{index}]")))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: u32) -> Written {
        check_depth(depth)?;
        self.out.push(b'{');
        let mut is_first = true;
        for (key, value) in dict {
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            self.key(&key)?;
            self.out.push(b':');
            self.value(&value, depth + 1).map_err(|unfit| unfit.inside(|| format!("[{}]", shown(&key))))?;
            self.has_lookalike |= value.is(PyBool::new(value.py(), true).as_any())
                && key.cast::<PyString>().is_ok_and(|key| key == "_placeholder");
        }
        self.out.push(b'}');
        Ok(())
    }

    fn key(&mut self, key: &Bound<'_, PyAny>) -> Written {
        if let Ok(text) = key.cast::<PyString>() {
            return self.text(text);
        }
        if let Ok(is) = key.cast_exact::<PyBool>() {
            return self.quoted(if is.is_true() { "true" } else { "false" });
        }
        if key.is_none() {
            return self.quoted("null");
        }
        // As int and float say it themselves, whatever a class that derives from them says.
        let own = if key.is_instance_of::<PyInt>() {
            key.py().get_type::<PyInt>()
        } else if let Ok(number) = key.cast::<PyFloat>() {
            match number.value() {
                number if number.is_nan() => return self.quoted("NaN"),
                f64::INFINITY => return self.quoted("Infinity"),
                f64::NEG_INFINITY => return self.quoted("-Infinity"),
                _ => key.py().get_type::<PyFloat>(),
            }
        } else {
            let given = errors::type_name(key);
            let text = format!("a dict's key is {given}: JSON takes str, int, float, bool or None");
            return Err(unfit(PyTypeError::new_err(text)));
        };
        let digits = own.call_method1("__repr__", (key,)).map_err(unfit)?;
        self.quoted(digits.extract().map_err(unfit)?)
    }

    fn text(&mut self, text: &Bound<'_, PyString>) -> Written {
        let Ok(text) = text.to_str() else {
            let text = "a str with lone surrogates, which UTF-8 cannot carry";
            return Err(unfit(PyValueError::new_err(text)));
        };
        self.quoted(text)
    }

    fn quoted(&mut self, text: &str) -> Written {
        // PERF: looking first whether anything must be escaped, 32 bytes at a time, is a tenth of the time that
        // serde_json needs to look at each.
        if is_plain(text.as_bytes()) {
            self.out.reserve(text.len() + 2);
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, text).map_err(|error| unfit(PyValueError::new_err(error.to_string())))
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
            self.out.extend_from_slice(b"null");
        }
    }

    fn bytes(&mut self, value: &Bound<'_, PyAny>) -> Written {
        let bytes = buffers::to_bytes(value).map_err(unfit)?;
        encode_placeholder(&mut self.out, self.attachments.len() as u32);
        self.attachments.push(bytes.unbind());
        Ok(())
    }
}

impl Unfit {
    /// What it is in has this name, or this index.
    #[cold]
    fn inside(mut self: Box<Self>, step: impl FnOnce() -> String) -> Box<Self> {
        self.path.push(step());
        self
    }

    /// The exception, of the same class, with the path in its words.
    pub(crate) fn into_error(self, py: Python<'_>) -> PyErr {
        let steps = self.path.iter().rev().take(SHOWN_STEPS).map(String::as_str).collect::<String>();
        let rest = if self.path.len() > SHOWN_STEPS { "..." } else { "" };
        let text = format!("data{steps}{rest}: {}", self.error.value(py));
        PyErr::from_type(self.error.get_type(py), (text,))
    }
}

/// Makes Python's values of JSON.
pub(crate) struct Reader<'py, 'a> {
    py: Python<'py>,
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

    fn made(&mut self, made: PyResult<Bound<'py, PyAny>>) -> Bound<'py, PyAny> {
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

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    let mut blocks = text.chunks_exact(32);
    // Without a way out in the middle of a block the compiler makes one comparison of it.
    blocks.all(|block| block.iter().fold(true, |all, byte| all & is_plain(byte)))
        && blocks.remainder().iter().all(is_plain)
}

fn check_depth(depth: u32) -> Written {
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    let text = format!("nested more than {MAX_DEPTH} deep, or within itself");
    Err(unfit(PyValueError::new_err(text)))
}

#[cold]
fn unfit(error: PyErr) -> Box<Unfit> {
    Box::new(Unfit { error, path: Vec::new() })
}

/// A key as it is written in Python.
fn shown(key: &Bound<'_, PyAny>) -> String {
    key.repr().map_or_else(|_| "?".into(), |text| text.to_string_lossy().into_owned())
}

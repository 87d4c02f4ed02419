//! Python's values walked through, whatever they are written as, and what is wrong with them.
//!
//! Subclasses count as what they derive from. What cannot be written is refused with the path to it.

use hubbub_net::proto::socketio::json::MAX_DEPTH;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::{buffers, errors};

/// A path is shown as far as so many steps.
const SHOWN_STEPS: usize = 12;

/// What values are written into.
pub(crate) trait Sink {
    fn null(&mut self);
    fn bool(&mut self, is: bool);
    fn int(&mut self, number: &Bound<'_, PyInt>) -> Written;
    fn float(&mut self, number: f64);
    fn text(&mut self, text: &str);
    fn bytes(&mut self, bytes: &Bound<'_, PyAny>) -> Written;
    /// An array of so many elements begins.
    fn array(&mut self, len: usize);
    /// Its element of this index follows.
    fn element(&mut self, index: usize);
    fn end_array(&mut self);
    /// An object of so many members begins.
    fn object(&mut self, len: usize);
    /// The name of its member of this index, and the value follows.
    fn member(&mut self, index: usize, name: &str);
    fn end_object(&mut self);
    /// Anything else: `None` if it cannot be written.
    fn other(&mut self, value: &Bound<'_, PyAny>) -> Option<Written>;
}

/// Why a value cannot be written, and where it is.
pub(crate) struct Unfit {
    error: PyErr,
    /// From the inside out.
    path: Vec<String>,
}

pub(crate) type Written = Result<(), Box<Unfit>>;

/// Writes a packet's data.
///
/// # Errors
/// Python's exception, with the path in its words.
pub(crate) fn write(sink: &mut impl Sink, data: &Bound<'_, PyAny>) -> PyResult<()> {
    value(sink, data, 1).map_err(|unfit| unfit.into_error(data.py()))
}

/// Writes a value; `depth` is its own if it is a container.
fn value<S: Sink>(sink: &mut S, value: &Bound<'_, PyAny>, depth: u32) -> Written {
    // The usual types first, by one comparison of pointers each; then what derives from them.
    if let Ok(text) = value.cast_exact::<PyString>() {
        sink.text(utf8(text)?);
    } else if let Ok(number) = value.cast_exact::<PyInt>() {
        return sink.int(number);
    } else if let Ok(dict) = value.cast_exact::<PyDict>() {
        return object(sink, dict, depth);
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        return array(sink, list.iter(), depth);
    } else if value.is_none() {
        sink.null();
    } else if let Ok(is) = value.cast_exact::<PyBool>() {
        sink.bool(is.is_true());
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        sink.float(number.value());
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        return array(sink, tuple.iter(), depth);
    } else if buffers::is_bytes_like(value) {
        return sink.bytes(value);
    } else {
        return derived(sink, value, depth);
    }
    Ok(())
}

#[cold]
fn derived<S: Sink>(sink: &mut S, value: &Bound<'_, PyAny>, depth: u32) -> Written {
    if let Ok(text) = value.cast::<PyString>() {
        sink.text(utf8(text)?);
        Ok(())
    } else if let Ok(number) = value.cast::<PyInt>() {
        sink.int(number)
    } else if let Ok(dict) = value.cast::<PyDict>() {
        object(sink, dict, depth)
    } else if let Ok(list) = value.cast::<PyList>() {
        array(sink, list.iter(), depth)
    } else if let Ok(number) = value.cast::<PyFloat>() {
        sink.float(number.value());
        Ok(())
    } else if let Some(written) = sink.other(value) {
        written
    } else {
        let given = errors::type_name(value);
        let takes = "None, bool, int, float, str, list, tuple, dict and bytes";
        Err(unfit(PyTypeError::new_err(format!("{given} cannot be sent, but {takes} can"))))
    }
}

fn array<'py, S: Sink>(sink: &mut S, items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>, depth: u32) -> Written {
    check_depth(depth)?;
    sink.array(items.len());
    for (index, item) in items.enumerate() {
        sink.element(index);
        value(sink, &item, depth + 1).map_err(|unfit| unfit.inside(|| format!("[{index}]")))?;
    }
    sink.end_array();
    Ok(())
}

fn object<S: Sink>(sink: &mut S, dict: &Bound<'_, PyDict>, depth: u32) -> Written {
    check_depth(depth)?;
    sink.object(dict.len());
    for (index, (key, item)) in dict.iter().enumerate() {
        with_name(&key, |name| sink.member(index, name))?;
        value(sink, &item, depth + 1).map_err(|unfit| unfit.inside(|| format!("[{}]", shown(&key))))?;
    }
    sink.end_object();
    Ok(())
}

/// Gives `f` a key as `json.dumps` writes it.
fn with_name(key: &Bound<'_, PyAny>, f: impl FnOnce(&str)) -> Written {
    if let Ok(text) = key.cast::<PyString>() {
        f(utf8(text)?);
        return Ok(());
    }
    // As int and float say it themselves, whatever a class that derives from them says.
    let own = if let Ok(is) = key.cast_exact::<PyBool>() {
        f(if is.is_true() { "true" } else { "false" });
        return Ok(());
    } else if key.is_none() {
        f("null");
        return Ok(());
    } else if key.is_instance_of::<PyInt>() {
        key.py().get_type::<PyInt>()
    } else if let Ok(number) = key.cast::<PyFloat>() {
        let name = match number.value() {
            number if number.is_nan() => "NaN",
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "",
        };
        if !name.is_empty() {
            f(name);
            return Ok(());
        }
        key.py().get_type::<PyFloat>()
    } else {
        let given = errors::type_name(key);
        let text = format!("a dict's key is {given}: it may be str, int, float, bool or None");
        return Err(unfit(PyTypeError::new_err(text)));
    };
    let digits = own.call_method1("__repr__", (key,)).map_err(unfit)?;
    f(digits.extract().map_err(unfit)?);
    Ok(())
}

impl Unfit {
    /// What it is in has this name, or this index.
    #[cold]
    fn inside(mut self: Box<Self>, step: impl FnOnce() -> String) -> Box<Self> {
        self.path.push(step());
        self
    }

    /// The exception, of the same class, with the path in its words.
    fn into_error(self, py: Python<'_>) -> PyErr {
        let steps = self.path.iter().rev().take(SHOWN_STEPS).map(String::as_str).collect::<String>();
        let rest = if self.path.len() > SHOWN_STEPS { "..." } else { "" };
        let text = format!("data{steps}{rest}: {}", self.error.value(py));
        PyErr::from_type(self.error.get_type(py), (text,))
    }
}

#[cold]
pub(crate) fn unfit(error: PyErr) -> Box<Unfit> {
    Box::new(Unfit { error, path: Vec::new() })
}

fn utf8<'a>(text: &'a Bound<'_, PyString>) -> Result<&'a str, Box<Unfit>> {
    text.to_str().map_err(|_| unfit(PyValueError::new_err("a str with lone surrogates, which UTF-8 cannot carry")))
}

fn check_depth(depth: u32) -> Written {
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    Err(unfit(PyValueError::new_err(format!("nested more than {MAX_DEPTH} deep, or within itself"))))
}

/// A key as it is written in Python.
fn shown(key: &Bound<'_, PyAny>) -> String {
    key.repr().map_or_else(|_| "?".into(), |text| text.to_string_lossy().into_owned())
}

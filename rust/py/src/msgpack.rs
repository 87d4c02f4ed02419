//! Python's values to MessagePack and back, as Socket.IO has them with `socket.io-msgpack-parser`.
//!
//! As JSON, but: `bytes`, `bytearray` and `memoryview` are values like others; NaN and infinities stay what they are; an
//! `int` has 64 bits; a `datetime` with a time zone is JavaScript's `Date` (milliseconds), and comes back in UTC.

use hubbub_net::proto::socketio::msgpack::BuildPacked;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDateTime, PyDelta, PyDeltaAccess, PyFloat, PyInt, PyTzInfo, PyTzInfoAccess};
use rmp::encode;

use crate::buffers;
use crate::json::Reader;
use crate::values::{Sink, Written, unfit};

/// MessagePack that is being written.
pub(crate) struct MessagePack(pub(crate) Vec<u8>);

// A Vec takes everything, so nothing that is written into one fails; lengths are those of what is in memory, and an
// Engine.IO message is far below 4 GiB.
impl Sink for MessagePack {
    fn null(&mut self) {
        let _ = encode::write_nil(&mut self.0);
    }

    fn bool(&mut self, is: bool) {
        let _ = encode::write_bool(&mut self.0, is);
    }

    fn int(&mut self, number: &Bound<'_, PyInt>) -> Written {
        let written = match number.extract::<i64>() {
            Ok(number) => encode::write_sint(&mut self.0, number),
            Err(_) => match number.extract::<u64>() {
                Ok(number) => encode::write_uint(&mut self.0, number),
                Err(_) => return Err(unfit(PyValueError::new_err("an int beyond 64 bits"))),
            },
        };
        debug_assert!(written.is_ok());
        Ok(())
    }

    fn float(&mut self, number: f64) {
        let _ = encode::write_f64(&mut self.0, number);
    }

    fn text(&mut self, text: &str) {
        let _ = encode::write_str(&mut self.0, text);
    }

    fn bytes(&mut self, bytes: &Bound<'_, PyAny>) -> Written {
        let bytes = buffers::to_bytes(bytes).map_err(unfit)?;
        let _ = encode::write_bin(&mut self.0, bytes.as_bytes());
        Ok(())
    }

    fn array(&mut self, len: usize) {
        let _ = encode::write_array_len(&mut self.0, len as u32);
    }

    fn element(&mut self, _: usize) {}

    fn end_array(&mut self) {}

    fn object(&mut self, len: usize) {
        let _ = encode::write_map_len(&mut self.0, len as u32);
    }

    fn member(&mut self, _: usize, name: &str) {
        self.text(name);
    }

    fn end_object(&mut self) {}

    fn other(&mut self, value: &Bound<'_, PyAny>) -> Option<Written> {
        value.cast::<PyDateTime>().ok().map(|date| self.date(date))
    }
}

impl MessagePack {
    fn date(&mut self, date: &Bound<'_, PyDateTime>) -> Written {
        if date.get_tzinfo().is_none() {
            return Err(unfit(PyTypeError::new_err("a datetime without a time zone: a Date is a moment")));
        }
        let since = epoch(date.py()).and_then(|epoch| date.sub(epoch)).map_err(unfit)?;
        let since = since.cast::<PyDelta>().map_err(|error| unfit(error.into()))?;
        let seconds = i64::from(since.get_days()) * 86_400 + i64::from(since.get_seconds());
        let milliseconds = seconds * 1000 + i64::from(since.get_microseconds()) / 1000;
        let _ = encode::write_ext_meta(&mut self.0, 8, 0);
        self.0.extend_from_slice(&milliseconds.to_be_bytes());
        Ok(())
    }
}

impl BuildPacked for Reader<'_, '_> {
    fn int(&mut self, number: i64) -> Self::Value {
        PyInt::new(self.py, number).into_any()
    }

    fn large(&mut self, number: u64) -> Self::Value {
        PyInt::new(self.py, number).into_any()
    }

    fn float(&mut self, number: f64) -> Self::Value {
        PyFloat::new(self.py, number).into_any()
    }

    fn bytes(&mut self, bytes: &[u8]) -> Self::Value {
        PyBytes::new(self.py, bytes).into_any()
    }

    fn date(&mut self, seconds: i64, microseconds: u32) -> Self::Value {
        // In whole numbers: as a float, a moment far from 1970 would lose its milliseconds.
        let (days, seconds) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let since = PyDelta::new(self.py, days as i32, seconds as i32, microseconds as i32, true);
        let made = since.and_then(|since| epoch(self.py)?.add(since));
        self.made(made)
    }
}

fn epoch(py: Python<'_>) -> PyResult<Bound<'_, PyDateTime>> {
    PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&*PyTzInfo::utc(py)?))
}

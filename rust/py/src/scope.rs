//! A request as ASGI describes it: the dict that an application is called with.

use hubbub_net::proto::head::{Head, HeadLimits, list};
use hubbub_net::{Link, Request};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::errors;
use crate::opening::remote_address;

/// The scope of one request. `base` has what all requests for the application share; dicts among it are copied, as the
/// application may add to them.
pub(crate) fn scope<'py>(
    py: Python<'py>,
    base: &Bound<'py, PyDict>,
    link: &Link,
    request: &Request,
) -> PyResult<Bound<'py, PyDict>> {
    let lines = request.head.iter().filter(|byte| **byte == b'\n').count();
    let head = Head::parse(&request.head, &HeadLimits { max_bytes: usize::MAX, max_fields: lines })
        .map_err(|error| errors::wrong_setting(error.to_string()))?;
    let scope = base.copy()?;
    for name in [intern!(py, "extensions"), intern!(py, "state"), intern!(py, "asgi")] {
        if let Some(shared) = scope.get_item(name)? {
            scope.set_item(name, shared.cast::<PyDict>()?.copy()?)?;
        }
    }
    let path = head.path();
    scope.set_item(intern!(py, "path"), decoded(py, path))?;
    scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, path.as_bytes()))?;
    scope.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query().unwrap_or_default().as_bytes()))?;
    let version = if head.version == 0 { intern!(py, "1.0") } else { intern!(py, "1.1") };
    scope.set_item(intern!(py, "http_version"), version)?;
    scope.set_item(intern!(py, "client"), remote_address(link))?;
    scope.set_item(intern!(py, "headers"), headers(py, &head)?)?;
    if request.upgrade {
        let scheme = if request.secure { intern!(py, "wss") } else { intern!(py, "ws") };
        scope.set_item(intern!(py, "scheme"), scheme)?;
        let offered = head.all("sec-websocket-protocol").flat_map(list).map(String::from_utf8_lossy);
        scope.set_item(intern!(py, "subprotocols"), PyList::new(py, offered.collect::<Vec<_>>())?)?;
    } else {
        let scheme = if request.secure { intern!(py, "https") } else { intern!(py, "http") };
        scope.set_item(intern!(py, "scheme"), scheme)?;
        let method = match head.method {
            "GET" => intern!(py, "GET").clone(),
            "POST" => intern!(py, "POST").clone(),
            other => PyString::new(py, other),
        };
        scope.set_item(intern!(py, "method"), method)?;
    }
    Ok(scope)
}

/// Pairs of bytes, the names in lower case.
fn headers<'py>(py: Python<'py>, head: &Head<'_>) -> PyResult<Bound<'py, PyList>> {
    let mut pairs = Vec::with_capacity(head.fields.len() + 1);
    for (name, value) in head.fields_to_show() {
        let name = PyBytes::new_with(py, name.len(), |bytes| {
            bytes.copy_from_slice(name.as_bytes());
            bytes.make_ascii_lowercase();
            Ok(())
        })?;
        pairs.push(PyTuple::new(py, [name, PyBytes::new(py, &value)])?);
    }
    PyList::new(py, pairs)
}

/// The path percent-decoded; what is not UTF-8 then is replaced.
fn decoded<'py>(py: Python<'py>, path: &str) -> Bound<'py, PyString> {
    if !path.contains('%') {
        return PyString::new(py, path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match after {
            [high, low, after @ ..] if byte == b'%' => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(byte),
            },
            _ => bytes.push(byte),
        }
    }
    PyString::new(py, &String::from_utf8_lossy(&bytes))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

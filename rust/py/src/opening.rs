//! A request, and the answer to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hubbub_net::proto::head::{Head, HeadLimits, is_field_value, is_token};
use hubbub_net::{Answer, Command, Link, Request, Verdict};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::core::{Core, lock};
use crate::{errors, scope};

/// A request that the user is deciding about, for the session that may come of it.
pub(crate) struct Asked {
    pub(crate) request: Arc<Request>,
    /// The user's `hubbub.Request`, with the state attached to it.
    pub(crate) object: Option<Py<PyAny>>,
    /// `(undecided)`: it is settled, and there is no session; the client has gone, say, or nothing was decided in time.
    pub(crate) lost: Option<Py<PyAny>>,
    /// The context of whoever decides, if it has set variables.
    pub(crate) context: Option<Py<PyAny>>,
}

/// A request head, as it came.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Opening {
    link: Arc<Link>,
    request: Arc<Request>,
}

impl Opening {
    pub(crate) fn new(link: Arc<Link>, request: Arc<Request>) -> Self {
        Opening { link, request }
    }

    fn head<R>(&self, read: impl FnOnce(&Head<'_>) -> R) -> PyResult<R> {
        // The shard has parsed it under the operator's limits; here it is only read again.
        let lines = self.request.head.iter().filter(|byte| **byte == b'\n').count();
        let limits = HeadLimits { max_bytes: usize::MAX, max_fields: lines };
        match Head::parse(&self.request.head, &limits) {
            Ok(head) => Ok(read(&head)),
            Err(error) => Err(errors::wrong_setting(error.to_string())),
        }
    }
}

#[pymethods]
impl Opening {
    /// `(method, target, path, query)`; path and query as they came, percent-encoded.
    pub(crate) fn line(&self) -> PyResult<(String, String, String, String)> {
        self.head(|head| {
            let query = head.query().unwrap_or_default().to_owned();
            (head.method.to_owned(), head.target.to_owned(), head.path().to_owned(), query)
        })
    }

    /// The fields in their order, as `Head::fields_to_show` has them: names as they came, values read as ISO-8859-1.
    fn fields(&self) -> PyResult<Vec<(String, String)>> {
        self.head(|head| {
            let text = |value: &[u8]| value.iter().map(|byte| char::from(*byte)).collect();
            head.fields_to_show().map(|(name, value)| (name.to_owned(), text(&value))).collect()
        })
    }

    #[getter]
    fn path_params(&self) -> Vec<(String, String)> {
        self.request.path_params.to_vec()
    }

    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.request.subprotocol.as_deref()
    }

    #[getter]
    fn upgrade(&self) -> bool {
        self.request.upgrade
    }

    #[getter]
    fn secure(&self) -> bool {
        self.request.secure
    }

    /// In DER.
    #[getter]
    fn client_certificate<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.request.client_certificate.as_ref().map(|certificate| PyBytes::new(py, certificate))
    }

    #[getter]
    fn remote_address(&self) -> Option<(String, u16)> {
        remote_address(&self.link)
    }

    #[getter]
    fn proxy_address(&self) -> Option<(String, u16)> {
        proxy_address(&self.link)
    }
}

/// A request that waits for an answer.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Pending {
    core: Arc<Core>,
    link: Arc<Link>,
    request: Arc<Request>,
    decided: AtomicBool,
}

impl Pending {
    pub(crate) fn new(core: Arc<Core>, link: Arc<Link>, request: Arc<Request>) -> Self {
        Pending { core, link, request, decided: AtomicBool::new(false) }
    }

    fn decide(&self, py: Python<'_>, verdict: Verdict) -> PyResult<()> {
        if self.decided.swap(true, Ordering::SeqCst) {
            return Err(errors::already_decided());
        }
        let id = self.link.id();
        self.core.post(py, id.shard(), Command::Verdict(id, verdict));
        Ok(())
    }
}

#[pymethods]
impl Pending {
    #[getter]
    fn opening(&self) -> Opening {
        Opening::new(self.link.clone(), self.request.clone())
    }

    /// The ASGI scope; `base` has what all requests for the application share.
    fn scope<'py>(&self, py: Python<'py>, base: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        scope::scope(py, base, &self.link, &self.request)
    }

    /// Lets `callback(undecided)` be called if there will be no session: it was answered, or the client has gone, or
    /// nothing was decided in time.
    fn on_lost(&self, callback: Py<PyAny>) {
        let mut place = Some(callback);
        if let Some(asked) = lock(&self.core.asked).get_mut(&self.link.id()) {
            std::mem::swap(&mut asked.lost, &mut place);
        }
        // What is left in it goes when no lock is held.
        drop(place);
    }

    /// Opens the session; `request` becomes its `ws.request`.
    fn accept(
        &self,
        py: Python<'_>,
        request: Py<PyAny>,
        subprotocol: Option<String>,
        fields: Vec<(String, String)>,
    ) -> PyResult<()> {
        if let Some(name) = subprotocol.as_deref().filter(|name| !is_token(name)) {
            return Err(errors::wrong_field("subprotocol", name));
        }
        check(&fields)?;
        check_not_ours(&fields)?;
        let mut place = Some(request);
        if let Some(asked) = lock(&self.core.asked).get_mut(&self.link.id()) {
            std::mem::swap(&mut asked.object, &mut place);
        }
        drop(place);
        self.decide(py, Verdict::Accept { subprotocol, fields })
    }

    /// Answers with HTTP instead.
    fn answer(
        &self,
        py: Python<'_>,
        status: u16,
        fields: Vec<(String, String)>,
        body: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        check(&fields)?;
        let body = match body.cast::<PyString>() {
            Ok(text) => text.to_str()?.as_bytes().to_vec(),
            Err(_) => body.cast::<PyBytes>().map_err(|_| errors::wrong_payload(body))?.as_bytes().to_vec(),
        };
        self.decide(py, Verdict::Answer(Answer { status, fields, body: body.into() }))
    }
}

pub(crate) fn remote_address(link: &Link) -> Option<(String, u16)> {
    link.peer().map(|peer| (peer.ip().to_string(), peer.port()))
}

pub(crate) fn proxy_address(link: &Link) -> Option<(String, u16)> {
    link.proxy().map(|proxy| (proxy.ip().to_string(), proxy.port()))
}

pub(crate) fn check(fields: &[(String, String)]) -> PyResult<()> {
    for (name, value) in fields {
        if !is_token(name) {
            return Err(errors::wrong_field("field name", name));
        }
        if !is_field_value(value) {
            return Err(errors::wrong_field("field value", value));
        }
    }
    Ok(())
}

/// Refuses what the network says by itself when a session opens: said twice, clients refuse the 101, or lose the stream.
fn check_not_ours(fields: &[(String, String)]) -> PyResult<()> {
    const OURS: [&str; 4] = ["connection", "content-length", "transfer-encoding", "upgrade"];
    for (name, _) in fields {
        let name = name.to_ascii_lowercase();
        if OURS.contains(&&*name) || name.starts_with("sec-websocket-") {
            return Err(errors::own_field(&name));
        }
    }
    Ok(())
}

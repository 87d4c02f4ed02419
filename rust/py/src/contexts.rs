//! Contexts (PEP 567) for handlers that are functions: each session has one of its own, as a task would.
//!
//! PERF: most handlers set no variable. Their sessions share one context, and have one of their own only once a handler has
//! changed the shared one: each run of messages costs one comparison of two pointers.

use pyo3::ffi;
use pyo3::prelude::*;

/// The contexts of one pass over a batch.
pub(crate) struct Contexts<'py> {
    py: Python<'py>,
    /// What the pass has begun in, and a copy that no handler has changed so far.
    shared: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    inside: Inside<'py>,
}

enum Inside<'py> {
    Nothing,
    Shared,
    Own(Bound<'py, PyAny>),
}

impl<'py> Contexts<'py> {
    pub(crate) fn new(py: Python<'py>) -> Self {
        Contexts { py, shared: None, inside: Inside::Nothing }
    }

    /// What is called next runs in this context, or in the one that nobody has changed.
    pub(crate) fn enter(&mut self, own: Option<Py<PyAny>>) -> PyResult<()> {
        match (own, &self.inside) {
            (None, Inside::Shared) => return Ok(()),
            (Some(own), _) => {
                self.exit();
                let own = own.into_bound(self.py);
                enter(&own)?;
                self.inside = Inside::Own(own);
            }
            (None, _) => {
                self.exit();
                if self.shared.is_none() {
                    self.shared = Some((copy_current(self.py)?, copy_current(self.py)?));
                }
                if let Some((_, shared)) = &self.shared {
                    enter(shared)?;
                    self.inside = Inside::Shared;
                }
            }
        }
        Ok(())
    }

    /// What was called has returned. Gives the context if it has changed the one that is shared: it is to be its own from
    /// now on.
    pub(crate) fn leave(&mut self) -> Option<Py<PyAny>> {
        match &self.inside {
            Inside::Nothing => None,
            Inside::Own(_) => {
                self.exit();
                None
            }
            Inside::Shared => {
                let (base, shared) = self.shared.as_ref()?;
                // What cannot be compared has changed.
                if shared.eq(base).unwrap_or(false) {
                    return None;
                }
                self.exit();
                self.shared.take().map(|(_, changed)| changed.unbind())
            }
        }
    }

    fn exit(&mut self) {
        match std::mem::replace(&mut self.inside, Inside::Nothing) {
            Inside::Nothing => {}
            Inside::Own(own) => exit(&own),
            Inside::Shared => self.shared.iter().for_each(|(_, shared)| exit(shared)),
        }
    }
}

impl Drop for Contexts<'_> {
    fn drop(&mut self) {
        self.exit();
    }
}

#[allow(unsafe_code)]
fn copy_current(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the GIL is held; it gives a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

#[allow(unsafe_code)]
fn enter(context: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the GIL is held, and the object lives as long as the call; that it is a context is checked there.
    match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(context.py())),
    }
}

#[allow(unsafe_code)]
fn exit(context: &Bound<'_, PyAny>) {
    // SAFETY: as above.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        PyErr::fetch(context.py()).write_unraisable(context.py(), None);
    }
}

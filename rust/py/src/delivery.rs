//! What has come of a broadcast.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use crate::core::{Core, lock};
use crate::place::Waiters;
use crate::waiting::{Waiter, iterate, park_in};

/// The result of a broadcast; await it to know that every shard has handed it out.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Delivery {
    core: Arc<Core>,
    delivery: Arc<hubbub_net::Delivery>,
    /// Some member has much waiting: who awaits this gives the loop a turn to write.
    congested: AtomicBool,
}

impl Delivery {
    pub(crate) fn new(core: Arc<Core>, delivery: Arc<hubbub_net::Delivery>, congested: bool) -> Self {
        Delivery { core, delivery, congested: AtomicBool::new(congested) }
    }
}

#[pymethods]
impl Delivery {
    /// Sessions that it was handed to, so far; final once `done`.
    #[getter]
    fn reached(&self) -> usize {
        self.delivery.reached()
    }

    /// Sessions that did not get it because their outboxes were full, so far; final once `done`.
    #[getter]
    fn dropped(&self) -> usize {
        self.delivery.dropped()
    }

    /// Every shard has handed it out.
    #[getter]
    fn done(&self) -> bool {
        self.delivery.is_done()
    }

    fn __repr__(&self) -> String {
        let so_far = if self.delivery.is_done() { "" } else { " so far" };
        format!("<Delivery reached={} dropped={}{so_far}>", self.delivery.reached(), self.delivery.dropped())
    }

    fn __await__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        iterate(&slf.get().core, py, slf.clone_ref(py).into_any())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: Py<Self>, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        let this = slf.get();
        if this.delivery.wait() {
            let (key, delivery) = (Arc::as_ptr(&this.delivery) as usize, this.delivery.clone());
            return park_in(py, &this.core, |waiter| {
                let mut deliveries = lock(&this.core.deliveries);
                let (_, waiters) = deliveries.entry(key).or_insert_with(|| (delivery, Waiters::default()));
                waiters.add(waiter)
            });
        }
        if this.congested.swap(false, Ordering::Relaxed) {
            let waiter = park_in(py, &this.core, |waiter| lock(&this.core.flushes).add(waiter))?;
            // Long after the broadcast, nothing else may lead to a flush.
            this.core.want_flush(py);
            return Ok(waiter);
        }
        Err(PyStopIteration::new_err((slf,)))
    }
}

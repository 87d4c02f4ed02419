//! `Load`: a run of the load generator, watched from Python. It goes on in threads that never take the GIL; what goes
//! in and comes out is JSON, whose shape is `hubbub_load`'s affair.

use std::sync::{Mutex, PoisonError};

use hubbub_load::{Error, Run, Scenario};
use pyo3::prelude::*;

use crate::errors;

/// A run of the load generator.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Load {
    /// None once the report was taken.
    run: Mutex<Option<Run>>,
}

impl Load {
    fn with<T>(&self, look: impl FnOnce(&Run) -> T) -> Option<T> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }
}

#[pymethods]
impl Load {
    #[new]
    fn new(py: Python<'_>, settings: &str) -> PyResult<Load> {
        let run = py.detach(|| Run::start(Scenario::from_json(settings)?)).map_err(|error| raised(&error))?;
        Ok(Load { run: Mutex::new(Some(run)) })
    }

    /// Whether the report is there.
    #[getter]
    fn over(&self) -> bool {
        self.with(Run::is_over).unwrap_or(true)
    }

    fn snapshot(&self) -> Option<String> {
        self.with(|run| run.snapshot().to_json())
    }

    fn stop(&self) {
        self.with(Run::stop);
    }

    fn report(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).take();
        let report = py.detach(|| run.map(Run::report)).transpose().map_err(|error| raised(&error))?;
        Ok(report.map(|report| report.to_json()))
    }
}

/// Wrong settings are ValueErrors, what the system will not do are OSErrors.
fn raised(error: &Error) -> PyErr {
    match error {
        Error::BadScenario(_) | Error::BadUrl { .. } => errors::wrong_setting(error.to_string()),
        _ => errors::os(std::io::Error::other(error.to_string())),
    }
}

//! Where Python objects are kept that several threads, or code that runs when another object goes, may reach.
//!
//! INVARIANT: no object goes while a lock is held. Its end may run code of the program, which may ask for the same lock, or
//! wait for a thread that does.

use std::sync::Mutex;

use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyTypeInfo};

use crate::core::lock;
use crate::waiting::Waiter;

/// A place for one object.
pub(crate) struct Place<T>(Mutex<Option<Py<T>>>);

impl<T> Default for Place<T> {
    fn default() -> Self {
        Place(Mutex::new(None))
    }
}

impl<T> Place<T> {
    pub(crate) fn get(&self, py: Python<'_>) -> Option<Py<T>> {
        lock(&self.0).as_ref().map(|object| object.clone_ref(py))
    }

    /// Puts it in. What was there before goes now.
    pub(crate) fn put(&self, object: Py<T>) {
        let before = lock(&self.0).replace(object);
        drop(before);
    }

    /// Puts it in if nothing is there. Gives what is there then.
    pub(crate) fn get_or_put(&self, py: Python<'_>, object: Py<T>) -> Py<T> {
        // An argument that is not needed goes after the locals, the lock among them.
        let mut place = lock(&self.0);
        match &*place {
            Some(kept) => kept.clone_ref(py),
            None => place.insert(object).clone_ref(py),
        }
    }

    pub(crate) fn take(&self) -> Option<Py<T>> {
        lock(&self.0).take()
    }
}

impl<T: PyTypeInfo> Place<T> {
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(place) => visit.call(&*place),
            Err(_) => Ok(()),
        }
    }
}

/// Tasks that wait for the same thing.
#[derive(Default)]
pub(crate) struct Waiters {
    list: Vec<Py<Waiter>>,
    /// With so many in the list, those whose tasks were cancelled are looked for.
    sweep_at: usize,
}

/// So many are never looked through.
const FEW: usize = 8;

impl Waiters {
    /// Adds one. Gives those whose tasks wait no longer: to be dropped when no lock is held.
    #[must_use]
    pub(crate) fn add(&mut self, waiter: Py<Waiter>) -> Vec<Py<Waiter>> {
        let mut gone = Vec::new();
        if self.list.len() >= self.sweep_at.max(FEW) {
            let (waiting, others) = std::mem::take(&mut self.list).into_iter().partition(|one| one.get().is_waiting());
            (self.list, gone) = (waiting, others);
            self.sweep_at = 2 * self.list.len();
        }
        self.list.push(waiter);
        gone
    }

    /// All of them.
    #[must_use]
    pub(crate) fn take(&mut self) -> Vec<Py<Waiter>> {
        std::mem::take(self).list
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.list.iter().try_for_each(|waiter| visit.call(waiter))
    }
}

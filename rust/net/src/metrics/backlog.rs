//! What waits to be written on one shard, and for whom it waits.
//!
//! The sum is kept where bytes come and go. The largest outbox is looked for when somebody asks, and only among the
//! sessions whose socket takes no more: all other outboxes are empty after each turn. So a turn never walks over
//! sessions, who asks needs no answer from the shard, and a session that is not blocked costs nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::session::link::Link;

/// One shard's.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: AtomicU64,
    /// The sessions that wait for the kernel, by slot. Touched when one begins or ends to wait: beside the system calls
    /// that this takes, the lock is nothing.
    blocked: Mutex<HashMap<u32, Arc<Link>>>,
}

impl Backlog {
    /// The sum after a turn or a flush.
    pub(crate) fn publish(&self, bytes: usize) {
        self.bytes.store(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn enter(&self, link: &Arc<Link>) {
        self.lock().insert(link.id().slot() as u32, link.clone());
    }

    pub(crate) fn leave(&self, slot: u32) {
        self.lock().remove(&slot);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The bytes of the largest outbox, and how many wait.
    pub(crate) fn look(&self) -> (u64, usize) {
        let blocked = self.lock();
        (blocked.values().map(|link| link.outbox() as u64).max().unwrap_or(0), blocked.len())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Link>>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

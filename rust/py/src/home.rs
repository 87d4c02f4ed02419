//! The event loop's thread has the shard itself (io_threads=0), or collects commands for the shards (io_threads>0). Any
//! other thread posts, and posts first what was collected: what threads say one after the other is obeyed in that order.
//!
//! PERF: a thread-local needs no lock and no check of its own: on the loop's thread it is there, elsewhere not.

use std::cell::RefCell;

use hubbub_net::{CommandBatch, SessionId, Shard, ShardHandle};

use crate::inbox::Batch;

/// What the loop's thread holds for one server.
pub(crate) struct Home {
    pub(crate) way: Way,
    /// A flush will come without being asked for.
    pub(crate) scheduled: bool,
    /// Sessions that the user is just getting to know: until the next flush, broadcasts to everyone are held for them.
    pub(crate) arriving: Vec<SessionId>,
    /// Event streams that have joined rooms since the last flush: what they have missed is told at the next one, of all rooms
    /// that a handler has joined meanwhile.
    pub(crate) joined: Vec<SessionId>,
}

/// How commands reach the shards.
pub(crate) enum Way {
    /// The only shard is right here.
    Inline {
        shard: Box<Shard>,
        /// What happened while commands were obeyed.
        events: Batch,
    },
    /// The shards have threads of their own: commands are collected (`Core::collected`) and posted together.
    Remote,
}

/// Up to so many commands, somebody may be waiting for just these.
const FEW_COMMANDS: usize = 8;

thread_local! {
    static HOMES: RefCell<Vec<(usize, Home)>> = const { RefCell::new(Vec::new()) };
}

/// Gives `work` the home of the server `key`, if this is its loop's thread.
pub(crate) fn with<R>(key: usize, work: impl FnOnce(&mut Home) -> R) -> Option<R> {
    HOMES.with(|homes| {
        let mut homes = homes.borrow_mut();
        homes.iter_mut().find(|(other, _)| *other == key).map(|(_, home)| work(home))
    })
}

/// This is the loop's thread of the server `key`.
pub(crate) fn is_here(key: usize) -> bool {
    with(key, |_| ()).is_some()
}

/// Makes this thread the server's home.
pub(crate) fn settle(key: usize, way: Way) {
    HOMES.with(|homes| {
        homes.borrow_mut().push((key, Home { way, scheduled: false, arriving: Vec::new(), joined: Vec::new() }))
    });
}

/// Ends it.
pub(crate) fn leave(key: usize) -> Option<Home> {
    HOMES.with(|homes| {
        let mut homes = homes.borrow_mut();
        let at = homes.iter().position(|(other, _)| *other == key)?;
        Some(homes.swap_remove(at).1)
    })
}

impl Home {
    /// `true`, once: somebody must see to a flush.
    #[must_use]
    pub(crate) fn wants_flush(&mut self) -> bool {
        !std::mem::replace(&mut self.scheduled, true)
    }
}

/// Posts what was collected for the shards. Gives the number of commands.
pub(crate) fn post_collected(batches: &mut [CommandBatch], handles: &[ShardHandle]) -> usize {
    let mut posted = 0;
    for (batch, handle) in batches.iter_mut().zip(handles) {
        if !batch.is_empty() {
            posted += batch.len();
            handle.post(std::mem::replace(batch, handle.batch()));
        }
    }
    posted
}

/// After the loop's thread has posted so many commands.
pub(crate) fn give_way(posted: usize) {
    if (1..=FEW_COMMANDS).contains(&posted) {
        // PERF: where both threads share a core, the shard's writes at once, not after this one has gone to sleep: a third
        // off one connection's round trip. With many commands the hand-over weighs nothing.
        std::thread::yield_now();
    }
}

//! The event loop's thread has the shard itself (io_threads=0) or a collection of commands for the shards
//! (io_threads>0). Any other thread posts.
//!
//! PERF: a thread-local needs no lock and no check of its own: on the loop's thread it is there, elsewhere not.

use std::cell::RefCell;

use hubbub_net::{Command, CommandBatch, SessionId, Shard, ShardHandle};

use crate::inbox::Batch;

/// What the loop's thread holds for one server.
pub(crate) struct Home {
    pub(crate) way: Way,
    /// A flush will come without being asked for.
    pub(crate) scheduled: bool,
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
    /// The shards have threads of their own: commands are collected and posted together.
    Remote { batches: Vec<CommandBatch> },
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

/// Makes this thread the server's home.
pub(crate) fn settle(key: usize, way: Way) {
    HOMES.with(|homes| homes.borrow_mut().push((key, Home { way, scheduled: false, joined: Vec::new() })));
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
    /// Lets a shard obey. `true`: somebody must see to a flush.
    #[must_use]
    pub(crate) fn post(&mut self, shard: usize, command: Command) -> bool {
        match &mut self.way {
            Way::Inline { shard, events } => shard.obey(command, events),
            Way::Remote { batches } => batches[shard].push(command),
        }
        self.wants_flush()
    }

    /// `true`, once: somebody must see to a flush.
    #[must_use]
    pub(crate) fn wants_flush(&mut self) -> bool {
        !std::mem::replace(&mut self.scheduled, true)
    }
}

impl Way {
    /// Posts what was collected for other threads.
    pub(crate) fn post_collected(&mut self, handles: &[ShardHandle]) {
        if let Way::Remote { batches } = self {
            let mut posted = 0;
            for (batch, handle) in batches.iter_mut().zip(handles) {
                if !batch.is_empty() {
                    posted += batch.len();
                    handle.post(std::mem::replace(batch, handle.batch()));
                }
            }
            if (1..=FEW_COMMANDS).contains(&posted) {
                // PERF: where both threads share a core, the shard's writes at once, not after this one has gone to
                // sleep: a third off one connection's round trip. With many commands the hand-over weighs nothing.
                std::thread::yield_now();
            }
        }
    }
}

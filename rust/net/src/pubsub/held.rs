//! Broadcasts that are held for a session.

use std::sync::Arc;

use crate::pubsub::broadcast::Broadcast;

/// What was broadcast to everyone since the user began to get to know a session.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) broadcasts: Vec<Arc<Broadcast>>,
    pub(crate) bytes: usize,
}

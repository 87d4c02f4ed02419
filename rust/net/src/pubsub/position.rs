//! Positions in what rooms remember: the number of a broadcast, and the place behind it.

pub(crate) use hubbub_proto::event_stream::Since;

/// A broadcast's number among all of the server's that are remembered, and how many its rooms keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Another server, or another life of this one, has another epoch: its numbers mean nothing here.
    pub epoch: u32,
    /// From 1 on.
    pub offset: u64,
    /// Messages that a room keeps.
    pub keep: usize,
}

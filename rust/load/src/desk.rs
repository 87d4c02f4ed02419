//! What the connections of a thread share, and what its poll says of one of them.

use crate::inbound::Reading;
use crate::script::Script;

/// What the poll has said of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// It is that of the POSTs.
    pub(crate) is_post: bool,
    /// The peer has ended its half.
    pub(crate) closed: bool,
}

/// What the connections of a thread share while one of them is served.
pub(crate) struct Desk<'d> {
    pub(crate) buffer: &'d mut [u8],
    pub(crate) script: &'d Script,
    pub(crate) reading: &'d mut Reading,
    pub(crate) bytes: &'d mut Bytes,
}

/// Bytes of the WebSocket stream (long polling: of HTTP), as they are before TLS.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

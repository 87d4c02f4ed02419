//! Sessions that are to open.

use super::wishes::Wish;
use crate::handler::Request;
use crate::http::exchange::Exchange;
use crate::http::request_line::RequestLine;
use crate::session::Plan;
use crate::session::compression::Packing;

/// A request for a session, with all that is needed to open one.
pub(super) struct Call {
    pub(super) wish: Wish,
    pub(super) opening: New,
}

/// A session that is to open.
pub(super) struct New {
    /// What its WebSocket handshake has agreed on.
    pub(super) agreed: Option<Agreed>,
    pub(super) plan: Plan,
    pub(super) request: Request,
    pub(super) request_line: RequestLine,
    /// What becomes of the request if it is answered with HTTP.
    pub(super) exchange: Option<Box<Exchange>>,
    /// The user decides about it.
    pub(super) asks: bool,
    /// It was a file that was looked for, in vain.
    pub(super) missed: bool,
}

/// What a handshake has agreed on, beside the subprotocol.
pub(super) struct Agreed {
    pub(super) key: String,
    /// How to compress, and the value of Sec-WebSocket-Extensions that says so.
    pub(super) packing: Option<(Packing, String)>,
}

//! Sessions that are to open.

use crate::handler::Request;
use crate::http::exchange::Exchange;
use crate::http::request_line::RequestLine;
use crate::session::Plan;
use crate::session::compression::Packing;
use crate::session::request::Wish;

/// A request for a session, with all that is needed to open one.
pub(crate) struct Call {
    pub(crate) wish: Wish,
    pub(crate) opening: New,
}

/// A session that is to open.
pub(crate) struct New {
    /// What its WebSocket handshake has agreed on.
    pub(crate) agreed: Option<Agreed>,
    pub(crate) plan: Plan,
    pub(crate) request: Request,
    pub(crate) request_line: RequestLine,
    /// What becomes of the request if it is answered with HTTP.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// The user decides about it.
    pub(crate) asks: bool,
    /// It was a file that was looked for, in vain.
    pub(crate) missed: bool,
}

/// What a handshake has agreed on, beside the subprotocol.
pub(crate) struct Agreed {
    pub(crate) key: String,
    /// How to compress, and the value of Sec-WebSocket-Extensions that says so.
    pub(crate) packing: Option<(Packing, String)>,
}

//! A session that HTTP requests carry, or a WebSocket that takes over from them: which request waits, which is answered,
//! and when the transport changes. There are no bytes of messages here, no time and no sockets.
//!
//! | module | what it knows |
//! |---|---|
//! | [`requests`] | the poll that waits, the POSTs that are taken in, and the WebSocket that is to take over |
//! | [`stage`] | the way of an Engine.IO session from polling to a WebSocket |

pub mod requests;
pub mod stage;

pub use requests::{Dialect, Part, Polled, Requests};
pub use stage::{Action, Stage};

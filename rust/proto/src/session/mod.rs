//! A session that HTTP requests carry, or a WebSocket that takes over from them: what its client's packets mean, which
//! request waits, which is answered, and when the transport changes. There is no time here, and there are no sockets.
//!
//! | module | what it knows |
//! |---|---|
//! | [`packets`] | what the packets of a POST, or of a WebSocket's text frame, mean |
//! | [`requests`] | the poll that waits, the POSTs that are taken in, and the WebSocket that is to take over |
//! | [`stage`] | the way of an Engine.IO session from polling to a WebSocket |

pub mod packets;
pub mod requests;
pub mod stage;

pub use packets::{Meaning, PostError, read_post, read_text};
pub use requests::{Part, Polled, Requests};
pub use stage::{Action, Stage};

/// Whose rules a session follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Dialect {
    /// hubbub's own: a client says which messages it has, and may come again by any transport.
    Comet,
    /// Engine.IO 4: what a poll was given is gone, and a WebSocket that is lost was the session.
    EngineIo,
}

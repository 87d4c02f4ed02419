//! Sessions that outlive their connections: what their clients' packets mean, by the rules of either protocol.
//!
//! [`comet`](crate::comet) and [`engineio`](crate::engineio) are the wire formats.
//!
//! | module | what it knows |
//! |---|---|
//! | [`packets`] | what the packets of a POST or of a WebSocket's text frame mean |

pub mod packets;

pub use packets::{Meaning, PostError, read_post, read_text};

/// The protocol that a session follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Dialect {
    /// This server's own: a client says which messages it has, and may come back on any transport.
    Comet,
    /// Engine.IO 4: a poll is answered once, and a session ends with its WebSocket.
    EngineIo,
}

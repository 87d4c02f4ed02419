//! Protocols without I/O, clock or runtime: bytes in, events out.
//!
//! | module | what it knows |
//! |---|---|
//! | [`session`] | a session by polling: what packets mean, which request is answered, when the transport changes |
//! | [`socketio`] | packets of Socket.IO, which Engine.IO carries as messages |
//! | [`comet`] | what is asked of an endpoint that any transport may carry |
//! | [`engineio`] | packets of Engine.IO, over polling and WebSocket |
//! | [`client`] | the client's end of a connection: a request as it is sent, and what answers it |
//! | [`handshake`] | the opening handshake of WebSocket, both halves |
//! | [`content`] | what of a file a request wants: conditions, ranges, codings |
//! | [`body`] | the body of an HTTP/1.1 request, and a body in chunks as it is sent |
//! | [`response`] | the head of a response as it is sent |
//! | [`proxy`] | the PROXY protocol: what a proxy says before anything else |
//! | [`forwarded`] | what the proxies on a request's way have written into its head |
//! | [`head`] | the head of an HTTP/1.1 request or response |
//! | [`event_stream`] | events to the blocks of an event stream |
//! | [`script`] | text for a script inside a page |
//! | [`message`] | bytes to messages: frames, fragments, text, limits |
//! | [`deflate`] | permessage-deflate: messages deflated and inflated |
//! | [`close`] | close codes and close frames |
//! | [`frame`] | one frame: its header, and a whole frame encoded |
//! | [`mask`] | the masking of payloads |
//! | [`utf8`] | UTF-8 that arrives in pieces |
//!
//! A module imports only those below it in this table. Whatever a peer does wrong becomes a [`Violation`] (after
//! the handshake) or a [`head::HeadError`], [`body::BodyError`] and [`handshake::Refusal`] (before it), or, in the first
//! two modules, an error of theirs; nothing here panics on input.

#![deny(unsafe_code)]

pub mod body;
pub mod client;
pub mod close;
mod close_code;
pub mod comet;
pub mod content;
pub mod deflate;
pub mod engineio;
pub mod event_stream;
pub mod forwarded;
pub mod frame;
pub mod handshake;
pub mod head;
pub mod mask;
pub mod message;
pub mod proxy;
pub mod response;
pub mod script;
pub mod session;
pub mod socketio;
pub mod utf8;
mod violation;

pub use violation::Violation;

/// Which end of the connection this program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// Receives masked frames, sends plain ones.
    Server,
    /// Receives plain frames, sends masked ones.
    Client,
}

//! Protocols without I/O, clock or runtime: bytes in, events out.
//!
//! | module | what it knows |
//! |---|---|
//! | [`handshake`] | the opening handshake of WebSocket, both halves |
//! | [`head`] | the head of an HTTP/1.1 request or response |
//! | [`message`] | bytes to messages: frames, fragments, text, limits |
//! | [`deflate`] | permessage-deflate: messages deflated and inflated |
//! | [`close`] | close codes and close frames |
//! | [`frame`] | one frame: its header, and a whole frame encoded |
//! | [`mask`] | the masking of payloads |
//! | [`utf8`] | UTF-8 that arrives in pieces |
//!
//! A module imports only those below it in this table. Whatever a peer does wrong becomes a [`Violation`] (after
//! the handshake) or a [`head::HeadError`] and [`handshake::Refusal`] (before it); nothing here panics on input.

#![deny(unsafe_code)]

pub mod close;
mod close_code;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod head;
pub mod mask;
pub mod message;
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

//! What a client may do wrong, and what it costs.
//!
//! | the client | the cost |
//! |---|---|
//! | sends what is no packet, or binary messages that do not fit | the connection |
//! | sends an event, acknowledgement or DISCONNECT to a namespace that it is not in | the connection |
//! | sends CONNECT for a namespace that it is in | the connection |
//! | sends CONNECT_ERROR | the connection |
//! | is in no namespace when its time is up | the connection |
//! | asks for a namespace that does not exist, or that refuses it | the namespace: CONNECT_ERROR |
//! | acknowledges what nobody asked it to | nothing |
//!
//! Whoever loses the connection leaves all its namespaces. A WebSocket is closed without a Close frame's code by the
//! reference; what code to send is for the layer that closes. A message beyond the transport's limit is that layer's
//! affair, too (1009; 413 on polling, where the session stays).

use std::fmt;

use super::error::PacketError;
use super::packet::Kind;

/// Something that a client did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Offence {
    /// It is no packet.
    Packet(PacketError),
    /// A packet for a namespace that the client is not in, or not any more.
    NotConnected,
    /// CONNECT for a namespace that the client is in.
    AlreadyConnected,
    /// CONNECT_ERROR, which is for the server to send.
    ConnectError,
    /// In no namespace when the time for it was up.
    ConnectTimeout,
    /// CONNECT for a namespace that does not exist.
    UnknownNamespace,
    /// CONNECT for a namespace whose middleware, or handler, does not want the client.
    Refused,
    /// An acknowledgement without a number, or with one that nobody waits for.
    UnknownAck,
}

/// What an [`Offence`] costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Consequence {
    /// The connection, and with it every namespace.
    CloseConnection,
    /// The namespace alone: CONNECT_ERROR is sent for it and the connection stays.
    RefuseNamespace,
    /// Nothing; it is ignored.
    Nothing,
}

impl Offence {
    /// What it costs.
    pub fn consequence(&self) -> Consequence {
        match self {
            Offence::Packet(_)
            | Offence::NotConnected
            | Offence::AlreadyConnected
            | Offence::ConnectError
            | Offence::ConnectTimeout => Consequence::CloseConnection,
            Offence::UnknownNamespace | Offence::Refused => Consequence::RefuseNamespace,
            Offence::UnknownAck => Consequence::Nothing,
        }
    }

    /// What is wrong with a packet from a client that is in its namespace, or is not, by its kind alone.
    pub fn of(kind: Kind, is_connected: bool) -> Option<Offence> {
        match (kind, is_connected) {
            (Kind::ConnectError, _) => Some(Offence::ConnectError),
            (Kind::Connect, true) => Some(Offence::AlreadyConnected),
            (Kind::Connect, false) | (_, true) => None,
            (_, false) => Some(Offence::NotConnected),
        }
    }
}

impl From<PacketError> for Offence {
    fn from(error: PacketError) -> Offence {
        Offence::Packet(error)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Offence::Packet(error) => return error.fmt(out),
            Offence::NotConnected => "a packet for a namespace that the client is not in",
            Offence::AlreadyConnected => "a second CONNECT for a namespace",
            Offence::ConnectError => "CONNECT_ERROR from a client",
            Offence::ConnectTimeout => "no namespace was joined in time",
            Offence::UnknownNamespace => "the namespace does not exist",
            Offence::Refused => "the namespace refuses the client",
            Offence::UnknownAck => "an acknowledgement that nobody waits for",
        })
    }
}

impl std::error::Error for Offence {}

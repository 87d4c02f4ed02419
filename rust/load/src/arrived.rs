//! What has come from the peer of a connection, and why nothing more will.

use crate::faults::Fault;

/// What a piece of input completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Messages of the script.
    pub(crate) messages: u64,
    /// Roll calls.
    pub(crate) roll_calls: u64,
}

/// Why nothing more is to be expected from the peer.
#[derive(Clone, Debug)]
pub(crate) enum Parting {
    /// It broke the protocol.
    Protocol(String),
    /// It sent a close frame, with this code if it has one.
    Closed(Option<u16>),
    /// It ended the session of Socket.IO, in this way.
    Left(String),
    /// The TCP connection ended.
    Lost(String),
}

impl Parting {
    /// The kind under which it is counted.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Parting::Protocol(_) => Fault::Protocol,
            Parting::Closed(_) | Parting::Left(_) => Fault::ClosedByServer,
            Parting::Lost(_) => Fault::ConnectionLost,
        }
    }
}

impl std::fmt::Display for Parting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Parting::Protocol(why) => write!(f, "it broke the protocol ({why})"),
            Parting::Closed(Some(code)) => write!(f, "it sent a close frame with code {code}"),
            Parting::Closed(None) => f.write_str("it sent a close frame without a code"),
            Parting::Left(how) | Parting::Lost(how) => f.write_str(how),
        }
    }
}

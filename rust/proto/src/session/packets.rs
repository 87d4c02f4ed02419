//! What a client's packets mean.
//!
//! | packet | in a POST | on the WebSocket |
//! |---|---|---|
//! | `4`, bytes | a message | a message |
//! | `1` | the session ends; Engine.IO's is forfeited | the session ends |
//! | `2` | Engine.IO: the session fails; comet: nothing | the same |
//! | `3` | the client is alive | the client is alive |
//! | `0`, `5`, `6` | nothing | nothing |
//! | no packet | the body is refused; Engine.IO's session fails | the session fails |

use std::borrow::Cow;
use std::fmt;

use super::Dialect;
use crate::close::CloseCode;
use crate::comet::{self, BodyError};
use crate::engineio::{Packet, PacketType};
use crate::message::{Kind, Payload};

/// The most packets in one POST.
const MAX_PACKETS: usize = 4096;

/// The reason of a session that fails by a packet that cannot be read, as the reference gives it.
const PARSE_ERROR: &str = "parse error";

/// What a packet means for its session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning<'a> {
    /// A message for the application.
    Message(Kind, Payload<'a>),
    /// The client is alive: it answers a ping.
    Heartbeat,
    /// The client ends the session.
    Close {
        /// 1005 if the client gave none.
        code: CloseCode,
        /// At most 123 bytes.
        reason: String,
        /// The session is unknown from here on: its client fetches nothing more.
        forfeits: bool,
    },
    /// The packet breaks the protocol: the session fails with this reason.
    Fail(&'static str),
    /// Nothing.
    Nothing,
}

/// Why a POST is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PostError {
    /// The body is longer than an Engine.IO client may send.
    BodyTooBig,
    /// A packet cannot be read.
    Malformed(BodyError),
    /// A message is longer than a client may send.
    MessageTooBig,
}

impl PostError {
    /// The status of the response.
    pub fn status(self) -> u16 {
        match self {
            PostError::BodyTooBig | PostError::MessageTooBig => 413,
            PostError::Malformed(_) => 400,
        }
    }

    /// How the session fails; `None`: it stays.
    pub fn failure(self, dialect: Dialect) -> Option<(CloseCode, &'static str)> {
        match self {
            PostError::MessageTooBig => Some((CloseCode::MESSAGE_TOO_BIG, "the message is too big")),
            PostError::Malformed(_) if dialect == Dialect::EngineIo => Some((CloseCode::PROTOCOL_ERROR, PARSE_ERROR)),
            PostError::Malformed(_) | PostError::BodyTooBig => None,
        }
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostError::BodyTooBig => out.write_str("The body is larger than maxPayload."),
            PostError::Malformed(error) => write!(out, "Bad request: {error}."),
            PostError::MessageTooBig => out.write_str("The message is too big."),
        }
    }
}

impl std::error::Error for PostError {}

/// Reads the body of a POST. What follows a packet that ends the session is for the caller to leave out.
///
/// # Errors
/// One packet that cannot be read, or is too long, voids the whole body.
pub fn read_post(dialect: Dialect, body: &[u8], max_payload: usize) -> Result<Vec<Meaning<'_>>, PostError> {
    if dialect == Dialect::EngineIo && body.len() > max_payload {
        return Err(PostError::BodyTooBig);
    }
    let packets: Result<Vec<_>, _> = comet::packets(body, MAX_PACKETS)
        .and_then(|packets| packets.map(|packet| packet.map(|packet| posted(dialect, packet))).collect());
    let packets = packets.map_err(PostError::Malformed)?;
    let is_too_big =
        |packet: &Meaning<'_>| matches!(packet, Meaning::Message(_, payload) if payload.as_slice().len() > max_payload);
    if packets.iter().any(is_too_big) { Err(PostError::MessageTooBig) } else { Ok(packets) }
}

fn posted(dialect: Dialect, packet: comet::Packet<'_>) -> Meaning<'_> {
    match packet {
        comet::Packet::Message(kind, Cow::Borrowed(bytes)) => Meaning::Message(kind, Payload::Borrowed(bytes)),
        comet::Packet::Message(kind, Cow::Owned(bytes)) => Meaning::Message(kind, Payload::Owned(bytes)),
        comet::Packet::Close { code, reason } => {
            Meaning::Close { code, reason, forfeits: dialect == Dialect::EngineIo }
        }
        comet::Packet::Ping => ping(dialect),
        comet::Packet::Pong => Meaning::Heartbeat,
        comet::Packet::Nothing => Meaning::Nothing,
    }
}

/// Reads a text message of the WebSocket that carries the session.
#[inline]
pub fn read_text(dialect: Dialect, mut text: Payload<'_>) -> Meaning<'_> {
    let bytes = text.as_slice();
    match bytes.first().copied().and_then(PacketType::from_digit) {
        Some(PacketType::Message) => {
            match &mut text {
                Payload::Borrowed(bytes) => *bytes = &bytes[1..],
                Payload::Owned(bytes) => drop(bytes.remove(0)),
            }
            Meaning::Message(Kind::Text, text)
        }
        // A code and a reason have their place in the Close frame.
        Some(PacketType::Close) => Meaning::Close { code: CloseCode::NORMAL, reason: String::new(), forfeits: false },
        Some(PacketType::Ping) => ping(dialect),
        Some(PacketType::Pong) => Meaning::Heartbeat,
        Some(PacketType::Open | PacketType::Upgrade | PacketType::Noop) => Meaning::Nothing,
        // From a client that has no binary frames, or does not want them.
        None => match std::str::from_utf8(bytes).map(Packet::parse) {
            Ok(Ok(Packet::Binary(bytes))) => Meaning::Message(Kind::Binary, Payload::Owned(bytes.into_owned())),
            _ => Meaning::Fail(PARSE_ERROR),
        },
    }
}

/// Engine.IO's heartbeat goes from the server to the client, and no other way.
fn ping(dialect: Dialect) -> Meaning<'static> {
    match dialect {
        Dialect::EngineIo => Meaning::Fail("transport error"),
        Dialect::Comet => Meaning::Nothing,
    }
}

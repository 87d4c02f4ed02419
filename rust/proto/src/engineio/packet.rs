//! One packet of Engine.IO: a digit that says its type and then text, or bytes, which are always a message.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a packet is for; the number is its digit on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// `0`, from the server: the session.
    Open = b'0',
    /// `1`: the session ends.
    Close = b'1',
    /// `2`, from the server; from a client only as a probe.
    Ping = b'2',
    /// `3`, from the client; from the server only as the answer to a probe.
    Pong = b'3',
    /// `4`: what the layer above has to say.
    Message = b'4',
    /// `5`, from the client: the WebSocket is the transport from now on.
    Upgrade = b'5',
    /// `6`, from the server: nothing, so that a waiting poll ends.
    Noop = b'6',
}

impl PacketType {
    /// The type that this digit stands for.
    #[inline]
    pub fn from_digit(digit: u8) -> Option<PacketType> {
        Some(match digit {
            b'0' => PacketType::Open,
            b'1' => PacketType::Close,
            b'2' => PacketType::Ping,
            b'3' => PacketType::Pong,
            b'4' => PacketType::Message,
            b'5' => PacketType::Upgrade,
            b'6' => PacketType::Noop,
            _ => return None,
        })
    }
}

/// One packet, its content where it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// A packet in text.
    Text {
        /// What it is for.
        kind: PacketType,
        /// What follows the digit.
        data: &'a str,
    },
    /// A message of bytes. A WebSocket carries it as a binary frame without a digit; polling carries it in base64 behind a
    /// `b`, and so does a client on a WebSocket that is told to (`forceBase64`).
    Binary(Cow<'a, [u8]>),
}

impl<'a> Packet<'a> {
    /// A packet in text.
    #[inline]
    pub fn text(kind: PacketType, data: &'a str) -> Packet<'a> {
        Packet::Text { kind, data }
    }

    /// Reads a text frame of a WebSocket.
    ///
    /// # Errors
    /// It is empty, its first character is neither the digit of a type nor a `b`, or no base64 is behind that.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Packet<'a>, PacketError> {
        let Some(&digit) = text.as_bytes().first() else {
            return Err(PacketError::Empty);
        };
        if digit == b'b' {
            let bytes = STANDARD.decode(&text[1..]).map_err(|_| PacketError::Base64)?;
            return Ok(Packet::Binary(Cow::Owned(bytes)));
        }
        let kind = PacketType::from_digit(digit).ok_or(PacketError::Type)?;
        Ok(Packet::Text { kind, data: &text[1..] })
    }

    /// Whether this is `2probe`, by which a client tries a WebSocket.
    pub fn is_probe(&self) -> bool {
        *self == Packet::text(PacketType::Ping, "probe")
    }
}

/// The answer to a probe, as the text frame that it is sent in.
pub const PROBE_ANSWER: &str = "3probe";

/// Appends the text frame of a WebSocket that carries such a packet.
#[inline]
pub fn encode(out: &mut Vec<u8>, kind: PacketType, data: &str) {
    out.reserve(1 + data.len());
    out.push(kind as u8);
    out.extend_from_slice(data.as_bytes());
}

/// Why something is no packet. The session it came for is to be ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PacketError {
    /// Not even a type.
    Empty,
    /// The first character is not the digit of a type.
    Type,
    /// What follows a `b` is not base64 with its padding.
    Base64,
}

impl fmt::Display for PacketError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PacketError::Empty => "an Engine.IO packet is empty",
            PacketError::Type => "an Engine.IO packet has a type other than 0 to 6",
            PacketError::Base64 => "a binary Engine.IO packet is not base64",
        })
    }
}

impl std::error::Error for PacketError {}

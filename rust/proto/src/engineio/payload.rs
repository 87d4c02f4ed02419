//! The body of a polling request or response: packets with 0x1e between them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::{memchr, memchr_iter};

use super::packet::{self, Packet, PacketError};

/// What stands between two packets.
pub const SEPARATOR: u8 = 0x1e;

/// What one body may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest body in bytes, as the client was told in `maxPayload`; 1,000,000 by default.
    pub max_bytes: usize,
    /// The most packets; 4,096 by default. The JavaScript client knows no such limit: what it has queued goes into one
    /// body as far as `maxPayload` allows.
    pub max_packets: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_bytes: 1_000_000, max_packets: 4096 }
    }
}

/// The packets of a body. The limits are judged before the first is handed out.
///
/// A packet that is none ends the iteration: what was handed out before it counts.
///
/// # Errors
/// The body is empty or beyond a limit, or it is not UTF-8.
pub fn decode<'a>(body: &'a [u8], limits: &Limits) -> Result<Packets<'a>, PayloadError> {
    if body.is_empty() {
        return Err(PayloadError::Empty);
    }
    if body.len() > limits.max_bytes {
        return Err(PayloadError::TooBig);
    }
    if memchr_iter(SEPARATOR, body).count() >= limits.max_packets {
        return Err(PayloadError::TooManyPackets);
    }
    let rest = simdutf8::basic::from_utf8(body).map_err(|_| PayloadError::Utf8)?;
    Ok(Packets { rest: Some(rest) })
}

/// What [`decode`] gives.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    /// `None` after the last packet and after an error.
    rest: Option<&'a str>,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let (text, rest) = match memchr(SEPARATOR, text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let packet = match text.strip_prefix('b') {
            Some(base64) => {
                STANDARD.decode(base64).map(|bytes| Packet::Binary(Cow::Owned(bytes))).map_err(|_| PacketError::Base64)
            }
            None => Packet::parse(text),
        };
        if packet.is_ok() {
            self.rest = rest;
        }
        Some(packet)
    }
}

impl std::iter::FusedIterator for Packets<'_> {}

/// Appends a packet to a body; anything in `out` is taken for the packets before it.
///
/// # Errors
/// A text with 0x1e in it, which polling cannot carry; nothing is appended then. JSON never has it: it escapes control
/// characters.
pub fn append(out: &mut Vec<u8>, packet: &Packet<'_>) -> Result<(), SeparatorInText> {
    if let Packet::Text { data, .. } = packet
        && memchr(SEPARATOR, data.as_bytes()).is_some()
    {
        return Err(SeparatorInText);
    }
    if !out.is_empty() {
        out.push(SEPARATOR);
    }
    match packet {
        Packet::Text { kind, data } => packet::encode(out, *kind, data),
        Packet::Binary(bytes) => {
            out.push(b'b');
            let start = out.len();
            out.resize(start + bytes.len().div_ceil(3) * 4, 0);
            let written = STANDARD.encode_slice(bytes, &mut out[start..]);
            debug_assert_eq!(written, Ok(out.len() - start));
        }
    }
    Ok(())
}

/// Why a body is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PayloadError {
    /// No bytes at all.
    Empty,
    /// More bytes than the limit allows. The session stays: nothing of the body was taken.
    TooBig,
    /// More packets than the limit allows.
    TooManyPackets,
    /// Not UTF-8.
    Utf8,
}

impl PayloadError {
    /// The status that answers this error.
    pub fn status(&self) -> u16 {
        match self {
            PayloadError::TooBig => 413,
            PayloadError::Empty | PayloadError::TooManyPackets | PayloadError::Utf8 => 400,
        }
    }

    /// Whether the session ends with it.
    pub fn ends_session(&self) -> bool {
        *self != PayloadError::TooBig
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PayloadError::Empty => "a polling payload is empty",
            PayloadError::TooBig => "a polling payload is too big",
            PayloadError::TooManyPackets => "a polling payload has too many packets",
            PayloadError::Utf8 => "a polling payload is not UTF-8",
        })
    }
}

impl std::error::Error for PayloadError {}

/// A text that polling cannot carry, since the separator is part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeparatorInText;

impl fmt::Display for SeparatorInText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text with U+001E cannot be sent over polling, which separates packets by it")
    }
}

impl std::error::Error for SeparatorInText {}

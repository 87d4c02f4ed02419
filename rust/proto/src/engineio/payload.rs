//! The body of a polling request or response: packets with 0x1e between them. [`comet::packets`](crate::comet::packets)
//! reads one, for Engine.IO's clients too.

use std::fmt;

/// What stands between two packets.
pub const SEPARATOR: u8 = 0x1e;

/// Why a body is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PayloadError {
    /// No bytes at all.
    Empty,
    /// More packets than the limit allows.
    TooManyPackets,
    /// Not UTF-8.
    Utf8,
}

impl fmt::Display for PayloadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PayloadError::Empty => "a polling payload is empty",
            PayloadError::TooManyPackets => "a polling payload has too many packets",
            PayloadError::Utf8 => "a polling payload is not UTF-8",
        })
    }
}

impl std::error::Error for PayloadError {}

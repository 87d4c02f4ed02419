//! What can be wrong with a chunked body, and the status that answers it.

use std::fmt;

/// What is wrong with a chunked body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BodyError {
    /// A chunk size is not 1 to 16 hexadecimal digits, alone or before a semicolon.
    ChunkSize,
    /// A chunk's data is not followed by CRLF.
    ChunkEnd,
    /// A chunk extension is none: a name, or a name and a value.
    Extension,
    /// The chunk extensions are too long, all together.
    ExtensionsTooLong,
    /// A control character in a chunk extension or a trailer.
    ControlCharacter,
    /// A line ends with LF alone.
    BareLf,
    /// A CR that no LF follows.
    BareCr,
    /// A trailer is no field line.
    Trailer,
    /// The trailers are too large, all together.
    TrailersTooLarge,
}

impl BodyError {
    /// The status that answers this error. The connection must be closed after it: where the next request would begin
    /// is not known.
    pub fn status(&self) -> u16 {
        match self {
            BodyError::TrailersTooLarge => 431,
            _ => 400,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            BodyError::ChunkSize => "a chunk size is not 1 to 16 hexadecimal digits",
            BodyError::ChunkEnd => "a chunk is not followed by CRLF",
            BodyError::Extension => "a chunk extension is no name with or without a value",
            BodyError::ExtensionsTooLong => "the chunk extensions are too long",
            BodyError::ControlCharacter => "a control character in a chunk extension or a trailer",
            BodyError::BareLf => "a line of the chunked body ends with LF alone",
            BodyError::BareCr => "a CR without LF in the chunked body",
            BodyError::Trailer => "a trailer is no field line",
            BodyError::TrailersTooLarge => "the trailers are too large",
        })
    }
}

impl std::error::Error for BodyError {}

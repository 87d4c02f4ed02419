//! The chunked coding (RFC 9112 §7.1), strictly: what two programs could read differently is refused.

use memchr::memchr3;

use super::{BodyError, take};
use crate::head::is_token;

/// Hexadecimal digits of a chunk size: as many as a `u64` has.
const MAX_SIZE_DIGITS: u8 = 16;
/// Bytes of all chunk extensions of a body: nobody needs them, and one-byte chunks could carry a flood of them.
const MAX_EXTENSION_BYTES: usize = 16 << 10;
/// Bytes of all trailers of a body.
const MAX_TRAILER_BYTES: usize = 16 << 10;

/// Reads chunks. Extensions and trailers are checked, counted and dropped.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    at: At,
    /// The size that is being read, then what is left of the chunk.
    left: u64,
    digits: u8,
    extension_bytes: usize,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Size,
    Extension(Extension),
    /// After the CR of a size line.
    SizeEnd,
    Data,
    /// After a chunk's data: its CR, its LF.
    DataEnd,
    DataLf,
    /// The beginning of a trailer, or of the blank line that ends the body.
    Line,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
}

/// Where in the extensions of a chunk (RFC 9112 §7.1.1): `*( BWS ";" BWS name [ BWS "=" BWS value ] )`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extension {
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    /// After a backslash.
    Escaped,
    /// After the closing quote.
    Unquoted,
    AfterValue,
}

impl Extension {
    /// `None`: this cannot stand here.
    fn step(self, byte: u8) -> Option<Extension> {
        use Extension as At;
        Some(match (self, byte) {
            (At::Quoted, b'\\') => At::Escaped,
            (At::Quoted, b'"') => At::Unquoted,
            (At::Quoted | At::Escaped, _) => At::Quoted,
            (At::BeforeName | At::BeforeValue, b' ' | b'\t') => self,
            (At::Name | At::AfterName, b' ' | b'\t') => At::AfterName,
            (At::Value | At::Unquoted | At::AfterValue, b' ' | b'\t') => At::AfterValue,
            (At::Name | At::AfterName, b'=') => At::BeforeValue,
            (At::Name | At::AfterName | At::Value | At::Unquoted | At::AfterValue, b';') => At::BeforeName,
            (At::BeforeValue, b'"') => At::Quoted,
            (At::BeforeName | At::Name, _) if is_token([byte]) => At::Name,
            (At::BeforeValue | At::Value, _) if is_token([byte]) => At::Value,
            _ => return None,
        })
    }

    /// White space belongs to what follows it.
    fn may_end(self) -> bool {
        matches!(self, Extension::Name | Extension::Value | Extension::Unquoted)
    }
}

impl Chunks {
    pub(super) fn new() -> Chunks {
        Chunks { at: At::Size, left: 0, digits: 0, extension_bytes: 0, trailer_bytes: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    pub(super) fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<&'b [u8]>, BodyError> {
        loop {
            match self.at {
                At::Done => return Ok(None),
                At::Data => {
                    let content = take(input, self.left);
                    self.left -= content.len() as u64;
                    if self.left == 0 {
                        self.at = At::DataEnd;
                    }
                    return Ok((!content.is_empty()).then_some(content));
                }
                At::Extension(_) => {
                    if !self.skip(input, Chunks::extend)? {
                        return Ok(None);
                    }
                    if !matches!(self.at, At::Extension(extension) if extension.may_end()) {
                        return Err(BodyError::Extension);
                    }
                    self.at = At::SizeEnd;
                }
                At::TrailerValue => match self.skip(input, |chunks, text| chunks.count_trailer(text.len()))? {
                    true => self.at = At::TrailerLf,
                    false => return Ok(None),
                },
                _ => match input.split_first() {
                    None => return Ok(None),
                    Some((&byte, rest)) => {
                        *input = rest;
                        self.step(byte)?;
                    }
                },
            }
        }
    }

    /// Passes over text up to and with its CR. `false`: the CR has not come.
    fn skip(
        &mut self,
        input: &mut &[u8],
        count: fn(&mut Chunks, &[u8]) -> Result<(), BodyError>,
    ) -> Result<bool, BodyError> {
        let end = memchr3(b'\r', b'\n', 0, input);
        let text = &input[..end.unwrap_or(input.len())];
        if let Some(bad) = text.iter().position(|byte| !matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)) {
            count(self, &text[..bad])?;
            return Err(BodyError::ControlCharacter);
        }
        count(self, text)?;
        match end.map(|end| input[end]) {
            None => *input = &[],
            Some(b'\r') => {
                *input = &input[text.len() + 1..];
                return Ok(true);
            }
            Some(b'\n') => return Err(BodyError::BareLf),
            Some(_) => return Err(BodyError::ControlCharacter),
        }
        Ok(false)
    }

    fn step(&mut self, byte: u8) -> Result<(), BodyError> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte)?;
                At::Size
            }
            (At::Size, b';' | b'\r') if self.digits == 0 => return Err(BodyError::ChunkSize),
            (At::Size, b';') => At::Extension(Extension::BeforeName),
            (At::Size, b'\r') => At::SizeEnd,
            (At::Size, b'\n') => return Err(BodyError::BareLf),
            (At::Size, _) => return Err(BodyError::ChunkSize),
            (At::SizeEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 { At::Line } else { At::Data }
            }
            (At::DataEnd, b'\r') => At::DataLf,
            (At::DataEnd, _) => return Err(BodyError::ChunkEnd),
            (At::DataLf, b'\n') => At::Size,
            (At::Line, b'\r') => At::LastLf,
            (At::TrailerName, b':') => {
                self.count_trailer(1)?;
                At::TrailerValue
            }
            (At::Line | At::TrailerName, byte) if is_token([byte]) => {
                self.count_trailer(1)?;
                At::TrailerName
            }
            (At::Line | At::TrailerName, b'\n') => return Err(BodyError::BareLf),
            (At::Line | At::TrailerName, _) => return Err(BodyError::Trailer),
            (At::TrailerLf, b'\n') => At::Line,
            (At::LastLf, b'\n') => At::Done,
            // After a CR, anything but LF.
            _ => return Err(BodyError::BareCr),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<(), BodyError> {
        self.digits += 1;
        if self.digits > MAX_SIZE_DIGITS {
            return Err(BodyError::ChunkSize);
        }
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        // RFC 9112 §7.1: a recipient MUST anticipate large numerals and prevent overflows.
        let shifted = self.left.checked_mul(16).ok_or(BodyError::ChunkSize)?;
        self.left = shifted + u64::from(value);
        Ok(())
    }

    fn extend(&mut self, text: &[u8]) -> Result<(), BodyError> {
        self.extension_bytes += text.len();
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(BodyError::ExtensionsTooLong);
        }
        if let At::Extension(mut extension) = self.at {
            for byte in text {
                extension = extension.step(*byte).ok_or(BodyError::Extension)?;
            }
            self.at = At::Extension(extension);
        }
        Ok(())
    }

    fn count_trailer(&mut self, len: usize) -> Result<(), BodyError> {
        self.trailer_bytes += len;
        if self.trailer_bytes > MAX_TRAILER_BYTES { Err(BodyError::TrailersTooLarge) } else { Ok(()) }
    }
}

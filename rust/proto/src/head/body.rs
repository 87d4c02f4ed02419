//! How long the body of a request is (RFC 9112 §6), read so that nobody can read it differently.

use super::syntax::trim;
use super::{Fields, HeadError};

/// The body that follows a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// None: neither Content-Length nor Transfer-Encoding.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

pub(super) fn body(fields: &Fields<'_>, version: u8) -> Result<Body, HeadError> {
    let length = content_length(fields)?;
    let chunked = is_chunked(fields)?;
    match (length, chunked) {
        // RFC 9112 §6.3: Transfer-Encoding overrides Content-Length, but the pair ought to be handled as an error.
        (Some(_), true) => Err(HeadError::TwoLengths),
        // RFC 9112 §6.1: with HTTP/1.0, Transfer-Encoding MUST be treated as faulty framing.
        (None, true) if version == 0 => Err(HeadError::TransferEncoding),
        (None, true) => Ok(Body::Chunked),
        (Some(length), false) => Ok(Body::Length(length)),
        (None, false) => Ok(Body::None),
    }
}

/// RFC 9110 §8.6: Content-Length = 1*DIGIT. A list of equal numbers may be refused, and is.
fn content_length(fields: &Fields<'_>) -> Result<Option<u64>, HeadError> {
    let Some(value) = fields.one("content-length").map_err(|_| HeadError::ContentLength)? else {
        return Ok(None);
    };
    if value.is_empty() {
        return Err(HeadError::ContentLength);
    }
    let mut length = 0_u64;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(HeadError::ContentLength);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .ok_or(HeadError::ContentLength)?;
    }
    Ok(Some(length))
}

/// Whether Transfer-Encoding is there; then it is exactly `chunked`.
fn is_chunked(fields: &Fields<'_>) -> Result<bool, HeadError> {
    let mut values = fields.all("transfer-encoding").peekable();
    if values.peek().is_none() {
        return Ok(false);
    }
    // RFC 9110 §5.6.1.2 lets empty elements be ignored; here they are a way to be read differently by two programs.
    let codings: Vec<&[u8]> = values.flat_map(|value| value.split(|byte| *byte == b',').map(trim)).collect();
    if codings.iter().any(|coding| coding.is_empty()) {
        return Err(HeadError::TransferEncoding);
    }
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    // RFC 9112 §6.3: if chunked is not the final coding of a request, the server MUST respond with 400; §6.1: chunked
    // MUST NOT be applied more than once.
    if chunked != 1 || !codings.last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) {
        return Err(HeadError::TransferEncoding);
    }
    if codings.len() > 1 { Err(HeadError::UnknownTransferCoding) } else { Ok(true) }
}

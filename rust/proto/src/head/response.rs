//! The head of a response, for the client's half.

use super::{Body, Fields, HeadError, HeadLimits, Scanner, body};

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead<'b> {
    /// The status code, three digits.
    pub status: u16,
    /// The minor version: 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub version: u8,
    /// The field lines, in order.
    pub fields: Fields<'b>,
}

impl<'b> ResponseHead<'b> {
    /// Reads the head at the front of `buf`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, [`HeadError::Truncated`] if its blank line is missing.
    pub fn parse(buf: &'b [u8], limits: &HeadLimits) -> Result<ResponseHead<'b>, HeadError> {
        let end = Scanner::new().end(buf, limits)?.ok_or(HeadError::Truncated)?;
        let mut storage = Vec::with_capacity(limits.max_fields);
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            &buf[..end],
            &mut storage.spare_capacity_mut()[..limits.max_fields],
        )?;
        match response {
            httparse::Response { version: Some(version), code: Some(status_code), headers, .. }
                if status.is_complete() =>
            {
                Ok(ResponseHead { status: status_code, version, fields: Fields::from(&*headers) })
            }
            _ => Err(HeadError::Truncated),
        }
    }

    /// How long its fields say that the content is. [`Body::None`]: until the connection ends.
    ///
    /// # Errors
    /// They contradict each other, or cannot be read.
    pub fn body(&self) -> Result<Body, HeadError> {
        body::body(&self.fields, self.version)
    }
}

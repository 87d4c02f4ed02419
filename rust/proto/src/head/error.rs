//! What can be wrong with a head, and the status that answers it.

use std::fmt;

/// What is wrong with a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum HeadError {
    /// A line ends with LF alone.
    BareLf,
    /// A CR that no LF follows.
    BareCr,
    /// A NUL byte.
    Nul,
    /// A TLS handshake.
    Tls,
    /// More bytes than the limit allows.
    TooLarge,
    /// More field lines than the limit allows.
    TooManyFields,
    /// The first line alone is longer than the limit allows.
    RequestLineTooLong,
    /// The bytes end before the blank line does.
    Truncated,
    /// The first line is not a request line, or not a status line.
    RequestLine,
    /// The method is not a token.
    Method,
    /// The request target is neither a path nor a URL.
    Target,
    /// A version other than HTTP/1.1 and HTTP/1.0.
    Version,
    /// A field name is not a token, or a line is folded.
    FieldName,
    /// A field value has a control character.
    FieldValue,
    /// A field that may stand only once stands more than once.
    RepeatedField,
    /// No Host field.
    HostMissing,
    /// More than one Host field.
    HostRepeated,
    /// The Host field is not a host with an optional port.
    Host,
    /// Content-Length is not one decimal number.
    ContentLength,
    /// Transfer-Encoding does not end in one `chunked`, or stands in HTTP/1.0.
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    UnknownTransferCoding,
    /// Both Content-Length and Transfer-Encoding.
    TwoLengths,
}

impl HeadError {
    /// The status that answers this error. The connection must be closed after it: where the next request would begin
    /// is not known.
    pub fn status(&self) -> u16 {
        match self {
            HeadError::BareLf
            | HeadError::BareCr
            | HeadError::Nul
            | HeadError::Tls
            | HeadError::Truncated
            | HeadError::RequestLine
            | HeadError::Method
            | HeadError::Target
            | HeadError::FieldName
            | HeadError::FieldValue
            | HeadError::RepeatedField
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::Host
            | HeadError::ContentLength
            | HeadError::TransferEncoding
            | HeadError::TwoLengths => 400,
            HeadError::RequestLineTooLong => 414,
            HeadError::TooLarge | HeadError::TooManyFields => 431,
            // RFC 9112 §6.1: a coding that the server does not know SHOULD be answered with 501.
            HeadError::UnknownTransferCoding => 501,
            HeadError::Version => 505,
        }
    }

    /// What is wrong, in a few words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            HeadError::BareLf => "a line ends with LF alone",
            HeadError::BareCr => "a CR without LF",
            HeadError::Nul => "a NUL byte",
            HeadError::Tls => "this port does not speak TLS: use ws:// or http://",
            HeadError::TooLarge => "the head is too large",
            HeadError::TooManyFields => "the head has too many fields",
            HeadError::RequestLineTooLong => "the request line is too long",
            HeadError::Truncated => "the head is not complete",
            HeadError::RequestLine => "the first line is malformed",
            HeadError::Method => "the method is not a token",
            HeadError::Target => "the request target is neither a path nor a URL",
            HeadError::Version => "only HTTP/1.1 and HTTP/1.0 are spoken here",
            HeadError::FieldName => "a field name is not a token",
            HeadError::FieldValue => "a field value has a control character",
            HeadError::RepeatedField => "a field stands more than once",
            HeadError::HostMissing => "the Host field is missing",
            HeadError::HostRepeated => "the Host field stands more than once",
            HeadError::Host => "the Host field is not a host with an optional port",
            HeadError::ContentLength => "Content-Length is not one decimal number",
            HeadError::TransferEncoding => "Transfer-Encoding does not end in one chunked",
            HeadError::UnknownTransferCoding => "a transfer coding is not known",
            HeadError::TwoLengths => "both Content-Length and Transfer-Encoding",
        }
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> HeadError {
        match error {
            httparse::Error::HeaderName => HeadError::FieldName,
            httparse::Error::HeaderValue => HeadError::FieldValue,
            httparse::Error::NewLine => HeadError::BareCr,
            httparse::Error::Status | httparse::Error::Token => HeadError::RequestLine,
            httparse::Error::TooManyHeaders => HeadError::TooManyFields,
            httparse::Error::Version => HeadError::Version,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

impl std::error::Error for HeadError {}

//! The six ways in which Engine.IO refuses a request.

use std::fmt;

/// Why a request is refused; the number is the `code` of the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// `transport` is neither `polling` nor `websocket`.
    TransportUnknown = 0,
    /// There is no session with this `sid`.
    SessionIdUnknown = 1,
    /// A session is opened with GET.
    BadHandshakeMethod = 2,
    /// Anything else that does not fit together.
    BadRequest = 3,
    /// The server's user does not want it.
    Forbidden = 4,
    /// `EIO` is not 4.
    UnsupportedProtocolVersion = 5,
}

impl ErrorCode {
    /// All of them, by number.
    pub const ALL: [ErrorCode; 6] = [
        ErrorCode::TransportUnknown,
        ErrorCode::SessionIdUnknown,
        ErrorCode::BadHandshakeMethod,
        ErrorCode::BadRequest,
        ErrorCode::Forbidden,
        ErrorCode::UnsupportedProtocolVersion,
    ];

    /// The status that goes with it.
    pub fn status(self) -> u16 {
        if self == ErrorCode::Forbidden { 403 } else { 400 }
    }

    /// The body that goes with it, `application/json`.
    pub fn body(self) -> &'static str {
        match self {
            ErrorCode::TransportUnknown => r#"{"code":0,"message":"Transport unknown"}"#,
            ErrorCode::SessionIdUnknown => r#"{"code":1,"message":"Session ID unknown"}"#,
            ErrorCode::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            ErrorCode::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            ErrorCode::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            ErrorCode::UnsupportedProtocolVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }

    /// What the body calls it; a refused WebSocket handshake has it as plain text.
    pub fn message(self) -> &'static str {
        match self {
            ErrorCode::TransportUnknown => "Transport unknown",
            ErrorCode::SessionIdUnknown => "Session ID unknown",
            ErrorCode::BadHandshakeMethod => "Bad handshake method",
            ErrorCode::BadRequest => "Bad request",
            ErrorCode::Forbidden => "Forbidden",
            ErrorCode::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.message())
    }
}

impl std::error::Error for ErrorCode {}

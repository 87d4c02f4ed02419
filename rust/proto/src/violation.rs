//! Every way a peer can break the rules of WebSocket, and the close code that answers it.

use std::fmt;

use crate::close_code::CloseCode;

/// What the peer did wrong. Its text is short enough to be the reason of a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Violation {
    /// RSV1, RSV2 or RSV3 is set and no extension gives it a meaning.
    ReservedBits,
    /// An opcode that RFC 6455 leaves reserved.
    ReservedOpcode,
    /// A close, ping or pong without FIN.
    FragmentedControl,
    /// A close, ping or pong of more than 125 bytes.
    ControlTooLong,
    /// A length written in more bytes than it needs.
    NonMinimalLength,
    /// A 64-bit length with its most significant bit set.
    LengthOverflow,
    /// A client sent a frame without a mask.
    Unmasked,
    /// A server sent a frame with a mask.
    Masked,
    /// A continuation frame, but no message is open.
    NothingToContinue,
    /// A new text or binary frame inside a fragmented message.
    MessageInsideMessage,
    /// A close frame with a payload of one byte.
    CloseTooShort,
    /// A close code that must not appear in a frame.
    CloseCode,
    /// The reason in a close frame is not UTF-8.
    CloseReasonUtf8,
    /// A text message is not UTF-8.
    TextUtf8,
    /// More empty fragments in one message than the limit allows.
    TooManyEmptyFragments,
    /// A message longer than the limit allows.
    TooBig,
    /// A compressed message that cannot be inflated.
    Deflate,
}

impl Violation {
    /// The code of the close frame that answers this violation.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Violation::ReservedBits
            | Violation::ReservedOpcode
            | Violation::FragmentedControl
            | Violation::ControlTooLong
            | Violation::NonMinimalLength
            | Violation::LengthOverflow
            | Violation::Unmasked
            | Violation::Masked
            | Violation::NothingToContinue
            | Violation::MessageInsideMessage
            | Violation::CloseTooShort
            | Violation::CloseCode => CloseCode::PROTOCOL_ERROR,
            Violation::CloseReasonUtf8 | Violation::TextUtf8 | Violation::Deflate => {
                CloseCode::INVALID_FRAME_PAYLOAD_DATA
            }
            Violation::TooManyEmptyFragments => CloseCode::POLICY_VIOLATION,
            Violation::TooBig => CloseCode::MESSAGE_TOO_BIG,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Violation::ReservedBits => "reserved bits are set",
            Violation::ReservedOpcode => "the opcode is reserved",
            Violation::FragmentedControl => "a control frame is fragmented",
            Violation::ControlTooLong => "a control frame is longer than 125 bytes",
            Violation::NonMinimalLength => "a length is not written in as few bytes as possible",
            Violation::LengthOverflow => "a length has its most significant bit set",
            Violation::Unmasked => "a frame from the client is not masked",
            Violation::Masked => "a frame from the server is masked",
            Violation::NothingToContinue => "a continuation frame continues nothing",
            Violation::MessageInsideMessage => "a new message starts inside a fragmented message",
            Violation::CloseTooShort => "a close frame has a payload of one byte",
            Violation::CloseCode => "a close frame has a code that must not be sent",
            Violation::CloseReasonUtf8 => "the reason of a close frame is not UTF-8",
            Violation::TextUtf8 => "a text message is not UTF-8",
            Violation::TooManyEmptyFragments => "a message has too many empty fragments",
            Violation::TooBig => "a message is too big",
            Violation::Deflate => "a compressed message cannot be inflated",
        })
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::Violation;

    const ALL: [Violation; 17] = [
        Violation::ReservedBits,
        Violation::ReservedOpcode,
        Violation::FragmentedControl,
        Violation::ControlTooLong,
        Violation::NonMinimalLength,
        Violation::LengthOverflow,
        Violation::Unmasked,
        Violation::Masked,
        Violation::NothingToContinue,
        Violation::MessageInsideMessage,
        Violation::CloseTooShort,
        Violation::CloseCode,
        Violation::CloseReasonUtf8,
        Violation::TextUtf8,
        Violation::TooManyEmptyFragments,
        Violation::TooBig,
        Violation::Deflate,
    ];

    #[test]
    fn every_violation_fits_into_a_close_frame() {
        for violation in ALL {
            let mut out = Vec::new();
            let reason = violation.to_string();
            assert!(violation.close_code().may_be_sent(), "{violation:?}");
            crate::close::encode(&mut out, crate::Role::Server, Some(violation.close_code()), &reason, None)
                .expect("short enough for a reason");
        }
    }
}

//! Close codes and close frames (RFC 6455 §5.5.1, §7.4).

use std::fmt;

use crate::frame::{self, Opcode};
use crate::{Role, Violation};

pub use crate::close_code::CloseCode;

/// The longest reason, in bytes: a control frame of 125 bytes less the code.
pub const MAX_REASON_BYTES: usize = 123;

/// The payload of a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseFrame<'a> {
    /// The code, if the frame has a payload at all.
    pub code: Option<CloseCode>,
    /// The reason; empty if none was given.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Reads the (unmasked) payload of a close frame.
    ///
    /// # Errors
    /// A payload of one byte, a code that must not be sent, a reason that is not UTF-8.
    pub fn parse(payload: &'a [u8]) -> Result<CloseFrame<'a>, Violation> {
        match payload {
            [] => Ok(CloseFrame { code: None, reason: "" }),
            // RFC 6455 §5.5.1: if there is a body, its first two bytes MUST be the code.
            [_] => Err(Violation::CloseTooShort),
            [high, low, reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([*high, *low]));
                if !code.may_be_received() {
                    return Err(Violation::CloseCode);
                }
                let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonUtf8)?;
                Ok(CloseFrame { code: Some(code), reason })
            }
        }
    }
}

/// Appends a whole close frame to `out`.
///
/// Without a code the payload is empty and the reason is left out: there is no place for it.
/// [`CloseCode::NO_STATUS_RECEIVED`] means just that, so it is written as no code. A client gives a fresh random
/// `mask`, a server none. That `code` [may be sent](CloseCode::may_be_sent) is for the caller to see to.
///
/// # Errors
/// A reason of more than [`MAX_REASON_BYTES`] bytes; nothing is appended then.
pub fn encode(
    out: &mut Vec<u8>,
    role: Role,
    code: Option<CloseCode>,
    reason: &str,
    mask: Option<[u8; 4]>,
) -> Result<(), ReasonTooLong> {
    debug_assert_eq!(mask.is_some(), role == Role::Client, "a client masks, a server does not");
    if reason.len() > MAX_REASON_BYTES {
        return Err(ReasonTooLong);
    }
    let mut payload = [0; 125];
    let len = match code {
        None | Some(CloseCode::NO_STATUS_RECEIVED) => 0,
        Some(code) => {
            debug_assert!(code.may_be_sent(), "{code} must not be sent");
            payload[..2].copy_from_slice(&code.0.to_be_bytes());
            payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
            2 + reason.len()
        }
    };
    frame::encode(out, Opcode::Close, &payload[..len], mask);
    Ok(())
}

/// A close reason of more than [`MAX_REASON_BYTES`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReasonTooLong;

impl fmt::Display for ReasonTooLong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a close reason is at most {MAX_REASON_BYTES} bytes of UTF-8")
    }
}

impl std::error::Error for ReasonTooLong {}

//! The numbers that say why a connection ends (RFC 6455 §7.4).

use std::fmt;

/// Why a connection ends (RFC 6455 §7.4 and the IANA registry).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// A server shuts down, or a page is left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The peer sent a kind of data that is not accepted.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// Never sent: stands for a close frame without a code.
    pub const NO_STATUS_RECEIVED: CloseCode = CloseCode(1005);
    /// Never sent: stands for a connection that ended without a close frame.
    pub const ABNORMAL_CLOSURE: CloseCode = CloseCode(1006);
    /// The payload does not fit its kind: text that is not UTF-8.
    pub const INVALID_FRAME_PAYLOAD_DATA: CloseCode = CloseCode(1007);
    /// The peer broke a rule of this program.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// A message is longer than what is accepted.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// A client misses an extension that the server did not agree to.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// A server met something that it did not expect.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// The service restarts.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// The service is overloaded.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// A gateway got an invalid answer from the server behind it.
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);
    /// Never sent: stands for a failed TLS handshake.
    pub const TLS_HANDSHAKE: CloseCode = CloseCode(1015);

    /// Whether a peer may write this code into a close frame: 1000-1003, 1007-1014, 3000-4999.
    pub fn may_be_received(self) -> bool {
        // RFC 6455 §7.4.1: 1005, 1006 and 1015 MUST NOT be set in a close frame. §7.4.2: 0-999 are not used,
        // 1016-2999 (and 1004) are reserved, 3000-4999 are for libraries and applications.
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether this program may write this code into a close frame.
    pub fn may_be_sent(self) -> bool {
        // What we would refuse from a peer, we do not send.
        self.may_be_received()
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

//! The first packet of a session, by which the server tells what it is.

use std::io::Write;

use super::sid::Sid;

/// What a client is told about its session. Times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open<'a> {
    /// The session's id.
    pub sid: &'a Sid,
    /// Whether the client may go on to a WebSocket; false if it is on one.
    pub may_upgrade: bool,
    /// From one ping of the server, or rather from its pong, to the next.
    pub ping_interval: u64,
    /// How long the server waits for a pong.
    pub ping_timeout: u64,
    /// The longest body, or WebSocket message, in bytes that the client may send.
    pub max_payload: u64,
}

/// Appends the packet in text: `0` and a JSON object of five keys, whose order is the reference's.
pub fn encode(out: &mut Vec<u8>, open: &Open<'_>) {
    let upgrades = if open.may_upgrade { r#"["websocket"]"# } else { "[]" };
    let written = write!(
        out,
        r#"0{{"sid":"{}","upgrades":{upgrades},"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
        open.sid.as_str(),
        open.ping_interval,
        open.ping_timeout,
        open.max_payload,
    );
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

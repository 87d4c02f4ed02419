//! The server's half (RFC 6455 §4.2): reads the request, writes the 101 or says why not.

use std::fmt;

use super::{accept_key, extensions, is_key};
use crate::head::{Head, HeadError, is_field_value, is_token, list};

/// A request that may be answered with 101.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade<'b> {
    /// Sec-WebSocket-Key: 16 bytes in base64.
    pub key: &'b str,
    /// The subprotocols that the client offers, the one it likes best first; tokens.
    pub subprotocols: Vec<&'b str>,
    /// The values of Sec-WebSocket-Extensions as they were sent; [`extensions::parse`] reads them, and has found them
    /// well-formed.
    pub extensions: Vec<&'b [u8]>,
    /// The origin of the page, if a browser asks; `null` is one.
    pub origin: Option<&'b str>,
}

/// Whether the request asks for WebSocket at all: Upgrade has `websocket` and Connection has `upgrade`.
pub fn is_upgrade(head: &Head<'_>) -> bool {
    head.fields.has_token("upgrade", "websocket") && head.fields.has_token("connection", "upgrade")
}

/// Reads an opening handshake.
///
/// # Errors
/// What to answer instead of 101. The connection must be closed after it.
pub fn parse<'b>(head: &Head<'b>) -> Result<Upgrade<'b>, Refusal> {
    // RFC 6455 §4.2.1, in its order: 1. GET, HTTP/1.1 or higher,
    if head.method != "GET" {
        return Err(Refusal::METHOD.with("Allow", "GET"));
    }
    if head.version == 0 {
        return Err(Refusal::VERSION_OF_HTTP);
    }
    // (2. Host: a head without one is refused before it comes here,) 3. Upgrade, 4. Connection,
    if !is_upgrade(head) {
        return Err(Refusal::NO_UPGRADE.with("Upgrade", "websocket"));
    }
    // (a body that is not read would become the next request,)
    if head.has_body() {
        return Err(Refusal::BODY);
    }
    // 6. the version,
    if one(head, "sec-websocket-version", Refusal::VERSION_REPEATED)? != Some("13") {
        // RFC 6455 §4.4: the answer MUST name the versions that the server speaks.
        let refusal = Refusal::VERSION_OF_WEBSOCKET.with("Upgrade", "websocket");
        return Err(refusal.with("Sec-WebSocket-Version", "13"));
    }
    // 5. the key, 7. the origin, 8. subprotocols, 9. extensions.
    let key = one(head, "sec-websocket-key", Refusal::KEY)?.filter(|key| is_key(key)).ok_or(Refusal::KEY)?;
    let origin = one(head, "origin", Refusal::ORIGIN)?;
    Ok(Upgrade { key, subprotocols: subprotocols(head)?, extensions: extensions(head)?, origin })
}

/// Appends the 101 that accepts the handshake.
///
/// `key` is that of the request; `subprotocol` one of those offered; `extra` are further fields. The caller has seen
/// that names and subprotocol are tokens ([`is_token`]) and that values are clean ([`is_field_value`]).
pub fn write_response(out: &mut Vec<u8>, key: &str, subprotocol: Option<&str>, extra: &[(String, String)]) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(accept_key(key).as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(subprotocol) = subprotocol {
        debug_assert!(is_token(subprotocol), "a subprotocol is a token");
        write_field(out, "Sec-WebSocket-Protocol", subprotocol);
    }
    for (name, value) in extra {
        write_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Why a handshake is not accepted, as an answer of HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The reason phrase that belongs to the status.
    pub reason: &'static str,
    /// Fields that the answer must have, beside `Connection: close` and the length.
    pub fields: Vec<(&'static str, String)>,
    /// What was wrong, in words for people.
    pub body: &'static str,
}

impl Refusal {
    const METHOD: Refusal = Refusal::new(405, "Method Not Allowed", "A WebSocket handshake is a GET.");
    const VERSION_OF_HTTP: Refusal = Refusal::bad("A WebSocket handshake needs HTTP/1.1.");
    const NO_UPGRADE: Refusal = Refusal::new(426, "Upgrade Required", "Only WebSocket is spoken here.");
    const BODY: Refusal = Refusal::bad("A WebSocket handshake has no body.");
    const VERSION_REPEATED: Refusal = Refusal::bad("Sec-WebSocket-Version must stand once.");
    const VERSION_OF_WEBSOCKET: Refusal = Refusal::new(426, "Upgrade Required", "Only version 13 is spoken here.");
    const KEY: Refusal = Refusal::bad("Sec-WebSocket-Key must stand once and be 16 bytes in base64.");
    const ORIGIN: Refusal = Refusal::bad("Origin must stand at most once and be ASCII.");
    const SUBPROTOCOLS: Refusal = Refusal::bad("Sec-WebSocket-Protocol is malformed.");
    const EXTENSIONS: Refusal = Refusal::bad("Sec-WebSocket-Extensions is malformed.");

    const fn new(status: u16, reason: &'static str, body: &'static str) -> Refusal {
        Refusal { status, reason, fields: Vec::new(), body }
    }

    const fn bad(body: &'static str) -> Refusal {
        Refusal::new(400, "Bad Request", body)
    }

    fn with(mut self, name: &'static str, value: &str) -> Refusal {
        self.fields.push((name, value.to_owned()));
        self
    }

    /// Appends the whole answer.
    pub fn write_response(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", self.status, self.reason).as_bytes());
        for (name, value) in &self.fields {
            write_field(out, name, value);
        }
        // RFC 9110 §7.8: a sender of Upgrade MUST name it in Connection too.
        let upgrade = self.fields.iter().any(|(name, _)| *name == "Upgrade");
        write_field(out, "Connection", if upgrade { "Upgrade, close" } else { "close" });
        write_field(out, "Content-Type", "text/plain; charset=utf-8");
        write_field(out, "Content-Length", &self.body.len().to_string());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body.as_bytes());
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.status, self.reason, self.body)
    }
}

impl std::error::Error for Refusal {}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Refusal {
        let status = error.status();
        let reason = match status {
            414 => "URI Too Long",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            505 => "HTTP Version Not Supported",
            _ => "Bad Request",
        };
        Refusal::new(status, reason, error.text())
    }
}

/// The only value of a field as text; `refusal` if it stands more than once or is not ASCII.
fn one<'b>(head: &Head<'b>, name: &str, refusal: Refusal) -> Result<Option<&'b str>, Refusal> {
    match head.one(name) {
        Ok(None) => Ok(None),
        Ok(Some(value)) if value.is_ascii() => Ok(std::str::from_utf8(value).ok()),
        Ok(Some(_)) | Err(_) => Err(refusal),
    }
}

fn subprotocols<'b>(head: &Head<'b>) -> Result<Vec<&'b str>, Refusal> {
    let mut offered = Vec::new();
    for value in head.all("sec-websocket-protocol") {
        let before = offered.len();
        for element in list(value) {
            // RFC 6455 §4.1: each MUST be a token.
            let name = std::str::from_utf8(element).ok().filter(|name| is_token(name)).ok_or(Refusal::SUBPROTOCOLS)?;
            offered.push(name);
        }
        if offered.len() == before {
            return Err(Refusal::SUBPROTOCOLS);
        }
    }
    Ok(offered)
}

fn extensions<'b>(head: &Head<'b>) -> Result<Vec<&'b [u8]>, Refusal> {
    head.all("sec-websocket-extensions")
        .map(|value| extensions::parse(value).map(|_| value).map_err(|_| Refusal::EXTENSIONS))
        .collect()
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    debug_assert!(is_token(name) && is_field_value(value), "not a clean field: {name:?}: {value:?}");
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

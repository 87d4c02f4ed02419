//! The client's half (RFC 6455 §4.1): writes the request, checks the answer.
//!
//! ```
//! use hubbub_proto::handshake::client::{Request, key};
//! use hubbub_proto::head::{HeadLimits, ResponseHead, Scanner};
//!
//! let key = key([7; 16]); // 16 random bytes
//! let request = Request { host: "localhost:8888", target: "/", key: &key, subprotocols: &["chat.v1"], fields: &[] };
//! let mut out = Vec::new();
//! request.write(&mut out)?;
//!
//! let mut answer = Vec::new();
//! hubbub_proto::handshake::write_response(&mut answer, &key, Some("chat.v1"), &[]);
//! let limits = HeadLimits::default();
//! let end = Scanner::new().end(&answer, &limits)?.expect("the blank line is there");
//! let agreed = request.check(&ResponseHead::parse(&answer[..end], &limits)?)?;
//! assert_eq!(agreed.subprotocol, Some("chat.v1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::deflate::Offer;
use super::{accept_key, is_key};
use crate::deflate::Params;
use crate::head::{ResponseHead, is_authority, is_field_value, is_target_text, is_token};

/// A Sec-WebSocket-Key; RFC 6455 §4.1: the 16 bytes MUST be chosen at random for each connection.
pub fn key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

/// An opening handshake.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The host, and the port if it is not that of the scheme.
    pub host: &'a str,
    /// The path with its query; begins with `/`.
    pub target: &'a str,
    /// What [`key`] made.
    pub key: &'a str,
    /// What the client offers, the one it likes best first.
    pub subprotocols: &'a [&'a str],
    /// Further fields, such as Origin.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> Request<'a> {
    /// Appends the request to `out`.
    ///
    /// # Errors
    /// A part of it cannot be sent; nothing is appended then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), InvalidRequest> {
        self.validate()?;
        let mut push = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        push(&["GET ", self.target, " HTTP/1.1\r\nHost: ", self.host, "\r\n"]);
        push(&["Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"]);
        push(&["Sec-WebSocket-Key: ", self.key, "\r\n"]);
        if !self.subprotocols.is_empty() {
            push(&["Sec-WebSocket-Protocol: ", &self.subprotocols.join(", "), "\r\n"]);
        }
        for (name, value) in self.fields {
            push(&[name, ": ", value, "\r\n"]);
        }
        push(&["\r\n"]);
        Ok(())
    }

    /// Checks the answer (RFC 6455 §4.1, the six steps).
    ///
    /// # Errors
    /// Why the connection must be failed.
    pub fn check(&self, head: &ResponseHead<'_>) -> Result<Agreed<'a>, Disagreement> {
        let agreed = self.check_upgrade(head)?;
        // No extension is offered, so any that is there was not.
        if head.fields.all("sec-websocket-extensions").any(|value| !value.is_empty()) {
            return Err(Disagreement::Extension);
        }
        Ok(agreed)
    }

    /// The same for a request whose [`fields`](Request::fields) offer permessage-deflate in Sec-WebSocket-Extensions.
    /// No parameters: the server has declined.
    ///
    /// # Errors
    /// Why the connection must be failed.
    pub fn check_offer(
        &self,
        head: &ResponseHead<'_>,
        offer: &Offer,
    ) -> Result<(Agreed<'a>, Option<Params>), Disagreement> {
        let agreed = self.check_upgrade(head)?;
        let values = head.fields.all("sec-websocket-extensions").filter(|value| !value.is_empty());
        Ok((agreed, offer.check(values).map_err(|_| Disagreement::Extension)?))
    }

    fn check_upgrade(&self, head: &ResponseHead<'_>) -> Result<Agreed<'a>, Disagreement> {
        if head.status != 101 {
            return Err(Disagreement::Status(head.status));
        }
        if !head.fields.has_token("upgrade", "websocket") {
            return Err(Disagreement::Upgrade);
        }
        if !head.fields.has_token("connection", "upgrade") {
            return Err(Disagreement::Connection);
        }
        let accept = head.fields.one("sec-websocket-accept").map_err(|_| Disagreement::Accept)?;
        if accept != Some(accept_key(self.key).as_bytes()) {
            return Err(Disagreement::Accept);
        }
        Ok(Agreed { subprotocol: self.agreed_subprotocol(head)? })
    }

    fn agreed_subprotocol(&self, head: &ResponseHead<'_>) -> Result<Option<&'a str>, Disagreement> {
        let Some(chosen) = head.fields.one("sec-websocket-protocol").map_err(|_| Disagreement::Subprotocol)? else {
            return Ok(None);
        };
        let offered = self.subprotocols.iter().find(|offered| offered.as_bytes() == chosen);
        offered.copied().map(Some).ok_or(Disagreement::Subprotocol)
    }

    fn validate(&self) -> Result<(), InvalidRequest> {
        if !is_authority(self.host.as_bytes()) {
            return Err(InvalidRequest::Host);
        }
        if !self.target.starts_with('/') || !is_target_text(self.target) {
            return Err(InvalidRequest::Target);
        }
        if !is_key(self.key) {
            return Err(InvalidRequest::Key);
        }
        if !self.subprotocols.iter().all(is_token) {
            return Err(InvalidRequest::Subprotocol);
        }
        if !self.fields.iter().all(|(name, value)| is_token(name) && is_field_value(value)) {
            return Err(InvalidRequest::Field);
        }
        Ok(())
    }
}

/// What both sides have agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed<'a> {
    /// The subprotocol that the server chose from those offered.
    pub subprotocol: Option<&'a str>,
}

/// A part of the request that cannot be sent: this program's own mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidRequest {
    /// Not a host with an optional port.
    Host,
    /// Not a path with an optional query.
    Target,
    /// Not 16 bytes in base64.
    Key,
    /// Not a token.
    Subprotocol,
    /// A name that is not a token, or a value with control characters.
    Field,
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            InvalidRequest::Host => "the host is not a host with an optional port",
            InvalidRequest::Target => "the target is not a path with an optional query",
            InvalidRequest::Key => "the key is not 16 bytes in base64",
            InvalidRequest::Subprotocol => "a subprotocol is not a token",
            InvalidRequest::Field => "a field has a name or a value that cannot be sent",
        })
    }
}

impl std::error::Error for InvalidRequest {}

/// Why the server's answer does not open a connection: the peer's mistake, or its wish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disagreement {
    /// It is not 101, but this.
    Status(u16),
    /// Upgrade does not have `websocket`.
    Upgrade,
    /// Connection does not have `upgrade`.
    Connection,
    /// Sec-WebSocket-Accept does not answer our key.
    Accept,
    /// An extension that was not offered.
    Extension,
    /// A subprotocol that was not offered.
    Subprotocol,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disagreement::Status(status) => write!(out, "the server answered {status}, not 101"),
            Disagreement::Upgrade => out.write_str("the server did not upgrade to websocket"),
            Disagreement::Connection => out.write_str("the server's Connection field has no upgrade"),
            Disagreement::Accept => out.write_str("the server's Sec-WebSocket-Accept does not answer the key"),
            Disagreement::Extension => out.write_str("the server chose an extension that was not offered"),
            Disagreement::Subprotocol => out.write_str("the server chose a subprotocol that was not offered"),
        }
    }
}

impl std::error::Error for Disagreement {}

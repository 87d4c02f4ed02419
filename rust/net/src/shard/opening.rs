//! From the first byte to the 101, or to the refusal.

use std::sync::Arc;

use hubbub_proto::handshake::server as handshake;
use hubbub_proto::head::{Head, HeadError};

use super::Shard;
use super::context::Context;
use crate::command::{Answer, Verdict};
use crate::compression::Packing;
use crate::handler::{Handler, Notice, Request};
use crate::id::SessionId;
use crate::link::Link;
use crate::session::{Deciding, Phase, Session};
use crate::settings::Endpoint;

/// In a list of origins: the page's own host.
const SAME_ORIGIN: &str = "same-origin";

/// What becomes of a request head.
enum Opening {
    /// Open the session now.
    Accept { agreed: Agreed, request: Request },
    /// Ask the user first.
    Ask { agreed: Option<Agreed>, request: Request, request_line: String },
    /// Answer and close.
    Refuse { answer: Answer, request_line: String },
}

/// What a handshake has agreed on, beside the subprotocol.
struct Agreed {
    key: String,
    /// How to compress, and the value of Sec-WebSocket-Extensions that says so.
    packing: Option<(Packing, String)>,
}

impl Shard {
    /// Takes in bytes of a request head.
    pub(super) fn receive_head(&mut self, slot: u32, len: usize, handler: &mut impl Handler) {
        let Some(session) = self.sessions.at(slot) else { return };
        let Phase::Handshake(handshake) = &mut session.phase else { return };
        handshake.received.extend_from_slice(&self.buffer[..len]);
        let opening = match handshake.scanner.end(&handshake.received, &self.cx.head_limits) {
            Ok(None) => return,
            Ok(Some(end)) => {
                let rest = handshake.received.split_off(end);
                let head = std::mem::take(&mut handshake.received).into_boxed_slice();
                (self.cx.open(head), rest)
            }
            Err(error) => {
                let request_line = request_line(&handshake.received);
                (refuse(&error, request_line), Vec::new())
            }
        };
        self.act(slot, opening.0, opening.1, handler);
    }

    fn act(&mut self, slot: u32, opening: Opening, rest: Vec<u8>, handler: &mut impl Handler) {
        let Some(session) = self.sessions.at(slot) else { return };
        match opening {
            Opening::Accept { agreed: Agreed { key, packing }, mut request } => {
                session.describe_transport(&mut request);
                let subprotocol = request.subprotocol.clone();
                let mut fields = Vec::new();
                session.pack(packing, &mut fields);
                self.cx.accept(session, &key, subprotocol.as_deref(), &fields, Some(request), handler);
                self.feed_rest(slot, rest, handler);
            }
            Opening::Ask { agreed, mut request, request_line } => {
                session.describe_transport(&mut request);
                let link = Arc::new(Link::new(session.id, session.peer()));
                session.link = Some(link.clone());
                let subprotocol = request.subprotocol.clone();
                let (key, packing) = agreed.map_or((None, None), |agreed| (Some(agreed.key), agreed.packing));
                let deciding = Deciding { key, subprotocol, packing, request_line, rest };
                session.phase = Phase::Deciding(Box::new(deciding));
                handler.request(link, request);
            }
            Opening::Refuse { answer, request_line } => {
                self.cx.answer(session, &answer, request_line, handler);
                self.settle_session(slot);
            }
        }
    }

    /// Does what the user has decided about a request.
    pub(super) fn decide(&mut self, id: SessionId, verdict: Verdict, handler: &mut impl Handler) {
        let Some(session) = self.sessions.get(id) else { return };
        let Phase::Deciding(deciding) = &mut session.phase else { return };
        let request_line = std::mem::take(&mut deciding.request_line);
        match (verdict, deciding.key.take()) {
            (Verdict::Accept { subprotocol, mut fields }, Some(key)) => {
                let rest = std::mem::take(&mut deciding.rest);
                let subprotocol = subprotocol.or_else(|| deciding.subprotocol.take());
                let packing = deciding.packing.take();
                session.pack(packing, &mut fields);
                self.cx.accept(session, &key, subprotocol.as_deref(), &fields, None, handler);
                self.feed_rest(id.slot() as u32, rest, handler);
            }
            (Verdict::Accept { .. }, None) => {
                self.cx.answer(session, &upgrade_required(), request_line, handler);
            }
            (Verdict::Answer(answer), _) => self.cx.answer(session, &answer, request_line, handler),
        }
        let Some(session) = self.sessions.get(id) else { return };
        if session.readable {
            self.cx.mark_ready(session);
        }
    }

    /// The handshake did not end in time.
    pub(super) fn handshake_expired(&mut self, slot: u32, handler: &mut impl Handler) {
        let Some(session) = self.sessions.at(slot) else { return };
        self.cx.counts.handshake_timeouts += 1;
        let (answer, line) = match &mut session.phase {
            Phase::Handshake(handshake) if handshake.received.is_empty() => {
                // A connection without a single byte is not owed an answer (a probe, a preconnect).
                self.drop_session(slot, None, handler);
                return;
            }
            Phase::Handshake(handshake) => {
                let line = request_line(&handshake.received);
                (plain(408, "The request head did not arrive in time."), line)
            }
            Phase::Deciding(deciding) => {
                (plain(503, "The server could not decide in time."), std::mem::take(&mut deciding.request_line))
            }
            Phase::Open | Phase::Closing | Phase::Lingering => return,
        };
        self.cx.answer(session, &answer, line, handler);
    }

    fn feed_rest(&mut self, slot: u32, mut rest: Vec<u8>, handler: &mut impl Handler) {
        if let Some(session) = self.sessions.at(slot) {
            self.cx.feed(session, &mut rest, handler);
        }
        self.settle_session(slot);
    }
}

impl Session {
    fn describe_transport(&self, request: &mut Request) {
        request.secure = self.stream.is_secure();
        request.client_certificate = self.stream.client_certificate().map(Into::into);
    }
}

impl Context {
    /// Reads a whole head and finds out what it asks for.
    fn open(&self, head: Box<[u8]>) -> Opening {
        let line = request_line(&head);
        let parsed = match Head::parse(&head, &self.head_limits) {
            Ok(parsed) => parsed,
            Err(error) => return refuse(&error, line),
        };
        let Some((number, path_params)) = self.server.routes().find(parsed.path()) else {
            return Opening::Refuse { answer: plain(404, "Nothing is served here."), request_line: line };
        };
        let endpoint = &self.server.settings().endpoints[number];
        let upgrade = handshake::is_upgrade(&parsed);
        if !upgrade && !endpoint.asks {
            return Opening::Refuse { answer: upgrade_required(), request_line: line };
        }
        let mut request = Request {
            head: Box::default(),
            endpoint: number,
            path_params,
            subprotocol: None,
            upgrade,
            ..Request::default()
        };
        let mut agreement = None;
        if upgrade {
            match agree(&parsed, endpoint) {
                Ok((agreed, subprotocol)) => (agreement, request.subprotocol) = (Some(agreed), subprotocol),
                Err(answer) => return Opening::Refuse { answer, request_line: line },
            }
        } else if parsed.has_body() {
            return Opening::Refuse { answer: plain(413, "No request body is taken here."), request_line: line };
        }
        request.head = head;
        match agreement {
            Some(agreed) if !endpoint.asks => Opening::Accept { agreed, request },
            agreed => Opening::Ask { agreed, request, request_line: line },
        }
    }

    /// Sends the 101; from here on the session is open.
    fn accept(
        &mut self,
        session: &mut Session,
        key: &str,
        subprotocol: Option<&str>,
        fields: &[(String, String)],
        request: Option<Request>,
        handler: &mut impl Handler,
    ) {
        session.outbox.gather(&mut self.pool, |out| handshake::write_response(out, key, subprotocol, fields));
        let (id, peer) = (session.id, session.peer());
        let link = session.link.get_or_insert_with(|| Arc::new(Link::new(id, peer))).clone();
        session.phase = Phase::Open;
        session.last_received = self.now;
        self.handshake_over(session);
        self.mark_dirty(session);
        self.counts.opened += 1;
        if let Some(interval) = self.limits.ping_interval {
            self.arm(session, self.now + super::context::millis(interval));
        }
        handler.open(link, request);
    }

    /// Sends an HTTP response; the connection ends after it, so nothing after the head is ever taken for
    /// another request.
    pub(super) fn answer(
        &mut self,
        session: &mut Session,
        answer: &Answer,
        request_line: String,
        handler: &mut impl Handler,
    ) {
        self.counts.refused += u64::from(answer.status >= 400);
        // RFC 9110 §9.3.2: the answer to HEAD must not have content; its fields are those of the answer to GET.
        let content: &[u8] = if request_line.starts_with("HEAD ") { &[] } else { &answer.body };
        session.outbox.gather(&mut self.pool, |out| write_answer(out, answer, content));
        handler.notice(Notice::Answered { peer: session.peer(), request_line, status: answer.status });
        session.told = session.link.is_none();
        self.handshake_over(session);
        self.tell_closed(session, None, handler);
        self.linger(session);
    }

    pub(super) fn handshake_over(&mut self, session: &mut Session) {
        if std::mem::take(&mut session.pending) {
            self.server.handshake_ends();
        }
    }
}

impl Session {
    /// Compresses from now on as was agreed; the field that says so joins those of the 101.
    fn pack(&mut self, packing: Option<(Packing, String)>, fields: &mut Vec<(String, String)>) {
        if let Some((packing, answer)) = packing {
            self.packing = Some(packing);
            self.reader.expect_deflate();
            fields.push(("Sec-WebSocket-Extensions".into(), answer));
        }
    }
}

/// Checks the upgrade; gives what it agrees on and the subprotocol in common.
fn agree(head: &Head<'_>, endpoint: &Endpoint) -> Result<(Agreed, Option<String>), Answer> {
    let upgrade = handshake::parse(head).map_err(|refusal| {
        let fields = refusal.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut answer = plain(refusal.status, &refusal.to_string());
        answer.fields.extend(fields);
        answer
    })?;
    if let (Some(allowed), Some(origin)) = (&endpoint.origins, upgrade.origin)
        && !may_connect(allowed, origin, head.host().unwrap_or_default())
    {
        return Err(plain(403, "This origin may not connect."));
    }
    let spoken = endpoint.subprotocols.iter().find(|name| upgrade.subprotocols.contains(&name.as_str()));
    let packing = endpoint.compression.as_ref().and_then(|how| Packing::agree(how, &upgrade.extensions));
    Ok((Agreed { key: upgrade.key.to_owned(), packing }, spoken.cloned()))
}

/// RFC 6454 §4: scheme and host compare in lower case, and so are origins written.
fn may_connect(allowed: &[String], origin: &str, host: &str) -> bool {
    allowed.iter().any(|allowed| match allowed.as_str() {
        SAME_ORIGIN => is_same_host(origin, host),
        allowed => allowed.eq_ignore_ascii_case(origin),
    })
}

/// The page comes from the host and port that it connects to. The schemes are not compared: behind a proxy that ends TLS
/// ours is not the one that the page sees.
fn is_same_host(origin: &str, host: &str) -> bool {
    let (authority, default_port) = match origin.split_once("://") {
        Some((scheme, authority)) if scheme.eq_ignore_ascii_case("http") => (authority, ":80"),
        Some((scheme, authority)) if scheme.eq_ignore_ascii_case("https") => (authority, ":443"),
        _ => return false,
    };
    let plain = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    !host.is_empty() && plain(authority) == plain(host)
}

fn refuse(error: &HeadError, request_line: String) -> Opening {
    Opening::Refuse { answer: plain(error.status(), &format!("{error}.")), request_line }
}

fn upgrade_required() -> Answer {
    // RFC 9110 §15.5.22: a 426 names the protocol that is required.
    let mut answer = plain(426, "This is a WebSocket endpoint: connect with a WebSocket client.");
    answer.fields.push(("Upgrade".into(), "websocket".into()));
    answer
}

/// A short text answer.
fn plain(status: u16, text: &str) -> Answer {
    Answer {
        status,
        fields: vec![("Content-Type".into(), "text/plain; charset=utf-8".into())],
        body: format!("{text}\n").into_bytes().into(),
    }
}

fn write_answer(out: &mut Vec<u8>, answer: &Answer, content: &[u8]) {
    let status = answer.status;
    out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status)).as_bytes());
    let named = |name: &str| answer.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
    for (name, value) in &answer.fields {
        let framing = ["content-length", "transfer-encoding", "connection"];
        if !framing.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    if !named("upgrade") {
        out.extend_from_slice(b"Connection: close\r\n");
    } else {
        out.extend_from_slice(b"Connection: Upgrade, close\r\n");
    }
    // RFC 9110 §8.6: a 204 or 304 carries no content, and no Content-Length of its own.
    if matches!(status, 204 | 304) {
        out.extend_from_slice(b"\r\n");
        return;
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", answer.body.len()).as_bytes());
    out.extend_from_slice(content);
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        418 => "I'm a teapot",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

/// The first line, safe to be logged: at most 200 bytes, everything unprintable percent-encoded.
fn request_line(head: &[u8]) -> String {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = line.strip_suffix(b" HTTP/1.1").unwrap_or(line);
    let mut text = String::new();
    for &byte in line.iter().take(200) {
        if byte.is_ascii_graphic() || byte == b' ' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F18.
    #[test]
    fn a_page_is_of_the_same_host_or_it_is_not() {
        for (origin, host, same) in [
            ("http://example.org", "example.org", true),
            ("https://example.org", "example.org", true),
            ("https://example.org", "example.org:443", true),
            ("http://example.org:80", "example.org", true),
            ("HTTP://EXAMPLE.org", "example.ORG", true),
            ("http://localhost:8000", "localhost:8000", true),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://example.org:8000", "example.org", false),
            ("https://example.org:80", "example.org", false),
            ("http://example.com.evil.org", "example.com", false),
            ("http://evil-example.com", "example.com", false),
            ("http://example.com", "", false),
            ("file://example.com", "example.com", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            assert_eq!(is_same_host(origin, host), same, "{origin:?} at {host:?}");
        }
    }

    #[test]
    fn a_request_line_is_safe_to_be_logged() {
        assert_eq!(request_line(b"GET /a\x1b[2Jb\xff HTTP/1.1\r\nHost: x"), "GET /a%1B[2Jb%FF");
        assert!(request_line(&[b'x'; 5000]).len() <= 200);
    }
}

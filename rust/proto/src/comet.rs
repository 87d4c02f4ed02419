//! What a request asks of an endpoint that carries a session by WebSocket, event stream, iframe or polls, and the packets
//! that only it knows. The others are Engine.IO's.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::close::CloseCode;
use crate::engineio::payload::{PayloadError, SEPARATOR};
use crate::engineio::{self, PacketError, PacketType, Sid};
use crate::message::Kind;

/// How messages are carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Transport {
    /// One WebSocket, with packets.
    WebSocket,
    /// An event stream; POST to send.
    EventSource,
    /// A page of scripts that does not end; POST to send.
    Iframe,
    /// GET to receive, POST to send.
    Polling,
}

/// The part of the query that the endpoint knows. Everything else in it is the application's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Query {
    /// `transport`; without it, the request says by itself what it is.
    pub transport: Option<Transport>,
    /// `sid`: the session that the request is for.
    pub sid: Option<Sid>,
    /// `cursor`: how many messages of the session the client has.
    pub cursor: Option<u64>,
    /// `resume`: open a new session if that one is not there any more.
    pub or_new: bool,
    /// `wait=0`: answer a poll at once.
    pub at_once: bool,
}

/// What is wrong with a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum QueryError {
    /// No such transport.
    Transport,
    /// Something that can be no session's id.
    Sid,
    /// Not a number.
    Cursor,
    /// One of these twice: some other server, or a cache, may take the other value.
    Repeated,
}

impl fmt::Display for QueryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            QueryError::Transport => "transport is websocket, eventsource, iframe or polling",
            QueryError::Sid => "no session has this sid",
            QueryError::Cursor => "cursor is the number of messages received",
            QueryError::Repeated => "a parameter is there twice",
        })
    }
}

impl std::error::Error for QueryError {}

impl Query {
    /// Reads a query, without its `?`, in time linear in its length.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(query: &str) -> Result<Query, QueryError> {
        let (mut transport, mut sid, mut cursor, mut resume, mut wait) = (None, None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known: &mut Option<Cow<'_, str>> = match &*name {
                "transport" => &mut transport,
                "sid" => &mut sid,
                "cursor" => &mut cursor,
                "resume" => &mut resume,
                "wait" => &mut wait,
                _ => continue,
            };
            if known.replace(value).is_some() {
                return Err(QueryError::Repeated);
            }
        }
        let transport = match transport.as_deref() {
            None => None,
            Some("websocket") => Some(Transport::WebSocket),
            Some("eventsource") => Some(Transport::EventSource),
            Some("iframe") => Some(Transport::Iframe),
            Some("polling") => Some(Transport::Polling),
            Some(_) => return Err(QueryError::Transport),
        };
        Ok(Query {
            transport,
            sid: sid.map(|text| Sid::new(&text).ok_or(QueryError::Sid)).transpose()?,
            cursor: cursor.map(|text| text.parse().map_err(|_| QueryError::Cursor)).transpose()?,
            or_new: resume.as_deref() == Some("1"),
            at_once: wait.as_deref() == Some("0"),
        })
    }
}

/// What a client is told of its session. Times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open<'a> {
    /// The session's id.
    pub sid: &'a str,
    /// It is the session that the client has asked for, with everything behind its cursor.
    pub recovered: bool,
    /// From one sign of life of the server to the next, at most.
    pub ping_interval: u64,
    /// How long the server waits for an answer to it.
    pub ping_timeout: u64,
    /// The longest message that the client may send, in bytes.
    pub max_payload: u64,
}

/// Appends it as JSON.
pub fn open(out: &mut Vec<u8>, open: &Open<'_>) {
    let written = write!(
        out,
        r#"{{"sid":"{}","recovered":{},"upgrades":[],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
        open.sid, open.recovered, open.ping_interval, open.ping_timeout, open.max_payload,
    );
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

/// Appends why the session has ended, as JSON.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let written = write!(out, r#"{{"code":{code},"reason":"#);
    debug_assert!(written.is_ok(), "a Vec takes everything");
    crate::script::string(out, reason);
    out.push(b'}');
}

/// Appends a text for polling. One with the separator in it, which no packet can have, becomes `t` and base64.
pub fn text_packet(out: &mut Vec<u8>, text: &str) {
    if memchr::memchr(SEPARATOR, text.as_bytes()).is_some() {
        out.push(b't');
        base64(out, text.as_bytes());
    } else {
        out.push(b'4');
        out.extend_from_slice(text.as_bytes());
    }
}

/// What a client has to say in the body of a POST.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// `4`, `b`, `t`: a message.
    Message(Kind, Cow<'a, [u8]>),
    /// `1`, and perhaps a code, a space and a reason: the session ends.
    Close {
        /// 1005 if there was none.
        code: CloseCode,
        /// At most 123 bytes.
        reason: String,
    },
    /// `2`, which Engine.IO leaves to the server.
    Ping,
    /// `3`: the client lives.
    Pong,
    /// Nothing that matters.
    Nothing,
}

/// Why a body is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BodyError {
    /// It is empty, has too many packets, or is not UTF-8.
    Payload(PayloadError),
    /// There is something in it that is no packet.
    Packet(PacketError),
    /// The code of a `1` is not one that a client may send, or the reason is too long.
    Close,
}

impl fmt::Display for BodyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Payload(error) => error.fmt(out),
            BodyError::Packet(error) => error.fmt(out),
            BodyError::Close => {
                out.write_str("a close packet has a code from 1000 or 3000 to 4999, and a short reason")
            }
        }
    }
}

impl std::error::Error for BodyError {}

/// The packets of a body.
///
/// # Errors
/// It cannot be read at all; or, as an item, a packet cannot.
pub fn packets(
    body: &[u8],
    max_packets: usize,
) -> Result<impl Iterator<Item = Result<Packet<'_>, BodyError>>, BodyError> {
    if body.is_empty() {
        return Err(BodyError::Payload(PayloadError::Empty));
    }
    if memchr::memchr_iter(SEPARATOR, body).count() >= max_packets {
        return Err(BodyError::Payload(PayloadError::TooManyPackets));
    }
    let text = simdutf8::basic::from_utf8(body).map_err(|_| BodyError::Payload(PayloadError::Utf8))?;
    Ok(text.split(char::from(SEPARATOR)).map(packet))
}

fn packet(text: &str) -> Result<Packet<'_>, BodyError> {
    if let Some(base64) = text.strip_prefix('t') {
        let bytes = STANDARD.decode(base64).map_err(|_| BodyError::Packet(PacketError::Base64))?;
        simdutf8::basic::from_utf8(&bytes).map_err(|_| BodyError::Payload(PayloadError::Utf8))?;
        return Ok(Packet::Message(Kind::Text, Cow::Owned(bytes)));
    }
    let (kind, data) = match engineio::Packet::parse(text).map_err(BodyError::Packet)? {
        engineio::Packet::Binary(bytes) => return Ok(Packet::Message(Kind::Binary, bytes)),
        engineio::Packet::Text { kind, data } => (kind, data),
    };
    Ok(match kind {
        PacketType::Message => Packet::Message(Kind::Text, Cow::Borrowed(data.as_bytes())),
        PacketType::Close => read_close(data).ok_or(BodyError::Close)?,
        PacketType::Pong => Packet::Pong,
        PacketType::Ping => Packet::Ping,
        PacketType::Open | PacketType::Upgrade | PacketType::Noop => Packet::Nothing,
    })
}

fn read_close(data: &str) -> Option<Packet<'_>> {
    if data.is_empty() {
        return Some(Packet::Close { code: CloseCode::NO_STATUS_RECEIVED, reason: String::new() });
    }
    let (code, reason) = data.split_once(' ').unwrap_or((data, ""));
    let code: u16 = code.parse().ok()?;
    let fits = matches!(code, 1000 | 1001 | 3000..=4999) && reason.len() <= 123;
    fits.then(|| Packet::Close { code: CloseCode(code), reason: reason.into() })
}

/// Appends base64 with its padding.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written, Ok(out.len() - start));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_whatever_else_is_in_it() {
        let sid = "abcdefghijklmnopqrstuvwxyz012345";
        let query = Query::parse(&format!("a=b&transport=polling&sid={sid}&cursor=12&wait=0&resume=1")).unwrap();
        assert_eq!(query.transport, Some(Transport::Polling));
        assert_eq!(query.sid.unwrap().as_str(), sid);
        assert_eq!((query.cursor, query.at_once, query.or_new), (Some(12), true, true));
        assert_eq!(Query::parse("").unwrap(), Query::default());
    }

    #[test]
    fn what_is_wrong_with_a_query_is_said() {
        for (query, error) in [
            ("transport=carrier-pigeon", QueryError::Transport),
            ("sid=short", QueryError::Sid),
            ("cursor=-1", QueryError::Cursor),
            ("cursor=99999999999999999999", QueryError::Cursor),
            ("cursor=1&cursor=2", QueryError::Repeated),
        ] {
            assert_eq!(Query::parse(query), Err(error), "{query}");
        }
    }

    #[test]
    fn a_text_with_the_separator_travels_in_base64() {
        let mut out = Vec::new();
        text_packet(&mut out, "a\u{1e}b");
        assert_eq!(out, b"tYR5i");
        out.clear();
        text_packet(&mut out, "ab");
        assert_eq!(out, b"4ab");
    }

    #[test]
    fn a_body_is_packets() {
        let read = |body: &'static str| packets(body.as_bytes(), 9).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let text = |text: &'static str| Packet::Message(Kind::Text, Cow::Borrowed(text.as_bytes()));
        let close = |code, reason: &str| Packet::Close { code: CloseCode(code), reason: reason.into() };
        assert_eq!(read("4a\u{1e}4").unwrap(), [text("a"), text("")]);
        assert_eq!(read("tYR5i").unwrap(), [text("a\u{1e}b")]);
        assert_eq!(read("bAQI=").unwrap(), [Packet::Message(Kind::Binary, Cow::Borrowed(&[1, 2]))]);
        assert_eq!(read("3\u{1e}1").unwrap(), [Packet::Pong, close(1005, "")]);
        assert_eq!(read("14000 gone home").unwrap(), [close(4000, "gone home")]);
        for wrong in [
            "",
            "\u{1e}4a",
            "x",
            "b!",
            "t/w==",
            "11006",
            "1abc",
            "4\u{1e}4\u{1e}4\u{1e}4\u{1e}4\u{1e}4\u{1e}4\u{1e}4\u{1e}4\u{1e}4",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_reason_cannot_leave_its_string() {
        let mut out = Vec::new();
        close(&mut out, 4000, "</script>\"");
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"code":4000,"reason":"\u003c/script>\""}"#);
    }
}

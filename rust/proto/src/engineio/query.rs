//! What a request to `/socket.io/` asks for: its query, and whether that fits the session it names.

use std::borrow::Cow;

use super::error_code::ErrorCode;
use super::sid::Sid;

/// How packets are carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Transport {
    /// GET to receive, POST to send.
    Polling,
    /// One WebSocket.
    WebSocket,
}

impl Transport {
    /// What the query calls it.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }
}

/// The part of the query that Engine.IO knows. Everything else in it is the application's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// `transport`.
    pub transport: Transport,
    /// Whether `EIO` is 4.
    pub is_version_4: bool,
    /// `sid`; absent when a session is to be opened.
    pub sid: Option<Sid>,
    /// `j`, the number of the JSONP callback that the answer is to be wrapped in.
    pub jsonp: Option<u32>,
}

impl Query {
    /// Reads a query, without its `?`, in time linear in its length. It may be anything: what percent-encodes no UTF-8
    /// has a replacement character and so equals nothing.
    ///
    /// # Errors
    /// An unknown or missing transport, a `sid` that can be none, a `j` that is no number, one of these or `EIO` twice.
    pub fn parse(query: &str) -> Result<Query, ErrorCode> {
        let (mut transport, mut version, mut sid, mut jsonp) = (None, None, None, None);
        let mut repeated = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known: &mut Option<Cow<'_, str>> = match &*name {
                "transport" => &mut transport,
                "EIO" => &mut version,
                "sid" => &mut sid,
                "j" => &mut jsonp,
                _ => continue,
            };
            repeated |= known.replace(value).is_some();
        }
        let transport = match transport.as_deref() {
            // Some other server, or a cache, may take the other of two values.
            _ if repeated => return Err(ErrorCode::BadRequest),
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(ErrorCode::TransportUnknown),
        };
        let sid = sid.map(|text| Sid::new(&text).ok_or(ErrorCode::SessionIdUnknown)).transpose()?;
        let jsonp = jsonp.map(|text| number(&text).ok_or(ErrorCode::BadRequest)).transpose()?;
        Ok(Query { transport, is_version_4: version.as_deref() == Some("4"), sid, jsonp })
    }
}

/// What a request that is in order wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Request {
    /// A session on this transport.
    Open(Transport),
    /// What there is for its session.
    Poll,
    /// To send something to its session.
    Post,
    /// A WebSocket for a session that may be on polling; [`Stage::step`](super::Stage::step) says whether it is let in.
    Upgrade,
}

/// Judges a request. `is_upgrade` says that it is a WebSocket handshake, `session` which transport the session is on
/// that its `sid` names, if there is one.
///
/// # Errors
/// In the reference's order: a session that does not exist, one on another transport, a method that cannot open one, a
/// handshake that does not fit the transport, another version.
pub fn admit(query: &Query, method: &str, is_upgrade: bool, session: Option<Transport>) -> Result<Request, ErrorCode> {
    if query.sid.is_none() {
        if method != "GET" {
            return Err(ErrorCode::BadHandshakeMethod);
        }
        if is_upgrade != (query.transport == Transport::WebSocket) {
            return Err(ErrorCode::BadRequest);
        }
        if !query.is_version_4 {
            return Err(ErrorCode::UnsupportedProtocolVersion);
        }
        return Ok(Request::Open(query.transport));
    }
    let current = session.ok_or(ErrorCode::SessionIdUnknown)?;
    if !query.is_version_4 {
        return Err(ErrorCode::BadRequest);
    }
    match (query.transport, is_upgrade, method) {
        (Transport::WebSocket, true, "GET") => Ok(Request::Upgrade),
        (Transport::Polling, false, "GET") if current == Transport::Polling => Ok(Request::Poll),
        (Transport::Polling, false, "POST") if current == Transport::Polling => Ok(Request::Post),
        _ => Err(ErrorCode::BadRequest),
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

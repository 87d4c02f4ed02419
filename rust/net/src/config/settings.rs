//! What an operator sets: limits, endpoints, addresses.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::http::files::folder::Folder;
use crate::io::peer::Trust;
use crate::io::tls::Tls;
use crate::rate::Rate;
use crate::session::compression::Compression;

/// What happens to a broadcast for a member whose outbox is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Close the member with 1013 (Try Again Later).
    #[default]
    Close,
    /// Leave this message out for this member.
    Drop,
    /// Leave out the oldest broadcasts that still wait, until this one fits.
    DropOldest,
}

impl Policy {
    /// Its name in settings and figures.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Close => "close",
            Policy::Drop => "drop",
            Policy::DropOldest => "drop_oldest",
        }
    }
}

/// What happens to a session that sends faster than it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RatePolicy {
    /// Its socket is not read until it may send again.
    #[default]
    Pause,
    /// Close it with 1008.
    Close,
}

/// Every bound of a session. Sizes are bytes; `None` switches a bound off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One message, assembled. Beyond: close 1009.
    pub max_message_bytes: Option<usize>,
    /// Empty fragments in one message. Beyond: close 1008.
    pub max_empty_fragments: u32,
    /// An unfinished message without a byte of progress. Beyond: close 1008.
    pub message_timeout: Option<Duration>,
    /// From accept to the end of the head, in all. Beyond: 408.
    pub handshake_timeout: Option<Duration>,
    /// How long the user may take to decide about a request. Beyond: 503.
    pub request_timeout: Option<Duration>,
    /// A connection that was answered may wait so long for the first byte of its next request; then it is closed.
    pub keep_alive_timeout: Option<Duration>,
    /// The body of one request. Beyond: 413.
    pub max_body_bytes: Option<u64>,
    /// Received messages that wait for the user, in bytes. Beyond: the socket is not read.
    pub inbox_bytes: usize,
    /// Received messages that wait for the user. Beyond: the socket is not read.
    pub inbox_messages: usize,
    /// Messages that a session may send in a second. Beyond: see [`RatePolicy`].
    pub message_rate: Option<Rate>,
    /// What sending faster means.
    pub rate_policy: RatePolicy,
    /// What waits to be written. Beyond: see [`Policy`]; a direct send closes with 1013.
    pub outbox_bytes: usize,
    /// From here on `await send` waits.
    pub high_water_bytes: usize,
    /// What the kernel holds of it beside, unsent, on TCP; `None`: as much as it likes.
    pub unsent_bytes: Option<u32>,
    /// What was posted to a shard that has not taken it up. Beyond: threads that can wait do.
    pub posted_bytes: usize,
    /// What a full outbox means for a broadcast, unless its room says otherwise.
    pub outbox_policy: Policy,
    /// A ping is sent after this long without a byte from the peer.
    pub ping_interval: Option<Duration>,
    /// The peer is given up when nothing came for this long after a ping. Close 1011.
    pub ping_timeout: Option<Duration>,
    /// How long the peer may take to answer a Close frame.
    pub close_timeout: Duration,
    /// How long a session that outlives its connections waits for the next one.
    pub session_timeout: Duration,
    /// Rooms that a session may be in at a time, for whoever [lets it in](crate::Directory::join).
    pub rooms_per_session: Option<usize>,
    /// Messages that a room remembers unless it says otherwise; 0: none.
    pub history_messages: usize,
    /// Bytes of messages that a room remembers.
    pub history_bytes: usize,
    /// The same for all rooms together, with what each message costs beside its bytes.
    pub histories_bytes: usize,
    /// A room in which nothing was said for so long remembers nothing any more.
    pub history_timeout: Duration,
    /// Of such a session's messages that a connection has been given, so much is kept for the next one.
    pub resume_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_message_bytes: Some(1 << 20),
            max_empty_fragments: 64,
            message_timeout: Some(Duration::from_secs(60)),
            handshake_timeout: Some(Duration::from_secs(10)),
            request_timeout: Some(Duration::from_secs(60)),
            keep_alive_timeout: Some(Duration::from_secs(75)),
            max_body_bytes: Some(1 << 20),
            inbox_bytes: 64 << 10,
            inbox_messages: 64,
            message_rate: None,
            rate_policy: RatePolicy::Pause,
            outbox_bytes: 1 << 20,
            high_water_bytes: 64 << 10,
            unsent_bytes: Some(1 << 20),
            posted_bytes: 8 << 20,
            outbox_policy: Policy::Close,
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Some(Duration::from_secs(20)),
            close_timeout: Duration::from_secs(5),
            session_timeout: Duration::from_secs(30),
            resume_bytes: 64 << 10,
            rooms_per_session: Some(1000),
            history_messages: 0,
            history_bytes: 1 << 20,
            histories_bytes: 64 << 20,
            history_timeout: Duration::from_secs(300),
        }
    }
}

impl Limits {
    /// The longest message that a client may send by whatever carries its session.
    pub(crate) fn max_payload(&self) -> u64 {
        let by_body = || self.max_body_bytes.map_or(u64::MAX, |max| max.saturating_sub(1) / 4 * 3);
        self.max_message_bytes.map_or_else(by_body, |max| max as u64)
    }

    /// The longest body that brings messages: one of the longest, in base64, has its place in it.
    pub(crate) fn max_post_bytes(&self) -> Option<u64> {
        let message = self.max_message_bytes.map_or(0, |max| max as u64);
        self.max_body_bytes.map(|max| max.max((message.div_ceil(3)).saturating_mul(4).saturating_add(1)))
    }
}

/// One place that clients may connect to.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// `/chat/{room}`, as the crate matchit reads it; `None` serves every path that no other endpoint takes.
    pub path: Option<String>,
    /// The subprotocols that the endpoint speaks, the preferred one first.
    pub subprotocols: Vec<String>,
    /// The origins that may connect, `same-origin` for the page's own host; `None` for all. A request without an Origin
    /// is not a browser's and may.
    pub origins: Option<Vec<String>>,
    /// How messages are compressed for clients that offer it; `None` for not at all.
    pub compression: Option<Compression>,
    /// The user decides about each request before it is answered.
    pub asks: bool,
    /// What there is at the path.
    pub service: Service,
}

/// What an endpoint serves.
#[derive(Clone, Debug, Default)]
pub enum Service {
    /// WebSockets.
    #[default]
    WebSocket,
    /// HTTP, by the user: requests that ask for no WebSocket are told by `Handler::exchange`. The path is a prefix: the
    /// endpoint takes whatever is below it and no other endpoint takes; `asks` is about the WebSockets among that.
    Http,
    /// Event streams: sessions that only send.
    Events,
    /// Sessions that any of these transports carries, and that outlive their connections.
    Comet(Transports),
    /// Engine.IO 4: polls, and the WebSockets that they become.
    EngineIo(Box<EngineIo>),
    /// The server's figures, for these clients. The shard answers by itself; the user is not asked.
    Figures(Trust),
    /// Files of a folder. The path is a prefix. The shard answers by itself; what the folder does not have is left to
    /// the endpoints that come next.
    Files(Folder),
}

/// How an endpoint speaks Engine.IO. The defaults are those of the JavaScript server.
#[derive(Clone, Debug)]
pub struct EngineIo {
    /// WebSockets are taken, at once or after polls.
    pub websocket: bool,
    /// Polls are taken.
    pub polling: bool,
    /// A session may go on from polls to a WebSocket.
    pub upgrades: bool,
    /// From one ping to the next.
    pub ping_interval: Duration,
    /// The client is given up when nothing came for so long after a ping.
    pub ping_timeout: Duration,
    /// A WebSocket that is to take over has so long for it.
    pub upgrade_timeout: Duration,
    /// The longest message, and the longest body of a POST, in bytes; the limits of all sessions hold as well.
    pub max_payload: usize,
    /// A cookie with the session's id: its name, and what follows the id.
    pub cookie: Option<(String, String)>,
    /// What answers say to pages from other origins.
    pub cors: Cors,
    /// Further fields of every answer.
    pub fields: Vec<(String, String)>,
    /// The user is told of requests that are refused.
    pub tells: bool,
}

/// What answers say to pages from other origins, beside whose they are.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Who may read answers where the endpoint has no list of origins.
    pub open: Open,
    /// Browsers may send cookies, and certificates.
    pub credentials: bool,
    /// The fields of answers that scripts may read.
    pub exposed: Option<String>,
    /// The fields that requests may have; `None` for whichever a preflight asks for.
    pub headers: Option<String>,
    /// Seconds for which a preflight need not be repeated.
    pub max_age: u32,
}

/// Who may read answers where nobody is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// Nothing is said: pages of the same origin.
    Unsaid,
    /// `*`: everyone, without credentials.
    Everyone,
    /// Whoever asks: the user has decided about it, or will.
    Each,
}

impl Default for Cors {
    fn default() -> Self {
        Cors { open: Open::Unsaid, credentials: true, exposed: None, headers: None, max_age: 600 }
    }
}

impl Default for EngineIo {
    fn default() -> Self {
        EngineIo {
            websocket: true,
            polling: true,
            upgrades: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            cookie: None,
            cors: Cors::default(),
            fields: Vec::new(),
            tells: false,
        }
    }
}

/// The transports that an endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transports {
    /// WebSockets.
    pub websocket: bool,
    /// Event streams.
    pub eventsource: bool,
    /// Pages of scripts that do not end.
    pub iframe: bool,
    /// Polls.
    pub polling: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Transports { websocket: true, eventsource: true, iframe: true, polling: true }
    }
}

impl Service {
    /// It opens sessions by other requests than WebSocket handshakes, too.
    pub(crate) fn opens_by_http(&self) -> bool {
        matches!(self, Service::Events | Service::Comet(_) | Service::EngineIo(_))
    }

    /// The endpoint's path is a prefix.
    pub(crate) fn is_below(&self) -> bool {
        matches!(self, Service::Http | Service::Files(_))
    }

    /// Requests that ask for no WebSocket are its own, whoever serves HTTP around it.
    pub(crate) fn answers(&self) -> bool {
        matches!(self, Service::Figures(_)) || self.opens_by_http()
    }
}

/// The proxies before the server.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Whose word counts.
    pub trusted: Trust,
    /// Every connection begins with a PROXY header, and comes from one of them.
    pub protocol: bool,
}

/// Everything a server is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bounds of each session.
    pub limits: Limits,
    /// Where clients may connect.
    pub endpoints: Vec<Endpoint>,
    /// Request head: its bytes and its number of fields. Beyond: 431.
    pub max_head_bytes: usize,
    /// The most fields of a request head. Beyond: 431.
    pub max_head_fields: usize,
    /// Sessions at a time; `None` for as many as the descriptors allow, less a reserve.
    pub max_sessions: Option<usize>,
    /// Handshakes under way at a time; further ones wait in the accept queue.
    pub max_handshakes: usize,
    /// Connections at a time from one address (of IPv6: from one /64 network). Beyond: 429.
    pub max_sessions_per_address: Option<u32>,
    /// Sessions on polls at a time from one address; `None` for half of all sessions. Beyond, the oldest that has said
    /// nothing goes, and if there is none: 429.
    pub polling_sessions_per_address: Option<u32>,
    /// Connections accepted in a second; further ones wait in the accept queue.
    pub handshake_rate: Option<Rate>,
    /// The proxies before the server.
    pub proxies: Proxies,
    /// The Server field of responses; `None`: there is none.
    pub server_field: Option<String>,
    /// `Notice::Answered` is wanted.
    pub access_log: bool,
    /// A session gets what is broadcast to everyone only from `Command::Introduce` on, not from
    /// [`Handler::open`](crate::Handler::open) on.
    pub introduces: bool,
    /// Ask the kernel to send small writes at once.
    pub tcp_nodelay: bool,
    /// The shards' number; at least one.
    pub shards: usize,
    /// Every listener speaks TLS with these certificates; `None`: none does.
    pub tls: Option<Arc<Tls>>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            endpoints: vec![Endpoint::default()],
            max_head_bytes: 16 << 10,
            max_head_fields: 100,
            max_sessions: None,
            max_handshakes: 1024,
            max_sessions_per_address: None,
            polling_sessions_per_address: None,
            handshake_rate: None,
            proxies: Proxies::default(),
            server_field: Some("hubbub".into()),
            access_log: true,
            introduces: false,
            tcp_nodelay: true,
            shards: 1,
            tls: None,
        }
    }
}

/// Where connections come from.
#[derive(Debug)]
pub enum Bind {
    /// Every address that `host` resolves to, IPv4 and IPv6.
    Tcp {
        /// A name or an address.
        host: String,
        /// 0 lets the system choose.
        port: u16,
        /// Pending connections in the accept queue.
        backlog: i32,
        /// Let several processes listen on the same port.
        reuse_port: bool,
    },
    /// A unix socket; a stale one at the same place is replaced.
    Unix {
        /// Where the socket is made, and removed at the end.
        path: PathBuf,
        /// Pending connections in the accept queue.
        backlog: i32,
        /// Its permissions; by umask if not given.
        mode: Option<u32>,
        /// The number of its group.
        group: Option<u32>,
    },
    /// A listening socket that somebody else has opened.
    Descriptor(OwnedFd),
    /// No address: the program connects the clients that another server has accepted ([`Server::connect_embedded`](crate::Server::connect_embedded)).
    Embedded {
        /// Connections that may wait to be accepted.
        backlog: usize,
    },
}

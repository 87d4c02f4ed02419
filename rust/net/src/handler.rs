//! How the network talks to its user: one trait, called on the shard's thread.

use std::sync::Arc;

use hubbub_proto::close::CloseCode;
use hubbub_proto::message::{Kind, Payload};

use crate::broadcast::Delivery;
use crate::id::SessionId;
use crate::link::Link;

/// A request head as it came, with what the shard has already found out about it.
#[derive(Debug, Default)]
pub struct Request {
    /// The head's bytes, from the method to the blank line.
    pub head: Box<[u8]>,
    /// The number of the endpoint, as the settings list them.
    pub endpoint: usize,
    /// What the path's `{names}` stood for, still percent-encoded.
    pub path_params: Vec<(String, String)>,
    /// The subprotocol that the endpoint and the client have in common.
    pub subprotocol: Option<String>,
    /// The client asks for a WebSocket.
    pub upgrade: bool,
    /// It came over TLS.
    pub secure: bool,
    /// The certificate that the client has shown, in DER.
    pub client_certificate: Option<Box<[u8]>>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The peer's Close frame: its code (1005 if it had none) and reason.
    pub received: Option<(CloseCode, String)>,
    /// Our Close frame.
    pub sent: Option<(CloseCode, String)>,
    /// Why the connection was lost, where no Close frame says it.
    pub cause: Option<String>,
    /// The rooms that it was in when it ended.
    pub rooms: Vec<Arc<str>>,
}

impl Closed {
    /// The code that the user sees: the peer's, or 1006 if no Close frame came.
    pub fn code(&self) -> CloseCode {
        self.received.as_ref().map_or(CloseCode::ABNORMAL_CLOSURE, |(code, _)| *code)
    }
}

/// Things an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// accept() failed for want of descriptors; it is tried again later.
    OutOfDescriptors,
    /// accept() failed for another reason.
    AcceptFailed(String),
    /// As many sessions as allowed: accepting pauses until one ends.
    SessionsFull,
    /// A request was answered without a session: (peer, request line, status).
    Answered {
        /// The peer's address.
        peer: Option<std::net::SocketAddr>,
        /// Method and target, with everything unprintable escaped.
        request_line: String,
        /// The status that was sent.
        status: u16,
    },
    /// A connection's TLS handshake failed, or it never spoke TLS.
    TlsFailed {
        /// The peer's address.
        peer: Option<std::net::SocketAddr>,
        /// What was wrong.
        reason: String,
    },
    /// The shard met a bug of its own; the connection concerned was dropped.
    Panicked(String),
}

/// What happens on a shard, told on its thread and never with anything of the shard borrowed for long:
/// an implementation collects and returns.
pub trait Handler {
    /// An endpoint that `asks` has a request; answer with `Command::Verdict`.
    fn request(&mut self, link: Arc<Link>, request: Request);
    /// A session is open: its 101 is on its way. The request comes along unless `request` has brought it before.
    fn open(&mut self, link: Arc<Link>, request: Option<Request>);
    /// A whole message.
    fn message(&mut self, id: SessionId, kind: Kind, payload: Payload<'_>);
    /// A pong with this payload, for sessions that wait for one.
    fn pong(&mut self, id: SessionId, payload: &[u8]);
    /// The outbox has shrunk to the low-water mark, for sessions that wait for it.
    fn drained(&mut self, id: SessionId);
    /// The session has ended; nothing more comes from it.
    fn closed(&mut self, id: SessionId, closed: Closed);
    /// A broadcast that somebody waits for has been handed to all members on all shards.
    fn delivered(&mut self, delivery: Arc<Delivery>);
    /// Something for the log.
    fn notice(&mut self, notice: Notice);
    /// The shard has no session any more and will do nothing further.
    fn stopped(&mut self);
    /// Enough was collected for now: the shard reads no further socket in this turn.
    fn is_full(&self) -> bool {
        false
    }
    /// A buffer of a large message that the user has done with, to be used for another one.
    fn spent(&mut self) -> Option<Vec<u8>> {
        None
    }
    /// A turn of a shard with a thread of its own is over: a good moment to hand on what was collected.
    fn turned(&mut self) {}
}

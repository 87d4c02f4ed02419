//! How the network talks to its user: one trait, called on the shard's thread.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hubbub_proto::close::CloseCode;
use hubbub_proto::message::{Kind, Payload};
use thin_vec::ThinVec;

use crate::id::SessionId;
use crate::pubsub::broadcast::Delivery;
use crate::session::link::Link;

/// What a client is told whose request the user has not decided about in time.
pub(crate) const UNDECIDED: &str = "The server could not decide in time.";

/// A request head as it came, with what the shard has already found out about it. Sessions keep it: it is small.
#[derive(Debug, Default)]
pub struct Request {
    /// The head's bytes, from the method to the blank line.
    pub head: Box<[u8]>,
    /// The number of the endpoint, as the settings list them.
    pub endpoint: u32,
    /// What the path's `{names}` stood for, still percent-encoded.
    pub path_params: ThinVec<(String, String)>,
    /// The subprotocol that the endpoint and the client have in common.
    pub subprotocol: Option<Box<str>>,
    /// The client asks for a WebSocket.
    pub upgrade: bool,
    /// The client came over TLS: to us or, as a trusted proxy says, to that.
    pub secure: bool,
    /// A body follows: [`Handler::content`] brings it.
    pub has_body: bool,
    /// The client sends the body only when it is asked to, with `Command::Want`.
    pub expects_continue: bool,
    /// The certificate that the client has shown, in DER.
    pub client_certificate: Option<ThinVec<u8>>,
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
    /// How long it was open; zero without an access log.
    pub lasted: Duration,
    /// What went to and fro; all zero without an access log.
    pub traffic: Traffic,
}

/// Messages of one session, and their bytes: payloads, whatever carries them and before they are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that its client has sent.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages that its client was sent, broadcasts among them; the client need not have read them.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

impl Closed {
    /// The code that the user sees: the peer's, or 1006 if no Close frame came.
    pub fn code(&self) -> CloseCode {
        self.received.as_ref().map_or(CloseCode::ABNORMAL_CLOSURE, |(code, _)| *code)
    }

    /// There never was a session: the user has not decided in time.
    pub fn is_undecided(&self) -> bool {
        self.cause.as_deref() == Some(UNDECIDED)
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
    /// A request was answered without a session.
    Answered {
        /// The peer's address.
        peer: Option<std::net::SocketAddr>,
        /// Method and target, with everything unprintable escaped. The method of a handshake is `WebSocket`.
        request_line: String,
        /// The status that was sent.
        status: u16,
        /// Why it was refused, in words, where that is known; empty otherwise.
        why: Cow<'static, str>,
        /// From its head to the head of the answer.
        took: Duration,
    },
    /// A connection's TLS handshake failed, or it never spoke TLS.
    TlsFailed {
        /// The peer's address.
        peer: Option<std::net::SocketAddr>,
        /// What was wrong.
        reason: String,
    },
    /// A connection was closed before it could ask for anything: its PROXY header was no good, or its address has too many
    /// connections.
    Refused {
        /// The peer's address.
        peer: Option<std::net::SocketAddr>,
        /// What was wrong.
        reason: String,
    },
    /// So many further connections whose TLS failed within a second were not told one by one.
    TlsFailuresLeftOut(u64),
    /// A response's content was not as long as its Content-Length said; the connection was closed. In words.
    WrongLength(String),
    /// The file that a response's content was read from could not be read to its end; the connection was closed.
    FileFailed(String),
    /// What a request suggests is wrong with the program, with a proxy before it, or with the client. In words, printable;
    /// each shard tells the same once, and not more than a hundred different ones.
    Advice(String),
    /// The shard met a bug of its own; the connection concerned was dropped.
    Panicked(String),
}

/// What happens on a shard, told on its thread and never with anything of the shard borrowed for long:
/// an implementation collects and returns.
pub trait Handler {
    /// An endpoint that `asks` has a request; answer with `Command::Verdict`.
    fn request(&mut self, link: Arc<Link>, request: Request);
    /// An Engine.IO endpoint that `tells` has refused a request, with this `code` and these words.
    fn refused(&mut self, _link: Arc<Link>, _request: Request, _code: u8, _message: &'static str) {}
    /// An endpoint that serves HTTP has a request; answer with `Command::Answer`, or `Command::Respond` and
    /// `Command::Content`. The last content ends the exchange without a further word; `closed` is told if the client is
    /// lost before.
    fn exchange(&mut self, link: Arc<Link>, request: Request);
    /// Content of the request; the last of it if the flag stands. It counts in the link's inbox as one message.
    fn content(&mut self, id: SessionId, content: &[u8], last: bool);
    /// The client of an exchange has sent FIN behind its request: it has gone, or it only waits for the response.
    fn hung_up(&mut self, id: SessionId);
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
    /// A shard with a thread of its own has done what there was to do for now: a good moment to hand on what was
    /// collected. `true`: there was something.
    fn turned(&mut self) -> bool {
        false
    }
}

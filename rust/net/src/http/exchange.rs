//! One HTTP request and the response to it, where the user serves HTTP.

use std::fs::File;

use bytes::Bytes;
use hubbub_proto::body::BodyReader;
use hubbub_proto::engineio::Secret;
use hubbub_proto::head::Head;
use hubbub_proto::response::FieldLines;
use hubbub_proto::session::Dialect;

use crate::http::request_line::RequestLine;
use crate::id::SessionId;
use crate::io::peer::Peer;
use crate::timers::Millis;

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Its fields. The shard adds what frames the message, and says whether the connection goes on.
    pub fields: FieldLines,
}

/// Some bytes of a response's content.
#[derive(Debug)]
pub enum Piece<'a> {
    /// To be copied.
    Borrowed(&'a [u8]),
    /// To be held: worth it for large ones.
    Shared(Bytes),
}

impl Piece<'_> {
    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            Piece::Borrowed(bytes) => bytes.len(),
            Piece::Shared(bytes) => bytes.len(),
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Piece::Borrowed(bytes) => *bytes = &bytes[..len.min(bytes.len())],
            Piece::Shared(bytes) => bytes.truncate(len),
        }
    }
}

/// What a connection is in the middle of.
pub(crate) struct Exchange {
    pub(crate) body: BodyReader,
    /// Bytes of content that the request has brought.
    pub(crate) received: u64,
    /// What came behind the request: the next one, which waits.
    pub(crate) rest: Vec<u8>,
    pub(crate) request_line: RequestLine,
    /// HTTP/1.1, not 1.0.
    pub(crate) modern: bool,
    /// HEAD: whatever the response says of its content, none is sent.
    pub(crate) head_only: bool,
    /// The connection may go on afterwards.
    pub(crate) keep: bool,
    /// The client waits for a 100 (Continue) before it sends the body.
    pub(crate) expects: bool,
    /// The user has been told that the client has sent FIN.
    pub(crate) told_end: bool,
    pub(crate) answering: Answering,
    pub(crate) purpose: Purpose,
    /// Where the request comes from, if no link says it.
    pub(crate) peer: Option<Peer>,
    /// What the rest of the content is read from.
    pub(crate) file: Option<Source>,
    /// When the peer last sent something of the body, or took something of the response.
    pub(crate) progress: Millis,
}

/// Whom a request is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// The user answers it.
    Served,
    /// The shard answers it at once.
    Own,
    /// It waits for what there is for this session; the response has these fields.
    Poll(SessionId, Fields),
    /// It brings packets for its session.
    Post(Box<Post>),
}

/// Fields of a response, already checked.
pub(crate) type Fields = Vec<(String, String)>;

/// Packets that come in.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) session: SessionId,
    pub(crate) secret: Secret,
    /// What its client speaks.
    pub(crate) dialect: Dialect,
    /// `None`: it was taken in.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) fields: Fields,
}

/// A part of a file that is still to be sent.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    /// Where it begins.
    pub(crate) at: u64,
    /// How long it is.
    pub(crate) left: u64,
    /// It has to go through our memory: the kernel cannot send it by itself.
    pub(crate) is_read: bool,
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answering {
    Waiting,
    /// The head is written; so goes the content.
    Sending(Content),
    Done,
}

/// How a response's content is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
    UntilClose,
    /// There must be none.
    Discarded,
}

impl Exchange {
    pub(crate) fn new(head: &Head<'_>, request_line: RequestLine) -> Self {
        let modern = head.version > 0;
        // RFC 9112 §9.3: HTTP/1.1 connections go on unless somebody says otherwise, HTTP/1.0's end.
        let keep = match modern {
            true => !head.fields.has_token("connection", "close"),
            false => head.fields.has_token("connection", "keep-alive"),
        };
        Exchange {
            body: BodyReader::new(head.body),
            received: 0,
            rest: Vec::new(),
            request_line,
            modern,
            head_only: head.method == "HEAD",
            keep,
            expects: false,
            told_end: false,
            answering: Answering::Waiting,
            purpose: Purpose::Served,
            peer: None,
            file: None,
            progress: 0,
        }
    }

    /// The packets that it brings, if that is what it is for.
    pub(crate) fn post(&mut self) -> Option<&mut Post> {
        match &mut self.purpose {
            Purpose::Post(post) => Some(post),
            Purpose::Served | Purpose::Own | Purpose::Poll(..) => None,
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answering == Answering::Done
    }
}

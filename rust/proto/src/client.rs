//! The client's end of a connection: a request as it is sent, and what comes back, be it a response or, after a 101,
//! WebSocket.
//!
//! ```
//! use hubbub_proto::client::{self, Arrival, Reader};
//! use hubbub_proto::head::Body;
//!
//! let mut out = Vec::new();
//! let fields = [(&b"Host"[..], &b"localhost"[..])];
//! client::write_request(&mut out, "GET", b"/", fields, Body::None)?;
//! assert_eq!(out, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
//!
//! let mut answer = *b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
//! let mut content = Vec::new();
//! let mut reader = Reader::new("GET");
//! reader.read(&mut answer, &mut |arrival| match arrival {
//!     Arrival::Head(head) => assert_eq!(head.status, 200),
//!     Arrival::Content(piece) => content.extend_from_slice(piece),
//!     Arrival::Continue | Arrival::Frame(_) => unreachable!(),
//! })?;
//! assert!(reader.is_complete());
//! assert_eq!(content, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::mem;

use crate::body::{BodyError, BodyReader};
use crate::head::{Body, HeadError, HeadLimits, ResponseHead, Scanner, is_field_value, is_target_text, is_token, trim};
use crate::message::{self, Event};
use crate::{Role, Violation};

/// Appends the head of a request. What frames the message is left out of the fields: `body` says it.
///
/// # Errors
/// A part of it cannot be sent; nothing is appended then.
pub fn write_request<'a>(
    out: &mut Vec<u8>,
    method: &str,
    target: &[u8],
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    body: Body,
) -> Result<(), InvalidRequest> {
    let start = out.len();
    let written = write(out, method, target, fields, body);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write<'a>(
    out: &mut Vec<u8>,
    method: &str,
    target: &[u8],
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    body: Body,
) -> Result<(), InvalidRequest> {
    if !is_token(method) {
        return Err(InvalidRequest::Method);
    }
    if !std::str::from_utf8(target).is_ok_and(is_target_text) {
        return Err(InvalidRequest::Target);
    }
    let push = |out: &mut Vec<u8>, parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    push(out, &[method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"]);
    for (name, value) in fields {
        let value = trim(value);
        if !is_token(name) || !is_field_value(value) {
            return Err(InvalidRequest::Field);
        }
        if !is_framing(name) {
            push(out, &[name, b": ", value, b"\r\n"]);
        }
    }
    match body {
        Body::None => {}
        Body::Length(length) => push(out, &[b"Content-Length: ", length.to_string().as_bytes(), b"\r\n"]),
        Body::Chunked => push(out, &[b"Transfer-Encoding: chunked\r\n"]),
    }
    push(out, &[b"\r\n"]);
    Ok(())
}

fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// A part of the request that cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidRequest {
    /// Not a token.
    Method,
    /// Empty, or with characters that a request line cannot have.
    Target,
    /// A name that is not a token, or a value with control characters.
    Field,
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            InvalidRequest::Method => "the method is not a token",
            InvalidRequest::Target => "the target has characters that a request line cannot have",
            InvalidRequest::Field => "a field has a name or a value that cannot be sent",
        })
    }
}

impl std::error::Error for InvalidRequest {}

/// What a server has said.
#[derive(Debug)]
pub enum Arrival<'a> {
    /// RFC 9110 §15.2.1: the body is wanted.
    Continue,
    /// The head of the response; that of a 101 opens the WebSocket.
    Head(ResponseHead<'a>),
    /// A part of its content.
    Content(&'a [u8]),
    /// Something of the WebSocket's.
    Frame(Event<'a>),
}

/// Reads what a server sends in answer to one request.
#[derive(Debug)]
pub struct Reader {
    /// RFC 9112 §6.3: the answer to HEAD has no content, whatever its fields say.
    head_only: bool,
    /// A head that has not come whole.
    head: Vec<u8>,
    scanner: Scanner,
    state: State,
}

#[derive(Debug)]
enum State {
    Head,
    Body(BodyReader),
    /// The content ends with the connection.
    UntilEnd,
    WebSocket(message::Reader),
    Complete,
}

/// The server that is asked is trusted with sizes: it is this program's own, or the user's choice.
const LIMITS: message::Limits = message::Limits { max_message_bytes: None, max_empty_fragments: u32::MAX };

impl Reader {
    /// For the answer to a request with this method.
    pub fn new(method: &str) -> Reader {
        Reader { head_only: method == "HEAD", head: Vec::new(), scanner: Scanner::new(), state: State::Head }
    }

    /// Takes all of `input`, and tells what is in it. What follows a complete response is dropped.
    ///
    /// # Errors
    /// What the server has done wrong. Nothing after it can be understood.
    pub fn read(&mut self, input: &mut [u8], tell: &mut impl FnMut(Arrival<'_>)) -> Result<(), Fault> {
        if !matches!(self.state, State::Head) {
            return self.read_on(input, tell);
        }
        self.head.extend_from_slice(input);
        while matches!(self.state, State::Head) {
            let limits = HeadLimits { max_bytes: usize::MAX, max_fields: usize::MAX };
            let Some(end) = self.scanner.end(&self.head, &limits)? else { return Ok(()) };
            self.scanner = Scanner::new();
            let mut whole = mem::take(&mut self.head);
            let mut rest = whole.split_off(end);
            self.state = self.heed(&whole, tell)?;
            if matches!(self.state, State::Head) {
                self.head = rest;
            } else {
                self.read_on(&mut rest, tell)?;
            }
        }
        Ok(())
    }

    /// The response is complete. A WebSocket never is.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    fn heed(&self, head: &[u8], tell: &mut impl FnMut(Arrival<'_>)) -> Result<State, Fault> {
        let lines = head.iter().filter(|byte| **byte == b'\n').count();
        let head = ResponseHead::parse(head, &HeadLimits { max_bytes: usize::MAX, max_fields: lines })?;
        let state = match head.status {
            101 => State::WebSocket(message::Reader::new(Role::Client)),
            // Any number of interim responses may come before the final one (RFC 9110 §15.2).
            100..=199 => {
                if head.status == 100 {
                    tell(Arrival::Continue);
                }
                return Ok(State::Head);
            }
            204 | 304 => State::Complete,
            _ if self.head_only => State::Complete,
            _ => match head.body()? {
                Body::None => State::UntilEnd,
                body => State::Body(BodyReader::new(body)),
            },
        };
        tell(Arrival::Head(head));
        Ok(match state {
            State::Body(body) if body.is_done() => State::Complete,
            state => state,
        })
    }

    fn read_on(&mut self, mut input: &mut [u8], tell: &mut impl FnMut(Arrival<'_>)) -> Result<(), Fault> {
        match &mut self.state {
            State::Head | State::Complete => {}
            State::UntilEnd if input.is_empty() => {}
            State::UntilEnd => tell(Arrival::Content(input)),
            State::Body(body) => {
                let mut input = &*input;
                while let Some(content) = body.next(&mut input)? {
                    tell(Arrival::Content(content));
                }
                if body.is_done() {
                    self.state = State::Complete;
                }
            }
            State::WebSocket(reader) => {
                while let Some(event) = reader.next(&mut input, &LIMITS)? {
                    tell(Arrival::Frame(event));
                }
            }
        }
        Ok(())
    }
}

/// What a server has done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// In the head of its response.
    Head(HeadError),
    /// In the chunks of its content.
    Body(BodyError),
    /// In the frames of a WebSocket.
    Frame(Violation),
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Fault {
        Fault::Head(error)
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Fault {
        Fault::Body(error)
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Fault {
        Fault::Frame(violation)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Head(error) => error.fmt(out),
            Fault::Body(error) => error.fmt(out),
            Fault::Frame(violation) => violation.fmt(out),
        }
    }
}

impl std::error::Error for Fault {}

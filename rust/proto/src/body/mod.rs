//! The body of a request that arrives in pieces (RFC 9112 §6, §7.1): bytes in, slices of content out.
//!
//! ```
//! use hubbub_proto::body::BodyReader;
//! use hubbub_proto::head::Body;
//!
//! let mut reader = BodyReader::new(Body::Chunked);
//! let mut input = &b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1"[..];
//! assert_eq!(reader.next(&mut input)?, Some(&b"hello"[..]));
//! assert_eq!(reader.next(&mut input)?, None);
//! assert!(reader.is_done());
//! assert_eq!(input, b"GET / HTTP/1.1");
//! # Ok::<(), hubbub_proto::body::BodyError>(())
//! ```

mod chunked;
mod error;
mod writer;

pub use error::BodyError;
pub use writer::{LAST_CHUNK, chunk_head};

use self::chunked::Chunks;
use crate::head::Body;

/// Reads one body. It stops exactly where the body ends: what follows is the next request's.
#[derive(Clone, Debug)]
pub struct BodyReader(State);

#[derive(Clone, Debug)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    Chunks(Chunks),
    Done,
}

impl BodyReader {
    /// A reader for the body that a head has announced.
    pub fn new(body: Body) -> BodyReader {
        BodyReader(match body {
            Body::None | Body::Length(0) => State::Done,
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Chunks(Chunks::new()),
        })
    }

    /// The next content in `input`, which moves on behind it. `None`: nothing is left of the input, or the body is
    /// complete, which [`is_done`](BodyReader::is_done) tells.
    ///
    /// # Errors
    /// What is wrong with the chunks. Nothing after it can be understood: the connection must be closed.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<&'b [u8]>, BodyError> {
        match &mut self.0 {
            State::Done => Ok(None),
            State::Length(left) => {
                let content = take(input, *left);
                *left -= content.len() as u64;
                if *left == 0 {
                    self.0 = State::Done;
                }
                Ok((!content.is_empty()).then_some(content))
            }
            State::Chunks(chunks) => {
                let content = chunks.next(input)?;
                if chunks.is_done() {
                    self.0 = State::Done;
                }
                Ok(content)
            }
        }
    }

    /// The body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How many bytes of content are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            State::Done => Some(0),
            State::Length(left) => Some(*left),
            State::Chunks(_) => None,
        }
    }
}

/// At most `most` bytes off the front of `input`.
fn take<'b>(input: &mut &'b [u8], most: u64) -> &'b [u8] {
    let len = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    let (front, rest) = input.split_at(len);
    *input = rest;
    front
}

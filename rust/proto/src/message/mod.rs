//! Bytes to messages: frames, fragments, control frames in between, text and limits (RFC 6455 §5, §8.1).
//!
//! A message that arrives whole in one piece of input is handed out where it lies, unmasked in place. Anything else is
//! assembled in one buffer that grows as bytes arrive.
//!
//! ```
//! use hubbub_proto::message::{Event, Kind, Limits, Reader};
//! use hubbub_proto::{Role, frame};
//!
//! let mut bytes = Vec::new();
//! frame::encode(&mut bytes, frame::Opcode::Text, b"hello", Some([1, 2, 3, 4]));
//!
//! let mut reader = Reader::new(Role::Server);
//! let mut input = &mut bytes[..];
//! while let Some(event) = reader.next(&mut input, &Limits::default())? {
//!     let Event::Message { kind: Kind::Text, payload } = event else { panic!("a text was sent") };
//!     assert_eq!(payload.as_slice(), b"hello");
//! }
//! # Ok::<(), hubbub_proto::Violation>(())
//! ```

mod unfinished;

use std::mem;

use crate::close::{CloseCode, CloseFrame};
use crate::frame::{self, Opcode};
use crate::{Role, Violation, mask, utf8};
use unfinished::Unfinished;

/// What one peer may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest message, in bytes of payload over all its fragments; 1 MiB by default, `None` for no limit.
    pub max_message_bytes: Option<usize>,
    /// How many fragments of one message may be empty, its last not counted; 64 by default.
    pub max_empty_fragments: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_message_bytes: Some(1 << 20), max_empty_fragments: 64 }
    }
}

impl Limits {
    /// Whether a message of `so_far` bytes may get `more`.
    #[inline]
    fn allow(&self, so_far: usize, more: u64) -> bool {
        // A sum that does not fit into memory's own measure is over any limit.
        let total = usize::try_from(more).ok().and_then(|more| so_far.checked_add(more));
        total.is_some_and(|total| total <= self.max_message_bytes.unwrap_or(isize::MAX as usize))
    }
}

/// What a message is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// Valid UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Opcode {
        match kind {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        }
    }
}

/// The bytes of an event: where they arrived, or in a buffer of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload<'a> {
    /// They lie in the input.
    Borrowed(&'a [u8]),
    /// They were assembled from several pieces.
    Owned(Vec<u8>),
}

impl Payload<'_> {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => bytes,
        }
    }

    /// The bytes in a buffer of their own; copies only what is borrowed.
    #[inline]
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Payload::Borrowed(bytes) => bytes.to_vec(),
            Payload::Owned(bytes) => bytes,
        }
    }
}

/// What a peer has said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// Text or binary; the payload of a text is valid UTF-8.
        kind: Kind,
        /// Its bytes.
        payload: Payload<'a>,
    },
    /// A whole message that an [`Inflater`](crate::deflate::Inflater) must see first; only for readers that were
    /// [told](Reader::expect_deflate) to expect it.
    Compressed {
        /// Text or binary; the inflated bytes of a text are still to be validated.
        kind: Kind,
        /// Its bytes, deflated.
        payload: Payload<'a>,
    },
    /// A ping, to be answered by a pong with the same payload.
    Ping(Payload<'a>),
    /// A pong, asked for or not.
    Pong(Payload<'a>),
    /// The end: nothing that follows is read.
    Close {
        /// The code, unless the frame was empty.
        code: Option<CloseCode>,
        /// The reason; empty if none was given.
        reason: String,
    },
}

/// A large payload that is not complete, to be received without a copy.
#[derive(Debug)]
pub struct Direct<'a> {
    /// Receive into the front of this: the rest of the payload, or at least 64 KiB of it.
    pub room: &'a mut [u8],
    /// How many bytes of the payload have not arrived; `room` is never longer.
    pub remaining: usize,
}

/// Reads what one peer sends. Idle, it takes 16 bytes and owns nothing.
///
/// After a close frame or a violation it swallows all further input.
#[derive(Debug)]
pub struct Reader {
    role: Role,
    ended: bool,
    deflate: bool,
    /// INVARIANT: boxed only while a header, a payload or a message is unfinished.
    unfinished: Option<Box<Unfinished>>,
}

impl Reader {
    /// A reader for what arrives at `role`.
    pub fn new(role: Role) -> Reader {
        Reader { role, ended: false, deflate: false, unfinished: None }
    }

    /// Says that permessage-deflate was agreed on: messages may come compressed.
    pub fn expect_deflate(&mut self) {
        self.deflate = true;
    }

    /// Says that what was handed out broke a rule that only its receiver could judge: nothing more is read.
    #[cold]
    pub fn end(&mut self) {
        self.ended = true;
        self.unfinished = None;
    }

    /// Takes bytes from the front of `input`, unmasking them in place, up to the end of the next event.
    ///
    /// `Ok(None)` means that all input is eaten and more is needed.
    ///
    /// # Errors
    /// The first rule that the peer broke, as soon as the bytes so far prove it. Nothing is read after that.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8], limits: &Limits) -> Result<Option<Event<'a>>, Violation> {
        if self.unfinished.is_none() && !self.ended {
            match whole(self.role, self.deflate, input, limits) {
                Ok(Some(Event::Close { code, reason })) => {
                    self.ended = true;
                    return Ok(Some(Event::Close { code, reason }));
                }
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) if input.is_empty() => return Ok(None),
                Ok(None) => {}
                Err(violation) => return Err(self.fail(violation)),
            }
        }
        self.resume(input, limits)
    }

    /// While a large data payload is unfinished: the buffer that its rest may be received into, saving a copy.
    ///
    /// `None` when fewer than 4,096 bytes remain or no data payload is open. A buffer in `spare` that is large enough
    /// is taken instead of memory from the allocator.
    pub fn direct(&mut self, spare: &mut Vec<Vec<u8>>) -> Option<Direct<'_>> {
        self.unfinished.as_deref_mut()?.direct(spare)
    }

    /// Takes note that `n` bytes were received into the room that [`direct`](Reader::direct) gave.
    ///
    /// # Errors
    /// As [`next`](Reader::next).
    ///
    /// # Panics
    /// If `n` is more than the room.
    pub fn received_directly(&mut self, n: usize, limits: &Limits) -> Result<Option<Event<'static>>, Violation> {
        let Some(unfinished) = self.unfinished.as_deref_mut() else {
            assert_eq!(n, 0, "no payload is open");
            return Ok(None);
        };
        let result = unfinished.received_directly(n, limits);
        self.settle(result)
    }

    /// Whether a message, or a frame, is unfinished.
    #[inline]
    pub fn is_mid_message(&self) -> bool {
        self.unfinished.is_some()
    }

    /// The slow path of `next`: something is unfinished, or is about to be.
    #[inline(never)]
    fn resume<'a>(&mut self, input: &mut &'a mut [u8], limits: &Limits) -> Result<Option<Event<'a>>, Violation> {
        if self.ended {
            // RFC 6455 §5.5.1: whatever follows a close frame is discarded.
            *input = &mut [];
            return Ok(None);
        }
        let unfinished = self.unfinished.get_or_insert_default();
        let result = unfinished.resume(self.role, self.deflate, input, limits);
        self.settle(result)
    }

    /// Keeps the invariants after `unfinished` has worked.
    fn settle<'a>(&mut self, result: Result<Option<Event<'a>>, Violation>) -> Result<Option<Event<'a>>, Violation> {
        match &result {
            Ok(Some(Event::Close { .. })) => {
                self.ended = true;
                self.unfinished = None;
            }
            Ok(_) => {
                if self.unfinished.as_ref().is_some_and(|unfinished| unfinished.is_empty()) {
                    self.unfinished = None;
                }
            }
            Err(violation) => {
                self.fail(*violation);
            }
        }
        result
    }

    #[cold]
    fn fail(&mut self, violation: Violation) -> Violation {
        self.end();
        violation
    }
}

/// The fast path: a whole frame that is an event by itself. `Ok(None)`, and nothing taken, if the input does not begin
/// with one.
#[inline]
fn whole<'a>(
    role: Role,
    deflate: bool,
    input: &mut &'a mut [u8],
    limits: &Limits,
) -> Result<Option<Event<'a>>, Violation> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let (fin, opcode, compressed) = frame::first_byte(first, deflate)?;
    if opcode == Opcode::Continuation {
        // RFC 6455 §5.4: a fragmented message begins with a frame whose opcode is not 0.
        return Err(Violation::NothingToContinue);
    }
    let Some((len, key_at)) = frame::length(input, opcode, role)? else {
        return Ok(None);
    };
    if !limits.allow(0, len) && !opcode.is_control() {
        return Err(Violation::TooBig);
    }
    let Some((key, size)) = frame::masking_key(input, key_at, role) else {
        return Ok(None);
    };
    let available = input.len() - size;
    let Some(len) = usize::try_from(len).ok().filter(|len| fin && *len <= available) else {
        return Ok(None);
    };
    let payload = &mut take(input, size + len)[size..];
    if let Some(key) = key {
        mask::apply(payload, key, 0);
    }
    if compressed {
        let kind = if opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        return Ok(Some(Event::Compressed { kind, payload: Payload::Borrowed(payload) }));
    }
    match opcode {
        Opcode::Text => {
            // RFC 6455 §8.1: text that is not UTF-8 MUST fail the connection.
            if !utf8::is_valid(payload) {
                return Err(Violation::TextUtf8);
            }
            Ok(Some(Event::Message { kind: Kind::Text, payload: Payload::Borrowed(payload) }))
        }
        Opcode::Binary => Ok(Some(Event::Message { kind: Kind::Binary, payload: Payload::Borrowed(payload) })),
        control => control_event(control, Payload::Borrowed(payload)).map(Some),
    }
}

/// The event that a whole control frame is.
fn control_event(opcode: Opcode, payload: Payload<'_>) -> Result<Event<'_>, Violation> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        Opcode::Close => {
            let close = CloseFrame::parse(payload.as_slice())?;
            Ok(Event::Close { code: close.code, reason: close.reason.to_owned() })
        }
        Opcode::Continuation | Opcode::Text | Opcode::Binary => unreachable!("not a control frame"),
    }
}

/// Takes `n` bytes from the front of `input`.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(n);
    *input = rest;
    front
}

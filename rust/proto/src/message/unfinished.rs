//! What a reader remembers from one input to the next: a header, a payload or a message that is not complete.

use super::{Direct, Event, Kind, Limits, Payload, control_event, take};
use crate::frame::{self, Header, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode};
use crate::utf8::Validator;
use crate::{Role, Violation, mask};

/// The state between two inputs.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// The bytes of a header that is not complete.
    /// INVARIANT: `header_len` is 0 while `frame` is there.
    header: [u8; MAX_HEADER_BYTES],
    header_len: u8,
    /// The frame whose payload is not complete.
    frame: Option<Frame>,
    /// The payload of a control frame that is not complete, still masked.
    control: [u8; MAX_CONTROL_BYTES],
    /// INVARIANT: there while a data frame is.
    message: Option<Message>,
}

impl Default for Unfinished {
    fn default() -> Unfinished {
        Unfinished {
            header: [0; MAX_HEADER_BYTES],
            header_len: 0,
            frame: None,
            control: [0; MAX_CONTROL_BYTES],
            message: None,
        }
    }
}

/// A frame whose header is complete.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: Header,
    /// How many bytes of its payload have arrived; at most the length in the header.
    taken: u64,
}

impl Frame {
    /// How many of its payload bytes have not arrived.
    fn remaining(&self) -> usize {
        // The limits have seen to it that the length of a data frame fits; control frames are short.
        usize::try_from(self.header.len - self.taken).unwrap_or(usize::MAX)
    }
}

/// A message whose last fragment is not complete.
#[derive(Debug)]
struct Message {
    kind: Kind,
    /// It is deflated: whoever inflates it validates it.
    compressed: bool,
    /// All that has arrived, unmasked, and after it room for what is received directly.
    bytes: Vec<u8>,
    /// How much has arrived.
    /// INVARIANT: at most `bytes.len()`.
    filled: usize,
    /// Has seen all of `bytes` if this is a text that is not compressed.
    utf8: Validator,
    empty_fragments: u32,
}

impl Unfinished {
    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// As [`Reader::next`](super::Reader::next).
    pub(super) fn resume<'a>(
        &mut self,
        role: Role,
        deflate: bool,
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Event<'a>>, Violation> {
        while !input.is_empty() {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(role, deflate, input, limits)? {
                    Some((header, compressed)) => self.begin(header, compressed, limits)?,
                    None => return Ok(None),
                },
            };
            let event = if frame.header.opcode.is_control() {
                self.read_control(frame, input)?
            } else {
                self.read_data(frame, input)?
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// As [`Reader::direct`](super::Reader::direct).
    pub(super) fn direct(&mut self, spare: &mut Vec<Vec<u8>>) -> Option<Direct<'_>> {
        let frame = self.frame.filter(|frame| !frame.header.opcode.is_control())?;
        let remaining = frame.remaining();
        if remaining < DIRECT_FROM {
            return None;
        }
        let message = self.message.as_mut()?;
        let room = remaining.min(message.filled.clamp(DIRECT_ROOM, DIRECT_MOST_ROOM));
        message.make_room(room, remaining, frame.header.fin, spare);
        let end = message.bytes.len().min(message.filled + remaining);
        Some(Direct { room: &mut message.bytes[message.filled..end], remaining })
    }

    /// As [`Reader::received_directly`](super::Reader::received_directly).
    pub(super) fn received_directly(
        &mut self,
        n: usize,
        _limits: &Limits,
    ) -> Result<Option<Event<'static>>, Violation> {
        let (Some(frame), Some(message)) = (self.frame.take(), &self.message) else {
            assert_eq!(n, 0, "no payload is open");
            return Ok(None);
        };
        assert!(n <= frame.remaining() && n <= message.bytes.len() - message.filled, "more was received than fits");
        self.absorb(frame, n)
    }

    /// Moves bytes from `input` to the header until that is complete; gives it, and whether it begins a compressed
    /// message.
    fn read_header(
        &mut self,
        role: Role,
        deflate: bool,
        input: &mut &mut [u8],
        limits: &Limits,
    ) -> Result<Option<(Header, bool)>, Violation> {
        let had = usize::from(self.header_len);
        let new = input.len().min(MAX_HEADER_BYTES - had);
        self.header[had..had + new].copy_from_slice(&input[..new]);
        match self.parse_header(&self.header[..had + new], role, deflate, limits)? {
            Some((header, size, compressed)) => {
                self.header_len = 0;
                // The first `had` bytes were not enough, so the header ends after them.
                take(input, size - had);
                Ok(Some((header, compressed)))
            }
            None => {
                self.header_len = (had + new) as u8;
                take(input, new);
                Ok(None)
            }
        }
    }

    /// Reads a header in the light of the message that is open. Every check is made as soon as its bytes are there, so
    /// that the verdict does not depend on how the bytes were cut.
    fn parse_header(
        &self,
        bytes: &[u8],
        role: Role,
        deflate: bool,
        limits: &Limits,
    ) -> Result<Option<(Header, usize, bool)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode, compressed) = frame::first_byte(first, deflate)?;
        let so_far = match (&self.message, opcode) {
            // RFC 6455 §5.4: a continuation needs a message to continue,
            (None, Opcode::Continuation) => return Err(Violation::NothingToContinue),
            // and the fragments of two messages MUST NOT be interleaved.
            (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(Violation::MessageInsideMessage);
            }
            (Some(message), _) => message.filled,
            (None, _) => 0,
        };
        let Some((len, key_at)) = frame::length(bytes, opcode, role)? else {
            return Ok(None);
        };
        // Before anything is allocated, and before the masking key is waited for.
        if !opcode.is_control() && !limits.allow(so_far, len) {
            return Err(Violation::TooBig);
        }
        let Some((mask, size)) = frame::masking_key(bytes, key_at, role) else {
            return Ok(None);
        };
        Ok(Some((Header { fin, opcode, len, mask }, size, compressed)))
    }

    /// Opens the message that a first fragment begins, and counts empty fragments.
    fn begin(&mut self, header: Header, compressed: bool, limits: &Limits) -> Result<Frame, Violation> {
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        if let Some(kind) = kind {
            self.message = Some(Message {
                kind,
                compressed,
                bytes: Vec::new(),
                filled: 0,
                utf8: Validator::default(),
                empty_fragments: 0,
            });
        }
        // Only fragments of data have no FIN.
        if let Some(message) = self.message.as_mut().filter(|_| header.len == 0 && !header.fin) {
            message.empty_fragments = message.empty_fragments.saturating_add(1);
            if message.empty_fragments > limits.max_empty_fragments {
                return Err(Violation::TooManyEmptyFragments);
            }
        }
        Ok(Frame { header, taken: 0 })
    }

    fn read_control<'a>(&mut self, mut frame: Frame, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, Violation> {
        let Header { opcode, mask, .. } = frame.header;
        let remaining = frame.remaining();
        let new = take(input, remaining.min(input.len()));
        let whole = new.len() == remaining;
        if whole && frame.taken == 0 {
            unmask(new, mask, 0);
            return control_event(opcode, Payload::Borrowed(new)).map(Some);
        }
        let taken = frame.taken as usize;
        self.control[taken..taken + new.len()].copy_from_slice(new);
        frame.taken += new.len() as u64;
        if !whole {
            self.frame = Some(frame);
            return Ok(None);
        }
        let mut payload = self.control[..frame.taken as usize].to_vec();
        unmask(&mut payload, mask, 0);
        control_event(opcode, Payload::Owned(payload)).map(Some)
    }

    fn read_data(&mut self, frame: Frame, input: &mut &mut [u8]) -> Result<Option<Event<'static>>, Violation> {
        let Some(message) = &mut self.message else { unreachable!("a data frame has a message") };
        let remaining = frame.remaining();
        let new = take(input, remaining.min(input.len()));
        message.append(new, remaining, frame.header.fin);
        self.absorb(frame, new.len())
    }

    /// Unmasks and validates the `n` payload bytes that stand behind what has arrived before; hands the message out if
    /// they complete it.
    fn absorb(&mut self, mut frame: Frame, n: usize) -> Result<Option<Event<'static>>, Violation> {
        let Some(message) = &mut self.message else { unreachable!("a data frame has a message") };
        let new = &mut message.bytes[message.filled..message.filled + n];
        unmask(new, frame.header.mask, (frame.taken % 4) as usize);
        // RFC 6455 §8.1: text that is not UTF-8 MUST fail the connection; here, at its first bad byte.
        if message.kind == Kind::Text && !message.compressed {
            message.utf8.push(new).map_err(|_| Violation::TextUtf8)?;
        }
        message.filled += n;
        frame.taken += n as u64;
        if frame.taken < frame.header.len {
            self.frame = Some(frame);
            return Ok(None);
        }
        if !frame.header.fin {
            return Ok(None);
        }
        message.utf8.finish().map_err(|_| Violation::TextUtf8)?;
        Ok(self.message.take().map(|mut message| {
            message.bytes.truncate(message.filled);
            let (kind, payload) = (message.kind, Payload::Owned(message.bytes));
            if message.compressed { Event::Compressed { kind, payload } } else { Event::Message { kind, payload } }
        }))
    }
}

impl Message {
    /// Puts bytes behind what has arrived; `filled` does not count them yet.
    fn append(&mut self, new: &[u8], remaining: usize, last: bool) {
        let end = self.filled + new.len();
        if end <= self.bytes.len() {
            self.bytes[self.filled..end].copy_from_slice(new);
        } else {
            self.bytes.truncate(self.filled);
            if self.bytes.capacity() < end {
                self.bytes.reserve_exact(self.growth(new.len(), remaining, last));
            }
            self.bytes.extend_from_slice(new);
        }
    }

    /// Makes room for a direct receive, in a used buffer if one is large enough.
    fn make_room(&mut self, room: usize, remaining: usize, last: bool, spare: &mut Vec<Vec<u8>>) {
        if self.bytes.len() - self.filled >= room {
            return;
        }
        if self.bytes.capacity() - self.filled < room {
            if let Some(at) = spare.iter().position(|buffer| buffer.capacity() >= self.filled + room) {
                let mut used = spare.swap_remove(at);
                // PERF: what is in a used buffer need not be cleared, it will be overwritten.
                used.resize(used.capacity(), 0);
                used[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
                self.bytes = used;
                return;
            }
            self.bytes.truncate(self.filled);
            self.bytes.reserve_exact(self.growth(room, remaining, last));
        }
        self.bytes.resize(self.bytes.capacity().min(self.filled + remaining), 0);
    }

    /// How much to allocate for `room` more bytes: at least doubling, but never by the declared length alone: a peer
    /// must send half of what it makes us hold. `remaining` bytes of the frame are to come; if it is the `last`, none
    /// after them.
    fn growth(&self, room: usize, remaining: usize, last: bool) -> usize {
        let declared = self.filled.saturating_add(remaining);
        let target =
            (self.filled + room).max(self.bytes.capacity().saturating_mul(2)).max(declared.min(FIRST_CAPACITY));
        let target = if last { target.min(declared) } else { target };
        target - self.filled
    }
}

/// Fewer remaining bytes than this are not worth a direct receive.
const DIRECT_FROM: usize = 4096;
/// The room that a direct receive has at least, unless less remains.
const DIRECT_ROOM: usize = 64 * 1024;
/// The room beyond which a direct receive does not ask for more.
const DIRECT_MOST_ROOM: usize = 1024 * 1024;
/// A buffer's first allocation, unless less is declared.
const FIRST_CAPACITY: usize = 16 * 1024;

fn unmask(data: &mut [u8], key: Option<[u8; 4]>, offset: usize) {
    if let Some(key) = key {
        mask::apply(data, key, offset);
    }
}

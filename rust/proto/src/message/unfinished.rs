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
    /// All that has arrived, unmasked.
    bytes: Vec<u8>,
    /// Has seen all of `bytes` if this is a text.
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
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Event<'a>>, Violation> {
        while !input.is_empty() {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(role, input, limits)? {
                    Some(header) => self.begin(header, limits)?,
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
    pub(super) fn direct(&mut self) -> Option<Direct<'_>> {
        let frame = self.frame.filter(|frame| !frame.header.opcode.is_control())?;
        let remaining = frame.remaining();
        if remaining < DIRECT_FROM {
            return None;
        }
        let buffer = &mut self.message.as_mut()?.bytes;
        let spare = remaining.min(buffer.len().clamp(DIRECT_SPARE, DIRECT_MOST_SPARE));
        grow(buffer, spare, remaining, frame.header.fin);
        Some(Direct { buffer, remaining })
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
        assert!(n <= frame.remaining(), "more was appended than remained");
        let start = message.bytes.len() - n;
        self.absorb(frame, start)
    }

    /// Moves bytes from `input` to the header until that is complete.
    fn read_header(&mut self, role: Role, input: &mut &mut [u8], limits: &Limits) -> Result<Option<Header>, Violation> {
        let had = usize::from(self.header_len);
        let new = input.len().min(MAX_HEADER_BYTES - had);
        self.header[had..had + new].copy_from_slice(&input[..new]);
        match self.parse_header(&self.header[..had + new], role, limits)? {
            Some((header, size)) => {
                self.header_len = 0;
                // The first `had` bytes were not enough, so the header ends after them.
                take(input, size - had);
                Ok(Some(header))
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
    fn parse_header(&self, bytes: &[u8], role: Role, limits: &Limits) -> Result<Option<(Header, usize)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode) = frame::first_byte(first)?;
        let so_far = match (&self.message, opcode) {
            // RFC 6455 §5.4: a continuation needs a message to continue,
            (None, Opcode::Continuation) => return Err(Violation::NothingToContinue),
            // and the fragments of two messages MUST NOT be interleaved.
            (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(Violation::MessageInsideMessage);
            }
            (Some(message), _) => message.bytes.len(),
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
        Ok(Some((Header { fin, opcode, len, mask }, size)))
    }

    /// Opens the message that a first fragment begins, and counts empty fragments.
    fn begin(&mut self, header: Header, limits: &Limits) -> Result<Frame, Violation> {
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        if let Some(kind) = kind {
            self.message = Some(Message { kind, bytes: Vec::new(), utf8: Validator::default(), empty_fragments: 0 });
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
        grow(&mut message.bytes, new.len(), remaining, frame.header.fin);
        let start = message.bytes.len();
        message.bytes.extend_from_slice(new);
        self.absorb(frame, start)
    }

    /// Unmasks and validates the payload bytes that were appended at `start`; hands the message out if they complete
    /// it.
    fn absorb(&mut self, mut frame: Frame, start: usize) -> Result<Option<Event<'static>>, Violation> {
        let Some(message) = &mut self.message else { unreachable!("a data frame has a message") };
        let new = &mut message.bytes[start..];
        unmask(new, frame.header.mask, (frame.taken % 4) as usize);
        // RFC 6455 §8.1: text that is not UTF-8 MUST fail the connection; here, at its first bad byte.
        if message.kind == Kind::Text {
            message.utf8.push(new).map_err(|_| Violation::TextUtf8)?;
        }
        frame.taken += new.len() as u64;
        if frame.taken < frame.header.len {
            self.frame = Some(frame);
            return Ok(None);
        }
        if !frame.header.fin {
            return Ok(None);
        }
        message.utf8.finish().map_err(|_| Violation::TextUtf8)?;
        Ok(self
            .message
            .take()
            .map(|message| Event::Message { kind: message.kind, payload: Payload::Owned(message.bytes) }))
    }
}

/// Fewer remaining bytes than this are not worth a direct receive.
const DIRECT_FROM: usize = 4096;
/// The room that a direct receive has at least, unless less remains.
const DIRECT_SPARE: usize = 64 * 1024;
/// The room beyond which a direct receive does not ask for more.
const DIRECT_MOST_SPARE: usize = 1024 * 1024;
/// A buffer's first allocation, unless less is declared.
const FIRST_CAPACITY: usize = 16 * 1024;

/// Makes room for `spare` more bytes, at least doubling the buffer, but never by the declared length alone: a peer must
/// send half of what it makes us hold. `remaining` bytes of the frame are to come; if it is the `last`, none after
/// them.
fn grow(bytes: &mut Vec<u8>, spare: usize, remaining: usize, last: bool) {
    if bytes.capacity() - bytes.len() >= spare {
        return;
    }
    let declared = bytes.len().saturating_add(remaining);
    let target = (bytes.len() + spare).max(bytes.capacity().saturating_mul(2)).max(declared.min(FIRST_CAPACITY));
    let target = if last { target.min(declared) } else { target };
    bytes.reserve_exact(target - bytes.len());
}

fn unmask(data: &mut [u8], key: Option<[u8; 4]>, offset: usize) {
    if let Some(key) = key {
        mask::apply(data, key, offset);
    }
}

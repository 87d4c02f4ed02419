//! What a connection receives: bytes in, counts of complete messages out. Payloads are compared where they lie and
//! are neither copied nor gathered, unless they are deflated.

use hubbub_proto::Role;
use hubbub_proto::deflate::{Inflater, MAX_WINDOW_BITS, Params};
use hubbub_proto::frame::{self, Header, Opcode};

use crate::arrived::{Arrived, Parting};
use crate::faults::{Fault, Faults};
use crate::script::{Foreign, KEY, Script};
use crate::stamp::{self, Stamp};
use crate::talk::Talk;

/// What the connections of a thread share while they read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) faults: Faults,
    /// The stamps of the messages of one call.
    pub(crate) stamps: Vec<Stamp>,
    /// For peers whose messages do not refer back.
    inflater: Inflater,
    inflated: Vec<u8>,
}

impl Default for Reading {
    fn default() -> Reading {
        let inflater = Inflater::new(MAX_WINDOW_BITS, false);
        Reading { faults: Faults::default(), stamps: Vec::new(), inflater, inflated: Vec::new() }
    }
}

impl Reading {
    /// Takes note of when a message of the server's own was sent, if it says so.
    pub(crate) fn note_time(&mut self, message: &[u8], script: &Script) {
        let due = script.field.as_ref().and_then(|field| field.read(message));
        self.stamps.extend(due.map(|due| Stamp { sender: 0, sequence: 0, due }));
    }
}

/// The receiving half of one connection.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// Speaks no WebSocket: the replies are the frames that were sent.
    raw: bool,
    /// Which message of the ring comes next.
    next: usize,
    /// Payload bytes of the message so far, or bytes of the raw reply.
    message_len: u64,
    /// A fragmented message is open.
    mid_message: bool,
    /// The content of the message was right so far.
    right: bool,
    frame: Option<Frame>,
    /// A frame header that has not arrived whole.
    partial: [u8; 14],
    partial_len: usize,
    /// The payload of the open control frame.
    control: Vec<u8>,
    /// A message of the server's own, if its time is wanted.
    whole: Vec<u8>,
    /// The first bytes of a stamped message.
    stamp: [u8; stamp::LEN],
    deflate: Option<Box<Deflated>>,
    socketio: Option<Box<Packets>>,
}

/// Messages that are packets of Socket.IO.
#[derive(Debug)]
struct Packets {
    talk: Talk,
    /// The message so far.
    whole: Vec<u8>,
    binary: bool,
}

/// The message that is arriving deflated.
#[derive(Debug)]
struct Deflated {
    /// The peer's messages refer back to earlier ones.
    inflater: Option<Inflater>,
    /// The open message is deflated.
    open: bool,
    payload: Vec<u8>,
}

/// A frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    left: u64,
}

/// Content is compared in every message up to this size, and in one of `SAMPLE` of the larger ones.
const ALWAYS_COMPARED: usize = 4096;
const SAMPLE: usize = 8;
/// More than any message of a run.
const MAX_INFLATED: usize = 512 << 20;

impl Inbound {
    /// Expects the messages of the ring in turn, from `first` on.
    pub(crate) fn new(raw: bool, first: usize) -> Inbound {
        Inbound { raw, next: first, right: true, ..Inbound::default() }
    }

    /// Expects packets of Socket.IO, with the messages of the ring in turn in events, from `first` on.
    pub(crate) fn socketio(first: usize) -> Inbound {
        let packets = Packets { talk: Talk::new(first), whole: Vec::new(), binary: false };
        Inbound { socketio: Some(Box::new(packets)), ..Inbound::new(false, first) }
    }

    /// The session of Socket.IO, if one is spoken.
    pub(crate) fn talk(&self) -> Option<&Talk> {
        self.socketio.as_ref().map(|packets| &packets.talk)
    }

    /// Messages may come deflated from now on.
    pub(crate) fn expect_deflate(&mut self, params: Params) {
        let takeover = !params.server_no_context_takeover;
        let inflater = takeover.then(|| Inflater::new(params.server_max_window_bits, true));
        self.deflate = Some(Box::new(Deflated { inflater, open: false, payload: Vec::new() }));
    }

    /// Takes all of `bytes`. Answers to pings go to `answers`, what was completed to `arrived`, even before a parting.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        script: &Script,
        reading: &mut Reading,
        answers: &mut Vec<u8>,
        arrived: &mut Arrived,
    ) -> Result<(), Parting> {
        if self.raw {
            self.push_raw(bytes, script, &mut reading.faults, arrived);
            return Ok(());
        }
        let mut rest = bytes;
        loop {
            if self.frame.is_none() && !self.header(&mut rest)? {
                return Ok(());
            }
            if !self.payload(&mut rest, script) {
                return Ok(());
            }
            self.frame_ended(script, reading, answers, arrived)?;
        }
    }

    /// Takes a frame header from the front; false if it has not arrived whole.
    fn header(&mut self, rest: &mut &[u8]) -> Result<bool, Parting> {
        if self.partial_len == 0 {
            if let Some((header, used)) = self.parse(rest)? {
                *rest = &rest[used..];
                return self.frame_began(header).map(|()| true);
            }
            self.partial[..rest.len()].copy_from_slice(rest);
            self.partial_len = rest.len();
            return Ok(false);
        }
        while let Some((first, others)) = rest.split_first() {
            self.partial[self.partial_len] = *first;
            self.partial_len += 1;
            *rest = others;
            let (partial, len) = (self.partial, self.partial_len);
            if let Some((header, _)) = self.parse(&partial[..len])? {
                self.partial_len = 0;
                return self.frame_began(header).map(|()| true);
            }
        }
        Ok(false)
    }

    /// Reads a header; of a deflated message's first frame, that it is one, too (RFC 7692 §6: RSV1).
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Parting> {
        const RSV1: u8 = 0x40;
        let read = |bytes: &[u8]| {
            Header::parse(bytes, Role::Client).map_err(|violation| Parting::Protocol(violation.to_string()))
        };
        let (Some(deflate), Some(first)) = (&mut self.deflate, bytes.first()) else { return read(bytes) };
        let is_first = matches!(first & 0xf, 1 | 2);
        if is_first {
            deflate.open = first & RSV1 != 0;
            deflate.payload.clear();
        }
        if !(is_first && deflate.open) {
            return read(bytes);
        }
        let mut plain = [0; frame::MAX_HEADER_BYTES];
        let len = bytes.len().min(plain.len());
        plain[..len].copy_from_slice(&bytes[..len]);
        plain[0] &= !RSV1;
        read(&plain[..len])
    }

    fn frame_began(&mut self, header: Header) -> Result<(), Parting> {
        match header.opcode {
            Opcode::Continuation if !self.mid_message => {
                return Err(Parting::Protocol("a continuation of no message".to_owned()));
            }
            Opcode::Text | Opcode::Binary if self.mid_message => {
                return Err(Parting::Protocol("a new message inside an unfinished one".to_owned()));
            }
            Opcode::Continuation => {}
            Opcode::Text | Opcode::Binary => {
                self.mid_message = true;
                if let Some(packets) = &mut self.socketio {
                    packets.binary = header.opcode == Opcode::Binary;
                }
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control.clear(),
        }
        self.frame = Some(Frame { opcode: header.opcode, fin: header.fin, left: header.len });
        Ok(())
    }

    /// Takes payload from the front; false if more of it must come.
    fn payload(&mut self, rest: &mut &[u8], script: &Script) -> bool {
        let Some(frame) = &mut self.frame else { return false };
        let len = usize::try_from(frame.left).map_or(rest.len(), |left| left.min(rest.len()));
        let (now, later) = rest.split_at(len);
        *rest = later;
        frame.left -= len as u64;
        let ended = frame.left == 0;
        match frame.opcode {
            Opcode::Continuation | Opcode::Text | Opcode::Binary => match (&mut self.deflate, &mut self.socketio) {
                (Some(deflate), _) if deflate.open => deflate.payload.extend_from_slice(now),
                (_, Some(packets)) => packets.whole.extend_from_slice(now),
                _ => self.piece(now, script),
            },
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control.extend_from_slice(now),
        }
        ended
    }

    /// Compares a piece of a message.
    fn piece(&mut self, bytes: &[u8], script: &Script) {
        if script.foreign() != Foreign::None {
            self.message_len += bytes.len() as u64;
            if script.field.is_some() && self.whole.len() + bytes.len() <= MAX_INFLATED {
                self.whole.extend_from_slice(bytes);
            }
            return;
        }
        let mut bytes = bytes;
        if script.is_stamped() && self.message_len < stamp::LEN as u64 {
            let at = self.message_len as usize;
            let (stamped, others) = bytes.split_at(bytes.len().min(stamp::LEN - at));
            self.stamp[at..][..stamped.len()].copy_from_slice(stamped);
            self.message_len += stamped.len() as u64;
            bytes = others;
        }
        if script.size() <= ALWAYS_COMPARED || self.next.is_multiple_of(SAMPLE) {
            self.right &= follows(script.payload(self.next), self.message_len, bytes);
        }
        self.message_len += bytes.len() as u64;
    }

    fn frame_ended(
        &mut self,
        script: &Script,
        reading: &mut Reading,
        answers: &mut Vec<u8>,
        arrived: &mut Arrived,
    ) -> Result<(), Parting> {
        let Some(Frame { opcode, fin, .. }) = self.frame.take() else { return Ok(()) };
        match opcode {
            Opcode::Continuation | Opcode::Text | Opcode::Binary if fin => {
                self.mid_message = false;
                if let Some(packets) = &mut self.socketio {
                    return packets.ended(script, reading, answers, arrived);
                }
                self.inflate(script, reading)?;
                self.message_ended(script, reading, arrived);
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary | Opcode::Pong => {}
            Opcode::Ping => frame::encode(answers, Opcode::Pong, &self.control, Some(KEY)),
            Opcode::Close => {
                let code = self.control.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Err(Parting::Closed(code));
            }
        }
        Ok(())
    }

    /// Inflates and compares the message that has come, if it is deflated.
    fn inflate(&mut self, script: &Script, reading: &mut Reading) -> Result<(), Parting> {
        let Some(deflate) = self.deflate.as_deref_mut().filter(|deflate| deflate.open) else { return Ok(()) };
        deflate.open = false;
        let Reading { inflater, inflated, .. } = reading;
        let inflater = deflate.inflater.as_mut().unwrap_or(inflater);
        inflater
            .inflate(&deflate.payload, Some(MAX_INFLATED), inflated)
            .map_err(|violation| Parting::Protocol(violation.to_string()))?;
        // A buffer as large as the largest message, for each connection, would be too much.
        if deflate.payload.capacity() > ALWAYS_COMPARED {
            deflate.payload = Vec::new();
        }
        self.piece(&reading.inflated, script);
        Ok(())
    }

    fn message_ended(&mut self, script: &Script, reading: &mut Reading, arrived: &mut Arrived) {
        let faults = &mut reading.faults;
        let len = std::mem::take(&mut self.message_len);
        match script.foreign() {
            Foreign::None => {}
            Foreign::Unasked => return faults.count(Fault::Unexpected, 1),
            Foreign::Wanted => {
                arrived.messages += 1;
                reading.note_time(&self.whole, script);
                self.whole.clear();
                // As below.
                self.whole.shrink_to(ALWAYS_COMPARED);
                return;
            }
        }
        let right = std::mem::replace(&mut self.right, true);
        if len == script.roll_call_payload().len() as u64 {
            arrived.roll_calls += 1;
            return;
        }
        let wrong_length = len != script.size() as u64;
        if script.is_stamped() {
            match Stamp::read(&self.stamp).filter(|_| len >= stamp::LEN as u64) {
                Some(stamp) => reading.stamps.push(stamp),
                // It is not like one of ours in anything.
                None if wrong_length => return faults.count(Fault::Unexpected, 1),
                None => return faults.count(Fault::WrongContent, 1 + u64::from(!right)),
            }
        }
        if wrong_length {
            faults.count(Fault::WrongLength, 1);
        } else if !right {
            faults.count(Fault::WrongContent, 1);
        }
        arrived.messages += 1;
        self.advance(script);
    }

    fn push_raw(&mut self, mut rest: &[u8], script: &Script, faults: &mut Faults, arrived: &mut Arrived) {
        while !rest.is_empty() {
            let whole = script.frame(self.next).len();
            let left = whole - self.message_len as usize;
            let (now, later) = rest.split_at(left.min(rest.len()));
            if script.size() <= ALWAYS_COMPARED || self.next.is_multiple_of(SAMPLE) {
                self.right &= follows(script.frame(self.next), self.message_len, now);
            }
            self.message_len += now.len() as u64;
            rest = later;
            if self.message_len == whole as u64 {
                self.message_len = 0;
                if !std::mem::replace(&mut self.right, true) {
                    faults.count(Fault::WrongContent, 1);
                }
                arrived.messages += 1;
                self.advance(script);
            }
        }
    }

    fn advance(&mut self, script: &Script) {
        self.next += 1;
        if self.next == script.ring() {
            self.next = 0;
        }
    }
}

impl Packets {
    /// A message has come whole.
    fn ended(
        &mut self,
        script: &Script,
        reading: &mut Reading,
        answers: &mut Vec<u8>,
        arrived: &mut Arrived,
    ) -> Result<(), Parting> {
        let Reading { faults, stamps, .. } = reading;
        if self.binary {
            self.talk.binary()?;
        } else if let Some(answer) = self.talk.text(&self.whole, script, faults, stamps, arrived)? {
            frame::encode(answers, Opcode::Text, answer, Some(KEY));
        }
        self.whole.clear();
        // A buffer as large as the largest message, for each connection, would be too much.
        if self.whole.capacity() > ALWAYS_COMPARED {
            self.whole = Vec::new();
        }
        Ok(())
    }
}

/// Whether `piece` is what `whole` has at `offset`.
fn follows(whole: &[u8], offset: u64, piece: &[u8]) -> bool {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| whole.get(offset..))
        .and_then(|from| from.get(..piece.len()))
        .is_some_and(|expected| expected == piece)
}

//! What a connection receives: bytes in, counts of complete messages out. Payloads are compared where they lie and
//! are never copied or gathered.

use hubbub_proto::Role;
use hubbub_proto::frame::{self, Header, Opcode};

use crate::faults::{Fault, Faults};
use crate::script::{KEY, Script};

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
}

/// A frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    left: u64,
}

/// What a piece of input completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Messages of the script.
    pub(crate) messages: u64,
    /// Roll calls.
    pub(crate) roll_calls: u64,
}

impl std::ops::AddAssign for Arrived {
    fn add_assign(&mut self, other: Arrived) {
        self.messages += other.messages;
        self.roll_calls += other.roll_calls;
    }
}

/// Why nothing more is to be expected from the peer.
#[derive(Clone, Debug)]
pub(crate) enum Parting {
    /// It broke the protocol.
    Protocol(String),
    /// It sent a close frame, with this code if it has one.
    Closed(Option<u16>),
    /// The TCP connection ended.
    Lost(String),
}

/// Content is compared in every message up to this size, and in one of `SAMPLE` of the larger ones.
const ALWAYS_COMPARED: usize = 4096;
const SAMPLE: usize = 8;

impl Inbound {
    /// Expects the messages of the ring in turn, from `first` on.
    pub(crate) fn new(raw: bool, first: usize) -> Inbound {
        Inbound { raw, next: first, right: true, ..Inbound::default() }
    }

    /// Takes all of `bytes`. Answers to pings go to `answers`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        script: &Script,
        faults: &mut Faults,
        answers: &mut Vec<u8>,
    ) -> Result<Arrived, Parting> {
        let mut arrived = Arrived::default();
        if self.raw {
            self.push_raw(bytes, script, faults, &mut arrived);
            return Ok(arrived);
        }
        let mut rest = bytes;
        loop {
            if self.frame.is_none() && !self.header(&mut rest)? {
                return Ok(arrived);
            }
            if !self.payload(&mut rest, script) {
                return Ok(arrived);
            }
            self.frame_ended(script, faults, answers, &mut arrived)?;
        }
    }

    /// Takes a frame header from the front; false if it has not arrived whole.
    fn header(&mut self, rest: &mut &[u8]) -> Result<bool, Parting> {
        if self.partial_len == 0 {
            if let Some((header, used)) = parse(rest)? {
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
            if let Some((header, _)) = parse(&self.partial[..self.partial_len])? {
                self.partial_len = 0;
                return self.frame_began(header).map(|()| true);
            }
        }
        Ok(false)
    }

    fn frame_began(&mut self, header: Header) -> Result<(), Parting> {
        match header.opcode {
            Opcode::Continuation if !self.mid_message => {
                return Err(Parting::Protocol("a continuation of no message".to_owned()));
            }
            Opcode::Text | Opcode::Binary if self.mid_message => {
                return Err(Parting::Protocol("a new message inside an unfinished one".to_owned()));
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => self.mid_message = true,
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
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                if script.size() <= ALWAYS_COMPARED || self.next.is_multiple_of(SAMPLE) {
                    self.right &= follows(script.payload(self.next), self.message_len, now);
                }
                self.message_len += len as u64;
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control.extend_from_slice(now),
        }
        ended
    }

    fn frame_ended(
        &mut self,
        script: &Script,
        faults: &mut Faults,
        answers: &mut Vec<u8>,
        arrived: &mut Arrived,
    ) -> Result<(), Parting> {
        let Some(Frame { opcode, fin, .. }) = self.frame.take() else { return Ok(()) };
        match opcode {
            Opcode::Continuation | Opcode::Text | Opcode::Binary if fin => {
                self.mid_message = false;
                self.message_ended(script, faults, arrived);
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

    fn message_ended(&mut self, script: &Script, faults: &mut Faults, arrived: &mut Arrived) {
        let len = std::mem::take(&mut self.message_len);
        let right = std::mem::replace(&mut self.right, true);
        if len == script.roll_call_len {
            arrived.roll_calls += 1;
            return;
        }
        if len != script.size() as u64 {
            faults.count(Fault::WrongLength, 1);
        } else if !right {
            faults.count(Fault::WrongContent, 1);
        }
        arrived.messages += 1;
        self.advance(script);
    }

    fn push_raw(&mut self, mut rest: &[u8], script: &Script, faults: &mut Faults, arrived: &mut Arrived) {
        while !rest.is_empty() {
            let left = script.frame_len() - self.message_len as usize;
            let (now, later) = rest.split_at(left.min(rest.len()));
            if script.size() <= ALWAYS_COMPARED || self.next.is_multiple_of(SAMPLE) {
                self.right &= follows(script.frame(self.next), self.message_len, now);
            }
            self.message_len += now.len() as u64;
            rest = later;
            if self.message_len == script.frame_len() as u64 {
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

fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Parting> {
    Header::parse(bytes, Role::Client).map_err(|violation| Parting::Protocol(violation.to_string()))
}

/// Whether `piece` is what `whole` has at `offset`.
fn follows(whole: &[u8], offset: u64, piece: &[u8]) -> bool {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| whole.get(offset..))
        .and_then(|from| from.get(..piece.len()))
        .is_some_and(|expected| expected == piece)
}

impl Parting {
    /// The kind under which it is counted.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Parting::Protocol(_) => Fault::Protocol,
            Parting::Closed(_) => Fault::ClosedByServer,
            Parting::Lost(_) => Fault::ConnectionLost,
        }
    }
}

impl std::fmt::Display for Parting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Parting::Protocol(why) => write!(f, "it broke the protocol ({why})"),
            Parting::Closed(Some(code)) => write!(f, "it sent a close frame with code {code}"),
            Parting::Closed(None) => f.write_str("it sent a close frame without a code"),
            Parting::Lost(why) => f.write_str(why),
        }
    }
}

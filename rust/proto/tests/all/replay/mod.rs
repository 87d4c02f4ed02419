//! Feeds bytes to a reader in every way that the network could, and writes down what comes out.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use hubbub_proto::message::{Event, Kind, Limits, Reader};
use hubbub_proto::{Role, Violation};

/// An event that owns its bytes, or the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Compressed(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Broken(Violation),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Seen {
        match event {
            Event::Message { kind: Kind::Text, payload } => Seen::Text(payload.into_vec()),
            Event::Message { kind: Kind::Binary, payload } => Seen::Binary(payload.into_vec()),
            Event::Compressed { kind, payload } => Seen::Compressed(kind, payload.into_vec()),
            Event::Ping(payload) => Seen::Ping(payload.into_vec()),
            Event::Pong(payload) => Seen::Pong(payload.into_vec()),
            Event::Close { code, reason } => Seen::Close(code.map(|code| code.0), reason),
        }
    }
}

/// A reader and what it has said so far.
pub(crate) struct Replay {
    pub(crate) reader: Reader,
    pub(crate) seen: Vec<Seen>,
    limits: Limits,
    /// Used buffers with something else in them: nothing of it may show.
    spare: Vec<Vec<u8>>,
}

impl Replay {
    pub(crate) fn new(role: Role, limits: Limits) -> Replay {
        Replay {
            reader: Reader::new(role),
            seen: Vec::new(),
            limits,
            spare: vec![vec![0xAA; 100_000], vec![0xBB; 70_000]],
        }
    }

    /// The same for a reader that expects compressed messages.
    pub(crate) fn deflating(role: Role, limits: Limits) -> Replay {
        let mut replay = Replay::new(role, limits);
        replay.reader.expect_deflate();
        replay
    }

    /// Feeds one piece of input.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        // A copy in a box of its own size, so that a sanitizer sees a read past the end.
        let mut bytes: Box<[u8]> = bytes.into();
        let mut input = &mut bytes[..];
        loop {
            match self.reader.next(&mut input, &self.limits) {
                Ok(Some(event)) => self.seen.push(event.into()),
                Ok(None) => break,
                Err(violation) => self.seen.push(Seen::Broken(violation)),
            }
        }
        assert!(input.is_empty(), "Ok(None) means that all input is eaten");
    }

    /// Feeds through `direct` what it takes, at most `piece` bytes at a time, and the rest through `next`.
    pub(crate) fn feed_directly(&mut self, mut bytes: &[u8], piece: usize) {
        while !bytes.is_empty() {
            let Some(direct) = self.reader.direct(&mut self.spare) else {
                let (front, rest) = bytes.split_at(piece.min(bytes.len()));
                self.feed(front);
                bytes = rest;
                continue;
            };
            assert!(direct.room.len() >= direct.remaining.min(64 * 1024), "room was promised");
            assert!(direct.room.len() <= direct.remaining, "the next frame is not reached");
            let n = direct.room.len().min(piece).min(bytes.len());
            direct.room[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            match self.reader.received_directly(n, &self.limits) {
                Ok(Some(event)) => self.seen.push(event.into()),
                Ok(None) => {}
                Err(violation) => self.seen.push(Seen::Broken(violation)),
            }
        }
    }
}

/// What is seen when all arrives at once.
pub(crate) fn whole(role: Role, limits: Limits, bytes: &[u8]) -> Vec<Seen> {
    let mut replay = Replay::new(role, limits);
    replay.feed(bytes);
    replay.seen
}

/// What is seen when the bytes arrive in pieces of this size.
pub(crate) fn in_pieces(role: Role, limits: Limits, bytes: &[u8], size: usize) -> Vec<Seen> {
    let mut replay = Replay::new(role, limits);
    bytes.chunks(size).for_each(|piece| replay.feed(piece));
    replay.seen
}

/// What is seen when the bytes arrive in two pieces.
pub(crate) fn split_at(role: Role, limits: Limits, bytes: &[u8], at: usize) -> Vec<Seen> {
    let mut replay = Replay::new(role, limits);
    replay.feed(&bytes[..at]);
    replay.feed(&bytes[at..]);
    replay.seen
}

/// What is seen when large payloads are received directly.
pub(crate) fn directly(role: Role, limits: Limits, bytes: &[u8], piece: usize) -> Vec<Seen> {
    let mut replay = Replay::new(role, limits);
    replay.feed_directly(bytes, piece);
    replay.seen
}

/// A frame written byte by byte from RFC 6455 §5.2, without the code under test. `first` is its first byte.
pub(crate) fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(role, first, payload.len() as u64);
    match role {
        Role::Server => out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ KEY[i % 4])),
        Role::Client => out.extend_from_slice(payload),
    }
    out
}

/// The header of such a frame, with any length.
pub(crate) fn header(role: Role, first: u8, len: u64) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let mut out = vec![first];
    if len < 126 {
        out.push(mask | len as u8);
    } else if len < 65536 {
        out.push(mask | 126);
        out.extend((len as u16).to_be_bytes());
    } else {
        out.push(mask | 127);
        out.extend(len.to_be_bytes());
    }
    if role == Role::Server {
        out.extend(KEY);
    }
    out
}

/// The masking key of every frame that [`frame`] writes for a server to read.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = FIN | 8;
pub(crate) const PING: u8 = FIN | 9;
pub(crate) const PONG: u8 = FIN | 10;

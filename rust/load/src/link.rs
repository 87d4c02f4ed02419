//! One connection: connecting, shaking hands, open, over.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use hubbub_proto::head::Scanner;
use mio::net::TcpStream;

use crate::door::Door;
use crate::error::Error;
use crate::handshake::{Answered, Handshake};
use crate::inbound::{Arrived, Inbound, Parting, Reading};
use crate::outbound::Outbound;
use crate::script::Script;
use crate::wire::Wire;

/// One connection of the run.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: Wire,
    stage: Stage,
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    /// The messages in flight, oldest first.
    pub(crate) sent: VecDeque<Sent>,
}

/// A message in flight. Times are nanoseconds since the run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// When it was to be sent.
    pub(crate) due: u64,
    /// When its last byte was written.
    pub(crate) written: u64,
}

/// Bytes of the WebSocket stream, as they are before TLS.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    /// The request is out.
    Shaking(Box<Answer>),
    Open,
    Over,
}

/// The part of the handshake's answer that has come.
#[derive(Debug)]
struct Answer {
    bytes: Vec<u8>,
    scanner: Scanner,
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no TCP connection.
    Unreachable(io::Error),
    /// The server does not agree.
    Refused(String),
}

impl Failure {
    /// The error of a run that ends with it.
    pub(crate) fn into_error(self, door: &Door, open: usize) -> Error {
        match self {
            Failure::Unreachable(source) => door.unreachable(open, source),
            Failure::Refused(why) => Error::Refused { why, open },
        }
    }
}

impl Link {
    /// A connection whose `connect` has been called.
    pub(crate) fn new(socket: Wire, raw: bool, first: usize, script: &Script) -> Link {
        Link {
            socket,
            stage: Stage::Connecting,
            inbound: Inbound::new(raw, first),
            outbound: Outbound::new(first, script),
            sent: VecDeque::new(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Shaking(_))
    }

    /// Goes on with the opening after an event; true once the connection is open. None: no WebSocket is spoken.
    pub(crate) fn open(
        &mut self,
        handshake: Option<&Handshake>,
        script: &Script,
        reading: &mut Reading,
    ) -> Result<bool, Failure> {
        if matches!(self.stage, Stage::Connecting) {
            if !connected(&self.socket.tcp).map_err(Failure::Unreachable)? {
                return Ok(false);
            }
            let Some(handshake) = handshake else {
                self.stage = Stage::Open;
                return Ok(true);
            };
            // A request fits into the empty send buffer of a new socket.
            match self.socket.write(&handshake.request) {
                Ok(written) if written == handshake.request.len() => {
                    self.stage = Stage::Shaking(Box::new(Answer { bytes: Vec::new(), scanner: Scanner::new() }));
                }
                Ok(_) => return Err(Failure::Refused("the request does not fit into the socket".to_owned())),
                Err(error) => return Err(Failure::Refused(error.to_string())),
            }
        }
        match handshake {
            Some(handshake) => self.shake(handshake, script, reading).map_err(Failure::Refused),
            None => Ok(self.is_open()),
        }
    }

    /// Reads the answer; true once it has come whole.
    fn shake(&mut self, handshake: &Handshake, script: &Script, reading: &mut Reading) -> Result<bool, String> {
        let Stage::Shaking(answer) = &mut self.stage else { return Ok(self.is_open()) };
        let mut piece = [0; 4096];
        loop {
            let read = match self.socket.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            answer.bytes.extend_from_slice(&piece[..read]);
            match handshake.answered(&answer.bytes, &mut answer.scanner, read == 0)? {
                Answered::Yes { end, deflate } => {
                    let early = answer.bytes.split_off(end);
                    if let Some(params) = deflate {
                        self.inbound.expect_deflate(params);
                    }
                    let (answers, arrived) = (&mut self.outbound.control, &mut Arrived::default());
                    let pushed = self.inbound.push(&early, script, reading, answers, arrived);
                    self.stage = Stage::Open;
                    return pushed.map(|()| true).map_err(|parting| parting.to_string());
                }
                Answered::NotYet if read == 0 => {
                    return Err("it closed the connection without an answer".to_owned());
                }
                Answered::NotYet => {}
            }
        }
    }

    /// Reads what has come. Polls are edge-triggered, so this goes on until the socket is empty: until a read that
    /// would block, or one that does not fill the buffer. The latter tells nothing about the end of the stream; if
    /// the event said that the peer is `closed`, reading goes on to the end.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        script: &Script,
        reading: &mut Reading,
        bytes: &mut Bytes,
        arrived: &mut Arrived,
    ) -> Result<(), Parting> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(Parting::Lost("it closed the connection".to_owned())),
                Ok(read) => {
                    bytes.read += read as u64;
                    self.inbound.push(&buffer[..read], script, reading, &mut self.outbound.control, arrived)?;
                    if read < buffer.len() && !closed && !self.socket.reads_short() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Parting::Lost(error.to_string())),
            }
        }
    }

    /// Writes what is due, as far as the socket takes it.
    pub(crate) fn flush(&mut self, script: &Script, bytes: &mut Bytes) -> Result<(), Parting> {
        let lost = |error: io::Error| Parting::Lost(error.to_string());
        self.socket.flush().map_err(lost)?;
        self.outbound.flush(&mut self.socket, script, &mut bytes.written).map_err(lost)
    }

    /// Takes note of when those messages of the ring were written of which it was not known.
    pub(crate) fn note_written(&mut self, script: &Script, unwritten_before: u64, now: u64) {
        let unwritten = self.outbound.unwritten(script);
        let range = |count: u64| self.sent.len().saturating_sub(count as usize);
        let (from, to) = (range(unwritten_before), range(unwritten));
        if from < to {
            self.sent.range_mut(from..to).for_each(|sent| sent.written = now);
        }
    }

    /// Ends it without a word: the server sees a reset, and the port is free at once.
    pub(crate) fn drop_dead(self) {
        // If that cannot be set it is closed in the ordinary way, which the server sees as well.
        let _ = socket2::SockRef::from(&self.socket.tcp).set_linger(Some(std::time::Duration::ZERO));
    }

    /// Nothing more is sent or received.
    pub(crate) fn end(&mut self) {
        self.stage = Stage::Over;
        self.sent.clear();
        // The peer learns it now, not when the run is over. It may have gone already.
        let _ = self.socket.tcp.shutdown(std::net::Shutdown::Both);
    }
}

/// Whether the connect has succeeded; false while it goes on.
fn connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

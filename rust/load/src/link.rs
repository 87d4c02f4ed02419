//! One connection: connecting, shaking hands, open, over.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use hubbub_proto::head::Scanner;
use mio::net::TcpStream;

use crate::door::Door;
use crate::error::Error;
use crate::faults::Faults;
use crate::handshake::Handshake;
use crate::inbound::{Arrived, Inbound, Parting};
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
    /// When each message in flight was sent, oldest first.
    pub(crate) sent: VecDeque<u64>,
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
            Failure::Refused(why) => Error::Refused { why },
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
        faults: &mut Faults,
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
            Some(handshake) => self.shake(handshake, script, faults).map_err(Failure::Refused),
            None => Ok(self.is_open()),
        }
    }

    /// Reads the answer; true once it has come whole.
    fn shake(&mut self, handshake: &Handshake, script: &Script, faults: &mut Faults) -> Result<bool, String> {
        let Stage::Shaking(answer) = &mut self.stage else { return Ok(self.is_open()) };
        let mut piece = [0; 4096];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return Err("it closed the connection without an answer".to_owned()),
                Ok(read) => answer.bytes.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            }
            if let Some(end) = handshake.answered(&answer.bytes, &mut answer.scanner)? {
                let early = answer.bytes.split_off(end);
                let pushed = self.inbound.push(&early, script, faults, &mut self.outbound.control);
                self.stage = Stage::Open;
                return pushed.map(|_| true).map_err(|parting| parting.to_string());
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
        faults: &mut Faults,
    ) -> Result<Arrived, Parting> {
        let mut arrived = Arrived::default();
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(Parting::Lost("it closed the connection".to_owned())),
                Ok(read) => {
                    arrived += self.inbound.push(&buffer[..read], script, faults, &mut self.outbound.control)?;
                    if read < buffer.len() && !closed && !self.socket.reads_short() {
                        return Ok(arrived);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(arrived),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Parting::Lost(error.to_string())),
            }
        }
    }

    /// Writes what is due, as far as the socket takes it.
    pub(crate) fn flush(&mut self, script: &Script) -> Result<(), Parting> {
        self.socket.flush().map_err(|error| Parting::Lost(error.to_string()))?;
        self.outbound.flush(&mut self.socket, script).map_err(|error| Parting::Lost(error.to_string()))
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

//! One connection: connecting, shaking hands, open, over.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use hubbub_proto::deflate::Deflater;
use hubbub_proto::frame::{self, Opcode};
use hubbub_proto::head::Scanner;
use mio::net::TcpStream;

use crate::arrived::{Arrived, Parting};
use crate::desk::{Bytes, Desk, Event};
use crate::door::{Door, Opening};
use crate::error::Error;
use crate::handshake::{Answered, Handshake};
use crate::inbound::{Inbound, Reading};
use crate::outbound::Outbound;
use crate::polling::Polling;
use crate::script::{KEY, Script};
use crate::talk::{self, Talk};
use crate::wire::Wire;

/// One connection of the run.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: Wire,
    stage: Stage,
    inbound: Inbound,
    pub(crate) outbound: Outbound,
    /// Where the session is one over long polling: all of it but the connection of the GETs, which is `socket`.
    polling: Option<Box<Polling>>,
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

#[derive(Debug)]
enum Stage {
    Connecting,
    /// The request is out.
    Shaking(Box<Answer>),
    /// The session of Socket.IO is being opened.
    Greeting,
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
    /// A connection whose `connect` has been called; for long polling, two of them.
    pub(crate) fn new(socket: Wire, post: Option<Wire>, opening: &Opening, first: usize, script: &Script) -> Link {
        let inbound = match opening {
            Opening::SocketIo(_) => Inbound::socketio(first),
            Opening::Raw | Opening::WebSocket(_) | Opening::Polling(_) => {
                Inbound::new(matches!(opening, Opening::Raw), first)
            }
        };
        Link {
            socket,
            stage: Stage::Connecting,
            inbound,
            outbound: Outbound::new(first, script),
            polling: post.map(|post| Box::new(Polling::new(post, first))),
            sent: VecDeque::new(),
        }
    }

    /// The connection of the POSTs.
    pub(crate) fn post(&mut self) -> Option<&mut TcpStream> {
        self.polling.as_mut().map(|polling| &mut polling.wire.tcp)
    }

    /// What the opening waits for.
    pub(crate) fn awaits(&self) -> &'static str {
        match (&self.polling, self.inbound.talk(), &self.stage) {
            (Some(polling), _, Stage::Greeting) => polling.awaits(),
            (None, Some(talk), Stage::Greeting) => talk.awaits(),
            (_, _, Stage::Connecting) => "connection",
            _ => "answer to the request",
        }
    }

    /// Makes the next messages of the ring due.
    pub(crate) fn owe(&mut self, messages: u64, script: &Script) {
        match &mut self.polling {
            Some(polling) => polling.owe(messages),
            None => self.outbound.owe(messages, script),
        }
    }

    /// Makes a message out of turn due.
    pub(crate) fn say(&mut self, payload: Vec<u8>, script: &Script, deflater: Option<&mut Deflater>) {
        match &mut self.polling {
            Some(polling) => polling.say(payload),
            None => script.encode(&payload, deflater, &mut self.outbound.control),
        }
    }

    /// Bytes that are due.
    pub(crate) fn waiting(&self, script: &Script) -> usize {
        self.polling.as_ref().map_or_else(|| self.outbound.waiting(), |polling| polling.waiting(script))
    }

    /// Messages of the ring that are due and have not been written.
    pub(crate) fn unwritten(&self, script: &Script) -> u64 {
        self.polling.as_ref().map_or_else(|| self.outbound.unwritten(script), |polling| polling.unwritten())
    }

    /// Makes due what ends it in an orderly way.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(polling) = &mut self.polling {
            return polling.say_goodbye();
        }
        let out = &mut self.outbound.control;
        if self.inbound.talk().is_some() {
            frame::encode(out, Opcode::Text, talk::DISCONNECT, Some(KEY));
        }
        frame::encode(out, Opcode::Close, &1000_u16.to_be_bytes(), Some(KEY));
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Shaking(_) | Stage::Greeting)
    }

    /// Goes on with the opening after an event; true once the connection is open.
    pub(crate) fn open(&mut self, event: Event, opening: &Opening, desk: &mut Desk<'_>) -> Result<bool, Failure> {
        if matches!(self.stage, Stage::Connecting) {
            let post = self.polling.as_ref().map_or(Ok(true), |polling| connected(&polling.wire.tcp));
            if !(connected(&self.socket.tcp).map_err(Failure::Unreachable)? && post.map_err(Failure::Unreachable)?) {
                return Ok(false);
            }
            match opening {
                Opening::Raw => self.stage = Stage::Open,
                Opening::WebSocket(handshake) | Opening::SocketIo(handshake) => self.ask(handshake)?,
                Opening::Polling(_) => self.stage = Stage::Greeting,
            }
        }
        if let Opening::WebSocket(handshake) | Opening::SocketIo(handshake) = opening {
            self.shake(handshake, desk.script, desk.reading).map_err(Failure::Refused)?;
        }
        if matches!(self.stage, Stage::Greeting) {
            self.greet(event, opening, desk).map_err(|parting| Failure::Refused(parting.to_string()))?;
        }
        Ok(self.is_open())
    }

    fn ask(&mut self, handshake: &Handshake) -> Result<(), Failure> {
        // A request fits into the empty send buffer of a new socket.
        match self.socket.write(&handshake.request) {
            Ok(written) if written == handshake.request.len() => {
                self.stage = Stage::Shaking(Box::new(Answer { bytes: Vec::new(), scanner: Scanner::new() }));
                Ok(())
            }
            Ok(_) => Err(Failure::Refused("the request does not fit into the socket".to_owned())),
            Err(error) => Err(Failure::Refused(error.to_string())),
        }
    }

    /// Opens the session of Socket.IO, as far as it goes.
    fn greet(&mut self, event: Event, opening: &Opening, desk: &mut Desk<'_>) -> Result<(), Parting> {
        self.receive(event, desk, &mut Arrived::default())?;
        self.flush(opening, desk.script, desk.bytes)?;
        let polling = self.polling.as_ref().is_some_and(|polling| polling.is_joined());
        if polling || self.inbound.talk().is_some_and(Talk::is_joined) {
            self.stage = Stage::Open;
        }
        Ok(())
    }

    /// Reads the answer, as far as it has come.
    fn shake(&mut self, handshake: &Handshake, script: &Script, reading: &mut Reading) -> Result<(), String> {
        let Stage::Shaking(answer) = &mut self.stage else { return Ok(()) };
        let mut piece = [0; 4096];
        loop {
            let read = match self.socket.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
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
                    self.stage = if self.inbound.talk().is_some() { Stage::Greeting } else { Stage::Open };
                    return pushed.map_err(|parting| parting.to_string());
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
    pub(crate) fn receive(&mut self, event: Event, desk: &mut Desk<'_>, arrived: &mut Arrived) -> Result<(), Parting> {
        let Desk { buffer, script, reading, bytes } = desk;
        if let Some(polling) = &mut self.polling {
            return polling.receive(&mut self.socket, event, desk, arrived);
        }
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(Parting::Lost("it closed the connection".to_owned())),
                Ok(read) => {
                    bytes.read += read as u64;
                    self.inbound.push(&buffer[..read], script, reading, &mut self.outbound.control, arrived)?;
                    if read < buffer.len() && !event.closed && !self.socket.reads_short() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Parting::Lost(error.to_string())),
            }
        }
    }

    /// Connects again what long polling needs and the server has closed; `connect` is told whether POSTs will go by it.
    pub(crate) fn renew(&mut self, connect: &mut dyn FnMut(bool) -> Result<Wire, Parting>) -> Result<(), Parting> {
        self.polling.as_mut().map_or(Ok(()), |polling| polling.renew(&mut self.socket, connect))
    }

    /// Writes what is due, as far as the socket takes it.
    pub(crate) fn flush(&mut self, opening: &Opening, script: &Script, bytes: &mut Bytes) -> Result<(), Parting> {
        let lost = |error: io::Error| Parting::Lost(error.to_string());
        if let (Some(polling), Opening::Polling(requests)) = (&mut self.polling, opening) {
            return polling.flush(&mut self.socket, requests, script, &mut bytes.written).map_err(lost);
        }
        self.socket.flush().map_err(lost)?;
        self.outbound.flush(&mut self.socket, script, &mut bytes.written).map_err(lost)
    }

    /// Takes note of when those messages of the ring were written of which it was not known.
    pub(crate) fn note_written(&mut self, script: &Script, unwritten_before: u64, now: u64) {
        let unwritten = self.unwritten(script);
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
        if let Some(post) = self.post() {
            let _ = post.shutdown(std::net::Shutdown::Both);
        }
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

//! A Socket.IO session over HTTP long polling: one connection on which a GET is always held, one for the POSTs.
//!
//! As in the clients, a POST is sent when the one before was answered, and takes with it what has become due meanwhile.

use std::io::{self, Read, Write};

use hubbub_proto::client::{Arrival, Reader, write_request};
use hubbub_proto::engineio::payload::SEPARATOR;
use hubbub_proto::head::Body;

use crate::arrived::{Arrived, Parting};
use crate::desk::{Bytes, Desk, Event};
use crate::error::Error;
use crate::inbound::Reading;
use crate::scenario::Asked;
use crate::script::Script;
use crate::talk::{self, Talk};
use crate::target::Target;
use crate::wire::Wire;

/// Packets in one POST: python-engineio takes no more.
const MAX_PACKETS: u64 = 16;
/// The most of an answer's body that is kept for the next one.
const KEPT: usize = 64 << 10;

/// The requests of all connections: their heads without what is a session's own.
#[derive(Debug)]
pub(crate) struct Requests {
    resource: String,
    fields: Vec<(String, String)>,
}

impl Requests {
    pub(crate) fn new(target: &Target, asked: &Asked) -> Result<Requests, Error> {
        let mut fields = vec![("Host".to_owned(), target.authority())];
        fields.extend(asked.headers.iter().cloned());
        if let Some(origin) = &asked.origin {
            fields.push(("Origin".to_owned(), origin.clone()));
        }
        let requests = Requests { resource: target.socketio_resource("polling"), fields };
        requests
            .write(&mut Vec::new(), "GET", "", Body::None)
            .map_err(|error| Error::BadScenario(format!("cannot ask for {target}: {error}")))?;
        Ok(requests)
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        method: &str,
        sid: &str,
        body: Body,
    ) -> Result<(), hubbub_proto::client::InvalidRequest> {
        let (before, id) = if sid.is_empty() { ("", "") } else { ("&sid=", sid) };
        let target = [self.resource.as_str(), before, id].concat();
        let fields = self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let kind = (b"Content-Type".as_slice(), b"text/plain;charset=UTF-8".as_slice());
        write_request(out, method, target.as_bytes(), fields.chain((body != Body::None).then_some(kind)), body)
    }
}

/// What a session has beside the connection of its GETs.
#[derive(Debug)]
pub(crate) struct Polling {
    /// The connection of the POSTs.
    pub(crate) wire: Wire,
    get: Exchange,
    post: Exchange,
    talk: Talk,
    /// The message of the ring that is posted next, and how many are due.
    next: usize,
    due: u64,
    /// Packets out of turn.
    said: Vec<Vec<u8>>,
    said_bytes: usize,
    /// It has said goodbye: no further GET.
    leaving: bool,
}

impl Polling {
    /// A session whose POSTs go by `wire`.
    pub(crate) fn new(wire: Wire, first: usize) -> Polling {
        let (get, post) = (Exchange::new("GET"), Exchange::new("POST"));
        Polling {
            wire,
            get,
            post,
            talk: Talk::new(first),
            next: first,
            due: 0,
            said: Vec::new(),
            said_bytes: 0,
            leaving: false,
        }
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.talk.is_joined()
    }

    pub(crate) fn awaits(&self) -> &'static str {
        self.talk.awaits()
    }

    /// Connects again where the server has closed a connection between two requests and there is a further one.
    pub(crate) fn renew(
        &mut self,
        wire: &mut Wire,
        connect: &mut dyn FnMut(bool) -> Result<Wire, Parting>,
    ) -> Result<(), Parting> {
        if self.get.ended && !self.leaving {
            *wire = connect(false)?;
            self.get.ended = false;
        }
        if self.post.ended && self.has_more() {
            self.wire = connect(true)?;
            self.post.ended = false;
        }
        Ok(())
    }

    /// There is something for a POST.
    fn has_more(&self) -> bool {
        self.due > 0 || !self.said.is_empty()
    }

    /// Makes the next messages of the ring due.
    pub(crate) fn owe(&mut self, messages: u64) {
        self.due += messages;
    }

    /// Makes a packet due, before the messages that are.
    pub(crate) fn say(&mut self, packet: Vec<u8>) {
        self.said_bytes += packet.len();
        self.said.push(packet);
    }

    /// Messages of the ring that are in no POST yet.
    pub(crate) fn unwritten(&self) -> u64 {
        self.due
    }

    /// Bytes that are due.
    pub(crate) fn waiting(&self, script: &Script) -> usize {
        self.said_bytes + self.due as usize * script.size()
    }

    /// Leaves as the protocol wants it.
    pub(crate) fn say_goodbye(&mut self) {
        self.say(talk::DISCONNECT.to_vec());
        self.say(talk::CLOSE.to_vec());
        self.leaving = true;
    }

    /// Reads what has come in answer to the GET, on `wire`, or to a POST.
    pub(crate) fn receive(
        &mut self,
        wire: &mut Wire,
        event: Event,
        desk: &mut Desk<'_>,
        arrived: &mut Arrived,
    ) -> Result<(), Parting> {
        let Event { is_post, closed } = event;
        let Desk { buffer, script, reading, bytes } = desk;
        let (exchange, wire) = if is_post { (&mut self.post, &mut self.wire) } else { (&mut self.get, wire) };
        if !exchange.read(wire, buffer, closed, bytes)? {
            return Ok(());
        }
        let Exchange { status, content, .. } = exchange;
        if *status != 200 {
            return Err(Parting::Protocol(format!(
                "a {} is answered with {status}: {}",
                exchange.method,
                talk::shown(content)
            )));
        }
        if is_post {
            if self.leaving && self.said.is_empty() {
                return Err(Parting::Left("it was left".to_owned()));
            }
            return Ok(());
        }
        let mut content = std::mem::take(content);
        for packet in content.split(|byte| *byte == SEPARATOR) {
            if packet.first() == Some(&b'b') {
                self.talk.binary()?;
                continue;
            }
            let Reading { faults, stamps, .. } = &mut **reading;
            if let Some(answer) = self.talk.text(packet, script, faults, stamps, arrived)? {
                self.said_bytes += answer.len();
                self.said.push(answer.to_vec());
            }
        }
        if content.capacity() <= KEPT {
            content.clear();
            self.get.content = content;
        }
        Ok(())
    }

    /// Sends a GET if none is held, and a POST if something is due and none is under way.
    pub(crate) fn flush(
        &mut self,
        wire: &mut Wire,
        requests: &Requests,
        script: &Script,
        written: &mut u64,
    ) -> io::Result<()> {
        if !self.get.under_way && !self.get.ended && !self.leaving {
            let _ = requests.write(self.get.ask(), "GET", &self.talk.sid, Body::None);
        }
        self.get.write(wire, written)?;
        if !self.post.under_way && !self.post.ended && self.has_more() {
            self.post(requests, script);
        }
        self.post.write(&mut self.wire, written)
    }

    /// Puts what is due into a POST, as far as one may take it.
    fn post(&mut self, requests: &Requests, script: &Script) {
        let most = self.talk.max_payload;
        let mut body = Vec::new();
        let mut packets = 0;
        let fits = |body: &[u8], packets: u64, packet: &[u8]| {
            packets == 0 || (packets < MAX_PACKETS && body.len() + 1 + packet.len() <= most)
        };
        let put = |body: &mut Vec<u8>, packet: &[u8]| {
            if !body.is_empty() {
                body.push(SEPARATOR);
            }
            body.extend_from_slice(packet);
        };
        let mut taken = 0;
        for packet in &self.said {
            if !fits(&body, packets, packet) {
                break;
            }
            put(&mut body, packet);
            (packets, taken) = (packets + 1, taken + 1);
            self.said_bytes -= packet.len();
        }
        self.said.drain(..taken);
        while self.said.is_empty() && self.due > 0 && fits(&body, packets, script.payload(self.next)) {
            put(&mut body, script.payload(self.next));
            packets += 1;
            self.due -= 1;
            self.next = (self.next + 1) % script.ring();
        }
        let out = self.post.ask();
        let _ = requests.write(out, "POST", &self.talk.sid, Body::Length(body.len() as u64));
        out.extend_from_slice(&body);
    }
}

/// Requests and answers on one connection, one after the other.
#[derive(Debug)]
struct Exchange {
    method: &'static str,
    /// The request, and how much of it was written.
    out: Vec<u8>,
    at: usize,
    /// A request waits for its answer.
    under_way: bool,
    /// The server has closed the connection, or does so after the answer.
    ended: bool,
    closes: bool,
    reader: Reader,
    status: u16,
    content: Vec<u8>,
}

impl Exchange {
    fn new(method: &'static str) -> Exchange {
        let reader = Reader::new(method);
        let (out, content) = (Vec::new(), Vec::new());
        Exchange { method, out, at: 0, under_way: false, ended: false, closes: false, reader, status: 0, content }
    }

    /// Begins a request, whose bytes the caller puts in.
    fn ask(&mut self) -> &mut Vec<u8> {
        self.out.clear();
        self.content.clear();
        self.at = 0;
        self.under_way = true;
        self.reader = Reader::new(self.method);
        &mut self.out
    }

    /// Writes what is left of the request, as far as the socket takes it.
    fn write(&mut self, wire: &mut Wire, written: &mut u64) -> io::Result<()> {
        wire.flush()?;
        while self.at < self.out.len() {
            match wire.write(&self.out[self.at..]) {
                Ok(bytes) => {
                    self.at += bytes;
                    *written += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until the socket is empty, or to the end of the stream if the peer is `closed`; true once the answer is there.
    fn read(&mut self, wire: &mut Wire, buffer: &mut [u8], closed: bool, bytes: &mut Bytes) -> Result<bool, Parting> {
        let was_under_way = self.under_way;
        loop {
            match wire.read(buffer) {
                Ok(0) if self.under_way => {
                    return Err(Parting::Lost(format!(
                        "it closed the connection of a {} without an answer",
                        self.method
                    )));
                }
                // A server may close what it has kept alive long enough.
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => {
                    bytes.read += read as u64;
                    if !self.under_way {
                        return Err(Parting::Protocol(format!("there is more than the answer to a {}", self.method)));
                    }
                    self.take(&mut buffer[..read])?;
                    if read < buffer.len() && !closed && !wire.reads_short() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Parting::Lost(error.to_string())),
            }
        }
        Ok(was_under_way && !self.under_way)
    }

    fn take(&mut self, piece: &mut [u8]) -> Result<(), Parting> {
        let Exchange { reader, status, content, closes, .. } = self;
        reader
            .read(piece, &mut |arrival| match arrival {
                Arrival::Head(head) => {
                    *status = head.status;
                    let option = |option| head.fields.has_token("connection", option);
                    *closes = option("close") || (head.version == 0 && !option("keep-alive"));
                }
                Arrival::Content(piece) => content.extend_from_slice(piece),
                Arrival::Continue | Arrival::Frame(_) => {}
            })
            .map_err(|fault| Parting::Protocol(format!("its answer to a {} is not HTTP: {fault}", self.method)))?;
        self.under_way = !self.reader.is_complete();
        self.ended |= !self.under_way && self.closes;
        Ok(())
    }
}

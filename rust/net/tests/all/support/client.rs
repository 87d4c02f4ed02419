//! A WebSocket client on a blocking socket, made of the client's half of the protocol crate.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use hubbub_net::proto::Role;
use hubbub_net::proto::close::{self, CloseCode};
use hubbub_net::proto::deflate::{Deflater, Inflater, Params};
use hubbub_net::proto::frame::{Header, Opcode};
use hubbub_net::proto::handshake::client::{Request, key};
use hubbub_net::proto::handshake::deflate::Offer;
use hubbub_net::proto::head::{HeadLimits, ResponseHead, Scanner};
use hubbub_net::proto::mask;
use hubbub_net::proto::message::{Event, Kind, Limits, Reader};
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, Socket, Type};

use super::PATIENCE;

/// The masking key of all frames here: the server must not care which it is.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) struct Client {
    pub(crate) socket: Socket,
    /// TLS on another descriptor of the same socket.
    pub(crate) tls: Option<Box<StreamOwned<ClientConnection, Socket>>>,
    host: String,
    reader: Reader,
    events: VecDeque<Got>,
    /// What was agreed on, and the streams for it.
    deflate: Option<(Params, Inflater, Deflater)>,
    /// How many messages came compressed.
    pub(crate) compressed: usize,
}

pub(crate) trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// What the server has sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code (`None`: an empty frame) and the reason.
    Close(Option<u16>, String),
    /// The server has sent FIN.
    End,
    /// The server has sent RST.
    Reset,
}

/// An HTTP response, and the end of the connection after it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::over(Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap(), &address.into())
    }

    /// A client whose kernel takes in little that it does not read.
    pub(crate) fn with_small_buffer(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Client::over(socket, &address.into())
    }

    pub(crate) fn connect_unix(path: &Path) -> Client {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        Client::over(socket, &SockAddr::unix(path).unwrap())
    }

    pub(crate) fn over(socket: Socket, address: &SockAddr) -> Client {
        socket.connect(address).unwrap();
        if address.as_socket().is_some() {
            socket.set_tcp_nodelay(true).unwrap();
        }
        let host = address.as_socket().map_or("localhost".into(), |address| address.to_string());
        Client::with(socket, host)
    }

    /// A client at the other end of what is connected already.
    pub(crate) fn at(socket: OwnedFd) -> Client {
        let socket = Socket::from(socket);
        socket.set_nonblocking(false).unwrap();
        Client::with(socket, "localhost".into())
    }

    fn with(socket: Socket, host: String) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            socket,
            host,
            reader: Reader::new(Role::Client),
            events: VecDeque::new(),
            deflate: None,
            compressed: 0,
            tls: None,
        }
    }

    /// Speaks TLS from here on; the TLS handshake comes with the first bytes.
    pub(crate) fn secure(mut self, connection: ClientConnection) -> Client {
        let socket = self.socket.try_clone().unwrap();
        self.tls = Some(Box::new(StreamOwned::new(connection, socket)));
        self
    }

    fn wire(&mut self) -> &mut dyn ReadWrite {
        match &mut self.tls {
            Some(tls) => tls.as_mut(),
            None => &mut self.socket,
        }
    }

    // ---- the handshake

    /// The bytes of an upgrade request.
    pub(crate) fn request(&self, target: &str, subprotocols: &[&str], fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        let key = key(*b"sixteen bytes ok");
        Request { host: &self.host, target, key: &key, subprotocols, fields }.write(&mut out).unwrap();
        out
    }

    pub(crate) fn shake_hands(&mut self, target: &str) {
        let request = self.request(target, &[], &[]);
        self.raw(&request);
        assert_eq!(self.agreed(&[]), None);
    }

    /// Offers compression; gives what was agreed on.
    pub(crate) fn shake_hands_offering(&mut self, target: &str, offer: &Offer) -> Option<Params> {
        let request = self.request(target, &[], &[("Sec-WebSocket-Extensions", &offer.to_string())]);
        self.raw(&request);
        let (head, rest) = self.read_head();
        let head = ResponseHead::parse(&head, &HeadLimits::default()).unwrap();
        assert_eq!(head.status, 101);
        let params = offer.check(head.fields.all("sec-websocket-extensions")).expect("an answer that fits");
        self.deflate = params.map(|params| {
            self.reader.expect_deflate();
            let inflater = Inflater::new(params.server_max_window_bits, !params.server_no_context_takeover);
            let deflater = Deflater::new(params.client_max_window_bits, 6, !params.client_no_context_takeover);
            (params, inflater, deflater)
        });
        self.feed(rest);
        params
    }

    /// The payload as it goes out once it is compressed.
    pub(crate) fn deflated(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.deflate.as_mut().expect("compression was agreed on").2.deflate(payload, &mut out);
        out
    }

    fn inflated(&mut self, kind: Kind, payload: &[u8]) -> Got {
        let (_, inflater, _) = self.deflate.as_mut().expect("compression was agreed on");
        let mut out = Vec::new();
        inflater.inflate(payload, None, &mut out).expect("the server's stream is in order");
        self.compressed += 1;
        match kind {
            Kind::Text => Got::Text(String::from_utf8(out).unwrap()),
            Kind::Binary => Got::Binary(out),
        }
    }

    /// Reads the 101, checks it, and gives the subprotocol that was agreed on.
    pub(crate) fn agreed(&mut self, offered: &[&str]) -> Option<String> {
        self.agreed_or_status(offered).expect("a 101")
    }

    /// The same; the status of an answer that is not a 101.
    pub(crate) fn agreed_or_status(&mut self, offered: &[&str]) -> Result<Option<String>, u16> {
        let (head, rest) = self.read_head();
        let key = key(*b"sixteen bytes ok");
        let request = Request { host: &self.host, target: "/", key: &key, subprotocols: offered, fields: &[] };
        let head = ResponseHead::parse(&head, &HeadLimits::default()).unwrap();
        if head.status != 101 {
            return Err(head.status);
        }
        let agreed = request.check(&head).expect("the server agrees").subprotocol.map(str::to_owned);
        self.feed(rest);
        Ok(agreed)
    }

    /// Reads an answer that is not a 101, to the end of the connection.
    pub(crate) fn answer(&mut self) -> Answer {
        let (head, mut body) = self.read_head();
        let head = ResponseHead::parse(&head, &HeadLimits::default()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        let status = head.status;
        while let Some(more) = self.receive() {
            body.extend(more);
        }
        let answer = Answer { status, fields, body: text(&body) };
        let length = answer.field("content-length").map(|length| length.parse::<usize>().unwrap());
        assert_eq!(length.unwrap_or(0), body.len(), "the answer has the length it says");
        assert!(answer.field("connection").is_some_and(|value| value.contains("close")), "{answer:?}");
        answer
    }

    fn read_head(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut scanner = Scanner::new();
        loop {
            bytes.extend(self.receive().expect("a response head"));
            if let Some(end) = scanner.end(&bytes, &HeadLimits::default()).unwrap() {
                let rest = bytes.split_off(end);
                return (bytes, rest);
            }
        }
    }

    // ---- sending

    /// Sends bytes as they are. The server may have gone: reading will say so.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        match self.wire().write_all(bytes) {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("writing failed: {error}")
            }
            _ => {}
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.raw(&frame(true, Opcode::Text, text.as_bytes()));
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        self.raw(&frame(true, Opcode::Binary, bytes));
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) {
        self.raw(&frame(true, Opcode::Ping, payload));
    }

    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.raw(&frame(true, Opcode::Pong, payload));
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.raw(&close_frame(code, reason));
    }

    /// FIN: nothing more will come from here.
    pub(crate) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// RST.
    pub(crate) fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Writes without waiting; gives how many bytes the kernel took.
    pub(crate) fn stuff(&mut self, bytes: &[u8]) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while taken < bytes.len() {
            match self.socket.write(&bytes[taken..]) {
                Ok(len) => taken += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("writing failed: {error}"),
            }
        }
        self.socket.set_nonblocking(false).unwrap();
        taken
    }

    // ---- receiving

    /// The next thing that the server sends.
    pub(crate) fn next(&mut self) -> Got {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let mut buffer = vec![0; 64 << 10];
            match self.wire().read(&mut buffer) {
                Ok(0) => return Got::End,
                Ok(len) => {
                    buffer.truncate(len);
                    self.feed(buffer);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Got::Reset,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(crate) fn expect_text(&mut self, text: &str) {
        assert_eq!(self.next(), Got::Text(text.into()));
    }

    /// Nothing but this has been sent so far: what follows is the answer to a ping of ours.
    pub(crate) fn expect_silence(&mut self) {
        self.ping(b"silence?");
        assert_eq!(self.next(), Got::Pong(b"silence?".to_vec()));
    }

    pub(crate) fn expect_close(&mut self, code: u16) {
        match self.next() {
            Got::Close(Some(found), reason) => assert_eq!(found, code, "{reason}"),
            other => panic!("expected a Close frame with {code}, got {other:?}"),
        }
    }

    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.next(), Got::End);
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        loop {
            match self.next() {
                Got::End | Got::Reset => return all,
                event => all.push(event),
            }
        }
    }

    /// Bytes as they come; `None` at the end.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 16 << 10];
        match self.wire().read(&mut buffer) {
            Ok(0) => None,
            Ok(len) => Some(buffer[..len].to_vec()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    fn feed(&mut self, mut bytes: Vec<u8>) {
        let limits = Limits { max_message_bytes: None, ..Limits::default() };
        let mut input = &mut bytes[..];
        while let Some(event) = self.reader.next(&mut input, &limits).expect("the server keeps the rules") {
            let got = match event {
                Event::Message { kind: Kind::Text, payload } => {
                    Got::Text(String::from_utf8(payload.into_vec()).unwrap())
                }
                Event::Message { kind: Kind::Binary, payload } => Got::Binary(payload.into_vec()),
                Event::Compressed { kind, payload } => self.inflated(kind, payload.as_slice()),
                Event::Ping(payload) => Got::Ping(payload.into_vec()),
                Event::Pong(payload) => Got::Pong(payload.into_vec()),
                Event::Close { code, reason } => Got::Close(code.map(|code| code.0), reason),
            };
            self.events.push_back(got);
        }
    }
}

/// One whole compressed message as a client sends it.
pub(crate) fn compressed_frame(opcode: Opcode, deflated: &[u8]) -> Vec<u8> {
    let mut out = frame(true, opcode, deflated);
    out[0] |= 0x40;
    out
}

/// One frame as a client sends it.
pub(crate) fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin, opcode, len: payload.len() as u64, mask: Some(KEY) }.encode();
    let mut out = header.to_vec();
    out.extend_from_slice(payload);
    let start = out.len() - payload.len();
    mask::apply(&mut out[start..], KEY, 0);
    out
}

pub(crate) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut out = Vec::new();
    close::encode(&mut out, Role::Client, Some(CloseCode(code)), reason, Some(KEY)).unwrap();
    out
}

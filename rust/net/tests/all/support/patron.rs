//! A client of sessions that any transport carries: it counts what it gets and comes again where it was.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_net::proto::head::{HeadLimits, ResponseHead, Scanner};
use hubbub_net::{Endpoint, Limits, Link, Service, Settings, Transports};

use super::client::{Client, Got};
use super::house::House;
use super::http::{Response, Visitor, get, post};
use super::quiet;
use super::recorder::Manner;

/// What carries a patron's session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    WebSocket,
    Events,
    Iframe,
    Polling,
}

pub(crate) const ALL: [By; 4] = [By::WebSocket, By::Events, By::Iframe, By::Polling];

/// What a patron gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    /// A sign of life.
    Beat,
    /// The server has ended the session.
    Closed(u16, String),
    /// The connection has ended.
    End,
    /// A request was answered with this.
    Status(u16),
}

pub(crate) struct Patron {
    address: SocketAddr,
    pub(crate) by: By,
    pub(crate) sid: String,
    /// Messages received.
    pub(crate) cursor: u64,
    pub(crate) recovered: bool,
    /// What the server has said at the opening.
    pub(crate) open: String,
    pub(crate) line: Line,
    heard: VecDeque<Heard>,
    poster: Option<Visitor>,
}

pub(crate) enum Line {
    Socket(Client),
    Stream(Stream),
    /// With a flag: a poll is under way.
    Polls(Visitor, bool),
    Lost,
}

/// A response that does not end, and what of it has come.
pub(crate) struct Stream {
    pub(crate) client: Client,
    bytes: Vec<u8>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) text: VecDeque<String>,
    end: &'static str,
}

/// Settings with a comet endpoint at `/push`, an event stream at `/events`, and WebSockets elsewhere.
pub(crate) fn comet(change: impl FnOnce(&mut Limits)) -> Settings {
    let push = Service::Comet(Transports::default());
    let mut settings = Settings {
        endpoints: vec![
            Endpoint::default(),
            Endpoint { path: Some("/push".into()), service: push, ..Endpoint::default() },
            Endpoint { path: Some("/events".into()), service: Service::Events, ..Endpoint::default() },
        ],
        ..quiet()
    };
    change(&mut settings.limits);
    settings
}

pub(crate) fn house(change: impl FnOnce(&mut Limits)) -> House {
    House::open(comet(change), Manner::default())
}

pub(crate) fn shards(shards: usize, manner: Manner) -> House {
    House::open(Settings { shards, ..comet(|_| ()) }, manner)
}

/// A client with an open session, and the session's other end.
pub(crate) fn join(house: &mut House, by: By) -> (Patron, Arc<Link>) {
    let patron = Patron::open(house, by);
    (patron, house.opened())
}

impl By {
    pub(crate) fn name(self) -> &'static str {
        match self {
            By::WebSocket => "websocket",
            By::Events => "eventsource",
            By::Iframe => "iframe",
            By::Polling => "polling",
        }
    }
}

impl Patron {
    pub(crate) fn open(house: &House, by: By) -> Patron {
        Patron::ask(house.address(), by, "").unwrap()
    }

    /// Opens a session, or whatever the query makes of it. `Err`: the status of the answer.
    pub(crate) fn ask(address: SocketAddr, by: By, query: &str) -> Result<Patron, u16> {
        let mut patron = Patron {
            address,
            by,
            sid: String::new(),
            cursor: 0,
            recovered: false,
            open: String::new(),
            line: Line::Lost,
            heard: VecDeque::new(),
            poster: None,
        };
        let target = format!("/push?transport={}{query}", by.name());
        let open = match by {
            By::WebSocket => {
                let mut client = Client::connect(address);
                let request = client.request(&target, &[], &[]);
                client.raw(&request);
                client.agreed_or_status(&[])?;
                let Got::Text(open) = client.next() else { panic!("no open packet") };
                patron.line = Line::Socket(client);
                open.strip_prefix('0').expect("the open packet comes first").to_owned()
            }
            By::Events | By::Iframe => {
                let mut stream = Stream::ask(address, &target, "")?;
                let open = match by {
                    By::Events => {
                        let event = stream.event().expect("the session event comes first");
                        assert_eq!(event.name.as_deref(), Some("session"));
                        event.data
                    }
                    _ => {
                        assert!(stream.next().unwrap().starts_with("<!doctype html>"));
                        let call = stream.next().unwrap();
                        call_of(&call, ".open&&parent.hubbub.open").expect(&call).to_owned()
                    }
                };
                patron.line = Line::Stream(stream);
                open
            }
            By::Polling => {
                let mut visitor = Visitor { client: Client::connect(address), rest: Vec::new() };
                let response = visitor.ask(&get(&target, ""));
                if response.status != 200 {
                    return Err(response.status);
                }
                let mut packets = response.body.split('\u{1e}');
                // What was missed may come with it.
                let open = packets.next().and_then(|packet| packet.strip_prefix('0')).map(str::to_owned);
                let open = open.unwrap_or_else(|| panic!("no open packet: {response:?}"));
                packets.for_each(|packet| patron.handle_packet(packet));
                patron.line = Line::Polls(visitor, false);
                open
            }
        };
        let json: serde_json::Value = serde_json::from_str(&open).unwrap();
        patron.sid = json["sid"].as_str().unwrap().to_owned();
        patron.recovered = json["recovered"].as_bool().unwrap();
        patron.open = open;
        Ok(patron)
    }

    /// Goes on with another connection.
    pub(crate) fn resume(&mut self, by: By) -> Result<(), u16> {
        self.resume_with(by, "")
    }

    pub(crate) fn resume_with(&mut self, by: By, query: &str) -> Result<(), u16> {
        // What the old connection has brought without being read does not count.
        self.heard.clear();
        let place = format!("&sid={}&cursor={}{query}", self.sid, self.cursor);
        if by == By::Polling {
            // A poll is no new connection: it asks for what there is.
            self.by = by;
            self.line = Line::Polls(self.visit(), false);
            let response = self.poll_with(&format!("{place}&wait=0"));
            if response.status != 200 {
                return Err(response.status);
            }
            if let Some(open) = response.body.split('\u{1e}').next().and_then(|packet| packet.strip_prefix('0')) {
                let json: serde_json::Value = serde_json::from_str(open).unwrap();
                (self.sid, self.cursor) = (json["sid"].as_str().unwrap().to_owned(), 0);
                self.recovered = false;
            } else {
                self.recovered = true;
                response.body.split('\u{1e}').for_each(|packet| self.handle_packet(packet));
                self.heard.retain(|heard| *heard != Heard::Beat);
            }
            return Ok(());
        }
        let other = Patron::ask(self.address, by, &place)?;
        if other.sid != self.sid {
            self.cursor = 0;
        }
        (self.by, self.sid, self.recovered, self.open, self.line) =
            (by, other.sid, other.recovered, other.open, other.line);
        Ok(())
    }

    pub(crate) fn visit(&self) -> Visitor {
        Visitor { client: Client::connect(self.address), rest: Vec::new() }
    }

    pub(crate) fn target(&self, more: &str) -> String {
        format!("/push?transport={}&sid={}&cursor={}{more}", self.by.name(), self.sid, self.cursor)
    }

    /// Loses the connection, with RST if it is to be sudden.
    pub(crate) fn lose(&mut self, sudden: bool) {
        let client = match std::mem::replace(&mut self.line, Line::Lost) {
            Line::Socket(client) => client,
            Line::Stream(stream) => stream.client,
            Line::Polls(visitor, _) => visitor.client,
            Line::Lost => return,
        };
        if sudden {
            client.reset();
        }
    }

    // ---- sending

    pub(crate) fn text(&mut self, text: &str) {
        match &mut self.line {
            Line::Socket(client) => client.text(&format!("4{text}")),
            _ if text.contains('\u{1e}') => self.expect_posted(&format!("t{}", STANDARD.encode(text))),
            _ => self.expect_posted(&format!("4{text}")),
        }
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        match &mut self.line {
            Line::Socket(client) => client.binary(bytes),
            _ => self.expect_posted(&format!("b{}", STANDARD.encode(bytes))),
        }
    }

    /// Ends the session.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        match &mut self.line {
            Line::Socket(client) => client.close(code, reason),
            _ => self.expect_posted(&format!("1{code} {reason}")),
        }
    }

    fn expect_posted(&mut self, body: &str) {
        let response = self.post(body);
        assert_eq!((response.status, response.body.as_str()), (200, "ok"), "{response:?}");
    }

    pub(crate) fn post(&mut self, body: &str) -> Response {
        self.post_later(body);
        self.poster.as_mut().unwrap().response()
    }

    pub(crate) fn post_later(&mut self, body: &str) {
        let request = post(&format!("/push?sid={}", self.sid), body);
        let address = self.address;
        let poster = self.poster.get_or_insert_with(|| Visitor { client: Client::connect(address), rest: Vec::new() });
        poster.client.raw(&request);
    }

    pub(crate) fn posted(&mut self) -> Response {
        self.poster.as_mut().unwrap().response()
    }

    // ---- receiving

    /// The next message, sign of life or end. Polls as often as it takes.
    pub(crate) fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                self.cursor += u64::from(matches!(heard, Heard::Text(_) | Heard::Binary(_)));
                return heard;
            }
            match &mut self.line {
                Line::Lost => return Heard::End,
                Line::Socket(client) => {
                    let heard = match client.next() {
                        Got::Text(text) if text == "2" => Heard::Beat,
                        Got::Text(text) => Heard::Text(text.strip_prefix('4').expect("a message packet").into()),
                        Got::Binary(bytes) => Heard::Binary(bytes),
                        Got::Close(code, reason) => Heard::Closed(code.unwrap_or(1005), reason),
                        Got::End | Got::Reset => Heard::End,
                        other => panic!("{other:?}"),
                    };
                    self.heard.push_back(heard);
                }
                Line::Stream(stream) if self.by == By::Events => {
                    let heard = stream.event().map_or(Heard::End, |event| event.heard());
                    self.heard.push_back(heard);
                }
                Line::Stream(stream) => {
                    let heard = stream.next().map_or(Heard::End, |line| of_page(&line));
                    self.heard.push_back(heard);
                }
                Line::Polls(..) => {
                    let response = self.poll();
                    match response.status {
                        200 => response.body.split('\u{1e}').for_each(|packet| self.handle_packet(packet)),
                        status => self.heard.push_back(Heard::Status(status)),
                    }
                }
            }
        }
    }

    /// What a poll brings.
    fn poll(&mut self) -> Response {
        if !matches!(self.line, Line::Polls(_, true)) {
            self.poll_later("");
        }
        let Line::Polls(visitor, under_way) = &mut self.line else { panic!("not by polls") };
        *under_way = false;
        visitor.response()
    }

    fn poll_with(&mut self, query: &str) -> Response {
        let Line::Polls(visitor, _) = &mut self.line else { panic!("not by polls") };
        visitor.ask(&get(&format!("/push?transport=polling{query}"), ""))
    }

    /// Polls and does not wait for the answer.
    pub(crate) fn poll_later(&mut self, more: &str) {
        let request = get(&self.target(more), "");
        let Line::Polls(visitor, under_way) = &mut self.line else { panic!("not by polls") };
        assert!(!std::mem::replace(under_way, true), "one poll at a time on a connection");
        visitor.client.raw(&request);
    }

    fn handle_packet(&mut self, packet: &str) {
        let (kind, data) = packet.split_at(1);
        self.heard.push_back(match kind {
            "4" => Heard::Text(data.into()),
            "t" => Heard::Text(String::from_utf8(STANDARD.decode(data).unwrap()).unwrap()),
            "b" => Heard::Binary(STANDARD.decode(data).unwrap()),
            "6" | "2" => Heard::Beat,
            "1" => closed(data),
            _ => panic!("{packet:?}"),
        });
    }

    pub(crate) fn expect(&mut self, text: &str) {
        assert_eq!(self.next(), Heard::Text(text.into()), "by {:?}", self.by);
    }

    pub(crate) fn expect_closed(&mut self, code: u16, reason: &str) {
        assert_eq!(self.next(), Heard::Closed(code, reason.into()), "by {:?}", self.by);
    }
}

/// An event as a browser would see it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
    /// There was data, so that listeners are told.
    pub(crate) told: bool,
    pub(crate) retry: Option<u64>,
    pub(crate) comments: Vec<String>,
}

impl Event {
    fn heard(self) -> Heard {
        match self.name.as_deref() {
            None if !self.told => Heard::Beat,
            None => Heard::Text(self.data),
            Some("ping") => Heard::Beat,
            Some("binary") => Heard::Binary(STANDARD.decode(&self.data).unwrap()),
            // A text with CR, which no line can have.
            Some("text") => Heard::Text(String::from_utf8(STANDARD.decode(&self.data).unwrap()).unwrap()),
            Some("close") => closed(&self.data),
            Some(other) => panic!("an event {other:?}"),
        }
    }
}

fn closed(json: &str) -> Heard {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    Heard::Closed(json["code"].as_u64().unwrap() as u16, json["reason"].as_str().unwrap().into())
}

/// The arguments of a call in a line of a page of scripts.
fn call_of<'a>(line: &'a str, what: &str) -> Option<&'a str> {
    line.strip_prefix(&format!("<script>parent.hubbub{what}("))?.strip_suffix(")</script>")
}

fn of_page(line: &str) -> Heard {
    if line == "<!---->" {
        return Heard::Beat;
    }
    if let Some(json) = call_of(line, ".close&&parent.hubbub.close") {
        return closed(json);
    }
    let arguments = call_of(line, "").unwrap_or_else(|| panic!("{line:?}"));
    assert!(!arguments.contains('<'), "nothing in a script can end it: {arguments:?}");
    match arguments.strip_prefix("null,") {
        Some(base64) => Heard::Binary(STANDARD.decode(serde_json::from_str::<String>(base64).unwrap()).unwrap()),
        None => Heard::Text(serde_json::from_str(arguments).unwrap()),
    }
}

impl Stream {
    /// Asks for a stream. `Err`: the status of the answer.
    pub(crate) fn ask(address: SocketAddr, target: &str, fields: &str) -> Result<Stream, u16> {
        Stream::over(Client::connect(address), &get(target, fields))
    }

    pub(crate) fn over(mut client: Client, request: &[u8]) -> Result<Stream, u16> {
        client.raw(request);
        let mut bytes = Vec::new();
        let mut scanner = Scanner::new();
        let end = loop {
            match scanner.end(&bytes, &HeadLimits::default()).unwrap() {
                Some(end) => break end,
                None => bytes.extend(client.receive().expect("a response head")),
            }
        };
        let rest = bytes.split_off(end);
        let head = ResponseHead::parse(&bytes, &HeadLimits::default()).unwrap();
        if head.status != 200 {
            return Err(head.status);
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        let field =
            |name: &str| fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        assert_eq!((field("cache-control"), field("connection")), (Some("no-store"), Some("close")));
        assert_eq!((field("content-length"), field("transfer-encoding")), (None, None));
        let end = if field("content-type").unwrap().starts_with("text/html") { "\n" } else { "\n\n" };
        let mut stream = Stream { client, bytes: rest, fields, text: VecDeque::new(), end };
        stream.cut();
        Ok(stream)
    }

    /// The next line of a page, or block of an event stream.
    pub(crate) fn next(&mut self) -> Option<String> {
        while self.text.is_empty() {
            let more = self.client.receive()?;
            self.bytes.extend(more);
            self.cut();
        }
        self.text.pop_front()
    }

    fn cut(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let Some(at) = text.rfind(self.end) else { return };
        let whole = &text[..at];
        self.text.extend(whole.split(self.end).map(str::to_owned));
        self.bytes.drain(..at + self.end.len());
    }

    /// The next event, comments left out.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let block = self.next()?;
        let mut event = Event::default();
        let mut data: Vec<&str> = Vec::new();
        for line in block.split('\n') {
            assert!(!line.contains('\r'), "{block:?}");
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" => event.comments.push(value.into()),
                "data" => data.push(value),
                "event" => event.name = Some(value.into()),
                "id" => event.id = Some(value.into()),
                "retry" => event.retry = Some(value.parse().unwrap()),
                _ => panic!("{block:?}"),
            }
        }
        event.told = !data.is_empty();
        event.data = data.join("\n");
        Some(event)
    }

    /// The next event that listeners are told of.
    pub(crate) fn told(&mut self) -> Event {
        loop {
            let event = self.event().expect("an event");
            if event.told {
                return event;
            }
        }
    }
}

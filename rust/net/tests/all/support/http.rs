//! The client's half of HTTP, for tests: requests as bytes, responses one by one off a connection that goes on.

use std::sync::Arc;

use hubbub_net::proto::body::BodyReader;
use hubbub_net::proto::head::{Body, HeadLimits, ResponseHead, Scanner};
use hubbub_net::proto::response::FieldLines;
use hubbub_net::{Command, CommandBatch, Endpoint, Link, Parcel, Piece, Reply, Request, Service, SessionId, Settings};

use super::client::Client;
use super::house::House;
use super::quiet;
use super::recorder::Event;

/// Settings under which everything is HTTP's.
pub(crate) fn http() -> Settings {
    Settings { endpoints: vec![Endpoint { service: Service::Http, ..Endpoint::default() }], ..quiet() }
}

pub(crate) fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

pub(crate) fn post(target: &str, body: &str) -> Vec<u8> {
    format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn reply(status: u16, fields: &[(&str, &str)]) -> Box<Reply> {
    let mut lines = FieldLines::new();
    fields.iter().for_each(|(name, value)| lines.push(name.as_bytes(), value.as_bytes()).unwrap());
    Box::new(Reply { status, fields: lines })
}

/// A client of HTTP.
pub(crate) struct Visitor {
    pub(crate) client: Client,
    /// Bytes behind the last response.
    pub(crate) rest: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body came to its end.
    pub(crate) whole: bool,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn keeps(&self) -> bool {
        !self.field("connection").is_some_and(|value| value.contains("close"))
    }
}

impl Visitor {
    pub(crate) fn to(house: &House) -> Visitor {
        Visitor { client: house.connect(), rest: Vec::new() }
    }

    pub(crate) fn ask(&mut self, request: &[u8]) -> Response {
        self.client.raw(request);
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        self.read(false)
    }

    /// The answer to HEAD.
    pub(crate) fn response_head(&mut self) -> Response {
        self.read(true)
    }

    fn read(&mut self, head_only: bool) -> Response {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut scanner = Scanner::new();
        let end = loop {
            match scanner.end(&bytes, &HeadLimits::default()).unwrap() {
                Some(end) => break end,
                None => bytes.extend(self.client.receive().expect("a response head")),
            }
        };
        let mut input = bytes.split_off(end);
        let head = ResponseHead::parse(&bytes, &HeadLimits::default()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        let mut response = Response { status: head.status, fields, body: String::new(), whole: true };
        let length = response.field("content-length").map(|length| length.parse().unwrap());
        let body = match (length, response.field("transfer-encoding")) {
            _ if head_only || matches!(response.status, 100 | 204 | 304) => Body::None,
            (None, Some("chunked")) => Body::Chunked,
            (Some(length), None) => Body::Length(length),
            (None, None) => Body::Length(u64::MAX),
            both => panic!("{both:?}"),
        };
        let mut reader = BodyReader::new(body);
        let mut content = Vec::new();
        loop {
            let mut left = &input[..];
            while let Some(slice) = reader.next(&mut left).unwrap() {
                content.extend_from_slice(slice);
            }
            if reader.is_done() {
                self.rest = left.to_vec();
                break;
            }
            match self.client.receive() {
                Some(more) => input = more,
                None => {
                    response.whole = body == Body::Length(u64::MAX);
                    break;
                }
            }
        }
        response.body = text(&content);
        response
    }

    /// Nothing more comes, and the connection ends.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest), "");
        assert_eq!(self.client.receive(), None);
    }

    /// The server waits for a further request on this connection.
    pub(crate) fn expect_kept(&mut self) {
        assert_eq!(self.ask(b"GET /kept HTTP/1.1\r\nHost: h\r\n\r\n").body, "/kept");
    }
}

impl House {
    pub(crate) fn requested(&mut self) -> (Arc<Link>, Arc<Request>) {
        self.expect("a request", |event| match event {
            Event::Exchange(link, request) => Some((link.clone(), request.clone())),
            _ => None,
        })
    }

    /// The whole body of a request.
    pub(crate) fn body(&mut self, id: SessionId) -> String {
        let mut all = Vec::new();
        loop {
            let (content, last) = self.piece(id);
            all.extend(content);
            if last {
                return String::from_utf8(all).unwrap();
            }
        }
    }

    pub(crate) fn piece(&mut self, from: SessionId) -> (Vec<u8>, bool) {
        self.expect("content", |event| match event {
            Event::Content(id, content, last) if *id == from => Some((content.clone(), *last)),
            _ => None,
        })
    }

    pub(crate) fn hung_up(&mut self, whom: SessionId) {
        self.expect("hung up", |event| matches!(event, Event::HungUp(id) if *id == whom).then_some(()));
    }

    pub(crate) fn answer(&self, link: &Link, status: u16, body: &str) {
        self.answer_with(link, reply(status, &[]), body);
    }

    pub(crate) fn answer_with(&self, link: &Link, reply: Box<Reply>, body: &str) {
        let mut batch = CommandBatch::default();
        let parcel = batch.pack(Piece::Borrowed(body.as_bytes()));
        batch.push(Command::Answer(link.id(), reply, parcel));
        self.server.handles()[link.id().shard()].post(batch);
    }

    pub(crate) fn respond(&self, link: &Link, reply: Box<Reply>) {
        self.post(link.id(), Command::Respond(link.id(), reply));
    }

    pub(crate) fn put(&self, link: &Link, content: &[u8], last: bool) {
        link.add_posted(content.len());
        self.post(link.id(), Command::Content(link.id(), Parcel::Shared(content.to_vec().into()), last));
    }
}

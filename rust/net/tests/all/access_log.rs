//! What the access log can say of requests that were refused and of sessions that have ended.

use crate::support::house::House;
use crate::support::recorder::Manner;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Endpoint, Notice, Settings, Target, Traffic};

/// The request line, the status, and the reason of the next refusal.
fn refusal(house: &mut House) -> (String, u16, String) {
    match house.notice(|notice| matches!(notice, Notice::Answered { .. })) {
        Notice::Answered { request_line, status, why, .. } => (request_line, status, why.into_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refused_request_is_logged_with_its_reason() {
    let endpoint = Endpoint { origins: Some(vec!["same-origin".into()]), ..Endpoint::default() };
    let chat = Endpoint { path: Some("/chat".into()), ..endpoint };
    let mut house = House::open(Settings { endpoints: vec![chat], ..Settings::default() }, Manner::default());
    let host = house.address();
    let handshake = |target: &str, fields: &[(&str, &str)]| {
        let client = house.connect();
        String::from_utf8(client.request(target, &[], fields)).unwrap()
    };
    let cases = [
        (
            handshake("/chat?sid=1", &[("Origin", "http://elsewhere")]),
            "WebSocket /chat?sid=...",
            403,
            format!("the origin http://elsewhere is not allowed (the host is {host})"),
        ),
        (
            handshake("/chat", &[]).replace("Upgrade: websocket\r\n", "").replace("Connection: Upgrade\r\n", ""),
            "GET /chat",
            426,
            "a WebSocket handshake without Upgrade: does a proxy leave it out?".into(),
        ),
        (handshake("/nowhere", &[]), "WebSocket /nowhere", 404, "Nothing is served here".into()),
        (
            "GET /chat HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            "GET /chat",
            426,
            "This is a WebSocket endpoint: connect with a WebSocket client".into(),
        ),
    ];
    for (request, line, status, why) in cases {
        let mut client = house.connect();
        client.raw(request.as_bytes());
        assert_eq!(client.answer().status, status);
        assert_eq!(refusal(&mut house), (line.to_owned(), status, why));
    }
}

#[test]
fn a_session_that_has_ended_says_what_went_to_and_fro() {
    for (access_log, expected) in
        [(true, Traffic { messages_in: 2, bytes_in: 7, messages_out: 2, bytes_out: 9 }), (false, Traffic::default())]
    {
        let settings = Settings { access_log, ..Settings::default() };
        let mut house = House::open(settings, Manner::default());
        let (mut client, link) = house.guest();
        client.text("one");
        client.binary(b"more");
        house.message(link.id());
        house.message(link.id());
        house.send(&link, Kind::Text, b"four");
        client.expect_text("four");
        house.broadcast(Target::All, &[], "five!");
        client.expect_text("five!");
        client.close(1000, "");
        let closed = house.closed(link.id());
        assert_eq!((closed.code().0, closed.traffic), (1000, expected));
    }
}

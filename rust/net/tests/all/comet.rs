//! Sessions that any transport carries: opening, messages, pages from elsewhere.

use std::time::Duration;

use crate::support::house::{House, rooms};
use crate::support::http::{Visitor, get, post};
use crate::support::patron::{ALL, By, Heard, Line, Patron, Stream, comet, house, join, shards};
use crate::support::recorder::{Event, Manner};
use crate::support::text;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Answer, Command, Policy, Request, Verdict};

/// What no browser's parser, no separator and no line may trip over.
const DIFFICULT: [&str; 8] = [
    "",
    " ",
    "\n",
    "a\r\nb\rc\nd",
    "a\u{1e}b\u{1e}",
    "</script><!--<script>",
    "\u{2028}\"\\'日本語 🦀",
    ": data: x\n\nid: 7",
];

// ---- one connection

#[test]
fn a_session_is_opened_by_each_transport_and_says_what_its_client_needs() {
    let mut house = house(|limits| limits.ping_interval = Some(Duration::from_secs(25)));
    for by in ALL {
        let (patron, link) = join(&mut house, by);
        assert_eq!(link.carrier().name(), by.name());
        assert!(!patron.recovered && patron.sid.len() == 32);
        let json: serde_json::Value = serde_json::from_str(&patron.open).unwrap();
        assert_eq!((json["pingInterval"].as_u64(), json["pingTimeout"].as_u64()), (Some(25_000), Some(20_000)));
        assert_eq!((json["maxPayload"].as_u64(), json["upgrades"].as_array().unwrap().len()), (Some(1 << 20), 0));
    }
}

#[test]
fn messages_of_both_directions_arrive_in_order_on_each_transport() {
    let mut house = house(|_| ());
    for by in ALL {
        let (mut patron, link) = join(&mut house, by);
        house.join(&link, "lobby");
        for text in DIFFICULT {
            patron.text(text);
            assert_eq!(house.message(link.id()), (Kind::Text, text.as_bytes().to_vec()), "{by:?}");
            house.send(&link, Kind::Text, text.as_bytes());
            assert_eq!(house.broadcast(rooms(&["lobby"]), &[], text), (1, 0));
            patron.expect(text);
            patron.expect(text);
        }
        let bytes = crate::support::bytes(1000);
        patron.binary(&bytes);
        assert_eq!(house.message(link.id()), (Kind::Binary, bytes.clone()));
        house.send(&link, Kind::Binary, &bytes);
        assert_eq!(patron.next(), Heard::Binary(bytes));
        for number in 0..200 {
            house.send(&link, Kind::Text, number.to_string().as_bytes());
            house.publish(rooms(&["lobby"]), &[], Policy::Close, format!("all {number}").as_bytes());
        }
        for number in 0..200 {
            patron.expect(&number.to_string());
            patron.expect(&format!("all {number}"));
        }
        house.leave(&link, "lobby");
    }
}

#[test]
fn a_large_message_arrives_whole_on_each_transport() {
    let mut house = house(|_| ());
    let large = text(700_000);
    for by in ALL {
        let (mut patron, link) = join(&mut house, by);
        patron.text(&large);
        assert_eq!(house.message(link.id()).1.len(), large.len());
        house.send(&link, Kind::Text, large.as_bytes());
        patron.expect(&large);
    }
}

#[test]
fn a_broadcast_reaches_members_whatever_carries_them() {
    let mut house = shards(2, Manner::default());
    let mut patrons: Vec<_> = ALL.iter().flat_map(|by| [*by; 3]).map(|by| join(&mut house, by)).collect();
    let (mut plain, link) = house.guest();
    house.join(&link, "lobby");
    patrons.iter().for_each(|(_, link)| house.join(link, "lobby"));
    for round in 0..20 {
        assert_eq!(house.broadcast(rooms(&["lobby"]), &[], &format!("{round}")), (13, 0));
    }
    for round in 0..20 {
        plain.expect_text(&round.to_string());
        patrons.iter_mut().for_each(|(patron, _)| patron.expect(&round.to_string()));
    }
    let closed: Vec<_> = patrons.iter().map(|(_, link)| link.id()).collect();
    closed.iter().for_each(|id| house.close(*id, 4000, "enough"));
    patrons.iter_mut().for_each(|(patron, _)| patron.expect_closed(4000, "enough"));
}

#[test]
fn a_plain_client_needs_no_packets() {
    let mut house = House::open(comet(|_| ()), Manner::echo());
    let mut client = house.connect();
    client.shake_hands("/push");
    house.opened();
    client.text("4raw");
    client.expect_text("4raw");
    let mut stream = Stream::ask(house.address(), "/push", "Accept: text/event-stream\r\n").unwrap();
    let link = house.opened();
    assert_eq!(link.carrier().name(), "eventsource");
    house.send(&link, Kind::Text, b"hello");
    let event = stream.told();
    assert_eq!((event.name, event.data.as_str()), (None, "hello"));
    house.close(link.id(), 1000, "");
    assert_eq!(stream.told().name.as_deref(), Some("close"));
    assert_eq!(stream.event(), None);
    assert_eq!(house.closed(link.id()).code().0, 1000);
}

/// What a client is sent is never to be taken for a page or a script.
#[test]
fn no_browser_is_to_guess_what_an_answer_is() {
    let house = house(|_| ());
    let stream = Stream::ask(house.address(), "/push?transport=eventsource", "").unwrap();
    let guarded = ("X-Content-Type-Options".to_owned(), "nosniff".to_owned());
    assert!(stream.fields.contains(&guarded));
    let polls = Patron::open(&house, By::Polling);
    let (target, post_target) = (polls.target("&wait=0"), format!("/push?sid={}", polls.sid));
    for request in
        [get("/push?transport=polling", ""), get(&target, ""), post(&post_target, "4x"), post(&post_target, "")]
    {
        let response = Visitor::to(&house).ask(&request);
        assert_eq!(response.field("x-content-type-options"), Some("nosniff"), "{response:?}");
    }
}

#[test]
fn both_sides_end_a_session_with_code_and_reason_on_each_transport() {
    let mut house = house(|_| ());
    for by in ALL {
        let (mut patron, link) = join(&mut house, by);
        house.send(&link, Kind::Text, b"last");
        house.close(link.id(), 4001, "</script> \"no\"");
        patron.expect("last");
        patron.expect_closed(4001, "</script> \"no\"");
        if let Line::Socket(client) = &mut patron.line {
            client.close(4001, "");
        }
        let closed = house.closed(link.id());
        assert_eq!(closed.code().0, 4001, "{by:?}");
        assert_eq!(closed.sent.unwrap().1, "</script> \"no\"");

        let (mut patron, link) = join(&mut house, by);
        patron.close(4002, "gone home");
        let closed = house.closed(link.id());
        let received = closed.received.unwrap();
        assert_eq!((received.0.0, received.1.as_str()), (4002, "gone home"), "{by:?}");
        patron.expect_closed(4002, "gone home");
        if !matches!(patron.line, Line::Polls(..)) {
            assert_eq!(patron.next(), Heard::End);
        }
        // It is over.
        assert_eq!(patron.post("4late").status, 404);
    }
}

#[test]
fn a_poll_that_waits_hears_of_the_end_at_once() {
    let mut house = house(|_| ());
    let (mut patron, link) = join(&mut house, By::Polling);
    patron.poll_later("");
    house.until("it waits", |server| server.counts().requests == 2);
    house.close(link.id(), 4003, "by the server");
    patron.expect_closed(4003, "by the server");
    // Who did not get the answer asks again.
    patron.expect_closed(4003, "by the server");
    let (mut patron, link) = join(&mut house, By::Polling);
    patron.poll_later("");
    patron.close(4004, "by the client");
    patron.expect_closed(4004, "by the client");
    house.closed(link.id());
}

#[test]
fn what_a_client_sends_behind_its_request_for_a_stream_ends_that_connection() {
    let mut house = house(|_| ());
    for by in [By::Events, By::Iframe] {
        let (mut patron, link) = join(&mut house, by);
        let Line::Stream(stream) = &mut patron.line else { unreachable!("it is a stream") };
        stream.client.raw(&get("/canary", ""));
        assert_eq!(patron.next(), Heard::End);
        // The session is still there.
        house.send(&link, Kind::Text, b"kept");
        patron.resume(By::Polling).unwrap();
        patron.expect("kept");
    }
}

// ---- deciding

fn decide(verdict: fn(&Request) -> Verdict) -> House {
    let mut settings = comet(|_| ());
    settings.endpoints[1].asks = true;
    settings.endpoints[2].asks = true;
    settings.endpoints[1].origins = Some(vec!["https://a.example".into()]);
    House::open(settings, Manner { decide: Some(verdict), ..Manner::default() })
}

#[test]
fn the_user_may_refuse_each_transport_with_an_answer() {
    let refuse = |_: &Request| {
        let fields = vec![("X-Why".into(), "because".into())];
        Verdict::Answer(Answer { status: 418, fields, body: "no\n".into() })
    };
    let mut house = decide(refuse);
    for by in ALL {
        assert_eq!(Patron::ask(house.address(), by, "").err(), Some(418), "{by:?}");
        let asked = house.expect("a request", |event| match event {
            Event::Request(link, request) => Some((link.clone(), request.upgrade)),
            _ => None,
        });
        assert_eq!(asked.1, by == By::WebSocket);
        house.closed(asked.0.id());
    }
    // A page from elsewhere may know why.
    for target in ["/push?transport=polling", "/push?transport=eventsource"] {
        let response = Visitor::to(&house).ask(&get(target, "Origin: https://a.example\r\n"));
        assert_eq!((response.status, response.body.as_str()), (418, "no\n"));
        assert_eq!(response.field("access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(response.field("x-why"), Some("because"));
    }
    house.counts_to((0, 0), |counts| (counts.opened, counts.panics));
}

#[test]
fn the_user_may_answer_with_something_else_and_the_connection_goes_on() {
    let page = |_: &Request| Verdict::Answer(Answer { status: 204, fields: Vec::new(), body: "".into() });
    let mut house = decide(page);
    for target in ["/push?transport=polling", "/push?transport=iframe", "/events"] {
        let mut visitor = Visitor::to(&house);
        for _ in 0..2 {
            let response = visitor.ask(&get(target, ""));
            assert_eq!((response.status, response.keeps()), (204, true), "{target}");
        }
    }
    house.left_over();
}

#[test]
fn who_is_accepted_gets_the_fields_that_the_user_adds() {
    let accept = |request: &Request| {
        assert!(request.head.starts_with(b"GET /push?transport="));
        Verdict::Accept { subprotocol: None, fields: vec![("X-Served-By".into(), "me".into())] }
    };
    let mut house = decide(accept);
    for by in ALL {
        let (mut patron, link) = join(&mut house, by);
        house.send(&link, Kind::Text, b"hello");
        patron.expect("hello");
        // Who comes again is not asked about.
        patron.lose(false);
        patron.resume(By::Events).unwrap();
    }
    let response = Visitor::to(&house).ask(&get("/push?transport=polling", ""));
    assert_eq!(response.field("x-served-by"), Some("me"));
    house.opened();
}

#[test]
fn a_client_that_goes_while_the_user_decides_costs_nothing() {
    let mut settings = comet(|limits| limits.session_timeout = Duration::from_millis(50));
    settings.endpoints[1].asks = true;
    let mut house = House::open(settings, Manner::default());
    for by in ["polling", "eventsource"] {
        let mut client = house.connect();
        client.raw(&get(&format!("/push?transport={by}"), ""));
        let link = house.expect("a request", |event| match event {
            Event::Request(link, _) => Some(link.clone()),
            _ => None,
        });
        client.reset();
        house.post(link.id(), Command::Verdict(link.id(), Verdict::Accept { subprotocol: None, fields: vec![] }));
        house.closed(link.id());
    }
}

// ---- pages from elsewhere

#[test]
fn pages_from_elsewhere_may_ask_if_they_are_listed() {
    let mut settings = comet(|_| ());
    for endpoint in &mut settings.endpoints {
        endpoint.origins = Some(vec!["https://a.example".into(), "same-origin".into()]);
    }
    let mut house = House::open(settings, Manner::default());
    let ask = |method: &str, target: &str, fields: &str, body: &str| {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}{length}\r\n{body}");
        Visitor::to(&house).ask(request.as_bytes())
    };
    let allowed = |response: &crate::support::http::Response| {
        let field = response.field("access-control-allow-origin").map(str::to_owned);
        assert_eq!(response.field("access-control-allow-credentials").is_some(), field.is_some());
        assert_eq!(response.field("vary").is_some(), response.status != 403);
        field
    };
    let ours = "Origin: https://a.example\r\n";
    let opened = ask("GET", "/push?transport=polling", ours, "");
    assert_eq!(allowed(&opened).as_deref(), Some("https://a.example"));
    let json: serde_json::Value = serde_json::from_str(&opened.body[1..]).unwrap();
    let sid = json["sid"].as_str().unwrap();
    for (method, target, body, status) in [
        ("GET", format!("/push?transport=polling&sid={sid}&cursor=0&wait=0"), "", 200),
        ("POST", format!("/push?sid={sid}"), "4hello", 200),
        ("POST", format!("/push?sid={sid}"), "nonsense", 400),
        ("GET", "/push?transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(), "", 404),
        ("POST", "/push?sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(), "4x", 404),
        ("GET", "/push?transport=polling&sid=x".into(), "", 404),
        ("GET", "/push?transport=pigeon".into(), "", 400),
        ("PUT", "/push".into(), "", 405),
    ] {
        let response = ask(method, &target, ours, body);
        assert_eq!(response.status, status, "{method} {target}");
        assert_eq!(allowed(&response).as_deref(), Some("https://a.example"), "{method} {target}");
        for fields in [
            "Origin: https://b.example\r\n",
            "Origin: null\r\n",
            "Origin: https://a.example.org\r\n",
            "Origin: https://a.example\r\nOrigin: https://b.example\r\n",
        ] {
            let response = ask(method, &target, fields, body);
            assert_eq!((response.status, allowed(&response)), (403, None), "{method} {target} {fields}");
        }
    }
    // The page of the same host needs no leave, and neither does who is no browser.
    for fields in ["Origin: http://h\r\n", ""] {
        let response = ask("GET", &format!("/push?transport=polling&sid={sid}&cursor=0&wait=0"), fields, "");
        assert_eq!((response.status, response.field("access-control-allow-origin")), (200, None));
    }
    for target in ["/push", "/events", &format!("/push?sid={sid}")] {
        let preflight = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n";
        let response = ask("OPTIONS", target, &format!("{ours}{preflight}"), "");
        assert_eq!((response.status, allowed(&response).as_deref()), (204, Some("https://a.example")));
        assert!(response.field("access-control-allow-methods").unwrap().contains("POST"));
        assert!(response.field("access-control-allow-headers").unwrap().contains("Content-Type"));
        assert!(response.keeps());
        assert_eq!(ask("OPTIONS", target, &format!("Origin: https://b.example\r\n{preflight}"), "").status, 403);
    }
    let events = Stream::ask(house.address(), "/events", ours).unwrap();
    assert!(
        events.fields.iter().any(|(name, value)| name == "Access-Control-Allow-Origin" && value == "https://a.example")
    );
    assert_eq!(Stream::ask(house.address(), "/events", "Origin: https://b.example\r\n").err(), Some(403));
    house.opened();
}

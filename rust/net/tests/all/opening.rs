//! From the first byte to the 101, or to the refusal.

use std::time::{Duration, Instant};

use crate::support::client::{Client, Got, close_frame, frame};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::{limited, quiet, serving};
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Answer, Command, Endpoint, Settings, Verdict};

fn endpoint(path: &str) -> Endpoint {
    Endpoint { path: Some(path.into()), ..Endpoint::default() }
}

/// Sends raw bytes on a connection of their own and gives the status of the answer.
fn status(house: &House, request: &[u8]) -> u16 {
    let mut client = house.connect();
    client.raw(request);
    client.answer().status
}

fn upgrade_with(fields: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
    .into_bytes()
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

#[test]
fn a_client_is_accepted_with_the_key_that_answers_its_own() {
    let mut house = House::open(quiet(), Manner::default());
    let mut client = house.connect();
    // `shake_hands` checks Sec-WebSocket-Accept, and that nothing was agreed on that was not offered.
    client.shake_hands("/anywhere?x=1");
    let peer = client.socket.local_addr().unwrap().as_socket();
    let (link, request) = house.expect("open", |event| match event {
        Event::Open(link, request) => Some((link.clone(), request.clone().unwrap())),
        _ => None,
    });
    assert_eq!(link.peer(), peer);
    assert!(request.upgrade && request.head.starts_with(b"GET /anywhere?x=1 HTTP/1.1\r\n"));
    assert!(request.head.ends_with(b"\r\n\r\n"));
    client.expect_silence();
}

#[test]
fn the_first_subprotocol_of_the_endpoint_that_the_client_offers_is_chosen() {
    let spoken = vec!["chat.v2".into(), "chat.v1".into()];
    let house = House::open(serving(vec![Endpoint { subprotocols: spoken, ..Endpoint::default() }]), Manner::default());
    let offers: [(&[&str], Option<&str>); 4] = [
        (&["chat.v1", "chat.v2"], Some("chat.v2")),
        (&["other", "chat.v1"], Some("chat.v1")),
        (&["other"], None),
        (&[], None),
    ];
    for (offered, chosen) in offers {
        let mut client = house.connect();
        let request = client.request("/", offered, &[]);
        client.raw(&request);
        assert_eq!(client.agreed(offered).as_deref(), chosen, "{offered:?}");
    }
}

#[test]
fn a_path_leads_to_its_endpoint_with_its_parameters() {
    let mut house = House::open(serving(vec![endpoint("/a"), endpoint("/chat/{room}/{user}")]), Manner::default());
    house.connect().shake_hands("/chat/red/al%20ice?x=/a");
    let request = house.expect("open", |event| match event {
        Event::Open(_, request) => request.clone(),
        _ => None,
    });
    assert_eq!(request.endpoint, 1);
    let params = [("room", "red"), ("user", "al%20ice")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(request.path_params, params);
}

#[test]
fn what_is_not_a_welcome_request_gets_its_status() {
    let origins = Some(vec!["https://example.com".to_owned()]);
    let mut house = House::open(serving(vec![Endpoint { origins, ..endpoint("/") }]), Manner::default());
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases: &[(u16, String)] = &[
        (404, "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (426, "GET / HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\nHost: h\n\n".into()),
        (400, "nonsense\r\n\r\n".into()),
        (505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n".into()),
        // row 5: Connection is a list of tokens, and a token is not a part of another.
        (426, format!("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: notupgrade\r\n{key}\r\n")),
        (426, format!("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgradex\r\n{key}\r\n")),
        // F17: another version, a missing key, two keys, a key that is too short, another method, HTTP/1.0.
        (426, format!("GET / HTTP/1.1\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 8\r\n{key}\r\n")),
        (400, format!("GET / HTTP/1.1\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 13\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 13\r\n{key}{key}\r\n")),
        (
            400,
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: QQ==\r\n\r\n"
            ),
        ),
        (405, format!("POST / HTTP/1.1\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 13\r\n{key}\r\n")),
        (400, format!("GET / HTTP/1.0\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 13\r\n{key}\r\n")),
        (403, String::from_utf8(upgrade_with(&format!("{UPGRADE}Origin: https://example.com.evil.org\r\n"))).unwrap()),
        (403, String::from_utf8(upgrade_with(&format!("{UPGRADE}Origin: null\r\n"))).unwrap()),
    ];
    for (expected, request) in cases {
        assert_eq!(status(&house, request.as_bytes()), *expected, "{request}");
        assert_eq!(house.answered().0, *expected);
    }
    house.counts_to(cases.len() as u64, |counts| counts.refused);
    for origin in ["Origin: https://example.com\r\n", "Origin: HTTPS://EXAMPLE.COM\r\n", ""] {
        let mut client = house.connect();
        client.raw(&upgrade_with(&format!("{UPGRADE}{origin}")));
        assert!(client.receive().unwrap().starts_with(b"HTTP/1.1 101 "), "{origin:?}");
    }
}

#[test]
fn the_fields_of_a_426_say_what_is_spoken() {
    let house = House::open(quiet(), Manner::default());
    let mut client = house.connect();
    client.raw(
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!(answer.field("sec-websocket-version"), Some("13"));
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("Upgrade, close"));
}

/// Row 11: the request line in the log has nothing in it that a terminal would obey.
#[test]
fn a_request_line_is_logged_without_its_control_characters() {
    let mut house = House::open(serving(vec![endpoint("/")]), Manner::default());
    assert_eq!(status(&house, b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(house.answered(), (400, "GET /%1B[31m%FF".into()));
}

/// Row 4: what follows a refused upgrade is never taken for another request.
#[test]
fn an_upgrade_with_a_body_is_refused_and_the_body_is_no_request() {
    let mut house = House::open(quiet(), Manner::default());
    let canary = "GET /canary HTTP/1.1\r\nHost: h\r\n\r\n";
    for framing in [format!("Content-Length: {}\r\n", canary.len()), "Transfer-Encoding: chunked\r\n".into()] {
        let mut request = upgrade_with(&format!("{UPGRADE}{framing}"));
        request.extend_from_slice(canary.as_bytes());
        // `answer` sees to it that the connection ends after one response.
        assert_eq!(status(&house, &request), 400);
        assert_eq!(house.answered(), (400, "WebSocket /".into()));
    }
    house.counts_to(2, |counts| counts.refused);
}

/// Rows 1 and 15 (F15): a head that is too long in one line, in all, or without any line at all.
#[test]
fn a_head_that_is_too_large_is_refused_before_it_is_read_to_the_end() {
    let house = House::open(quiet(), Manner::default());
    let long_field = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(16 << 10));
    assert_eq!(status(&house, long_field.as_bytes()), 431);
    let long_target = format!("GET /{} HTTP/1.1\r\n", "x".repeat(64 << 10));
    assert_eq!(status(&house, long_target.as_bytes()), 414);
    assert_eq!(status(&house, &vec![b'x'; 10 << 20]), 414);
    house.until("nobody left", |server| server.connections() == 0);
    assert!(house.server.counts().bytes_in < 12 << 20);
}

/// Row 2 and F16: many lines, the one that matters last.
#[test]
fn a_head_with_too_many_fields_is_refused_whole() {
    let house = House::open(quiet(), Manner::default());
    for lines in [98, 2001, 10_000] {
        let mut request = b"GET / HTTP/1.1\r\n".to_vec();
        request.extend(b"a: b\r\n".repeat(lines));
        request.extend(upgrade_with(UPGRADE).split_at(16).1);
        assert_eq!(status(&house, &request), 431, "{lines} lines");
    }
    let mut client = house.connect();
    client.raw(b"GET / HTTP/1.1\r\n");
    // Line by line; the server may end it at any of them.
    for _ in 0..10_000 {
        client.raw(b"a: b\r\n");
    }
    assert_eq!(client.answer().status, 431);
}

/// Row 1: a legal head of nearly 16 KiB, a byte per write, is looked through once and not once per byte.
#[test]
fn a_head_a_byte_at_a_time_is_served() {
    let mut house = House::open(quiet(), Manner::echo());
    let mut client = house.connect();
    let request = client.request("/", &[], &[("X", &"x".repeat(15 << 10))]);
    for byte in &request {
        client.raw(std::slice::from_ref(byte));
    }
    client.agreed(&[]);
    house.opened();
    client.text("hello");
    client.expect_text("hello");
}

/// Row 8: lists full of separators, and names that mean something elsewhere.
#[test]
fn odd_lists_of_subprotocols_and_extensions_are_read_in_one_pass() {
    let house = House::open(quiet(), Manner::default());
    let junk = ", \" ; =".repeat(1000);
    let begun = Instant::now();
    for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"] {
        assert_eq!(status(&house, &upgrade_with(&format!("{UPGRADE}{name}: {junk}\r\n"))), 400);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "no time is lost on them");
    for extension in ["__proto__", "constructor", "permessage-deflate; client_max_window_bits"] {
        let mut client = house.connect();
        client.raw(&upgrade_with(&format!("{UPGRADE}Sec-WebSocket-Extensions: {extension}\r\n")));
        let answer = String::from_utf8(client.receive().unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains("Extensions"), "{answer}");
    }
}

#[test]
fn frames_in_the_same_write_as_the_head_are_served() {
    let mut house = House::open(quiet(), Manner::default());
    let mut client = house.connect();
    let mut bytes = client.request("/", &[], &[]);
    bytes.extend(frame(true, Opcode::Text, b"one"));
    bytes.extend(frame(true, Opcode::Binary, b"two"));
    bytes.extend(close_frame(1000, ""));
    client.raw(&bytes);
    client.agreed(&[]);
    let id = house.opened().id();
    assert_eq!(house.message(id), (Kind::Text, b"one".to_vec()));
    assert_eq!(house.message(id), (Kind::Binary, b"two".to_vec()));
    assert_eq!(house.closed(id).code().0, 1000);
    client.expect_close(1000);
    client.expect_end();
}

fn asking() -> Settings {
    serving(vec![Endpoint { asks: true, subprotocols: vec!["chat".into()], ..Endpoint::default() }])
}

#[test]
fn the_user_may_accept_a_request_and_add_to_the_answer() {
    let mut house = House::open(asking(), Manner::echo());
    let mut client = house.connect();
    let mut bytes = client.request("/", &["chat"], &[]);
    bytes.extend(frame(true, Opcode::Text, b"early"));
    client.raw(&bytes);
    let (link, request) = house.expect("a request", |event| match event {
        Event::Request(link, request) => Some((link.clone(), request.clone())),
        _ => None,
    });
    assert_eq!((request.upgrade, request.subprotocol.as_deref()), (true, Some("chat")));
    // Who joins now is reached from the 101 on.
    house.join(&link, "lobby");
    let fields = vec![("X-Greeting".into(), "hello".into())];
    house.post(link.id(), Command::Verdict(link.id(), Verdict::Accept { subprotocol: Some("chat".into()), fields }));
    assert_eq!(house.opened().id(), link.id());
    let head = String::from_utf8_lossy(&client.receive().unwrap()).into_owned();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("X-Greeting: hello\r\n"), "{head}");
    assert!(head.contains("Sec-WebSocket-Protocol: chat\r\n"), "{head}");
    assert_eq!(house.message(link.id()).1, b"early");
    assert_eq!(house.broadcast(crate::support::house::rooms(&["lobby"]), &[], "all"), (1, 0));
}

#[test]
fn the_user_may_answer_a_request_with_a_response_of_its_own() {
    let mut house = House::open(asking(), Manner::default());
    let fields = vec![("Location".into(), "/there".into()), ("Content-Length".into(), "999".into())];
    for (upgrade, status) in [(true, 302), (false, 200)] {
        let mut client = house.connect();
        let plain = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let request = if upgrade { client.request("/", &[], &[]) } else { plain.to_vec() };
        client.raw(&request);
        let link = house.expect("a request", |event| match event {
            Event::Request(link, request) => (request.upgrade == upgrade).then(|| link.clone()),
            _ => None,
        });
        let answer = Answer { status, fields: fields.clone(), body: "go there".into() };
        house.post(link.id(), Command::Verdict(link.id(), Verdict::Answer(answer)));
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.as_str()), (status, "go there"));
        assert_eq!(answer.field("location"), Some("/there"));
        assert_eq!(house.closed(link.id()).received, None);
        assert!(link.is_closing());
    }
    house.counts_to(0, |counts| counts.opened);
}

#[test]
fn a_page_request_that_the_user_would_accept_as_a_session_gets_426() {
    let accept = |_: &_| Verdict::Accept { subprotocol: None, fields: Vec::new() };
    let house = House::open(asking(), Manner { decide: Some(accept), ..Manner::default() });
    assert_eq!(status(&house, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 426);
    assert_eq!(status(&house, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"), 413);
}

#[test]
fn a_second_verdict_and_one_for_a_client_that_has_gone_do_nothing() {
    let mut house = House::open(asking(), Manner::default());
    let request = |house: &mut House, client: &mut Client| {
        let bytes = client.request("/", &[], &[]);
        client.raw(&bytes);
        house.expect("a request", |event| match event {
            Event::Request(link, _) => Some(link.id()),
            _ => None,
        })
    };
    let accept = || Verdict::Accept { subprotocol: None, fields: Vec::new() };
    let mut client = house.connect();
    let id = request(&mut house, &mut client);
    house.post(id, Command::Verdict(id, accept()));
    house.post(id, Command::Verdict(id, accept()));
    client.agreed(&[]);
    client.expect_silence();
    let mut gone = house.connect();
    let id = request(&mut house, &mut gone);
    gone.reset();
    assert_eq!(house.closed(id).code().0, 1006);
    house.post(id, Command::Verdict(id, accept()));
    house.sync();
    house.counts_to(1, |counts| counts.opened);
}

/// Row 3, F1, F2: the deadline counts from accepting, whatever trickles in.
#[test]
fn a_head_that_is_not_complete_in_time_gets_408_and_silence_gets_nothing() {
    let mut house =
        House::open(limited(|limits| limits.handshake_timeout = Some(Duration::from_millis(150))), Manner::default());
    let mut silent = house.connect();
    let mut half = house.connect();
    half.raw(b"GET / HTTP/1.1\r\nHost: h\r\n");
    let begun = Instant::now();
    let mut trickle = house.connect();
    trickle.raw(b"G");
    // A byte now and then until the server answers.
    trickle.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while trickle.socket.peek(&mut [std::mem::MaybeUninit::uninit()]).is_err() {
        assert!(begun.elapsed() < crate::support::PATIENCE, "the trickle is never cut off");
        trickle.raw(b"x");
    }
    trickle.socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(140), "not before the time");
    assert_eq!(trickle.answer().status, 408);
    assert_eq!(half.answer().status, 408);
    assert_eq!(silent.next(), Got::End);
    assert_eq!(house.answered().0, 408);
    house.until("the timeouts to be counted", |server| server.counts().handshake_timeouts >= 3);
    // Who came in time is not concerned.
    let (mut client, _) = house.guest();
    client.expect_silence();
}

#[test]
fn a_user_that_does_not_decide_in_time_is_decided_for() {
    let mut settings = asking();
    settings.limits.request_timeout = Some(Duration::from_millis(100));
    let mut house = House::open(settings, Manner::default());
    let mut client = house.connect();
    let bytes = client.request("/", &[], &[]);
    client.raw(&bytes);
    assert_eq!(client.answer().status, 503);
    let id = house.expect("a request", |event| match event {
        Event::Request(link, _) => Some(link.id()),
        _ => None,
    });
    assert!(house.closed(id).is_undecided(), "the user is told why");
}

#[test]
fn a_user_may_take_longer_to_decide_than_a_head_may_take_to_come() {
    let mut settings = asking();
    settings.limits.handshake_timeout = Some(Duration::from_secs(1));
    settings.limits.request_timeout = None;
    settings.max_handshakes = 1;
    let mut house = House::open(settings, Manner::default());
    let mut ids = Vec::new();
    // None of them takes up a place among the handshakes.
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = house.connect();
        let bytes = client.request("/", &[], &[]);
        client.raw(&bytes);
        clients.push(client);
        let id = house.expect("a request", |event| match event {
            Event::Request(link, _) if !ids.contains(&link.id()) => Some(link.id()),
            _ => None,
        });
        ids.push(id);
    }
    // A head that does not come in time says that the time has passed.
    let mut half = house.connect();
    half.raw(b"GET / HTTP/1.1\r\nHost: h\r\n");
    assert_eq!(half.answer().status, 408);
    for (client, id) in clients.iter_mut().zip(ids) {
        house.post(id, Command::Verdict(id, Verdict::Accept { subprotocol: None, fields: Vec::new() }));
        client.agreed(&[]);
    }
}

/// Row 9: a reset at any point of the handshake concerns that connection alone.
#[test]
fn a_reset_at_any_point_of_the_handshake_harms_nobody() {
    let house = House::open(quiet(), Manner::echo());
    let request = house.connect().request("/", &[], &[]);
    let bad = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for round in 0..50 {
        house.connect().reset();
        for len in [1, 16, request.len() / 2, request.len() - 1, request.len()] {
            let mut client = house.connect();
            client.raw(&request[..len]);
            client.reset();
        }
        let mut refused = house.connect();
        refused.raw(bad);
        if round % 2 == 0 {
            refused.answer();
        }
        refused.reset();
        let mut opened = house.connect();
        opened.shake_hands("/");
        opened.text("hello");
        opened.reset();
    }
    let mut client = house.connect();
    client.shake_hands("/");
    client.text("still here");
    client.expect_text("still here");
    house.until("only one left", |server| server.connections() == 1);
}

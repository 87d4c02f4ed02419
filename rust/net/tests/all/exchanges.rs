//! HTTP: requests in, responses out, one after the other on a connection.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::house::House;
use crate::support::http::{Visitor, get, http, post, reply};
use crate::support::recorder::{Event, Manner};
use crate::support::text;
use hubbub_net::{Answer, Command, Endpoint, Link, Notice, Request, Service, Settings, Verdict};

fn answering() -> Manner {
    let answer = |request: &Request| {
        let target = request.head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        Verdict::Answer(Answer { status: 200, fields: Vec::new(), body: target.to_vec().into() })
    };
    Manner { decide: Some(answer), ..Manner::default() }
}

#[test]
fn requests_follow_each_other_on_one_connection_each_with_an_id_of_its_own() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    let mut ids = Vec::new();
    for round in 0..5 {
        visitor.client.raw(&get(&format!("/{round}"), ""));
        let (link, request) = house.requested();
        assert!(request.head.starts_with(format!("GET /{round} ").as_bytes()));
        assert_eq!((request.has_body, request.upgrade), (false, false));
        assert_eq!(link.peer(), visitor.client.socket.local_addr().unwrap().as_socket());
        // What is late for an earlier exchange finds nobody.
        ids.iter().for_each(|id| house.post(*id, Command::Abort(*id)));
        house.answer_with(&link, reply(200, &[("X", "y")]), "hello");
        let response = visitor.response();
        assert_eq!((response.status, response.body.as_str(), response.field("x")), (200, "hello", Some("y")));
        assert!(response.keeps() && response.field("date").is_some());
        assert_eq!((response.field("server"), response.field("content-length")), (Some("hubbub"), Some("5")));
        assert_eq!(house.answered(), (200, format!("GET /{round}")));
        ids.push(link.id());
    }
    ids.dedup();
    assert_eq!(ids.len(), 5);
    house.counts_to((5, 1, 0), |counts| (counts.requests, counts.accepted, counts.opened));
}

#[test]
fn a_body_comes_whole_or_in_chunks_however_it_is_cut() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nhello \r\n5\r\nworld\r\n\
                   0\r\nX: trailer\r\n\r\n";
    for request in [post("/", "hello world"), chunked.into()] {
        for size in [1, 7, request.len()] {
            for piece in request.chunks(size) {
                visitor.client.raw(piece);
            }
            let (link, request) = house.requested();
            assert!(request.has_body && !request.expects_continue);
            assert_eq!(house.body(link.id()), "hello world");
            house.answer(&link, 200, "thanks");
            assert_eq!(visitor.response().body, "thanks");
        }
    }
}

#[test]
fn content_is_chunked_unless_its_length_is_given() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    let large = text(20_000);
    for (fields, framing) in [(&[][..], None), (&[("content-length", "20010")][..], Some("20010"))] {
        visitor.client.raw(&get("/", ""));
        let (link, _) = house.requested();
        house.respond(&link, reply(200, fields));
        for piece in ["hello", large.as_str(), "", "world"] {
            house.put(&link, piece.as_bytes(), false);
        }
        house.put(&link, b"", true);
        let response = visitor.response();
        assert_eq!(response.body, format!("hello{large}world"));
        assert_eq!(response.field("content-length"), framing);
        assert_eq!(response.field("transfer-encoding"), framing.is_none().then_some("chunked"));
    }
}

#[test]
fn http_1_0_gets_no_chunks_and_is_kept_only_if_it_says_so() {
    let mut house = House::open(http(), Manner::default());
    for (field, streamed, after) in [
        ("", false, Some("close")),
        ("Connection: keep-alive\r\n", false, Some("keep-alive")),
        ("Connection: keep-alive\r\n", true, Some("close")),
    ] {
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(format!("GET / HTTP/1.0\r\n{field}\r\n").as_bytes());
        let (link, _) = house.requested();
        if streamed {
            house.respond(&link, reply(200, &[]));
            house.put(&link, b"hello", true);
        } else {
            house.answer(&link, 200, "hello");
        }
        let response = visitor.response();
        assert_eq!((response.body.as_str(), response.field("connection")), ("hello", after));
        assert_eq!(response.field("transfer-encoding"), None);
        if response.keeps() {
            visitor.client.raw(&get("/", "Connection: close\r\n"));
            let link = house_link(&mut house);
            house.answer(&link, 200, "again");
            assert_eq!(visitor.response().body, "again");
        }
        visitor.expect_end();
    }
}

fn house_link(house: &mut House) -> Arc<Link> {
    house.requested().0
}

#[test]
fn either_side_may_end_the_connection() {
    let mut house = House::open(http(), Manner::default());
    for (request, fields) in [("Connection: close\r\n", &[][..]), ("", &[("connection", "close")][..])] {
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(&get("/", request));
        let link = house_link(&mut house);
        house.answer_with(&link, reply(200, fields), "bye");
        let response = visitor.response();
        assert_eq!((response.body.as_str(), response.keeps()), ("bye", false));
        visitor.expect_end();
    }
}

#[test]
fn head_204_and_304_have_no_content() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    let link = house_link(&mut house);
    house.answer(&link, 200, "hello");
    let response = visitor.response_head();
    assert_eq!((response.field("content-length"), visitor.rest.len()), (Some("5"), 0));
    visitor.client.raw(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[("content-length", "77")]));
    house.put(&link, b"", true);
    assert_eq!(visitor.response_head().field("content-length"), Some("77"));
    for (status, declared, length) in [(204, "0", None), (304, "9", Some("9"))] {
        visitor.client.raw(&get("/", ""));
        let link = house_link(&mut house);
        house.answer_with(&link, reply(status, &[("content-length", declared)]), "not sent");
        let response = visitor.response();
        assert_eq!((response.status, response.field("content-length")), (status, length));
    }
    house.counts_to(1, |counts| counts.accepted);
}

/// Row 14: one request at a time; what comes behind it waits in the kernel.
#[test]
fn pipelined_requests_are_answered_in_order_one_at_a_time() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    let requests: Vec<u8> = (0..10).flat_map(|at| get(&format!("/{at}"), "")).collect();
    visitor.client.raw(&requests);
    for at in 0..10 {
        let (link, request) = house.requested();
        assert!(request.head.starts_with(format!("GET /{at} ").as_bytes()));
        house.sync();
        assert!(house.left_over().iter().all(|event| !matches!(event, Event::Exchange(..))), "one at a time");
        house.answer(&link, 200, &at.to_string());
        assert_eq!(visitor.response().body, at.to_string());
    }
}

/// Row 14.
#[test]
fn ten_thousand_pipelined_requests_are_not_gathered() {
    let house = House::open(http(), answering());
    let mut visitor = Visitor::to(&house);
    let requests = get("/x", "").repeat(10_000);
    let total = requests.len() as u64;
    let mut sender = visitor.client.socket.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let _ = sender.write_all(&requests);
    });
    // Nobody reads the answers: sooner or later the server takes no further request.
    house.until("it is busy", |server| server.counts().requests > 100);
    for _ in 0..10_000 {
        assert_eq!(visitor.response().body, "/x");
    }
    writer.join().unwrap();
    house.counts_to((10_000, total), |counts| (counts.requests, counts.bytes_in));
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let (link, request) = house.requested();
    assert!(request.expects_continue);
    house.post(link.id(), Command::Want(link.id()));
    house.post(link.id(), Command::Want(link.id()));
    assert_eq!(visitor.response().status, 100);
    visitor.client.raw(b"hello");
    assert_eq!(house.body(link.id()), "hello");
    house.answer(&link, 200, "thanks");
    let response = visitor.response();
    assert_eq!((response.status, response.keeps()), (200, true));
    // Who is answered without being asked may send the body or not: the connection ends.
    visitor.client.raw(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    let link = house_link(&mut house);
    house.answer(&link, 403, "no");
    assert_eq!((visitor.response().status, visitor.rest.len()), (403, 0));
    visitor.expect_end();
    let mut visitor = Visitor::to(&house);
    assert_eq!(visitor.ask(&get("/", "Expect: a-pony\r\n")).status, 417);
}

/// Row 34.
#[test]
fn a_body_that_is_too_large_gets_413() {
    let mut settings = http();
    settings.limits.max_body_bytes = Some(10);
    let mut house = House::open(settings, Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&post("/", "0123456789"));
    let link = house_link(&mut house);
    assert_eq!(house.body(link.id()), "0123456789");
    house.answer(&link, 200, "");
    assert_eq!(visitor.response().status, 200);
    let response = visitor.ask(&post("/", "0123456789a"));
    assert_eq!((response.status, response.keeps()), (413, false));
    visitor.expect_end();
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n");
    let link = house_link(&mut house);
    assert_eq!(house.piece(link.id()), (b"012345".to_vec(), false));
    visitor.client.raw(b"6\r\n678901\r\n");
    assert_eq!(visitor.response().status, 413);
    assert_eq!(house.closed(link.id()).cause.as_deref(), Some("The request body is too large."));
    visitor.expect_end();
}

const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: h\r\n\r\n";

fn no_canary(house: &mut House) {
    house.sync();
    for event in house.left_over() {
        if let Event::Exchange(_, request) = event {
            assert!(!request.head.starts_with(b"GET /canary"), "a body was taken for a request");
        }
    }
}

/// Row 4: a body that nobody has read is passed over, or the connection ends.
#[test]
fn an_unread_body_is_never_the_next_request() {
    let mut house = House::open(http(), Manner { consume: false, ..Manner::default() });
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{CANARY}\r\n0\r\n\r\n",
        CANARY.len()
    );
    for request in [post("/", CANARY).as_slice(), chunked.as_bytes()] {
        for early in [0, 20] {
            let mut visitor = Visitor::to(&house);
            visitor.client.raw(&request[..request.len() - early]);
            let link = house_link(&mut house);
            house.answer(&link, 200, "not read");
            assert_eq!(visitor.response().body, "not read");
            visitor.client.raw(&request[request.len() - early..]);
            visitor.client.raw(&get("/next", ""));
            let (link, next) = house.requested();
            assert!(next.head.starts_with(b"GET /next "));
            house.answer(&link, 200, "next");
            assert_eq!(visitor.response().body, "next");
        }
    }
    // More than is worth passing over: the connection ends, and says so.
    let mut visitor = Visitor::to(&house);
    let large = format!("{CANARY}{}", text(500_000));
    visitor.client.raw(&post("/", &large)[..1000]);
    let link = house_link(&mut house);
    house.answer(&link, 200, "too much");
    assert!(!visitor.response().keeps());
    visitor.client.raw(CANARY.as_bytes());
    visitor.expect_end();
    no_canary(&mut house);
}

/// Rows 4 and 7 (F17): what two programs could read differently ends the connection.
#[test]
fn smuggled_requests_are_not_seen() {
    let mut house = House::open(http(), Manner::default());
    let table: &[(&str, &str)] = &[
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        ("Content-Length: 5, 5\r\n", "hello"),
        ("Content-Length: +5\r\n", "hello"),
        ("Content-Length: 0x5\r\n", "hello"),
        ("Content-Length: 5 5\r\n", "hello"),
        ("Content-Length: \r\n", ""),
        ("Content-Length : 5\r\n", "hello"),
        ("Content-Length: 99999999999999999999999\r\n", "hello"),
        ("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n"),
        ("Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhelloXX0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n no: fold\r\n\r\n"),
    ];
    for (fields, body) in table {
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}{CANARY}").as_bytes());
        let response = visitor.response();
        assert!(response.status == 400 || response.status == 501, "{fields:?} {body:?}: {response:?}");
        assert!(!response.keeps());
        visitor.expect_end();
        no_canary(&mut house);
    }
}

#[test]
fn an_upgrade_is_for_websockets_and_another_one_is_ignored() {
    let endpoints = vec![Endpoint { service: Service::Http, asks: true, ..Endpoint::default() }];
    let mut house = House::open(Settings { endpoints, ..crate::support::quiet() }, Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/h2c", "Upgrade: h2c\r\nConnection: Upgrade\r\n"));
    let link = house_link(&mut house);
    house.answer(&link, 200, "/h2c");
    let response = visitor.response();
    assert_eq!((response.body.as_str(), response.keeps()), ("/h2c", true));
    let mut client = house.connect();
    let request = client.request("/ws", &[], &[]);
    client.raw(&request);
    let link = house.expect("a request", |event| match event {
        Event::Request(link, _) => Some(link.clone()),
        _ => None,
    });
    house.post(link.id(), Command::Verdict(link.id(), Verdict::Accept { subprotocol: None, fields: Vec::new() }));
    client.agreed(&[]);
    house.opened();
    // The same as the answer instead of a session.
    let mut client = house.connect();
    client.raw(&request);
    let link = house.expect("a request", |event| match event {
        Event::Request(link, _) => Some(link.clone()),
        _ => None,
    });
    house.answer_with(&link, reply(403, &[("X", "y")]), "no");
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.as_str(), answer.field("x")), (403, "no", Some("y")));
    house.closed(link.id());
}

#[test]
fn a_connection_goes_on_after_an_answer_to_a_page_request_and_ends_after_an_error() {
    let mut house =
        House::open(crate::support::serving(vec![Endpoint { asks: true, ..Endpoint::default() }]), Manner::default());
    let mut visitor = Visitor::to(&house);
    for (status, keeps) in [(200, true), (302, true), (404, false)] {
        visitor.client.raw(&get("/", ""));
        let link = house.expect("a request", |event| match event {
            Event::Request(link, _) => Some(link.clone()),
            _ => None,
        });
        let answer = Answer { status, fields: vec![("X".into(), "y".into())], body: "page".into() };
        house.post(link.id(), Command::Verdict(link.id(), Verdict::Answer(answer)));
        let response = visitor.response();
        assert_eq!((response.status, response.body.as_str(), response.keeps()), (status, "page", keeps));
        house.closed(link.id());
    }
    visitor.expect_end();
}

#[test]
fn a_client_that_has_sent_fin_still_gets_its_response() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    let mut both = get("/1", "");
    both.extend(get("/2", ""));
    visitor.client.raw(&both);
    visitor.client.finish();
    for body in ["one", "two"] {
        let link = house_link(&mut house);
        house.hung_up(link.id());
        house.answer(&link, 200, body);
        assert_eq!(visitor.response().body, body);
    }
    visitor.expect_end();
}

#[test]
fn a_client_that_goes_in_the_middle_of_its_body_is_lost() {
    let mut house = House::open(http(), Manner::default());
    for reset in [false, true] {
        let mut client = house.connect();
        client.raw(&post("/", "hello world")[..55]);
        let link = house_link(&mut house);
        if reset {
            client.reset();
        } else {
            client.finish();
        }
        assert!(house.closed(link.id()).cause.is_some());
        // Too late, and harmless.
        house.answer(&link, 200, "nobody");
        house.sync();
    }
}

#[test]
fn a_client_that_resets_while_the_user_thinks_is_lost() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    visitor.client.reset();
    assert!(house.closed(link.id()).cause.is_some());
    assert!(link.is_closing());
}

#[test]
fn the_body_pushes_back_and_goes_on_when_it_is_consumed() {
    let mut settings = http();
    settings.limits.max_body_bytes = None;
    let mut house = House::open(settings, Manner { consume: false, ..Manner::default() });
    let mut client = house.connect();
    client.raw(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
    let link = house_link(&mut house);
    let chunk = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 100_000_000 {
        let taken = client.stuff(&chunk[..chunk.len().min(100_000_000 - sent)]);
        sent += taken;
        if taken == 0 {
            break;
        }
        house.sync();
    }
    house.until("a pause", |server| server.counts().inbox_pauses > 0);
    assert!(house.server.counts().bytes_in < 1 << 20, "no more is read than the inbox takes");
    let writer = std::thread::spawn(move || {
        let mut left = 100_000_000 - sent;
        while left > 0 {
            let len = left.min(chunk.len());
            client.raw(&chunk[..len]);
            left -= len;
        }
        client
    });
    let mut received = 0;
    loop {
        let (content, last) = house.piece(link.id());
        received += content.len();
        if link.consumed(1, content.len(), house.limits()) {
            house.post(link.id(), Command::Resume(link.id()));
        }
        if last {
            break;
        }
    }
    assert_eq!(received, 100_000_000);
    house.answer(&link, 200, "");
    let mut visitor = Visitor { client: writer.join().unwrap(), rest: Vec::new() };
    assert_eq!(visitor.response().status, 200);
}

#[test]
fn a_response_to_a_slow_reader_waits_and_tells_when_it_has_drained() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor { client: Client::with_small_buffer(house.address()), rest: Vec::new() };
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[]));
    let piece = vec![b'x'; 100_000];
    let mut pieces = 0;
    while link.buffered() < 200_000 {
        house.put(&link, &piece, false);
        pieces += 1;
        house.sync();
    }
    assert!(link.wait_for_drain(32 << 10));
    let reader = std::thread::spawn(move || {
        let response = visitor.response();
        (visitor, response)
    });
    house.drained(link.id());
    house.put(&link, b"end", true);
    let (mut visitor, response) = reader.join().unwrap();
    assert_eq!(response.body.len(), pieces * piece.len() + 3);
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.answer(&link, 200, "again");
    assert_eq!(visitor.response().body, "again");
}

#[test]
fn a_user_who_sends_on_and_on_to_who_does_not_read_loses_the_client() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor { client: Client::with_small_buffer(house.address()), rest: Vec::new() };
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[]));
    let piece = vec![b'x'; 400_000];
    while !link.is_closing() {
        house.put(&link, &piece, false);
        house.sync();
    }
    house.closed(link.id());
    house.counts_to(1, |counts| counts.slow_closed);
}

#[test]
fn a_length_that_is_not_kept_ends_the_connection() {
    let mut house = House::open(http(), Manner::default());
    for (body, given, whole) in [("hello world", "hello", true), ("hi", "hi", false)] {
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(&get("/", ""));
        let link = house_link(&mut house);
        house.respond(&link, reply(200, &[("content-length", "5")]));
        house.put(&link, body.as_bytes(), true);
        let response = visitor.response();
        assert_eq!((response.body.as_str(), response.whole), (given, whole));
        visitor.expect_end();
        house.notice(|notice| matches!(notice, Notice::WrongLength(_)));
    }
}

#[test]
fn an_aborted_response_is_not_taken_for_a_whole_one() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[]));
    house.put(&link, b"half", false);
    let mut beginning = Vec::new();
    while !beginning.windows(4).any(|bytes| bytes == b"half") {
        beginning.extend(visitor.client.receive().unwrap());
    }
    visitor.rest = beginning;
    house.post(link.id(), Command::Abort(link.id()));
    assert!(!visitor.response().whole);
    house.closed(link.id());
    // The gentle way delivers what was sent before.
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[]));
    house.put(&link, b"half", false);
    house.post(link.id(), Command::Cut(link.id()));
    let response = visitor.response();
    assert_eq!((response.body.as_str(), response.whole), ("half", false));
    visitor.expect_end();
}

#[test]
fn a_file_is_sent_in_pieces() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    let path = crate::support::fresh_path("file");
    let content = text(5_000_000);
    std::fs::write(&path, &content).unwrap();
    for (head_only, fields) in [(false, &[][..]), (false, &[("content-length", "5000000")][..]), (true, &[][..])] {
        visitor.client.raw(if head_only {
            b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
        } else {
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        });
        let link = house_link(&mut house);
        house.respond(&link, reply(200, fields));
        let file = std::fs::File::open(&path).unwrap();
        house.post(link.id(), Command::File(link.id(), file, content.len() as u64));
        let response = if head_only { visitor.response_head() } else { visitor.response() };
        assert!(response.body == if head_only { "" } else { content.as_str() });
    }
    // It has become shorter: the client is told so by the end.
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[("content-length", "5000001")]));
    house.post(link.id(), Command::File(link.id(), std::fs::File::open(&path).unwrap(), 5_000_001));
    std::fs::remove_file(&path).unwrap();
    assert!(!visitor.response().whole);
    house.notice(|notice| matches!(notice, Notice::FileFailed(_)));
    house.closed(link.id());
}

// ---- time

#[test]
fn an_idle_connection_is_closed_in_time_and_holds_nobody_up() {
    let mut settings = http();
    settings.limits.keep_alive_timeout = Some(Duration::from_millis(100));
    let house = House::open(settings, answering());
    let mut visitor = Visitor::to(&house);
    visitor.expect_kept();
    visitor.expect_end();
    house.until("nobody", |server| server.connections() == 0);
    house.counts_to(0, |counts| counts.handshake_timeouts);
}

/// Row 3: also the second head has to be complete in time, whatever trickles in.
#[test]
fn a_second_head_that_is_not_complete_in_time_gets_408() {
    let mut settings = http();
    settings.limits.handshake_timeout = Some(Duration::from_millis(150));
    let house = House::open(settings, answering());
    let mut visitor = Visitor::to(&house);
    visitor.expect_kept();
    let response = visitor.ask(b"GET / HTTP/1.1\r\nHost:");
    assert_eq!((response.status, response.keeps()), (408, false));
    visitor.expect_end();
    house.counts_to(1, |counts| counts.handshake_timeouts);
}

#[test]
fn a_body_that_stands_still_gets_408_and_one_that_is_not_read_does_not() {
    let mut settings = http();
    settings.limits.message_timeout = Some(Duration::from_millis(100));
    settings.limits.inbox_messages = 1;
    let mut house = House::open(settings, Manner { consume: false, ..Manner::default() });
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&post("/", "hello world")[..55]);
    let link = house_link(&mut house);
    assert_eq!(visitor.response().status, 408);
    assert!(house.closed(link.id()).cause.unwrap().contains("in time"));
    house.counts_to(1, |counts| counts.message_timeouts);
    // The user is slow, and the client waits to be asked: no fault of theirs.
    let begun = Instant::now();
    let mut slow = Visitor::to(&house);
    slow.client.raw(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let link = house_link(&mut house);
    house.until("three times the time", |_| begun.elapsed() > Duration::from_millis(300));
    house.post(link.id(), Command::Want(link.id()));
    assert_eq!(slow.response().status, 100);
    slow.client.raw(b"hello");
    assert_eq!(house.body(link.id()), "hello");
    house.answer(&link, 200, "");
    assert_eq!(slow.response().status, 200);
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let mut settings = http();
    settings.limits.message_timeout = Some(Duration::from_millis(100));
    let mut house = House::open(settings, Manner::default());
    let mut visitor = Visitor { client: Client::with_small_buffer(house.address()), rest: Vec::new() };
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.respond(&link, reply(200, &[]));
    house.put(&link, &vec![b'x'; 20_000_000], false);
    assert_eq!(house.closed(link.id()).cause.as_deref(), Some("the client does not read the response"));
}

// ---- the end of the server

#[test]
fn a_server_that_stops_lets_exchanges_finish_and_closes_idle_connections() {
    let mut house = House::open(http(), Manner::default());
    let mut idle = Visitor::to(&house);
    idle.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.answer(&link, 200, "idle");
    assert!(idle.response().keeps());
    let mut busy = Visitor::to(&house);
    busy.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    let mut streaming = Visitor::to(&house);
    streaming.client.raw(&get("/", ""));
    let stream = house_link(&mut house);
    house.respond(&stream, reply(200, &[]));
    house.post_to_all(|| Command::StopAccepting);
    idle.expect_end();
    house.stop(Duration::from_secs(3600));
    house.put(&stream, b"hello", true);
    assert_eq!(streaming.response().body, "hello");
    streaming.expect_end();
    house.answer(&link, 200, "bye");
    let response = busy.response();
    assert_eq!((response.body.as_str(), response.keeps()), ("bye", false));
    busy.expect_end();
    drop((busy, streaming, idle));
    house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(()));
}

#[test]
fn an_exchange_that_does_not_end_within_the_grace_is_dropped() {
    let mut house = House::open(http(), Manner::default());
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/", ""));
    let link = house_link(&mut house);
    house.stop(Duration::from_millis(50));
    house.closed(link.id());
    house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(()));
}

//! What clients of sessions that any transport carries may not do, and what they may not have.

use crate::support::client::{Client, frame};
use crate::support::house::{House, rooms};
use crate::support::http::{Visitor, get, post};
use crate::support::patron::{ALL, By, Heard, Line, Patron, Stream, comet, house, join};
use crate::support::recorder::{Event, Manner};
use crate::support::text;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Command, Policy, Rate, RatePolicy, Service};

#[test]
fn a_post_is_answered_when_the_inbox_has_room_again() {
    let mut settings = comet(|limits| limits.inbox_messages = 4);
    settings.access_log = false;
    let mut house = House::open(settings, Manner { consume: false, ..Manner::default() });
    let (mut patron, link) = join(&mut house, By::Polling);
    for number in 0..4 {
        patron.text(&number.to_string());
    }
    patron.post_later("4five\u{1e}4six");
    for _ in 0..6 {
        house.message(link.id());
    }
    // One that comes meanwhile is not even looked at.
    let mut second = patron.visit();
    second.client.raw(&post(&format!("/push?sid={}", patron.sid), "4seven"));
    house.until("it is there", |server| server.counts().requests == 7);
    house.sync();
    assert!(!house.left_over().iter().any(|event| matches!(event, Event::Message(..))), "the inbox is full");
    let limits = house.limits().clone();
    assert!(!link.consumed(2, 2, &limits));
    assert!(link.consumed(2, 2, &limits));
    house.post(link.id(), Command::Resume(link.id()));
    assert_eq!(patron.posted().body, "ok");
    assert_eq!(house.message(link.id()).1, b"seven");
    assert_eq!(second.response().body, "ok");
    house.counts_to(1, |counts| counts.inbox_pauses);
}

#[test]
fn a_post_that_nobody_waits_for_any_more_is_not_taken_in() {
    let mut house =
        House::open(comet(|limits| limits.inbox_messages = 1), Manner { consume: false, ..Manner::default() });
    let (mut patron, link) = join(&mut house, By::Polling);
    patron.post_later("4one\u{1e}4two");
    for _ in 0..2 {
        house.message(link.id());
    }
    let mut gone = patron.visit();
    gone.client.raw(&post(&format!("/push?sid={}", patron.sid), "4three"));
    house.until("it is there", |server| server.counts().requests == 3);
    gone.client.reset();
    house.until("it is gone", |server| server.connections() == 3);
    let limits = house.limits().clone();
    assert!(link.consumed(2, 6, &limits));
    house.post(link.id(), Command::Resume(link.id()));
    assert_eq!(patron.posted().body, "ok");
    patron.text("four");
    assert_eq!(house.message(link.id()).1, b"four");
}

#[test]
fn a_body_that_is_none_is_refused_and_costs_only_itself() {
    let mut house = house(|limits| (limits.max_body_bytes, limits.max_message_bytes) = (Some(5000), Some(5000)));
    let (mut patron, link) = join(&mut house, By::Events);
    let many = "4\u{1e}".repeat(4096) + "4";
    for wrong in
        ["", "x", "\u{1e}", "4a\u{1e}", "4a\u{1e}\u{1e}4b", "b!", "bA", "t/w==", "11006", "1999", "14000 ", "7"]
    {
        let expected = if wrong == "14000 " { 200 } else { 400 };
        if expected == 400 {
            assert_eq!(patron.post(wrong).status, expected, "{wrong:?}");
        }
    }
    assert_eq!(patron.post(&many).status, 413);
    // The connection ends after that.
    let (mut other, _) = join(&mut house, By::Events);
    std::mem::swap(&mut patron.sid, &mut other.sid);
    assert_eq!(other.post(&format!("4{}", text(4999))).status, 200);
    let mut raw = patron.visit();
    let head = format!("POST /push?sid={} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", other.sid);
    raw.client.raw(&[head.as_bytes(), b"4\xff\xfe"].concat());
    assert_eq!(raw.response().status, 400);
    let chunks = format!("POST /push?sid={} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", other.sid);
    raw.client.raw(&[chunks.as_bytes(), b"3\r\n4ab\r\n1\r\nc\r\n0\r\n\r\n"].concat());
    assert_eq!((raw.response().status, house.message(link.id()).1.len()), (200, 4999));
    assert_eq!(house.message(link.id()).1, b"abc");
    let expecting = format!(
        "POST /push?sid={} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        other.sid
    );
    raw.client.raw(expecting.as_bytes());
    assert_eq!(raw.response().status, 100);
    raw.client.raw(b"4y");
    assert_eq!(raw.response().status, 200);
    assert_eq!(house.message(link.id()).1, b"y");
    assert!(!link.is_closing());
}

#[test]
fn a_message_that_is_too_big_ends_the_session_on_each_transport() {
    let mut house = house(|limits| limits.max_message_bytes = Some(1000));
    for by in ALL {
        let (mut patron, link) = join(&mut house, by);
        // As long as may be, in whatever clothes.
        patron.text(&text(1000));
        patron.text(&format!("\u{1e}{}", text(999)));
        patron.binary(&crate::support::bytes(1000));
        for _ in 0..3 {
            assert_eq!(house.message(link.id()).1.len(), 1000);
        }
        match &mut patron.line {
            Line::Socket(client) => client.text(&format!("4{}", text(1001))),
            _ => assert_eq!(patron.post(&format!("4fine\u{1e}4{}", text(1001))).status, 413),
        }
        assert!(matches!(patron.next(), Heard::Closed(1009, _)), "{by:?}");
        house.closed(link.id());
    }
    assert!(!house.left_over().iter().any(|event| matches!(event, Event::Message(..))), "a POST is taken whole or not");
}

#[test]
fn packets_that_are_none_end_a_websocket_of_packets() {
    let mut house = house(|limits| limits.max_message_bytes = Some(1000));
    for (packet, code) in [("", 1002), ("x", 1002), ("9", 1002), ("4", 0), ("6", 0)] {
        let (mut patron, link) = join(&mut house, By::WebSocket);
        let Line::Socket(client) = &mut patron.line else { unreachable!("it is a socket") };
        client.text(packet);
        if code == 0 {
            client.text("4fine");
            if packet == "4" {
                assert_eq!(house.message(link.id()).1, b"");
            }
            assert_eq!(house.message(link.id()).1, b"fine");
            continue;
        }
        patron.expect_closed(code, "parse error");
        house.closed(link.id());
        patron.lose(false);
        assert_eq!(patron.resume(By::Polling), Err(404), "it has ended");
    }
}

#[test]
fn other_methods_and_requests_that_make_no_sense_are_refused() {
    let house = house(|_| ());
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, status) in [
        (get("/push", ""), 400),
        (get("/push?transport=pigeon", ""), 400),
        (get("/push?transport=websocket", ""), 400),
        (get("/push?transport=polling", upgrade), 400),
        (get("/push?transport=polling&transport=polling", ""), 400),
        (post("/push", "4hello"), 400),
        (post("/push?transport=polling", "4hello"), 400),
        (post("/events", "4hello"), 405),
        (get("/events", upgrade), 400),
        (b"PUT /push?transport=polling HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 405),
        (b"DELETE /events HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 405),
        (b"GET /push?transport=polling HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".to_vec(), 413),
        (b"GET /events HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), 413),
    ] {
        let response = Visitor::to(&house).ask(&request);
        assert_eq!(response.status, status, "{}", String::from_utf8_lossy(&request));
        if status == 405 {
            assert!(response.field("allow").unwrap().contains("GET"));
        }
    }
    for target in ["/push?transport=polling", "/events"] {
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!(visitor.response_head().status, 405);
        visitor.expect_end();
    }
    house.counts_to(0, |counts| counts.opened);
}

#[test]
fn a_transport_that_is_not_offered_is_refused() {
    let mut settings = comet(|_| ());
    settings.endpoints[1].service =
        Service::Comet(hubbub_net::Transports { websocket: false, eventsource: true, iframe: false, polling: true });
    let mut house = House::open(settings, Manner::default());
    for by in ALL {
        let opened = Patron::ask(house.address(), by, "");
        assert_eq!(opened.is_ok(), matches!(by, By::Events | By::Polling), "{by:?}");
        if opened.is_ok() {
            house.opened();
        }
    }
    let mut client = house.connect();
    let request = client.request("/push", &[], &[]);
    client.raw(&request);
    assert_eq!(client.answer().status, 400);
}

#[test]
fn a_session_that_sends_too_fast_waits_or_ends_on_each_transport() {
    let rate = Rate::new(10.0, Some(5));
    for policy in [RatePolicy::Pause, RatePolicy::Close] {
        let mut house = house(|limits| (limits.message_rate, limits.rate_policy) = (Some(rate), policy));
        for by in ALL {
            let (mut patron, link) = join(&mut house, by);
            match policy {
                RatePolicy::Pause => {
                    for number in 0..8 {
                        patron.text(&number.to_string());
                        assert_eq!(house.message(link.id()).1, number.to_string().as_bytes());
                    }
                }
                RatePolicy::Close => {
                    match &mut patron.line {
                        Line::Socket(client) => {
                            let burst: Vec<u8> = (0..8)
                                .flat_map(|_| frame(true, hubbub_net::proto::frame::Opcode::Text, b"4x"))
                                .collect();
                            client.raw(&burst);
                        }
                        _ => assert_eq!(patron.post(&["4x"; 8].join("\u{1e}")).status, 200),
                    }
                    assert!(matches!(patron.next(), Heard::Closed(1008, _)), "{by:?}");
                    house.closed(link.id());
                }
            }
        }
    }
}

#[test]
fn the_policies_of_a_full_outbox_hold_for_sessions_that_are_away_and_for_streams() {
    for policy in [Policy::Close, Policy::Drop, Policy::DropOldest] {
        let mut house = house(|limits| (limits.outbox_bytes, limits.resume_bytes) = (50_000, 10_000));
        let (mut patron, link) = join(&mut house, By::Polling);
        house.join(&link, "lobby");
        let large = text(10_000);
        for number in 0..10 {
            house.publish(rooms(&["lobby"]), &[], policy, format!("{number}{large}").as_bytes());
        }
        house.sync();
        match policy {
            Policy::Close => {
                house.closed(link.id());
                for number in 0..4 {
                    patron.expect(&format!("{number}{large}"));
                }
                patron.expect_closed(1013, "the client does not read fast enough");
            }
            Policy::Drop => {
                for number in 0..4 {
                    patron.expect(&format!("{number}{large}"));
                }
                house.counts_to(6, |counts| counts.dropped);
            }
            Policy::DropOldest => {
                for number in 6..10 {
                    patron.expect(&format!("{number}{large}"));
                }
                house.counts_to(6, |counts| counts.dropped_oldest);
            }
        }
        // A stream whose client does not read.
        let client = Client::with_small_buffer(house.address());
        let stream = Stream::over(client, &get("/push?transport=eventsource", "")).unwrap();
        let link = house.opened();
        house.join(&link, "tank");
        for _ in 0..2000 {
            house.publish(rooms(&["tank"]), &[], policy, large.as_bytes());
        }
        house.sync();
        assert!(link.buffered() <= 61_000, "{policy:?}: {}", link.buffered());
        match policy {
            Policy::Close => {
                house.closed(link.id());
            }
            _ => assert!(house.server.counts().dropped > 6),
        }
        drop(stream);
    }
}

#[test]
fn whoever_waits_for_the_outbox_goes_on_when_the_client_has_come_again() {
    let mut house = house(|limits| (limits.outbox_bytes, limits.high_water_bytes) = (1 << 20, 10_000));
    let (mut patron, link) = join(&mut house, By::Polling);
    let large = text(100_000);
    for _ in 0..3 {
        house.send(&link, Kind::Text, large.as_bytes());
    }
    house.sync();
    assert!(link.wait_for_drain(5_000));
    for _ in 0..3 {
        patron.expect(&large);
    }
    // The next poll says that they have come.
    patron.poll_later("");
    house.drained(link.id());
    house.send(&link, Kind::Text, b"next");
    patron.expect("next");
}

//! How sessions that any transport carries are kept alive, are given up, and end.

use std::time::Duration;

use crate::support::house::{House, rooms};
use crate::support::http::{Visitor, get, post};
use crate::support::patron::{ALL, By, Heard, Line, Stream, comet, house, join, shards};
use crate::support::recorder::{Call, Event, Manner};
use crate::support::{Random, text};
use hubbub_net::proto::message::Kind;
use hubbub_net::{Command, Policy, Settings};

// ---- time

#[test]
fn a_poll_without_news_is_answered_in_time_and_so_is_one_of_a_client_that_posts() {
    let mut house = house(|limits| limits.ping_interval = Some(Duration::from_millis(100)));
    let (mut patron, link) = join(&mut house, By::Polling);
    for _ in 0..3 {
        assert_eq!(patron.next(), Heard::Beat);
    }
    patron.poll_later("");
    let Line::Polls(visitor, _) = &patron.line else { unreachable!("it polls") };
    let waiting = visitor.client.socket.try_clone().unwrap();
    let mut posts = 0;
    waiting.set_nonblocking(true).unwrap();
    // However much it says meanwhile.
    while waiting.peek(&mut [std::mem::MaybeUninit::uninit()]).is_err() {
        patron.text("busy");
        house.message(link.id());
        posts += 1;
        assert!(posts < 100_000, "the poll is never answered");
    }
    waiting.set_nonblocking(false).unwrap();
    assert_eq!(patron.next(), Heard::Beat);
    let mut at_once = patron.visit();
    assert_eq!(at_once.ask(&get(&patron.target("&wait=0"), "")).body, "6");
}

#[test]
fn a_client_that_does_not_come_back_is_given_up() {
    let mut house = house(|limits| limits.session_timeout = Duration::from_millis(150));
    for by in ALL {
        let (mut patron, link) = join(&mut house, by);
        house.join(&link, "lobby");
        patron.lose(false);
        let closed = house.closed(link.id());
        assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("the client has not come back")), "{by:?}");
        assert_eq!(closed.rooms.len(), 1);
        assert_eq!(patron.resume(By::Events), Err(404));
    }
    house.counts_to((4, 0), |counts| (counts.session_timeouts, counts.ping_timeouts));
    // Who polls is there.
    let (mut patron, link) = join(&mut house, By::Polling);
    patron.poll_later("");
    let (_, short) = join(&mut house, By::Polling);
    house.closed(short.id());
    house.send(&link, Kind::Text, b"here");
    patron.expect("here");
}

#[test]
fn a_poll_whose_client_goes_is_nobodys_and_what_is_said_then_waits() {
    let mut house = house(|_| ());
    for sudden in [false, true] {
        let (mut patron, link) = join(&mut house, By::Polling);
        patron.poll_later("");
        let before = house.server.counts().requests;
        house.until("it waits", |server| server.counts().requests >= before);
        patron.lose(sudden);
        house.send(&link, Kind::Text, b"late");
        patron.resume(By::WebSocket).unwrap();
        patron.expect("late");
    }
    // Who has only sent FIN gets an answer, but nothing is entrusted to it.
    let (mut patron, link) = join(&mut house, By::Polling);
    patron.poll_later("");
    let Line::Polls(visitor, _) = &mut patron.line else { unreachable!("it polls") };
    visitor.client.finish();
    assert_eq!(patron.next(), Heard::Beat);
    house.send(&link, Kind::Text, b"later");
    patron.resume(By::Polling).unwrap();
    patron.expect("later");
}

#[test]
fn a_client_that_never_reads_its_stream_is_given_up_and_may_come_again() {
    let mut house = house(|limits| {
        (limits.ping_interval, limits.ping_timeout) =
            (Some(Duration::from_millis(50)), Some(Duration::from_millis(50)));
        (limits.outbox_bytes, limits.resume_bytes) = (64 << 20, 64 << 20);
    });
    for by in [By::Events, By::Iframe] {
        let (mut patron, link) = join(&mut house, by);
        let large = text(100_000);
        for _ in 0..200 {
            house.send(&link, Kind::Text, large.as_bytes());
        }
        house.until("it is given up", |_| link.carrier().name() == "polling");
        patron.lose(false);
        patron.resume(By::Polling).unwrap();
        for _ in 0..200 {
            // Signs of life come in between.
            while patron.next() == Heard::Beat {}
        }
        patron.close(1000, "");
        house.closed(link.id());
    }
    house.counts_to(2, |counts| counts.ping_timeouts);
}

/// Whoever takes something between two signs of life lives, however much waits for it.
#[test]
fn a_client_that_reads_its_stream_slowly_is_not_given_up() {
    let second = Some(Duration::from_secs(1));
    let mut house = house(|limits| {
        (limits.ping_interval, limits.ping_timeout) = (second, second);
        limits.outbox_bytes = 64 << 20;
    });
    let (mut patron, link) = join(&mut house, By::Events);
    let Line::Stream(stream) = &mut patron.line else { unreachable!("it is a stream") };
    let large = text(1_000_000);
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        // Its outbox is never empty when somebody looks.
        while link.buffered() < 20_000_000 {
            house.send(&link, Kind::Text, large.as_bytes());
        }
        stream.client.receive().unwrap();
    }
    assert_eq!((house.server.counts().ping_timeouts, link.carrier().name()), (0, "eventsource"));
}

#[test]
fn each_transport_has_its_sign_of_life() {
    let mut house = house(|limits| {
        (limits.ping_interval, limits.ping_timeout) = (Some(Duration::from_millis(50)), Some(Duration::from_secs(20)));
    });
    for by in ALL {
        let (mut patron, _) = join(&mut house, by);
        for _ in 0..3 {
            assert_eq!(patron.next(), Heard::Beat, "{by:?}");
            match &mut patron.line {
                Line::Socket(client) => client.text("3"),
                Line::Stream(_) => assert_eq!(patron.post("3").status, 200),
                _ => {}
            }
        }
    }
    house.counts_to(0, |counts| counts.messages_in);
}

#[test]
fn a_websocket_of_packets_that_does_not_answer_is_given_up_and_its_session_waits() {
    let mut house = house(|limits| {
        (limits.ping_interval, limits.ping_timeout) =
            (Some(Duration::from_millis(50)), Some(Duration::from_millis(50)));
    });
    let (mut patron, link) = join(&mut house, By::WebSocket);
    assert_eq!(patron.next(), Heard::Beat);
    house.until("it is given up", |_| link.carrier().name() == "polling");
    house.counts_to((1, 1), |counts| (counts.ping_timeouts, counts.parted));
    while patron.next() != Heard::End {}
    patron.resume(By::WebSocket).unwrap();
    house.send(&link, Kind::Text, b"again");
    while patron.next() == Heard::Beat {}
}

// ---- the end

#[test]
fn who_comes_again_too_late_is_told_why_the_session_has_ended() {
    let mut house = house(|_| ());
    for from in ALL {
        for to in ALL {
            let (mut patron, link) = join(&mut house, from);
            patron.lose(false);
            house.until("it is away", |_| link.carrier().name() == "polling");
            house.send(&link, Kind::Text, b"last");
            house.close(link.id(), 4005, "kicked");
            house.closed(link.id());
            if to == By::Polling {
                patron.line = Line::Polls(patron.visit(), false);
                patron.by = to;
            } else {
                patron.resume(to).unwrap();
            }
            patron.expect("last");
            patron.expect_closed(4005, "kicked");
        }
    }
}

#[test]
fn a_server_that_stops_says_so_on_each_transport_and_does_not_wait_for_who_is_away() {
    let mut house = shards(2, Manner::default());
    let mut patrons: Vec<_> = ALL.iter().map(|by| join(&mut house, *by)).collect();
    let (mut away, link) = join(&mut house, By::Events);
    away.lose(false);
    house.until("it is away", |_| link.carrier().name() == "polling");
    let (mut closed, link) = join(&mut house, By::Polling);
    house.close(link.id(), 4000, "");
    closed.expect_closed(4000, "");
    patrons[3].0.poll_later("");
    house.until("it waits", |server| server.counts().requests >= 4);
    let began = std::time::Instant::now();
    house.stop(Duration::from_secs(20));
    for (patron, link) in &mut patrons {
        patron.expect_closed(1001, "bye");
        if let Line::Socket(client) = &mut patron.line {
            client.close(1001, "");
        }
        assert_eq!(house.closed(link.id()).sent.unwrap().0.0, 1001);
        patron.lose(false);
    }
    house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(()));
    house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for nobody: {:?}", began.elapsed());
}

#[test]
fn a_panic_of_the_handler_costs_one_session() {
    for by in ALL {
        let mut house = House::open(comet(|_| ()), Manner { panics: true, ..Manner::echo() });
        let (mut bystander, _) = join(&mut house, By::Events);
        let (mut patron, link) = join(&mut house, by);
        match &mut patron.line {
            Line::Socket(client) => client.text("4panic"),
            _ => {
                let mut visitor = patron.visit();
                visitor.client.raw(&post(&format!("/push?sid={}", patron.sid), "4panic"));
                assert_eq!(visitor.response().status, 200, "it was taken in");
            }
        }
        house.counts_to(1, |counts| counts.panics);
        bystander.text("fine");
        bystander.expect("fine");
        assert_eq!(house.closed(link.id()).cause.as_deref(), Some("internal error"));
    }
    for call in [Call::Open, Call::Closed] {
        let settings = comet(|limits| limits.session_timeout = Duration::from_millis(100));
        let mut house = House::open(settings, Manner { curse: Some((call, 1)), ..Manner::echo() });
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(&get("/push?transport=polling", ""));
        let link = house.opened();
        if call == Call::Closed {
            let sid = visitor.response().body;
            let json: serde_json::Value = serde_json::from_str(&sid[1..]).unwrap();
            visitor.ask(&post(&format!("/push?sid={}", json["sid"].as_str().unwrap()), "1"));
        }
        house.closed(link.id());
        house.counts_to(1, |counts| counts.panics);
        let (mut patron, _) = join(&mut house, By::Iframe);
        patron.text("fine");
        patron.expect("fine");
    }
}

#[test]
fn a_request_may_come_a_byte_at_a_time_by_each_transport() {
    let mut house = house(|_| ());
    for by in ["eventsource", "iframe", "polling"] {
        let mut client = house.connect();
        for byte in get(&format!("/push?transport={by}"), "") {
            client.raw(&[byte]);
        }
        house.opened();
    }
    let (mut patron, link) = join(&mut house, By::Polling);
    let mut visitor = patron.visit();
    for byte in post(&format!("/push?sid={}", patron.sid), "4slow") {
        visitor.client.raw(&[byte]);
    }
    assert_eq!(visitor.response().body, "ok");
    assert_eq!(house.message(link.id()).1, b"slow");
    for byte in get(&patron.target("&wait=0"), "") {
        visitor.client.raw(&[byte]);
    }
    assert_eq!(visitor.response().body, "6");
    patron.close(1000, "");
}

/// The books of the house say that all that was taken is given back; here is much to be given back.
#[test]
fn nothing_is_left_of_many_sessions_that_come_and_go() {
    let mut random = Random(3);
    let mut house = House::open(
        Settings {
            shards: 2,
            max_sessions_per_address: Some(10_000),
            ..comet(|limits| {
                (limits.session_timeout, limits.close_timeout) = (Duration::from_millis(50), Duration::from_millis(50));
            })
        },
        Manner::default(),
    );
    for _ in 0..10 {
        let mut patrons: Vec<_> = (0..20).map(|_| join(&mut house, ALL[random.next(4)])).collect();
        for (patron, link) in &mut patrons {
            house.join(link, "lobby");
            house.send(link, Kind::Text, text(random.next(100_000)).as_bytes());
            match random.next(6) {
                0 => patron.lose(true),
                1 => {
                    // It may be given up before it comes again.
                    let _ = patron.resume_with(ALL[random.next(4)], "&resume=1");
                }
                2 => patron.close(1000, ""),
                3 => house.close(link.id(), 1000, ""),
                4 => house.post(link.id(), Command::Abort(link.id())),
                _ => {}
            }
        }
        house.publish(rooms(&["lobby"]), &[], Policy::Close, b"all");
    }
    drop(Stream::ask(house.address(), "/events", ""));
    house.until("all have gone", |server| server.connections() == 0);
    let counts = house.server.counts();
    assert_eq!((counts.panics, counts.opened), (0, counts.closed));
}

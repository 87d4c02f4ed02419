//! Sessions that any transport carries, and that outlive their connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Answer, Command, Limits, Link, Policy, Rate, RatePolicy, Request, Service, Settings, Verdict};
use support::client::{Client, Got, frame};
use support::house::{House, rooms};
use support::http::{Visitor, get, post};
use support::patron::{ALL, By, Heard, Line, Patron, Stream, comet};
use support::recorder::{Call, Event, Manner};
use support::{Random, text};

fn house(change: impl FnOnce(&mut Limits)) -> House {
    House::open(comet(change), Manner::default())
}

fn join(house: &mut House, by: By) -> (Patron, Arc<Link>) {
    let patron = Patron::open(house, by);
    (patron, house.opened())
}

fn shards(shards: usize, manner: Manner) -> House {
    House::open(Settings { shards, ..comet(|_| ()) }, manner)
}

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
        let bytes = support::bytes(1000);
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

// ---- several connections

#[test]
fn a_session_goes_on_from_each_transport_to_each_and_nothing_is_lost_or_told_twice() {
    let mut house = house(|_| ());
    for from in ALL {
        for to in ALL {
            for sudden in [false, true] {
                let (mut patron, link) = join(&mut house, from);
                house.join(&link, "lobby");
                let opened = patron.sid.clone();
                house.send(&link, Kind::Text, b"one");
                house.send(&link, Kind::Binary, &[2]);
                patron.expect("one");
                // The second one has not been read when the connection goes.
                patron.lose(sudden);
                house.broadcast(rooms(&["lobby"]), &[], "three");
                if from != By::Polling {
                    house.until("it is away", |_| link.carrier().name() == "polling");
                }
                house.send(&link, Kind::Text, b"four");
                patron.resume(to).unwrap();
                assert_eq!((patron.recovered, &patron.sid), (true, &opened), "{from:?} to {to:?}");
                assert_eq!(patron.next(), Heard::Binary(vec![2]), "{from:?} to {to:?}");
                patron.expect("three");
                patron.expect("four");
                house.send(&link, Kind::Text, b"five");
                patron.expect("five");
                patron.text("still me");
                assert_eq!(house.message(link.id()).1, b"still me");
                house.leave(&link, "lobby");
                patron.close(1000, "");
                house.closed(link.id());
            }
        }
    }
}

/// Messages that come in numbers, all the time, while the client loses its connections at any moment.
#[test]
fn nothing_is_lost_or_told_twice_however_often_the_connection_is_cut() {
    const LAST: usize = 3000;
    let mut random = Random(7);
    for shards in [1, 3] {
        let mut house =
            House::open(Settings { shards, ..comet(|limits| limits.resume_bytes = 1 << 20) }, Manner::default());
        let (mut patron, link) = join(&mut house, By::Polling);
        house.join(&link, "lobby");
        let mut next = 0;
        let mut said = 0;
        while next < LAST {
            for _ in 0..random.next(30).min(LAST - said) {
                let number = said.to_string();
                if random.next(3) == 0 {
                    house.sync();
                    house.send(&link, Kind::Text, number.as_bytes());
                    house.sync();
                } else {
                    house.publish(rooms(&["lobby"]), &[], Policy::Close, number.as_bytes());
                }
                said += 1;
            }
            for _ in 0..random.next(1 + said - next) {
                patron.expect(&next.to_string());
                next += 1;
            }
            if random.next(3) > 0 {
                if random.next(2) > 0 {
                    // Otherwise the old connection is still there, as far as the server knows.
                    patron.lose(random.next(2) > 0);
                }
                let by = ALL[random.next(4)];
                patron.resume(by).unwrap_or_else(|status| panic!("{status} at {next} by {by:?}"));
                assert!(patron.recovered);
            }
            if said == LAST {
                while next < LAST {
                    patron.expect(&next.to_string());
                    next += 1;
                }
            }
        }
    }
}

#[test]
fn a_new_connection_overtakes_one_that_is_half_dead() {
    let mut house = house(|_| ());
    for from in [By::WebSocket, By::Events, By::Iframe] {
        for to in ALL {
            let (mut patron, link) = join(&mut house, from);
            let old = std::mem::replace(&mut patron.line, Line::Lost);
            house.send(&link, Kind::Text, b"hello");
            house.sync();
            patron.resume(to).unwrap();
            patron.expect("hello");
            let mut client = match old {
                Line::Socket(client) => client,
                Line::Stream(stream) => stream.client,
                _ => unreachable!("it was a connection"),
            };
            // The old one ends; it may have got something.
            while client.receive().is_some() {}
            house.send(&link, Kind::Text, b"more");
            patron.expect("more");
        }
    }
}

#[test]
fn of_two_polls_at_once_the_older_is_told_so() {
    let mut house = house(|_| ());
    let (mut patron, link) = join(&mut house, By::Polling);
    patron.poll_later("");
    house.until("it waits", |server| server.counts().requests == 2);
    let fresh = Line::Polls(patron.visit(), false);
    let older = std::mem::replace(&mut patron.line, fresh);
    patron.poll_later("");
    let Line::Polls(mut older, _) = older else { unreachable!("it polls") };
    let response = older.response();
    assert_eq!((response.status, response.keeps()), (409, true));
    house.send(&link, Kind::Text, b"for the newer");
    patron.expect("for the newer");
    // One that was overtaken on the way and comes late does not disturb: it asks for what is gone.
    house.send(&link, Kind::Text, b"second");
    patron.expect("second");
    let late = format!("/push?transport=polling&sid={}&cursor=0", patron.sid);
    patron.poll_later("");
    house.until("the newer one waits", |server| server.counts().requests == 5);
    assert_eq!(older.ask(&get(&late, "")).status, 404);
    house.send(&link, Kind::Text, b"third");
    patron.expect("third");
    // A poll waits when a stream takes over.
    patron.poll_later("");
    house.until("it waits", |server| server.counts().requests == 6);
    let polls = std::mem::replace(&mut patron.line, Line::Lost);
    patron.resume(By::Events).unwrap();
    let Line::Polls(mut older, _) = polls else { unreachable!("it polls") };
    assert_eq!(older.response().status, 409);
    house.send(&link, Kind::Text, b"fourth");
    patron.expect("fourth");
}

#[test]
fn messages_that_are_not_acknowledged_come_again_and_those_that_are_do_not() {
    let mut house = house(|_| ());
    let (mut patron, link) = join(&mut house, By::Polling);
    for text in ["a", "b", "c"] {
        house.send(&link, Kind::Text, text.as_bytes());
    }
    house.sync();
    let ask = |cursor: &str| {
        let response =
            patron.visit().ask(&get(&format!("/push?transport=polling&sid={}&wait=0{cursor}", patron.sid), ""));
        (response.status, response.body.replace('\u{1e}', "|"))
    };
    assert_eq!(ask("&cursor=0"), (200, "4a|4b|4c".into()));
    assert_eq!(ask("&cursor=0"), (200, "4a|4b|4c".into()));
    assert_eq!(ask("&cursor=2"), (200, "4c".into()));
    assert_eq!(ask("&cursor=1").0, 404, "it is forgotten");
    assert_eq!(ask("&cursor=4").0, 404, "it was never sent");
    assert_eq!(ask("&cursor=3"), (200, "6".into()));
    // Who does not count gets each message once.
    house.send(&link, Kind::Text, b"d");
    house.sync();
    assert_eq!(ask(""), (200, "4d".into()));
    assert_eq!(ask(""), (200, "6".into()));
    assert_eq!(ask("&cursor=4"), (200, "6".into()));
    for wrong in ["&cursor=-1", "&cursor=x", "&cursor=", "&cursor=99999999999999999999", "&cursor=1&cursor=1"] {
        assert_eq!(ask(wrong).0, 400, "{wrong}");
    }
    patron.close(1000, "");
}

#[test]
fn messages_that_are_no_longer_kept_are_a_gap() {
    let mut house = house(|limits| (limits.resume_bytes, limits.outbox_bytes) = (2000, 1 << 20));
    for by in [By::WebSocket, By::Events, By::Iframe] {
        let (mut patron, link) = join(&mut house, by);
        let large = text(1000);
        for number in 0..20 {
            house.send(&link, Kind::Text, format!("{number} {large}").as_bytes());
            patron.expect(&format!("{number} {large}"));
        }
        patron.cursor = 5;
        patron.lose(false);
        assert_eq!(patron.resume(by), Err(404));
        // It is there all the same, for who knows where it was; and another one is, for who does not mind.
        let mut other = Patron::ask(house.address(), By::Polling, "").unwrap();
        house.opened();
        (other.sid, other.cursor) = (patron.sid.clone(), 5);
        other.resume_with(By::Events, "&resume=1").unwrap();
        assert!(!other.recovered && other.sid != patron.sid);
        let another = house.opened();
        house.send(&another, Kind::Text, b"from the start");
        other.expect("from the start");
        patron.cursor = 19;
        patron.resume(By::Polling).unwrap();
        patron.expect(&format!("19 {large}"));
        // Without end, they would be too many.
        assert_eq!(house.server.counts().panics, 0);
    }
}

/// Empty messages take place, too.
#[test]
fn what_is_kept_for_a_client_is_bounded_however_small_it_is() {
    let mut house = house(|limits| (limits.resume_bytes, limits.outbox_bytes) = (10_000, 10_000));
    let (mut patron, link) = join(&mut house, By::Polling);
    house.join(&link, "lobby");
    for _ in 0..1000 {
        house.publish(rooms(&["lobby"]), &[], Policy::Drop, b"");
    }
    house.sync();
    assert!(house.server.counts().dropped > 500, "{:?}", house.server.counts());
    assert_eq!(patron.next(), Heard::Text(String::new()));
}

#[test]
fn nobody_gets_anothers_session() {
    let mut house = shards(2, Manner::default());
    let (mut patron, link) = join(&mut house, By::Events);
    let (other, _) = join(&mut house, By::Events);
    let bytes = |sid: &str| URL_SAFE_NO_PAD.decode(sid).unwrap();
    // The right id, which is no secret, with a secret of one's own.
    let forged = URL_SAFE_NO_PAD.encode([&bytes(&patron.sid)[..8], &bytes(&other.sid)[8..]].concat());
    let mut almost = bytes(&patron.sid);
    almost[23] ^= 1;
    let almost = URL_SAFE_NO_PAD.encode(almost);
    let mut elsewhere = bytes(&patron.sid);
    elsewhere[0] = 77;
    let unknown = [forged.as_str(), &almost, &URL_SAFE_NO_PAD.encode(elsewhere), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
    for sid in unknown.into_iter().chain(["x", "", "%00", "AAAAAAAAAAAAAAAAA"]) {
        for by in ALL {
            assert_eq!(Patron::ask(house.address(), by, &format!("&sid={sid}&cursor=0")).err(), Some(404), "{sid}");
        }
        let response = Visitor::to(&house).ask(&post(&format!("/push?sid={sid}"), "4intruder"));
        assert_eq!(response.status, 404, "{sid}");
    }
    for sid in unknown {
        for by in ALL {
            let fresh = Patron::ask(house.address(), by, &format!("&sid={sid}&cursor=3&resume=1")).unwrap();
            assert!(!fresh.recovered && fresh.sid != patron.sid);
            house.opened();
        }
    }
    house.send(&link, Kind::Text, b"yours");
    patron.expect("yours");
    assert!(!house.left_over().iter().any(|event| matches!(event, Event::Message(..))));
}

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

// ---- bad input and bounds

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
        patron.binary(&support::bytes(1000));
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
    let allowed = |response: &support::http::Response| {
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

// ---- shards

#[test]
fn requests_for_a_session_of_another_shard_take_their_connection_there() {
    for shards in [2, 3] {
        let settings = Settings { shards, max_handshakes: 8, ..comet(|_| ()) };
        let mut house = House::open(settings, Manner::echo());
        let mut visitor = Visitor::to(&house);
        let mut patrons: Vec<_> = (0..2 * shards).map(|at| join(&mut house, ALL[at % 4])).collect();
        // One connection for all of them, that goes from shard to shard.
        for round in 0..20 {
            for (patron, link) in &mut patrons {
                let said = visitor.ask(&post(&format!("/push?sid={}", patron.sid), &format!("4{round}")));
                assert_eq!((said.status, said.keeps()), (200, true));
                assert_eq!(house.message(link.id()).1, round.to_string().as_bytes());
                patron.expect(&round.to_string());
            }
        }
        // What comes right behind goes along.
        let (patron, link) = &mut patrons[0];
        let target = format!("/push?sid={}", patron.sid);
        visitor.client.raw(&[post(&target, "4one"), post(&target, "4two")].concat());
        for text in ["one", "two"] {
            assert_eq!(visitor.response().body, "ok");
            assert_eq!(house.message(link.id()).1, text.as_bytes());
            patron.expect(text);
        }
        for (patron, link) in &mut patrons {
            patron.resume(By::WebSocket).unwrap();
            patron.text("moved");
            assert_eq!(house.message(link.id()).1, b"moved");
            patron.expect("moved");
        }
        // Places for handshakes are given back, however often a connection has moved.
        for _ in 0..20 {
            house.guest();
        }
    }
}

#[test]
fn a_session_that_is_opened_on_a_kept_connection_knows_its_client() {
    let mut house = shards(2, Manner::default());
    let mut visitor = Visitor::to(&house);
    let local = visitor.client.socket.local_addr().unwrap().as_socket();
    for _ in 0..3 {
        let response = visitor.ask(&get("/push?transport=polling", ""));
        assert_eq!(response.status, 200);
        assert_eq!(house.opened().peer(), local);
        let json: serde_json::Value = serde_json::from_str(&response.body[1..]).unwrap();
        let sid = json["sid"].as_str().unwrap();
        assert_eq!(visitor.ask(&post(&format!("/push?sid={sid}"), "4x")).status, 200);
        let stranger = "/push?transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&resume=1";
        assert_eq!(visitor.ask(&get(stranger, "")).status, 200);
        assert_eq!(house.opened().peer(), local);
    }
}

#[test]
fn sessions_by_polls_have_places_as_connections_have() {
    let settings = Settings {
        max_sessions_per_address: Some(4),
        ..comet(|limits| {
            limits.session_timeout = Duration::from_millis(100);
        })
    };
    let mut house = House::open(settings, Manner::default());
    let mut visitor = Visitor::to(&house);
    let open = get("/push?transport=polling", "");
    let mut links = Vec::new();
    for _ in 0..3 {
        assert_eq!(visitor.ask(&open).status, 200);
        links.push(house.opened());
    }
    let full = visitor.ask(&open);
    assert_eq!((full.status, full.keeps()), (429, true));
    for link in links {
        house.closed(link.id());
    }
    assert_eq!(visitor.ask(&open).status, 200);
    house.opened();
    // Who changes connections gives the place back that it had.
    let (mut patron, link) = join(&mut house, By::Events);
    for _ in 0..5 {
        patron.lose(false);
        house.until("it is away", |_| link.carrier().name() == "polling");
        patron.resume(By::Events).unwrap();
    }
    house.counts_to(1, |counts| counts.address_refused);
}

#[test]
fn a_client_with_a_subprotocol_may_come_again_with_it() {
    let mut settings = comet(|_| ());
    settings.endpoints[1].subprotocols = vec!["chat".into()];
    let mut house = House::open(settings, Manner::default());
    let mut query = String::new();
    for _ in 0..3 {
        let mut client = house.connect();
        let request = client.request(&format!("/push?transport=websocket{query}"), &["chat"], &[]);
        client.raw(&request);
        // A browser would refuse a 101 without it.
        assert_eq!(client.agreed(&["chat"]).as_deref(), Some("chat"));
        let Got::Text(open) = client.next() else { panic!("no open packet") };
        let json: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        query = format!("&sid={}&cursor=0", json["sid"].as_str().unwrap());
    }
    house.opened();
    house.counts_to((1, 2), |counts| (counts.opened, counts.resumed));
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
fn a_panic_of_the_handler_costs_one_connection() {
    for by in ALL {
        let mut house = House::open(comet(|_| ()), Manner { panics: true, ..Manner::echo() });
        let (mut bystander, _) = join(&mut house, By::Events);
        let (mut patron, link) = join(&mut house, by);
        match &mut patron.line {
            Line::Socket(client) => client.text("4panic"),
            _ => {
                let mut visitor = patron.visit();
                visitor.client.raw(&post(&format!("/push?sid={}", patron.sid), "4panic"));
                assert_eq!(visitor.client.receive(), None);
            }
        }
        house.counts_to(1, |counts| counts.panics);
        bystander.text("fine");
        bystander.expect("fine");
        if by == By::WebSocket {
            house.closed(link.id());
        } else {
            patron.text("it was only that request");
            patron.expect("it was only that request");
        }
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

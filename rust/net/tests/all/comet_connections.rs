//! Sessions that outlive their connections: they go on with another one, whatever it is and wherever it comes in.

use std::time::Duration;

use crate::support::client::Got;
use crate::support::house::{House, rooms};
use crate::support::http::{Visitor, get, post};
use crate::support::patron::{ALL, By, Heard, Line, Patron, comet, house, join, shards};
use crate::support::recorder::{Event, Manner};
use crate::support::{Random, text};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Policy, Settings};

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
    // More than usual may wait for a moment: the client had no chance to ask for it yet.
    for _ in 0..5000 {
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
        // AddressLimit for handshakes are given back, however often a connection has moved.
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

//! Stopping: what is under way is finished, what does not finish is dropped in time.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::{Client, Got};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::{limited, quiet, text};
use hubbub_net::proto::message::Kind;
use hubbub_net::{Command, Settings};

/// F8. Every `House` is stopped and audited at its end: each shard stops once, each session ends once.
#[test]
fn stopping_says_1001_to_all_after_what_is_queued_for_them() {
    for shards in [1, 3] {
        let mut house = House::open(Settings { shards, ..quiet() }, Manner::default());
        let mut guests = house.guests(30);
        let payload = text(10_000);
        for (_, link) in &guests {
            (0..20).for_each(|_| house.send(link, Kind::Text, payload.as_bytes()));
        }
        let address = house.address();
        house.stop(Duration::from_secs(3600));
        for (client, _) in &mut guests {
            (0..20).for_each(|_| client.expect_text(&payload));
            assert_eq!(client.next(), Got::Close(Some(1001), "bye".into()));
            client.close(1001, "");
            client.expect_end();
            client.finish();
        }
        for (_, link) in &guests {
            let closed = house.closed(link.id());
            assert_eq!((closed.code().0, closed.sent.map(|(code, _)| code.0)), (1001, Some(1001)));
        }
        drop(guests);
        (0..shards).for_each(|_| house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(())));
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}

/// F8: peers that ignore the Close, that read nothing, that never said what they want.
#[test]
fn whoever_does_not_leave_is_dropped_after_the_grace() {
    let mut house = House::open(limited(|limits| limits.close_timeout = Duration::from_secs(3600)), Manner::default());
    let (mut deaf, link) = house.guest();
    let mut sleeper = Client::with_small_buffer(house.address());
    sleeper.shake_hands("/");
    let asleep = house.opened();
    let payload = text(64 << 10);
    while asleep.buffered() < 500 << 10 {
        house.send(&asleep, Kind::Text, payload.as_bytes());
        house.sync();
    }
    let mut silent = house.connect();
    house.until("all three", |server| server.connections() == 3);
    let begun = Instant::now();
    house.stop(Duration::from_millis(200));
    assert!(matches!(silent.next(), Got::End | Got::Reset), "it is dropped at once");
    assert!(begun.elapsed() < Duration::from_secs(20));
    deaf.expect_close(1001);
    for id in [link.id(), asleep.id()] {
        let closed = house.closed(id);
        assert_eq!((closed.code().0, closed.sent.map(|(code, _)| code.0)), (1006, Some(1001)));
        assert!(begun.elapsed() >= Duration::from_millis(180), "{:?}", begun.elapsed());
    }
    house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(()));
}

#[test]
fn a_server_that_accepts_no_more_goes_on_serving_who_is_there() {
    let mut house = House::open(Settings { shards: 2, ..quiet() }, Manner::echo());
    let mut guests = house.guests(4);
    let mut half: Vec<Client> = (0..4).map(|_| house.connect()).collect();
    half.iter_mut().for_each(|client| client.raw(b"GET / HT"));
    house.until("all", |server| server.connections() == 8);
    let address = house.address();
    house.post_to_all(|| Command::StopAccepting);
    half.iter_mut().for_each(|client| assert!(matches!(client.next(), Got::End | Got::Reset)));
    assert!(TcpStream::connect(address).is_err());
    for (client, _) in &mut guests {
        client.text("still here");
        client.expect_text("still here");
    }
}

/// Connections that one shard has accepted for another while the end is announced belong to nobody.
#[test]
fn connections_that_come_while_the_server_stops_are_not_left_over() {
    for _ in 0..30 {
        let mut house = House::open(Settings { shards: 3, ..quiet() }, Manner::default());
        house.gatecrashed = true;
        let address = house.address();
        std::thread::scope(|scope| {
            let comers = scope.spawn(move || (0..40).map_while(|_| TcpStream::connect(address).ok()).count());
            house.until("the first ones", |server| server.counts().accepted > 3);
            house.stop(Duration::from_secs(3600));
            // The audit waits for all shards: nobody may hold one of them for the whole grace.
            drop(house);
            comers.join().unwrap();
        });
    }
}

#[test]
fn a_second_stop_changes_nothing() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, _) = house.guest();
    house.stop(Duration::from_secs(3600));
    house.stop(Duration::ZERO);
    client.expect_close(1001);
    client.close(1001, "");
    client.expect_end();
}

//! Pings: the ones that the server sends to see who is still there, and the ones that it answers.

use std::time::{Duration, Instant};

use crate::support::client::{Client, Got, frame};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::{limited, quiet, text};
use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Policy, Settings, Target};

const INTERVAL: Duration = Duration::from_millis(80);
/// Long enough that nobody is given up by mistake on a busy machine.
const NEVER: Duration = Duration::from_secs(3600);

fn pinging(timeout: Option<Duration>) -> Settings {
    limited(|limits| (limits.ping_interval, limits.ping_timeout) = (Some(INTERVAL), timeout))
}

fn ping(client: &mut Client) -> Vec<u8> {
    match client.next() {
        Got::Ping(payload) => payload,
        other => panic!("a ping should come, not {other:?}"),
    }
}

#[test]
fn a_silent_session_is_pinged_and_its_pong_keeps_it_and_tells_the_latency() {
    let mut house = House::open(pinging(Some(NEVER)), Manner::default());
    let begun = Instant::now();
    let (mut client, link) = house.guest();
    assert_eq!(link.latency(), None);
    let mut last = None;
    for round in 1..=4 {
        let before = Instant::now();
        let payload = ping(&mut client);
        assert!(begun.elapsed() >= INTERVAL * round - INTERVAL / 8 * round, "round {round}: {:?}", begun.elapsed());
        assert_ne!(last.replace(payload.clone()), Some(payload.clone()), "each ping has a payload of its own");
        client.pong(&payload);
        client.expect_silence();
        let latency = link.latency().expect("the pong is there");
        // The ping went out after the last word of ours, which was before this round.
        assert!(latency >= 0.0 && latency <= before.elapsed().as_secs_f64() + 0.01, "round {round}: {latency}");
    }
    assert!(!link.is_closing());
}

/// F3: the peer is there no more, or pretends so.
#[test]
fn a_session_that_does_not_answer_is_given_up() {
    let mut house = House::open(pinging(Some(INTERVAL)), Manner::default());
    let begun = Instant::now();
    let (mut client, link) = house.guest();
    house.join(&link, "hall");
    ping(&mut client);
    let closed = house.closed(link.id());
    assert!(begun.elapsed() >= INTERVAL * 2 - INTERVAL / 4, "{:?}", begun.elapsed());
    assert_eq!(closed.code().0, 1006);
    assert_eq!(closed.sent.map(|(code, _)| code), Some(CloseCode::INTERNAL_ERROR));
    client.expect_close(1011);
    client.expect_end();
    assert!(house.server.directory().is_empty());
    house.counts_to(1, |counts| counts.ping_timeouts);
}

#[test]
fn whatever_comes_from_the_peer_is_a_sign_of_life() {
    let mut house = House::open(pinging(Some(INTERVAL * 4)), Manner::default());
    let (mut client, link) = house.guest();
    // No pong ever, but a word now and then.
    for _ in 0..6 {
        ping(&mut client);
        client.text("here");
        house.message(link.id());
    }
    assert!(!link.is_closing());
    client.close(1000, "");
    assert_eq!(house.closed(link.id()).code().0, 1000);
}

#[test]
fn a_session_that_talks_is_not_pinged() {
    let mut house = House::open(pinging(Some(NEVER)), Manner::default());
    let (mut client, link) = house.guest();
    let mut other = house.connect();
    other.shake_hands("/");
    // As long as it takes to ping a silent one three times.
    other.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    while begun.elapsed() < INTERVAL * 4 {
        client.text("still here");
        house.message(link.id());
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    if longest < INTERVAL - INTERVAL / 8 {
        client.expect_silence();
    }
    other.socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    ping(&mut other);
}

#[test]
fn without_a_timeout_a_silent_session_is_pinged_for_ever_and_never_given_up() {
    let mut house = House::open(pinging(None), Manner::default());
    let (mut client, link) = house.guest();
    for _ in 0..5 {
        ping(&mut client);
    }
    assert!(!link.is_closing());
}

#[test]
fn a_pong_that_nobody_asked_for_is_ignored_and_one_that_comes_late_is_still_measured() {
    let mut house = House::open(pinging(Some(NEVER)), Manner::default());
    let (mut client, link) = house.guest();
    // Row 23.
    client.raw(&frame(true, Opcode::Pong, b"unasked").repeat(1000));
    let payload = ping(&mut client);
    // Other traffic has shown life, and the timer has looked since: then comes the pong.
    client.text("here");
    house.message(link.id());
    let second = ping(&mut client);
    assert_eq!(link.latency(), None);
    client.pong(&payload);
    client.pong(&second);
    client.expect_silence();
    assert!(link.latency().is_some());
    assert!(!house.left_over().iter().any(|event| matches!(event, Event::Pong(..))));
}

/// Whoever is given up has been asked, even behind a backlog that it reads slowly.
#[test]
fn a_session_with_a_backlog_is_asked_too() {
    let mut settings = pinging(Some(NEVER));
    settings.limits.outbox_bytes = 64 << 20;
    let mut house = House::open(settings, Manner::default());
    let mut client = Client::with_small_buffer(house.address());
    client.shake_hands("/");
    let link = house.opened();
    let payload = text(64 << 10);
    (0..200).for_each(|_| house.send(&link, Kind::Text, payload.as_bytes()));
    // Another session's second ping shows that the first one's was due.
    let (mut other, _) = house.guest();
    (0..2).for_each(|_| {
        let payload = ping(&mut other);
        other.pong(&payload);
    });
    assert!(link.buffered() > house.limits().high_water_bytes);
    let mut pings = Vec::new();
    for _ in 0..200 {
        loop {
            match client.next() {
                Got::Text(_) => break,
                Got::Ping(payload) => pings.push(payload),
                other => panic!("nobody sent {other:?}"),
            }
        }
    }
    let payload = pings.pop().unwrap_or_else(|| ping(&mut client));
    client.pong(&payload);
    client.text("done");
    house.message(link.id());
    assert!(link.latency().is_some());
}

/// F21, row 24: a flood of pings from a peer that does not read.
#[test]
fn a_flood_of_pings_costs_little_and_the_newest_is_answered() {
    let mut house = House::open(quiet(), Manner::default());
    let mut flooder = Client::with_small_buffer(house.address());
    flooder.shake_hands("/");
    let link = house.opened();
    // Something to be stuck behind.
    let backlog = text(64 << 10);
    let stuck = 120;
    let mut sent = 0;
    while link.buffered() < 300 << 10 {
        house.send(&link, Kind::Text, backlog.as_bytes());
        house.sync();
        sent += 1;
        assert!(sent < stuck, "the kernel takes everything");
    }
    let mut last = 0;
    for batch in 0..50 {
        let pings: Vec<u8> = (0..1000)
            .flat_map(|n| {
                last = batch * 1000 + n;
                frame(true, Opcode::Ping, format!("{last:0125}").as_bytes())
            })
            .collect();
        flooder.raw(&pings);
    }
    flooder.text("the end");
    house.message(link.id());
    assert!(link.buffered() < 400 << 10, "{} bytes for pongs that nobody reads", link.buffered());
    // Another client is served as ever.
    let (mut other, _) = house.guest();
    other.expect_silence();
    let mut pongs = Vec::new();
    let newest = format!("{last:0125}").into_bytes();
    let mut texts = 0;
    while pongs.last() != Some(&newest) {
        match flooder.next() {
            Got::Pong(payload) => pongs.push(payload),
            Got::Text(_) => texts += 1,
            other => panic!("nobody sent {other:?}"),
        }
    }
    assert!(pongs.is_sorted() && pongs.len() < 100, "{} pongs for 50,000 pings", pongs.len());
    assert!(texts <= sent);
    assert!(!link.is_closing());
}

/// A peer that reads, but never everything at once, gets its pong all the same.
#[test]
fn a_ping_is_answered_although_the_outbox_never_empties() {
    let mut house = House::open(limited(|limits| limits.outbox_bytes = 8 << 20), Manner::default());
    let mut client = Client::with_small_buffer(house.address());
    client.shake_hands("/");
    let link = house.opened();
    let payload = text(256 << 10);
    let fill = |house: &mut House| {
        while link.buffered() < 2 << 20 {
            house.publish(Target::All, &[], Policy::Close, payload.as_bytes());
            house.sync();
        }
    };
    // Until the kernel's buffers have grown to their full size, and no write empties the outbox any more.
    for _ in 0..60 {
        fill(&mut house);
        client.expect_text(&payload);
    }
    fill(&mut house);
    client.ping(b"are you there?");
    for n in 0.. {
        fill(&mut house);
        match client.next() {
            Got::Pong(payload) => return assert_eq!(payload, b"are you there?"),
            Got::Text(_) => {}
            other => panic!("nobody sent {other:?}"),
        }
        assert!(n < 200, "the pong does not come while there is other traffic");
    }
}

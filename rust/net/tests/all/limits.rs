//! Nothing grows without a bound: inboxes, outboxes, unfinished messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::client::{Client, Got, frame};
use crate::support::house::{House, rooms};
use crate::support::recorder::{Event, Manner};
use crate::support::turns::Turns;
use crate::support::{PATIENCE, bytes, limited, quiet, text};
use bytes::Bytes;
use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Broadcast, Command, CommandBatch, Link, Parcel, Policy, Space, Target};

const HOARD: Manner = Manner { echo: false, consume: false, decide: None, panics: false, curse: None };

/// Writes until the server's pushing back has filled the kernel's buffers; gives what was written.
fn write_until_stalled(house: &mut House, client: &mut Client, message: &[u8]) -> usize {
    let mut written = 0;
    let mut rest: &[u8] = &[];
    loop {
        if rest.is_empty() {
            rest = message;
        }
        let taken = client.stuff(rest);
        written += taken;
        rest = &rest[taken..];
        assert!(written < 1 << 30, "the peer's writes never stall");
        if taken == 0 {
            // Only a server that has stopped reading leaves no room after it has had its turn.
            house.sync();
            house.sync();
            if client.stuff(&rest[..1]) == 0 {
                return written;
            }
            written += 1;
            rest = &rest[1..];
        }
    }
}

/// F11: a handler that never consumes.
#[test]
fn a_session_that_is_not_consumed_is_not_read_and_goes_on_where_it_stopped() {
    for len in [10, 3000, 200_000] {
        let mut house = House::open(quiet(), HOARD);
        let (mut client, link) = house.guest();
        let message = frame(true, Opcode::Binary, &bytes(len));
        let written = write_until_stalled(&mut house, &mut client, &message);
        house.until("the pause to be counted", |server| server.counts().inbox_pauses == 1);
        let waiting = house.left_over().iter().filter(|event| matches!(event, Event::Message(..))).count();
        // One receive call may bring 64 KiB more than the bound.
        let bound = 64_usize.max((64 << 10) / message.len()) + (64 << 10) / message.len() + 2;
        assert!(waiting > 0 && waiting <= bound, "{waiting} messages of {len} bytes, {written} bytes written");
        // The user comes back, little by little.
        let limits = house.limits().clone();
        let consume = |house: &House| {
            if link.consumed(1, len, &limits) {
                house.post(link.id(), Command::Resume(link.id()));
            }
        };
        (0..waiting).for_each(|_| consume(&house));
        for _ in waiting..written / message.len() {
            assert_eq!(house.message(link.id()), (Kind::Binary, bytes(len)));
            consume(&house);
        }
        // The rest of the last one, and all is well.
        client.raw(&message[written % message.len()..]);
        assert_eq!(house.message(link.id()), (Kind::Binary, bytes(len)));
        assert!(!link.is_closing());
    }
}

/// F11: a reset is noticed although nothing is read.
#[test]
fn a_reset_of_a_session_that_is_not_read_is_noticed() {
    let mut house = House::open(limited(|limits| limits.inbox_messages = 1), HOARD);
    let (mut client, link) = house.guest();
    client.raw(&frame(true, Opcode::Text, b"x").repeat(10));
    house.until("the pause", |server| server.counts().inbox_pauses == 1);
    client.raw(&frame(true, Opcode::Text, b"unread"));
    client.reset();
    assert_eq!(house.closed(link.id()).code().0, 1006);
}

#[test]
fn a_session_that_is_not_read_can_still_be_closed() {
    let mut house = House::open(limited(|limits| limits.inbox_messages = 1), HOARD);
    let (mut client, link) = house.guest();
    client.raw(&frame(true, Opcode::Text, b"x").repeat(10));
    house.until("the pause", |server| server.counts().inbox_pauses == 1);
    client.raw(&frame(true, Opcode::Text, &bytes(100_000).iter().map(|byte| byte & 0x7f).collect::<Vec<_>>()));
    house.close(link.id(), 1001, "");
    client.expect_close(1001);
    client.close(1001, "");
    client.expect_end();
    assert_eq!(house.closed(link.id()).code().0, 1001);
}

/// A message that stands still only because its session is not read is nobody's fault.
#[test]
fn the_time_in_which_a_session_is_not_read_does_not_count_against_its_message() {
    let mut house = House::open(
        limited(|limits| {
            limits.inbox_messages = 1;
            limits.message_timeout = Some(Duration::from_millis(100));
        }),
        HOARD,
    );
    let (mut client, link) = house.guest();
    let large = frame(true, Opcode::Binary, &bytes(500_000));
    client.raw(&frame(true, Opcode::Text, b"x").repeat(2));
    house.until("the pause", |server| server.counts().inbox_pauses == 1);
    let mut other = house.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| client.raw(&large));
        // Another session's deadline shows that the time has passed.
        other.shake_hands("/");
        other.raw(&frame(false, Opcode::Text, b"begun"));
        other.expect_close(1008);
        let limits = house.limits().clone();
        assert!(link.consumed(2, 2, &limits));
        house.post(link.id(), Command::Resume(link.id()));
        (0..2).for_each(|_| assert_eq!(house.message(link.id()).1, b"x"));
        assert_eq!(house.message(link.id()).1.len(), 500_000);
    });
    house.counts_to(1, |counts| counts.message_timeouts);
}

/// Rows 15, F22: a message that is begun and not ended.
#[test]
fn an_unfinished_message_that_makes_no_progress_is_given_up() {
    let settings = limited(|limits| limits.message_timeout = Some(Duration::from_millis(80)));
    let mut house = House::open(settings, Manner::default());
    let begun = [
        frame(false, Opcode::Text, b"x"),
        b"\x81".to_vec(),
        frame(true, Opcode::Binary, &bytes(9000))[..5000].to_vec(),
    ];
    for bytes in begun {
        let (mut client, link) = house.guest();
        client.raw(&bytes);
        client.expect_close(1008);
        client.expect_end();
        assert_eq!(house.closed(link.id()).code().0, 1006);
    }
    house.counts_to(3, |counts| counts.message_timeouts);
    let (mut idle, link) = house.guest();
    idle.text("between two messages there is no hurry");
    house.message(link.id());
    let (mut client, _) = house.guest();
    client.raw(b"\x81");
    client.expect_close(1008);
    idle.expect_silence();
}

/// Whoever sends without a pause is read without a pause, and yet the others' time runs.
#[test]
fn a_flood_does_not_stop_the_clock_for_others() {
    let mut house =
        House::open(limited(|limits| limits.handshake_timeout = Some(Duration::from_millis(100))), Manner::default());
    let mut flooders: Vec<Client> = (0..3).map(|_| house.guest().0).collect();
    let mut silent = house.connect();
    let over = AtomicBool::new(false);
    let flood = frame(true, Opcode::Pong, &[7; 125]).repeat(8192);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in &mut flooders {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                    client.raw(&flood);
                }
            });
        }
        let end = silent.next();
        over.store(true, Ordering::Relaxed);
        assert_eq!(end, Got::End);
    });
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
}

// ---- outboxes

/// A client that does not read, in the room "hall".
fn sleeper(house: &mut House) -> (Client, Arc<Link>) {
    let mut client = Client::with_small_buffer(house.address());
    client.shake_hands("/");
    let link = house.opened();
    house.join(&link, "hall");
    (client, link)
}

/// Broadcasts numbered messages of 64 KiB, far more than the kernel and the outbox take; gives how many were
/// reached and dropped in all, of a room of one.
fn flood(house: &mut House, policy: Policy) -> (usize, usize) {
    let (mut reached, mut dropped) = (0, 0);
    for n in 0..300 {
        let payload = format!("{n:06}{}", text(64 << 10));
        let delivery = house.publish(rooms(&["hall"]), &[], policy, payload.as_bytes());
        let now = house.await_delivery(&delivery);
        (reached, dropped) = (reached + now.0, dropped + now.1);
    }
    (reached, dropped)
}

fn numbers(got: Vec<Got>) -> Vec<usize> {
    let number = |got| match got {
        Got::Text(text) if text.len() == 6 + (64 << 10) => Some(text[..6].parse().unwrap()),
        Got::Close(..) => None,
        other => panic!("nobody sent {other:?}"),
    };
    got.into_iter().filter_map(number).collect()
}

#[test]
fn the_policy_close_ends_a_member_that_does_not_read() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = sleeper(&mut house);
    let (reached, dropped) = flood(&mut house, Policy::Close);
    assert_eq!(dropped, 1, "after that it is no member any more");
    let closed = house.closed(link.id());
    assert_eq!(closed.sent.map(|(code, _)| code), Some(CloseCode::TRY_AGAIN_LATER));
    assert_eq!(numbers(client.rest()), (0..reached).collect::<Vec<_>>(), "what it was reached by it gets");
    house.counts_to((1, 0, reached as u64), |counts| (counts.slow_closed, counts.dropped, counts.deliveries));
}

#[test]
fn the_policy_drop_leaves_messages_out() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = sleeper(&mut house);
    let (reached, dropped) = flood(&mut house, Policy::Drop);
    assert_eq!(reached + dropped, 300);
    assert!(dropped > 50 && link.buffered() <= 1 << 20, "{dropped} dropped, {} buffered", link.buffered());
    house.close(link.id(), 1000, "");
    let got = numbers(client.rest());
    assert_eq!(got.len(), reached);
    assert!(got.is_sorted(), "in order");
    assert_eq!(got[..5], [0, 1, 2, 3, 4], "the oldest are kept");
    house.counts_to(dropped as u64, |counts| counts.dropped);
}

#[test]
fn the_policy_drop_oldest_keeps_the_newest() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = sleeper(&mut house);
    assert_eq!(flood(&mut house, Policy::DropOldest), (300, 0));
    assert!(link.buffered() <= (1 << 20) + (64 << 10), "{} buffered", link.buffered());
    house.close(link.id(), 1000, "");
    let got = numbers(client.rest());
    assert!(got.is_sorted(), "in order");
    assert!(got.ends_with(&[295, 296, 297, 298, 299]), "{got:?}");
    let gone = house.server.counts().dropped_oldest;
    assert!(gone > 50 && got.len() as u64 + gone == 300, "{gone} dropped, {} came", got.len());
}

#[test]
fn sends_to_a_member_that_does_not_read_end_it() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = sleeper(&mut house);
    let mut sent = 0;
    while !link.is_closing() {
        house.send(&link, Kind::Text, format!("{sent:06}{}", text(64 << 10)).as_bytes());
        house.sync();
        sent += 1;
        assert!(sent < 1000, "the outbox has no bound");
    }
    assert_eq!(house.closed(link.id()).sent.map(|(code, _)| code.0), Some(1013));
    assert_eq!(numbers(client.rest()), (0..sent - 1).collect::<Vec<_>>());
}

#[test]
fn who_waits_for_the_outbox_to_shrink_is_told() {
    let mut house = House::open(limited(|limits| limits.outbox_bytes = 64 << 20), Manner::default());
    let (mut client, link) = sleeper(&mut house);
    let low = house.limits().high_water_bytes / 2;
    let (total, payload) = (200, text(64 << 10));
    for _ in 0..total {
        house.send(&link, Kind::Text, payload.as_bytes());
    }
    house.sync();
    assert!(link.buffered() > 1 << 20, "{} buffered", link.buffered());
    assert!(link.wait_for_drain(low));
    (0..total).for_each(|_| client.expect_text(&payload));
    house.drained(link.id());
    assert!(link.buffered() <= low);
}

/// The order of what one caller sends, small and large, shared and copied, directly and through rooms.
#[test]
fn what_one_caller_sends_arrives_in_that_order() {
    let mut house = House::open(limited(|limits| limits.outbox_bytes = 64 << 20), Manner::default());
    let (mut client, link) = sleeper(&mut house);
    let payload = |n: usize| format!("{n} {}", text([5, 300, 5000, 70_000, 200_000][n % 5]));
    for n in 0..400 {
        let payload = payload(n);
        match n % 3 {
            0 => house.send(&link, Kind::Text, payload.as_bytes()),
            1 => {
                link.add_posted(payload.len());
                let parcel = Parcel::Shared(Bytes::from(payload));
                house.post(link.id(), Command::Send(link.id(), Kind::Text.into(), parcel));
            }
            _ => {
                house.publish(rooms(&["hall"]), &[], Policy::Close, payload.as_bytes());
            }
        }
    }
    (0..400).for_each(|n| client.expect_text(&payload(n)));
    house.sync();
    house.until("all to be accounted for", |_| link.buffered() == 0);
    assert!(!link.is_closing());
}

/// On the shard's own thread the same calls run directly, and leave in one write at the end.
#[test]
fn what_is_sent_between_two_turns_leaves_with_the_flush_in_order() {
    let mut turns = Turns::open(quiet(), Manner::default());
    let (mut client, link) = turns.guest();
    let (id, room) = (link.id(), Arc::from("hall"));
    turns.server.directory().join(&link, "hall", None);
    turns.shard.join(id, Space::Hub, &room);
    let broadcast = |text: &[u8]| {
        Arc::new(Broadcast::new(Target::Rooms(vec![room.clone()]), vec![], Policy::Close, Kind::Text, text, 1))
    };
    let (shard, recorder) = (&mut turns.shard, &mut turns.recorder);
    assert!(!shard.has_unflushed());
    assert_eq!(shard.send(id, Kind::Text, b"one"), 5);
    assert!(!shard.broadcast(&broadcast(b"two")));
    assert_eq!(shard.send_shared(id, Kind::Text, Bytes::from_static(b"three")), 17);
    let mut batch = CommandBatch::default();
    batch.push_message(id, Kind::Text, b"posted");
    turns.server.handles()[0].post(batch);
    shard.obey(Command::Send(id, Kind::Text.into(), Parcel::Shared(Bytes::from_static(b"four"))));
    assert!(shard.has_unflushed());
    shard.flush(recorder);
    assert!(!shard.has_unflushed());
    ["one", "two", "three", "four"].iter().for_each(|text| client.expect_text(text));
    turns.turn();
    client.expect_text("posted");
    assert_eq!(turns.server.counts().messages_out, 5);
}

//! How sessions end, and that each tells so once: the books of every server here are checked at its end.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::client::{Client, Got, close_frame, frame};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::turns::Turns;
use crate::support::{bytes, limited, quiet};
use hubbub_net::proto::frame::{Header, Opcode};

fn code_and_reason(farewell: &Option<(hubbub_net::proto::close::CloseCode, String)>) -> Option<(u16, &str)> {
    farewell.as_ref().map(|(code, reason)| (code.0, reason.as_str()))
}

#[test]
fn the_code_of_the_peer_is_echoed_and_told() {
    let mut house = House::open(quiet(), Manner::default());
    for code in [1000, 1001, 1003, 1011, 3000, 4999] {
        let (mut client, link) = house.guest();
        client.close(code, "ende \u{fc}");
        assert_eq!(client.next(), Got::Close(Some(code), "ende \u{fc}".into()));
        client.expect_end();
        let closed = house.closed(link.id());
        assert_eq!(code_and_reason(&closed.received), Some((code, "ende \u{fc}")));
        assert_eq!(closed.code().0, code);
        assert_eq!(closed.cause, None);
    }
}

#[test]
fn an_empty_close_frame_is_1005_and_answered_with_an_empty_one() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = house.guest();
    client.raw(&frame(true, Opcode::Close, b""));
    assert_eq!(client.next(), Got::Close(None, String::new()));
    client.expect_end();
    assert_eq!(house.closed(link.id()).code().0, 1005);
}

#[test]
fn our_close_waits_for_the_answer_of_the_peer() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = house.guest();
    house.close(link.id(), 4000, "enough");
    house.close(link.id(), 4001, "a second one does nothing");
    assert_eq!(client.next(), Got::Close(Some(4000), "enough".into()));
    assert!(link.is_closing());
    // What the peer still says is not for the user any more.
    client.text("late");
    client.close(4000, "");
    client.expect_end();
    let closed = house.closed(link.id());
    assert_eq!(code_and_reason(&closed.sent), Some((4000, "enough")));
    assert_eq!(code_and_reason(&closed.received), Some((4000, "")));
    assert!(house.left_over().iter().all(|event| !matches!(event, Event::Message(..))));
}

/// F23: a peer that never answers our Close.
#[test]
fn a_close_that_is_not_answered_ends_in_time() {
    let mut house = House::open(limited(|limits| limits.close_timeout = Duration::from_millis(100)), Manner::default());
    let (mut client, link) = house.guest();
    let begun = Instant::now();
    house.close(link.id(), 1000, "");
    client.expect_close(1000);
    let closed = house.closed(link.id());
    assert!(begun.elapsed() >= Duration::from_millis(90), "{:?}", begun.elapsed());
    assert_eq!((closed.code().0, code_and_reason(&closed.sent)), (1006, Some((1000, ""))));
    assert!(matches!(client.next(), Got::End | Got::Reset));
    house.counts_to(1, |counts| counts.close_timeouts);
}

/// F23: both at once.
#[test]
fn close_frames_that_cross_are_each_other_s_answer() {
    let mut house = House::open(quiet(), Manner::default());
    for _ in 0..100 {
        let (mut client, link) = house.guest();
        house.close(link.id(), 1001, "");
        client.close(1000, "");
        let closed = house.closed(link.id());
        assert_eq!(closed.code().0, 1000);
        let all = client.rest();
        assert_eq!(all.len(), 1, "one Close frame and no more: {all:?}");
    }
}

#[test]
fn a_connection_that_ends_without_a_word_is_1006() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = house.guest();
    client.finish();
    client.expect_end();
    let closed = house.closed(link.id());
    assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("the peer closed the connection")));

    let (client, link) = house.guest();
    client.reset();
    let closed = house.closed(link.id());
    assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("connection reset by peer")));
    assert!(closed.received.is_none() && closed.sent.is_none());
}

#[test]
fn the_last_messages_before_fin_are_still_told() {
    let mut house = House::open(quiet(), Manner::default());
    for _ in 0..50 {
        let (mut client, link) = house.guest();
        client.raw(&[frame(true, Opcode::Text, b"last"), frame(true, Opcode::Binary, &bytes(70_000))].concat());
        client.finish();
        assert_eq!(house.message(link.id()).1, b"last");
        assert_eq!(house.message(link.id()).1.len(), 70_000);
        assert_eq!(house.closed(link.id()).code().0, 1006);
    }
}

#[test]
fn a_close_frame_and_fin_together_are_a_clean_end() {
    let mut house = House::open(quiet(), Manner::default());
    for _ in 0..50 {
        let (mut client, link) = house.guest();
        client.raw(&close_frame(1000, "x"));
        client.finish();
        assert_eq!(house.closed(link.id()).code().0, 1000);
        client.expect_close(1000);
        client.expect_end();
    }
}

/// F23: data after Close.
#[test]
fn what_follows_a_close_frame_is_ignored() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = house.guest();
    let mut all = close_frame(1000, "");
    all.extend(frame(true, Opcode::Text, b"late"));
    all.extend(frame(true, Opcode::Ping, b"late"));
    all.extend([0xff; 100]);
    client.raw(&all);
    client.expect_close(1000);
    client.raw(&frame(true, Opcode::Text, b"later"));
    client.expect_end();
    assert_eq!(house.closed(link.id()).code().0, 1000);
    client.finish();
    assert!(house.left_over().iter().all(|event| !matches!(event, Event::Message(..))));
}

/// The last message before the Close fills the inbox: the peer's FIN must be seen all the same.
#[test]
fn a_full_inbox_does_not_delay_the_end() {
    let settings = limited(|limits| (limits.inbox_messages, limits.close_timeout) = (2, Duration::from_secs(3600)));
    let mut house = House::open(settings, Manner { consume: false, ..Manner::default() });
    let (mut client, link) = house.guest();
    let mut all = frame(true, Opcode::Text, b"x").repeat(3);
    all.extend(close_frame(1000, ""));
    client.raw(&all);
    assert_eq!(house.closed(link.id()).code().0, 1000);
    client.expect_close(1000);
    client.expect_end();
    drop(client);
    house.until("the connection to go", |server| server.connections() == 0);
}

#[test]
fn a_violation_is_answered_with_its_code_and_ends_the_session_once() {
    let mut house = House::open(limited(|limits| limits.max_message_bytes = Some(1000)), Manner::default());
    let key = [0; 4];
    let declared = |len| Header { fin: true, opcode: Opcode::Binary, len, mask: Some(key) }.encode().to_vec();
    let close = |payload: &[u8]| frame(true, Opcode::Close, payload);
    let start = frame(false, Opcode::Text, b"x");
    let cases: Vec<(u16, Vec<u8>)> = vec![
        (1002, b"\x81\x02hi".to_vec()),                                    // row 19: not masked
        (1002, b"\xc1\x80\0\0\0\0".to_vec()),                              // row 18: a reserved bit
        (1002, b"\x83\x80\0\0\0\0".to_vec()),                              // row 18: a reserved opcode
        (1002, frame(true, Opcode::Continuation, b"x")),                   // row 20
        (1002, [start.clone(), frame(true, Opcode::Text, b"y")].concat()), // row 20
        (1002, frame(false, Opcode::Ping, b"")),                           // row 21
        (1002, b"\x89\xfe\0\x7e".to_vec()),                                // row 21: a ping of 126 bytes
        (1002, close(b"\x03")),                                            // row 21
        (1002, close(&1005_u16.to_be_bytes())),                            // row 21
        (1002, close(&5000_u16.to_be_bytes())),                            // row 21
        (1007, close(b"\x03\xe8\xff")),                                    // row 21
        (1002, b"\x82\xff\x80\0\0\0\0\0\0\0".to_vec()),                    // row 17: the sign bit
        (1002, b"\x82\xfe\0\x7d".to_vec()),                                // row 17: not the shortest form
        (1009, declared(1001)),                                            // row 17: before a byte of it has come
        (1009, declared(i64::MAX as u64)),                                 // row 17
        (1009, [frame(false, Opcode::Binary, &bytes(600)), b"\x80\xfe\x01\x91".to_vec()].concat()), // row 17: a sum
        (1007, frame(true, Opcode::Text, b"\xc3\x28")),
        (1007, frame(true, Opcode::Text, b"\xed\xa0\x80")),
        (1007, frame(true, Opcode::Text, b"ends in the midst \xe2\x82")),
        // Rows 15 and F22: fragments that bring nothing.
        (1008, [start.clone(), frame(false, Opcode::Continuation, b"").repeat(65)].concat()),
    ];
    let count = cases.len() as u64;
    for (code, bytes) in cases {
        let (mut client, link) = house.guest();
        client.raw(&bytes);
        client.expect_close(code);
        client.expect_end();
        let closed = house.closed(link.id());
        assert_eq!(code_and_reason(&closed.sent).map(|(code, _)| code), Some(code));
        assert!(closed.received.is_none() && closed.cause.is_some(), "{closed:?}");
        assert_eq!(closed.code().0, 1006);
    }
    house.counts_to(count, |counts| counts.violations);
}

/// What came whole before the violation is the user's, and so are the answers to it.
#[test]
fn a_violation_waits_for_the_messages_before_it_but_not_for_ever() {
    for consumed in [true, false] {
        let settings = limited(|limits| {
            limits.close_timeout = if consumed { Duration::from_secs(3600) } else { Duration::from_millis(100) };
        });
        let mut house = House::open(settings, Manner { consume: false, ..Manner::default() });
        let begun = Instant::now();
        let (mut client, link) = house.guest();
        client.raw(&[frame(true, Opcode::Text, b"whole"), b"\xff\xff".to_vec()].concat());
        assert_eq!(house.message(link.id()).1, b"whole");
        house.counts_to(1, |counts| counts.violations);
        if consumed {
            assert!(!link.is_closing());
            house.send(&link, hubbub_net::proto::message::Kind::Text, b"answer");
            let limits = house.limits().clone();
            assert!(link.consumed(1, 5, &limits), "the shard waits for it");
            house.post(link.id(), hubbub_net::Command::Resume(link.id()));
            client.expect_text("answer");
        }
        client.expect_close(1002);
        client.expect_end();
        drop(client);
        assert_eq!(house.closed(link.id()).sent.map(|(code, _)| code.0), Some(1002));
        assert!(consumed || begun.elapsed() >= Duration::from_millis(90));
        house.until("the connection to go", |server| server.connections() == 0);
    }
}

#[test]
fn whatever_way_they_end_sessions_end_once() {
    let mut house = House::open(limited(|limits| limits.close_timeout = Duration::from_millis(50)), Manner::echo());
    let mut links = Vec::new();
    for round in 0..120 {
        let (mut client, link) = house.guest();
        house.join(&link, "lobby");
        match round % 6 {
            0 => client.close(1000, ""),
            1 => client.finish(),
            2 => client.raw(b"\xff\xff\xff"),
            3 => house.close(link.id(), 1000, ""),
            4 => {
                client.text("x");
                house.close(link.id(), 1000, "");
                client.close(1000, "");
            }
            _ => {
                client.text("x");
                client.reset();
                links.push(link);
                continue;
            }
        }
        if round % 2 == 0 {
            client.rest();
        }
        links.push(link);
    }
    for link in &links {
        house.closed(link.id());
        assert!(link.is_closing() && link.rooms().is_empty());
    }
    assert!(house.server.directory().is_empty());
    house.until("nobody left", |server| server.connections() == 0);
}

/// An event loop may be idle for long between two turns: what is asked of the shard then counts from then.
#[test]
fn a_close_between_two_turns_gets_its_whole_time() {
    let mut turns = Turns::open(limited(|limits| limits.close_timeout = Duration::from_millis(300)), Manner::default());
    let (mut client, link) = turns.guest();
    let last_turn = Instant::now();
    while last_turn.elapsed() < Duration::from_millis(400) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let code = hubbub_net::proto::close::CloseCode::NORMAL;
    turns.shard.close(link.id(), code, "");
    assert!(turns.shard.has_unflushed());
    let wait = turns.shard.outlook().wait.expect("there is a deadline now");
    assert!(wait <= Duration::from_millis(320), "{wait:?}");
    turns.shard.flush(&mut turns.recorder);
    turns.turn();
    client.expect_close(1000);
    client.close(1000, "");
    let closed = turns.until("closed", |turns| {
        turns.take(|event| match event {
            Event::Closed(_, closed) => Some(closed.clone()),
            _ => None,
        })
    });
    assert_eq!(closed.code().0, 1000, "{closed:?}");
}

/// What was sent before the Close frame takes its time; only a peer that takes nothing is late.
#[test]
fn the_time_to_answer_a_close_begins_when_the_peer_stops_taking() {
    let limit = Duration::from_millis(500);
    let settings = limited(|limits| (limits.close_timeout, limits.outbox_bytes) = (limit, 64 << 20));
    let mut turns = Turns::open(settings, Manner::default());
    let (mut client, link) = turns.guest();
    let (kind, size) = (hubbub_net::proto::message::Kind::Binary, 32 << 20);
    turns.shard.send(link.id(), kind, &vec![7; size]);
    let code = hubbub_net::proto::close::CloseCode::NORMAL;
    turns.shard.close(link.id(), code, "");
    turns.shard.flush(&mut turns.recorder);
    let begun = Instant::now();
    let mut left = size;
    // The kernels of both sides hold some of it.
    while left > 12 << 20 {
        let mut buffer = vec![0; 256 << 10];
        left -= client.socket.read(&mut buffer).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        turns.turn();
        assert_eq!(turns.take(|event| matches!(event, Event::Closed(..)).then_some(())), None, "{left} are left");
    }
    assert!(begun.elapsed() > limit, "it took no longer than a peer that answers nothing has");
}

#[test]
fn a_shard_that_is_abandoned_ends_once_with_all_its_sessions() {
    let mut turns = Turns::open(quiet(), Manner::default());
    let (_client, _) = turns.guest();
    let _silent: Client = turns.connect();
    turns.until("both", |turns| (turns.shard.connections() == 2).then_some(()));
    turns.shard.abandon(&mut turns.recorder);
    turns.shard.abandon(&mut turns.recorder);
    turns.turn();
    let closed = turns.seen.iter().filter(|event| matches!(event, Event::Closed(..))).count();
    let stopped = turns.seen.iter().filter(|event| matches!(event, Event::Stopped)).count();
    assert_eq!((closed, stopped, turns.server.connections()), (1, 1, 0));
    assert!(turns.shard.outlook().stopped);
}

//! Messages in and out: sizes, fragments, and every way of cutting them.

use crate::support::client::{Got, close_frame, frame};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::{Random, bytes, limited, quiet, text};
use hubbub_net::Command;
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::message::Kind;

#[test]
fn every_size_comes_back_as_it_was_sent() {
    let mut house = House::open(quiet(), Manner::echo());
    let (mut client, link) = house.guest();
    for len in [0, 1, 125, 126, 127, 4095, 4096, 65_535, 65_536, 65_537, 1 << 20] {
        client.text(&text(len));
        client.expect_text(&text(len));
        assert_eq!(house.message(link.id()), (Kind::Text, text(len).into_bytes()));
        client.binary(&bytes(len));
        assert_eq!(client.next(), Got::Binary(bytes(len)));
        assert_eq!(house.message(link.id()), (Kind::Binary, bytes(len)));
    }
}

#[test]
fn fragments_with_pings_between_make_one_message() {
    let mut house = House::open(quiet(), Manner::echo());
    let (mut client, link) = house.guest();
    client.raw(&frame(false, Opcode::Text, b"one "));
    client.ping(b"first");
    client.raw(&frame(false, Opcode::Continuation, b""));
    client.raw(&frame(false, Opcode::Continuation, "zw\u{f6}lf".as_bytes()));
    client.ping(b"second");
    client.raw(&frame(true, Opcode::Continuation, b" end"));
    assert_eq!(client.next(), Got::Pong(b"first".to_vec()));
    assert_eq!(client.next(), Got::Pong(b"second".to_vec()));
    client.expect_text("one zw\u{f6}lf end");
    assert_eq!(house.message(link.id()).1, "one zw\u{f6}lf end".as_bytes());
}

#[test]
fn many_messages_in_one_write_arrive_in_order() {
    let mut house = House::open(quiet(), Manner::echo());
    let (mut client, _) = house.guest();
    let all: Vec<u8> = (0..5000).flat_map(|n| frame(true, Opcode::Text, format!("number {n}").as_bytes())).collect();
    client.raw(&all);
    for n in 0..5000 {
        client.expect_text(&format!("number {n}"));
    }
}

/// A large message fills its buffer exactly with the last bytes that one receive call gives, and what follows lies in the
/// kernel already: nothing will announce it again.
#[test]
fn what_follows_a_large_message_in_the_kernel_is_read() {
    let mut house = House::open(limited(|limits| limits.inbox_bytes = 64 << 20), Manner::default());
    let (mut client, link) = house.guest();
    for round in 0..20 {
        // The large one is begun alone, so that its rest is received directly.
        let large = frame(true, Opcode::Binary, &bytes((1 << 20) - round));
        client.raw(&large[..100]);
        house.sync();
        let mut rest = large[100..].to_vec();
        rest.extend(frame(true, Opcode::Binary, &bytes(1 << 20)));
        rest.extend(frame(true, Opcode::Text, b"after"));
        client.raw(&rest);
        assert_eq!(house.message(link.id()).1.len(), (1 << 20) - round);
        assert_eq!(house.message(link.id()).1, bytes(1 << 20));
        assert_eq!(house.message(link.id()).1, b"after");
    }
}

/// A session as a client plays it, whole.
fn corpus() -> Vec<u8> {
    let mut all = Vec::new();
    for len in [0, 1, 125, 126, 65_535, 65_536] {
        all.extend(frame(true, Opcode::Text, text(len).as_bytes()));
        all.extend(frame(true, Opcode::Ping, &bytes(len.min(125))));
        all.extend(frame(true, Opcode::Binary, &bytes(len)));
    }
    all.extend(frame(false, Opcode::Text, "sch\u{f6}".as_bytes()));
    all.extend(frame(true, Opcode::Ping, b"between"));
    all.extend(frame(true, Opcode::Continuation, b"n"));
    all.extend(close_frame(1000, "done"));
    all
}

/// Plays the corpus, cut as `cut` says, and gives what the handler and the client saw.
fn played(mut cut: impl FnMut() -> usize) -> (Vec<(Kind, Vec<u8>)>, Vec<Got>) {
    let mut house = House::open(quiet(), Manner::default());
    let mut client = house.connect();
    let mut all = client.request("/", &[], &[]);
    all.extend(corpus());
    let mut rest = &all[..];
    while !rest.is_empty() {
        let (front, back) = rest.split_at(cut().clamp(1, rest.len()));
        client.raw(front);
        rest = back;
    }
    client.agreed(&[]);
    let got = client.rest();
    let id = house.opened().id();
    let closed = house.closed(id);
    assert_eq!(closed.received.map(|(code, reason)| (code.0, reason)), Some((1000, "done".into())));
    let messages = (0..13).map(|_| house.message(id)).collect();
    (messages, got)
}

/// F13.
#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    let whole = played(|| usize::MAX);
    assert_eq!(whole.1.len(), 8, "seven pongs and a Close: {:?}", whole.1);
    assert!(played(|| 1) == whole, "a byte at a time");
    for seed in 0..20 {
        let mut random = Random(seed);
        let most = [3, 50, 2000, 70_000][seed as usize % 4];
        assert!(played(|| 1 + random.next(most)) == whole, "cut at random, seed {seed}");
    }
}

#[test]
fn ten_thousand_sends_from_four_threads_arrive_complete_and_in_order() {
    const EACH: usize = 2500;
    let mut house = House::open(limited(|limits| limits.outbox_bytes = 16 << 20), Manner::default());
    let (mut client, link) = house.guest();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (house, link) = (&house.server, &link);
            scope.spawn(move || {
                for n in 0..EACH {
                    let mut batch = hubbub_net::CommandBatch::default();
                    let text = format!("{thread} {n}");
                    link.add_posted(text.len());
                    batch.push_message(link.id(), Kind::Text, text.as_bytes());
                    house.handles()[link.id().shard()].post(batch);
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..4 * EACH {
            let Got::Text(text) = client.next() else { panic!("a text was sent") };
            let (thread, n) = text.split_once(' ').unwrap();
            let thread: usize = thread.parse().unwrap();
            assert_eq!(n.parse::<usize>().unwrap(), next[thread]);
            next[thread] += 1;
        }
        assert_eq!(next, [EACH; 4]);
    });
    house.sync();
    assert_eq!(link.buffered(), 0, "everything posted is accounted for");
}

/// Row 54: a handler that panics costs one connection.
#[test]
fn a_handler_that_panics_drops_that_connection_alone() {
    let mut house = House::open(quiet(), Manner { panics: true, ..Manner::echo() });
    let (mut bystander, other) = house.guest();
    for word in ["panic", "panic twice"] {
        let (mut client, link) = house.guest();
        house.join(&link, "lobby");
        house.join(&other, "lobby");
        house.sync();
        client.text("fine");
        client.expect_text("fine");
        client.text(word);
        assert!(matches!(client.next(), Got::End | Got::Reset));
        let closed = house.closed(link.id());
        assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("internal error")));
        assert_eq!(closed.rooms, ["lobby".into()] as [std::sync::Arc<str>; 1]);
        house.notice(|notice| matches!(notice, hubbub_net::Notice::Panicked(_)));
        bystander.text("still here");
        bystander.expect_text("still here");
        assert_eq!(house.broadcast(crate::support::house::rooms(&["lobby"]), &[], "all"), (1, 0));
        bystander.expect_text("all");
    }
    house.counts_to(3, |counts| counts.panics);
    // The shard goes on as before.
    let (mut client, _) = house.guest();
    client.text("and new ones are served");
    client.expect_text("and new ones are served");
}

#[test]
fn aborting_and_pinging_from_outside() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = house.guest();
    link.wait_for_pong();
    house.post(link.id(), Command::Ping(link.id(), b"mark".to_vec()));
    assert_eq!(client.next(), Got::Ping(b"mark".to_vec()));
    client.pong(b"mark");
    let payload = house.expect("a pong", |event| match event {
        Event::Pong(id, payload) if *id == link.id() => Some(payload.clone()),
        _ => None,
    });
    assert_eq!(payload, b"mark");
    house.post(link.id(), Command::Abort(link.id()));
    assert_eq!(house.closed(link.id()).cause.as_deref(), Some("aborted"));
    assert!(matches!(client.next(), Got::End | Got::Reset));
}

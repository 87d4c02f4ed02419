//! Whatever a peer sends, it is read the same whole, in pieces and through a direct receive.

#![no_main]

use hubbub_proto::Role;
use hubbub_proto::deflate::Inflater;
use hubbub_proto::message::Limits;
use libfuzzer_sys::fuzz_target;
use replay::{Replay, Seen};

#[path = "../../proto/tests/all/replay/mod.rs"]
mod replay;

/// The most that a message may inflate to.
const MAX: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    // One byte says who reads and how, and whether compression was agreed on; the rest is what arrives.
    let Some((how, bytes)) = data.split_first() else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let max_message_bytes = if how & 2 == 0 { Some(300) } else { None };
    let limits = Limits { max_message_bytes, max_empty_fragments: 2 };
    let size = usize::from(how >> 3) + 1;
    let fresh = || match how & 4 {
        0 => Replay::new(role, limits),
        _ => Replay::deflating(role, limits),
    };
    let whole = seen(fresh(), |reader| reader.feed(bytes));
    assert_eq!(seen(fresh(), |reader| bytes.chunks(1).for_each(|piece| reader.feed(piece))), whole);
    assert_eq!(seen(fresh(), |reader| bytes.chunks(size).for_each(|piece| reader.feed(piece))), whole);
    let (front, back) = bytes.split_at(size.min(bytes.len()));
    assert_eq!(seen(fresh(), |reader| [front, back].into_iter().for_each(|piece| reader.feed(piece))), whole);
    assert_eq!(seen(fresh(), |reader| reader.feed_directly(bytes, size)), whole);
    if how & 4 == 0 {
        assert!(!whole.iter().any(|event| matches!(event, Seen::Compressed(..))), "nobody has agreed on that");
    }
    inflate(&whole);
});

fn seen(mut replay: Replay, feed: impl FnOnce(&mut Replay)) -> Vec<Seen> {
    feed(&mut replay);
    replay.seen
}

/// What the server does with compressed messages, up to the first that is bad.
fn inflate(seen: &[Seen]) {
    let mut inflater = Inflater::new(15, true);
    for event in seen {
        let Seen::Compressed(_, payload) = event else { continue };
        let mut out = Vec::new();
        let result = inflater.inflate(payload, Some(MAX), &mut out);
        assert!(out.capacity() <= 2 * MAX + payload.len());
        if result.is_err() {
            return;
        }
        assert!(out.len() <= MAX);
    }
}

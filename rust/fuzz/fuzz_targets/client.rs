//! What servers answer: it is read the same whole, in pieces and cut in two, and a handshake agrees on nothing that was not
//! offered.

#![no_main]

use std::fmt::Write;

use hubbub_proto::client::{Arrival, Fault, Reader};
use hubbub_proto::handshake::client::{Disagreement, Request};
use hubbub_proto::handshake::deflate::Offer;
use hubbub_proto::head::{HeadLimits, ResponseHead};
use hubbub_proto::message::Event;
use libfuzzer_sys::fuzz_target;

const REQUEST: Request<'static> = Request {
    host: "localhost",
    target: "/",
    key: "dGhlIHNhbXBsZSBub25jZQ==",
    subprotocols: &["chat.v1", "chat.v2"],
    fields: &[],
};

fuzz_target!(|data: &[u8]| {
    // One byte says what was asked and where the answer is cut, the rest is the answer.
    let Some((how, answer)) = data.split_first() else { return };
    let method = if how & 1 == 0 { "GET" } else { "HEAD" };
    let at = usize::from(how >> 1).min(answer.len());
    let whole = read(method, [answer]);
    assert_eq!(read(method, answer.chunks(1)), whole);
    assert_eq!(read(method, [&answer[..at], &answer[at..]]), whole);
    if let Ok(head) = ResponseHead::parse(answer, &HeadLimits::default()) {
        check(&head);
    }
});

/// What was told, the content in one piece, and how it ended.
fn read<'a>(method: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, Vec<u8>, bool, Option<Fault>) {
    let (mut reader, mut told, mut content) = (Reader::new(method), String::new(), Vec::new());
    let mut tell = |arrival: Arrival<'_>| match arrival {
        Arrival::Continue => told.push_str("100 "),
        Arrival::Head(head) => write!(told, "{head:?} ").expect("a String takes everything"),
        Arrival::Content(piece) => content.extend_from_slice(piece),
        Arrival::Frame(event) => write!(told, "{:?} ", owned(event)).expect("a String takes everything"),
    };
    let fault = pieces.into_iter().find_map(|piece| reader.read(&mut piece.to_vec(), &mut tell).err());
    let is_complete = reader.is_complete();
    assert!(fault.is_none() || !is_complete, "what follows a response is dropped");
    (told, content, is_complete, fault)
}

/// Where a payload lies is no difference.
fn owned(event: Event<'_>) -> Event<'static> {
    use hubbub_proto::message::Payload::Owned;
    match event {
        Event::Message { kind, payload } => Event::Message { kind, payload: Owned(payload.into_vec()) },
        Event::Compressed { kind, payload } => Event::Compressed { kind, payload: Owned(payload.into_vec()) },
        Event::Ping(payload) => Event::Ping(Owned(payload.into_vec())),
        Event::Pong(payload) => Event::Pong(Owned(payload.into_vec())),
        Event::Close { code, reason } => Event::Close { code, reason },
    }
}

fn check(head: &ResponseHead<'_>) {
    let plain = REQUEST.check(head);
    let offer = Offer::default();
    let offered = REQUEST.check_offer(head, &offer);
    match (plain, offered) {
        (Ok(agreed), Ok((same, params))) => assert!((agreed, params) == (same, None)),
        (Err(Disagreement::Extension), Ok((_, params))) => assert!(params.is_some()),
        (Err(Disagreement::Extension), Err(Disagreement::Extension)) => {}
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?} {other:?}"),
    }
    if let Ok((agreed, params)) = offered {
        assert_eq!(head.status, 101);
        assert!(agreed.subprotocol.is_none_or(|name| REQUEST.subprotocols.contains(&name)));
        assert!(params.is_none_or(|params| (8..=15).contains(&params.client_max_window_bits)));
    }
}

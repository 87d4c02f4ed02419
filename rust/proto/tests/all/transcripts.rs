//! Every transcript gives the same events however its bytes are cut: whole, one at a time, at every split point, and
//! through a direct receive (F13).

use crate::replay::Seen::{Binary, Broken, Close, Ping, Pong, Text};
use crate::replay::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Seen, TEXT, frame, header};
use hubbub_proto::message::Limits;
use hubbub_proto::{Role, Violation};

struct Transcript {
    name: &'static str,
    /// First byte and payload of each frame, as a peer of either role sends it.
    frames: Vec<(u8, Vec<u8>)>,
    /// Bytes after the frames, as they are.
    tail: Vec<u8>,
    limits: Limits,
    seen: Vec<Seen>,
}

fn transcript(name: &'static str, frames: &[(u8, &[u8])], seen: &[Seen]) -> Transcript {
    let frames = frames.iter().map(|(first, payload)| (*first, payload.to_vec())).collect();
    Transcript { name, frames, tail: Vec::new(), limits: Limits::default(), seen: seen.to_vec() }
}

impl Transcript {
    fn with_tail(mut self, tail: &[u8]) -> Transcript {
        self.tail = tail.to_vec();
        self
    }

    fn with_limits(mut self, max_message_bytes: usize, max_empty_fragments: u32) -> Transcript {
        self.limits = Limits { max_message_bytes: Some(max_message_bytes), max_empty_fragments };
        self
    }

    fn bytes(&self, role: Role) -> Vec<u8> {
        let frames = self.frames.iter().flat_map(|(first, payload)| frame(role, *first, payload));
        frames.chain(self.tail.iter().copied()).collect()
    }
}

fn text(text: &str) -> Seen {
    Text(text.as_bytes().to_vec())
}

fn binary(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn messages() -> Vec<Transcript> {
    let sizes = [0, 1, 124, 125, 126, 127, 4095, 4096, 65535, 65536, 200_000];
    let large: Vec<Vec<u8>> = sizes.iter().map(|len| binary(*len)).collect();
    let in_a_row: Vec<(u8, &[u8])> = large.iter().map(|bytes| (FIN | BINARY, &bytes[..])).collect();
    let all_seen: Vec<Seen> = large.iter().cloned().map(Binary).collect();
    let umlauts = "Grüße, мир, 世界, 🎉! ".repeat(900);
    vec![
        transcript("nothing", &[], &[]),
        transcript("one text", &[(FIN | TEXT, b"Hello")], &[text("Hello")]),
        transcript("empty messages", &[(FIN | TEXT, b""), (FIN | BINARY, b"")], &[text(""), Binary(vec![])]),
        transcript("every size of length", &in_a_row, &all_seen),
        transcript("long text beyond ASCII", &[(FIN | TEXT, umlauts.as_bytes())], &[text(&umlauts)]),
        transcript(
            "text in fragments",
            &[(TEXT, b"Hel"), (CONTINUATION, b"l"), (FIN | CONTINUATION, b"o")],
            &[text("Hello")],
        ),
        transcript(
            "a character cut by fragments",
            &[(TEXT, b"\xf0"), (CONTINUATION, b"\x9f\x8e"), (FIN | CONTINUATION, b"\x89")],
            &[text("🎉")],
        ),
        transcript(
            "large fragments",
            &[(BINARY, &large[8][..]), (CONTINUATION, &large[10]), (FIN | CONTINUATION, &large[7])],
            &[Binary([&large[8][..], &large[10], &large[7]].concat())],
        ),
        transcript(
            "empty fragments",
            &[(BINARY, b""), (CONTINUATION, b""), (CONTINUATION, b"x"), (FIN | CONTINUATION, b"")],
            &[Binary(b"x".to_vec())],
        )
        .with_limits(1, 2),
        transcript("an unfinished frame", &[(FIN | TEXT, b"done"), (TEXT, b"not ")], &[text("done")])
            .with_tail(&[CONTINUATION | FIN]),
    ]
}

fn control_frames() -> Vec<Transcript> {
    let full = binary(125);
    vec![
        transcript(
            "ping and pong",
            &[(PING, b"Hello"), (PONG, b"Hello"), (PING, b""), (PONG, &full)],
            &[Ping(b"Hello".to_vec()), Pong(b"Hello".to_vec()), Ping(vec![]), Pong(full.clone())],
        ),
        transcript(
            "control frames between all fragments",
            &[(TEXT, b"a"), (PING, b"1"), (CONTINUATION, b"b"), (PONG, &full), (FIN | CONTINUATION, b"c"), (PING, b"")],
            &[Ping(b"1".to_vec()), Pong(full.clone()), text("abc"), Ping(vec![])],
        ),
        transcript(
            "close inside a message",
            &[(TEXT, b"a"), (CLOSE, b"\x03\xe8bye"), (FIN | CONTINUATION, b"b")],
            &[Close(Some(1000), "bye".into())],
        ),
        transcript("close without a code", &[(CLOSE, b"")], &[Close(None, String::new())]),
        transcript("close without a reason", &[(CLOSE, b"\x0f\xa0")], &[Close(Some(4000), String::new())]),
        transcript("nothing is read after close", &[(CLOSE, b""), (FIN | TEXT, b"x")], &[Close(None, String::new())])
            .with_tail(&[0xff; 40]),
        transcript("close of one byte", &[(CLOSE, b"\x03")], &[Broken(Violation::CloseTooShort)]),
        transcript("close with a reserved code", &[(CLOSE, b"\x03\xed")], &[Broken(Violation::CloseCode)]),
        transcript("close with bad UTF-8", &[(CLOSE, b"\x03\xe8\xff")], &[Broken(Violation::CloseReasonUtf8)]),
        transcript("close with cut UTF-8", &[(CLOSE, b"\x03\xe8\xe2\x82")], &[Broken(Violation::CloseReasonUtf8)]),
    ]
}

fn broken() -> Vec<Transcript> {
    let bad_end = [&b"a".repeat(9000)[..], b"\xc3"].concat();
    vec![
        transcript("continuation of nothing", &[(CONTINUATION, b"x")], &[Broken(Violation::NothingToContinue)]),
        transcript(
            "continuation after the end",
            &[(FIN | TEXT, b"x"), (FIN | CONTINUATION, b"y")],
            &[text("x"), Broken(Violation::NothingToContinue)],
        ),
        transcript(
            "message inside a message",
            &[(TEXT, b"x"), (FIN | BINARY, b"y")],
            &[Broken(Violation::MessageInsideMessage)],
        ),
        transcript("text that is not UTF-8", &[(FIN | TEXT, b"ab\xffcd")], &[Broken(Violation::TextUtf8)]),
        transcript("text that ends inside a character", &[(FIN | TEXT, &bad_end)], &[Broken(Violation::TextUtf8)]),
        transcript(
            "fragments that end inside a character",
            &[(TEXT, b"\xe4\xb8"), (PING, b""), (FIN | CONTINUATION, b"")],
            &[Ping(vec![]), Broken(Violation::TextUtf8)],
        ),
        transcript(
            "a surrogate across fragments",
            &[(TEXT, b"\xed"), (PING, b""), (CONTINUATION, b"\xa0"), (PING, b"not reached")],
            &[Ping(vec![]), Broken(Violation::TextUtf8)],
        ),
        transcript(
            "nothing is read after a violation",
            &[(0xf1, b""), (PING, b"")],
            &[Broken(Violation::ReservedBits)],
        ),
        transcript("too big at once", &[(FIN | BINARY, b"12345")], &[Broken(Violation::TooBig)]).with_limits(4, 0),
        transcript(
            "too big in sum",
            &[(FIN | BINARY, b"1234"), (BINARY, b"123"), (PING, b"4"), (FIN | CONTINUATION, b"45")],
            &[Binary(b"1234".to_vec()), Ping(b"4".to_vec()), Broken(Violation::TooBig)],
        )
        .with_limits(4, 0),
        transcript(
            "too many empty fragments",
            &[(TEXT, b""), (CONTINUATION, b""), (PING, b""), (CONTINUATION, b""), (FIN | CONTINUATION, b"")],
            &[Ping(vec![]), Broken(Violation::TooManyEmptyFragments)],
        )
        .with_limits(100, 2),
        transcript("two mistakes: the first counts", &[(CONTINUATION, b"x")], &[Broken(Violation::NothingToContinue)])
            .with_tail(&[0xff]),
    ]
}

fn all() -> Vec<Transcript> {
    [messages(), control_frames(), broken()].into_iter().flatten().collect()
}

fn each(mut check: impl FnMut(&str, Role, &Transcript, &[u8])) {
    for transcript in all() {
        for role in [Role::Server, Role::Client] {
            check(&format!("{:?}: {}", role, transcript.name), role, &transcript, &transcript.bytes(role));
        }
    }
}

#[test]
fn whole() {
    each(|name, role, transcript, bytes| {
        assert_eq!(crate::replay::whole(role, transcript.limits, bytes), transcript.seen, "{name}");
    });
}

#[test]
fn in_pieces_of_every_small_size() {
    each(|name, role, transcript, bytes| {
        for size in [1, 2, 3, 5, 7, 13, 14, 15, 64, 100, 4096, 4097, 65_536] {
            let seen = crate::replay::in_pieces(role, transcript.limits, bytes, size);
            assert_eq!(seen, transcript.seen, "{name}, pieces of {size}");
        }
    });
}

#[test]
fn at_every_split_point() {
    each(|name, role, transcript, bytes| {
        // Every one, except in long payloads: there, every one near the ends of a frame and a few hundred others.
        let step = (bytes.len() / 300).max(1);
        let mut ends = vec![0];
        for (_, payload) in &transcript.frames {
            ends.push(ends[ends.len() - 1] + header(role, 0, payload.len() as u64).len() + payload.len());
        }
        for at in 0..=bytes.len() {
            let near_end = ends.iter().any(|end| at.abs_diff(*end) < 20);
            if bytes.len() < 20_000 || near_end || at % step == 0 {
                assert_eq!(
                    crate::replay::split_at(role, transcript.limits, bytes, at),
                    transcript.seen,
                    "{name}, at {at}"
                );
            }
        }
    });
}

#[test]
fn through_a_direct_receive() {
    each(|name, role, transcript, bytes| {
        for piece in [1, 2, 13, 14, 1000, 4096, 65_537, 1 << 20] {
            let seen = crate::replay::directly(role, transcript.limits, bytes, piece);
            assert_eq!(seen, transcript.seen, "{name}, pieces of {piece}");
        }
    });
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 6455 §5.7, as printed there.
    let unmasked: &[(&[u8], Seen)] = &[
        (&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], text("Hello")),
        (&[0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f], text("Hello")),
        (&[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], Ping(b"Hello".to_vec())),
        (&[&[0x82, 0x7e, 0x01, 0x00][..], &[9; 256]].concat(), Binary(vec![9; 256])),
        (&[&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0][..], &[9; 65536]].concat(), Binary(vec![9; 65536])),
    ];
    for (bytes, seen) in unmasked {
        assert_eq!(crate::replay::whole(Role::Client, Limits::default(), bytes), std::slice::from_ref(seen));
    }
    let masked: &[(&[u8], Seen)] = &[
        (&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], text("Hello")),
        (&[0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], Pong(b"Hello".to_vec())),
    ];
    for (bytes, seen) in masked {
        assert_eq!(crate::replay::whole(Role::Server, Limits::default(), bytes), std::slice::from_ref(seen));
    }
}

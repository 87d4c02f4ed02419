//! permessage-deflate: rows 26 to 31 of the list of attacks, F14, and the examples of RFC 7692.

use std::time::{Duration, Instant};

use crate::replay::{BINARY, CONTINUATION, FIN, Replay, Seen, TEXT};
use hubbub_proto::close::CloseCode;
use hubbub_proto::deflate::{Deflater, Inflater, Params};
use hubbub_proto::handshake::deflate::{Chosen, Offer, Unfit, Wishes, choose};
use hubbub_proto::message::{Kind, Limits};
use hubbub_proto::{Role, Violation};

const RSV1: u8 = 0x40;
const MIB: usize = 1 << 20;

const SHARED: Wishes = Wishes { takeover: false, server_max_window_bits: 15, client_max_window_bits: 15 };
const OWN: Wishes = Wishes { takeover: true, ..SHARED };

// ---- the negotiation

fn answer(offer: &str, wishes: &Wishes) -> Option<String> {
    choose([offer.as_bytes()], wishes).map(|chosen| chosen.answer)
}

#[test]
fn row_27_each_offer_has_its_answer() {
    let own: &[(&str, Option<&str>)] = &[
        ("permessage-deflate", Some("permessage-deflate")),
        // RFC 7692 §5.2 and §7.1.3.
        ("permessage-foo, permessage-bar", None),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate; client_max_window_bits",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        ("permessage-deflate; client_max_window_bits=10", Some("permessage-deflate; client_max_window_bits=10")),
        ("permessage-deflate; client_max_window_bits=\"10\"", Some("permessage-deflate; client_max_window_bits=10")),
        ("permessage-deflate; client_max_window_bits=8", Some("permessage-deflate; client_max_window_bits=8")),
        ("permessage-deflate; client_max_window_bits=15", Some("permessage-deflate")),
        ("permessage-deflate; server_max_window_bits=15", Some("permessage-deflate; server_max_window_bits=15")),
        ("permessage-deflate; server_max_window_bits=9", Some("permessage-deflate; server_max_window_bits=9")),
        ("permessage-deflate;server_no_context_takeover", Some("permessage-deflate; server_no_context_takeover")),
        (
            "permessage-deflate ; client_no_context_takeover ; server_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        // zlib cannot deflate with a window of 256 bytes: better none than a broken promise.
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("permessage-deflate")),
    ];
    for (offer, expected) in own {
        assert_eq!(answer(offer, &OWN).as_deref(), *expected, "{offer}");
    }
    let none = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer("permessage-deflate", &SHARED).as_deref(), Some(none));
    let small = Wishes { server_max_window_bits: 11, client_max_window_bits: 12, ..OWN };
    let table = [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=11"),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=9",
        ),
    ];
    for (offer, expected) in table {
        assert_eq!(answer(offer, &small).as_deref(), Some(expected), "{offer}");
    }
}

#[test]
fn row_27_a_bad_offer_is_declined_and_the_next_one_considered() {
    let mut bad: Vec<String> =
        ["__proto__", "constructor", "toString=1", "x", "server_no_context_takeover=1"].map(str::to_owned).to_vec();
    bad.push("client_no_context_takeover=\"true\"".into());
    for bits in ["7", "16", "0", "0009", "09", "1e9", "-8", "+9", "8.0", "99999999999999999999", "x", "\"7\""] {
        bad.push(format!("server_max_window_bits={bits}"));
        bad.push(format!("client_max_window_bits={bits}"));
    }
    bad.push("server_max_window_bits".into());
    for twice in ["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits=9"] {
        bad.push(format!("{twice}; {twice}"));
    }
    bad.push("client_max_window_bits; client_max_window_bits=10".into());
    bad.push("server_max_window_bits=10; server_max_window_bits=11".into());
    for params in bad {
        let offer = format!("permessage-deflate; {params}");
        assert_eq!(answer(&offer, &OWN), None, "{offer}");
        let offers = format!("x-other, {offer}, permessage-deflate; client_no_context_takeover, permessage-deflate");
        let expected = "permessage-deflate; client_no_context_takeover";
        assert_eq!(answer(&offers, &OWN).as_deref(), Some(expected), "{offers}");
        // In a field of its own, too.
        let chosen = choose([offer.as_bytes(), b"permessage-deflate"], &OWN).map(|chosen| chosen.answer);
        assert_eq!(chosen.as_deref(), Some("permessage-deflate"), "{offer}");
    }
    // Not even the grammar holds: the handshake answers 400 to these; here they are nothing.
    for broken in
        ["permessage-deflate; server_max_window_bits=", "permessage-deflate; =", "permessage-deflate; a=\"\"", ""]
    {
        assert_eq!(answer(broken, &OWN), None, "{broken}");
    }
}

#[test]
fn row_8_long_offers_take_linear_time() {
    for piece in ["permessage-deflate; __proto__,", "permessage-deflate; constructor=\"x\" ;", ", ; =", "\"", " "] {
        let long = piece.repeat(64 * 1024 / piece.len());
        let started = Instant::now();
        for _ in 0..4 {
            assert_eq!(answer(&long, &SHARED), None);
        }
        assert!(started.elapsed() < Duration::from_millis(400), "{piece:?}: {:?}", started.elapsed());
    }
}

#[test]
fn what_the_server_chooses_fits_what_the_client_offered() {
    let windows = [None, Some(8), Some(9), Some(12), Some(15)];
    for bits in 0..4_u8 {
        for server in windows {
            for client in [None, Some(None), Some(Some(9)), Some(Some(15))] {
                let offer = Offer {
                    server_no_context_takeover: bits & 1 != 0,
                    client_no_context_takeover: bits & 2 != 0,
                    server_max_window_bits: server,
                    client_max_window_bits: client,
                };
                for takeover in [false, true] {
                    let wishes = Wishes { takeover, server_max_window_bits: 13, client_max_window_bits: 11 };
                    match choose([offer.to_string().as_bytes()], &wishes) {
                        None => assert_eq!(server, Some(8), "{offer}"),
                        Some(Chosen { params, answer }) => {
                            assert_eq!(offer.check([answer.as_bytes()]), Ok(Some(params)), "{offer} -> {answer}");
                            assert!(params.server_max_window_bits <= server.unwrap_or(15).min(13));
                            assert!(takeover || params.server_no_context_takeover && params.client_no_context_takeover);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_client_accepts_no_answer_that_it_did_not_offer() {
    let offer = Offer { server_no_context_takeover: true, server_max_window_bits: Some(10), ..Offer::default() };
    assert_eq!(offer.check([]), Ok(None));
    let params = Params {
        server_no_context_takeover: true,
        client_no_context_takeover: false,
        server_max_window_bits: 10,
        client_max_window_bits: 15,
    };
    let good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10";
    assert_eq!(offer.check([good.as_bytes()]), Ok(Some(params)));
    let bad = [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; __proto__",
        "permessage-bzip2",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10, permessage-bzip2",
        "=",
    ];
    for answer in bad {
        assert_eq!(offer.check([answer.as_bytes()]), Err(Unfit), "{answer}");
    }
    assert_eq!(offer.check([good.as_bytes(), good.as_bytes()]), Err(Unfit), "once is enough");
    // A window that the library cannot deflate with.
    let open = Offer { client_max_window_bits: Some(None), ..Offer::default() };
    assert_eq!(open.check(["permessage-deflate; client_max_window_bits=8".as_bytes()]), Err(Unfit));
}

// ---- frames

#[test]
fn row_28_only_the_first_frame_of_a_message_may_be_marked() {
    for role in [Role::Server, Role::Client] {
        for open in [false, true] {
            for first in 0..=255_u8 {
                let mut replay = Replay::deflating(role, Limits::default());
                if open {
                    replay.feed(&crate::replay::frame(role, RSV1 | TEXT, b"open"));
                }
                replay.feed(&[first]);
                let (fin, rsv, opcode) = (first & FIN != 0, first & 0x70, first & 0x0f);
                let expected = match opcode {
                    _ if rsv & 0x30 != 0 => Some(Violation::ReservedBits),
                    0 | 3.. if rsv != 0 => Some(Violation::ReservedBits),
                    3..=7 | 11..=15 => Some(Violation::ReservedOpcode),
                    8..=10 if !fin => Some(Violation::FragmentedControl),
                    0 if !open => Some(Violation::NothingToContinue),
                    1 | 2 if open => Some(Violation::MessageInsideMessage),
                    _ => None,
                };
                let expected: Vec<Seen> = expected.map(Seen::Broken).into_iter().collect();
                assert_eq!(replay.seen, expected, "{role:?}, first byte {first:#x}, open: {open}");
                if let [Seen::Broken(violation)] = replay.seen[..] {
                    assert_eq!(violation.close_code(), CloseCode::PROTOCOL_ERROR);
                }
            }
        }
    }
}

#[test]
fn compressed_messages_come_whole_however_they_are_cut() {
    let role = Role::Server;
    let large = crate::replay::frame(role, FIN | RSV1 | BINARY, &vec![0xab; 70_000]);
    let small = crate::replay::frame(role, FIN | RSV1 | TEXT, b"\xff\xfe not UTF-8, and need not be");
    let mut bytes = [&small[..], &large].concat();
    bytes.extend(crate::replay::frame(role, RSV1 | TEXT, b"one "));
    bytes.extend(crate::replay::frame(role, crate::replay::PING, b"between"));
    bytes.extend(crate::replay::frame(role, CONTINUATION, b""));
    bytes.extend(crate::replay::frame(role, FIN | CONTINUATION, b"two"));
    bytes.extend(crate::replay::frame(role, FIN | TEXT, b"plain"));
    let expected = [
        Seen::Compressed(Kind::Text, b"\xff\xfe not UTF-8, and need not be".to_vec()),
        Seen::Compressed(Kind::Binary, vec![0xab; 70_000]),
        Seen::Ping(b"between".to_vec()),
        Seen::Compressed(Kind::Text, b"one two".to_vec()),
        Seen::Text(b"plain".to_vec()),
    ];
    for size in [1, 2, 3, 7, 100, 4096, bytes.len()] {
        let mut replay = Replay::deflating(role, Limits::default());
        bytes.chunks(size).for_each(|piece| replay.feed(piece));
        assert_eq!(replay.seen, expected, "in pieces of {size}");
        let mut replay = Replay::deflating(role, Limits::default());
        replay.feed_directly(&bytes, size);
        assert_eq!(replay.seen, expected, "directly, in pieces of {size}");
    }
}

#[test]
fn the_limit_counts_compressed_bytes_too() {
    let limits = Limits { max_message_bytes: Some(100), ..Limits::default() };
    let mut replay = Replay::deflating(Role::Server, limits);
    replay.feed(&crate::replay::header(Role::Server, FIN | RSV1 | BINARY, 101));
    assert_eq!(replay.seen, [Seen::Broken(Violation::TooBig)]);
}

// ---- streams

fn inflate(payload: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::new();
    Inflater::new(15, false).inflate(payload, Some(MIB), &mut out).map(|()| out)
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 7692 §7.2.3.1: one block; §7.2.3.3: no compression; §7.2.3.4: a final block; §7.2.3.5: two blocks.
    let hello: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for payload in hello {
        assert_eq!(inflate(payload), Ok(b"Hello".to_vec()), "{payload:x?}");
    }
    // §7.2.3.2: the second message refers to the first.
    let mut inflater = Inflater::new(15, true);
    let mut out = Vec::new();
    for payload in [hello[0], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        inflater.inflate(payload, Some(MIB), &mut out).unwrap();
        assert_eq!(out, b"Hello");
    }
    assert_eq!(inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00]), Err(Violation::Deflate), "nothing to refer to");
    // And as we write them.
    let mut deflated = Vec::new();
    let mut deflater = Deflater::new(15, 6, true);
    deflater.deflate(b"Hello", &mut deflated);
    assert_eq!(deflated, hello[0]);
    deflated.clear();
    deflater.deflate(b"Hello", &mut deflated);
    assert_eq!(deflated, [0xf2, 0x00, 0x11, 0x00, 0x00]);
    // §7.2.3.6: an empty message.
    for takeover in [false, true] {
        let mut deflater = Deflater::new(15, 6, takeover);
        let mut inflater = Inflater::new(15, takeover);
        for message in [&b""[..], b"x", b"", b"", b"y"] {
            deflated.clear();
            deflater.deflate(message, &mut deflated);
            assert!(!message.is_empty() || deflated == [0]);
            inflater.inflate(&deflated, Some(MIB), &mut out).unwrap();
            assert_eq!(out, message);
        }
    }
}

#[test]
fn row_31_odd_streams_are_refused_or_read_but_never_more_than_that() {
    let ok: &[(&[u8], &[u8])] = &[
        (&[], b""),
        (&[0x00], b""),
        // A final block without the byte that should follow it, and two of them.
        (&[0x03, 0x00], b""),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        (&[0x4b, 0x04, 0x00, 0x4b, 0x04, 0x00, 0x00], b"aa"),
        // Empty blocks before, between and after.
        (&[0x00, 0x00, 0x00, 0xff, 0xff, 0x4a, 0x04, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00], b"a"),
    ];
    for (payload, expected) in ok {
        assert_eq!(inflate(payload).as_deref(), Ok(*expected), "{payload:x?}");
    }
    let bad: &[&[u8]] = &[
        // The block type that does not exist.
        &[0x07],
        &[0xff, 0xff, 0xff],
        // A stored block whose length and its complement disagree, and one that is cut short.
        &[0x00, 0x05, 0x00, 0x05, 0x00, 0x48],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65],
        // Back beyond the beginning.
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        // Garbage after a final block.
        &[0x03, 0x00, 0x07],
        &[0x03, 0x00, 0xff, 0xff],
        // Code lengths that make no code.
        &[0x04, 0x80, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24, 0x0f, 0xb4, 0xff, 0xff, 0xc3, 0x04],
        &[0xfc, 0x00, 0x00],
    ];
    for payload in bad {
        assert_eq!(inflate(payload), Err(Violation::Deflate), "{payload:x?}");
    }
    assert_eq!(Violation::Deflate.close_code(), CloseCode::INVALID_FRAME_PAYLOAD_DATA);
    // Every cut of a good payload, and every byte of it wrong: no panic, never more than the limit.
    let mut good = Vec::new();
    Deflater::new(15, 9, false).deflate("{\"so\": \"it\", \"goes\": [1, 2, 3]}".repeat(20).as_bytes(), &mut good);
    for cut in 0..good.len() {
        let _ = inflate(&good[..cut]);
        let mut wrong = good.clone();
        for flip in [1, 0x80, 0xff] {
            wrong[cut] ^= flip;
            let mut out = Vec::new();
            let _ = Inflater::new(15, true).inflate(&wrong, Some(1000), &mut out);
            wrong[cut] = good[cut];
        }
    }
}

#[test]
fn row_26_a_bomb_stops_at_the_limit() {
    // 64 MiB of zeros in 64 KiB.
    let mut bomb = Vec::new();
    Deflater::new(15, 9, false).deflate(&vec![0; 64 * MIB], &mut bomb);
    assert!(bomb.len() < 70_000, "{}", bomb.len());
    let mut out = Vec::new();
    let mut inflater = Inflater::new(15, false);
    let started = Instant::now();
    assert_eq!(inflater.inflate(&bomb, Some(MIB), &mut out), Err(Violation::TooBig));
    assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
    assert!(out.capacity() <= 2 * MIB, "{}", out.capacity());
    // The same inflater goes on as if nothing had been.
    assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], Some(MIB), &mut out), Ok(()));
    assert_eq!(out, b"Hello");
}

#[test]
fn the_limit_is_exact() {
    for len in [0, 1, 1023, 1024, 1025, 4096, 100_000] {
        let message = vec![b'x'; len];
        let mut deflated = Vec::new();
        Deflater::new(15, 6, false).deflate(&message, &mut deflated);
        let mut out = Vec::new();
        let mut inflater = Inflater::new(15, false);
        assert_eq!(inflater.inflate(&deflated, Some(len), &mut out), Ok(()), "{len}");
        assert_eq!(out, message);
        if len > 0 {
            assert_eq!(inflater.inflate(&deflated, Some(len - 1), &mut out), Err(Violation::TooBig), "{len}");
        }
    }
}

#[test]
fn final_blocks_without_end_cost_little() {
    let payload = [0x03, 0x00].repeat(MIB / 2);
    let started = Instant::now();
    assert_eq!(inflate(&payload), Err(Violation::Deflate));
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
}

#[test]
fn every_window_level_and_kind_of_message_comes_back() {
    let mut random = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 56) as u8
    })
    .take(70_000)
    .collect();
    let text = "{\"id\": 12345, \"name\": \"somebody\", \"text\": \"hello\"}".repeat(2000);
    let messages: [&[u8]; 7] = [b"a", &noise, text.as_bytes(), b"", &noise[..300], &text.as_bytes()[..1000], b"a"];
    for bits in 9..=15 {
        for level in 0..=9 {
            for takeover in [false, true] {
                let mut deflater = Deflater::new(bits, level, takeover);
                let mut inflater = Inflater::new(bits, takeover);
                let mut out = Vec::new();
                for (number, message) in messages.iter().enumerate() {
                    let mut deflated = b"before".to_vec();
                    deflater.deflate(message, &mut deflated);
                    inflater.inflate(&deflated[6..], Some(MIB), &mut out).unwrap();
                    assert!(out == *message, "message {number}, {bits} bits, level {level}, takeover {takeover}");
                    // What cannot be deflated grows, at level 1 by a sixteenth.
                    let most = message.len() + message.len() / 16 + 16;
                    assert!(deflated.len() - 6 <= most, "{} for {}", deflated.len(), message.len());
                }
            }
        }
    }
}

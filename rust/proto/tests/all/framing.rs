//! What a hostile peer may put into frames: rows 15 to 21 of the list of attacks.

use crate::replay::Seen::Broken;
use crate::replay::{BINARY, CLOSE, CONTINUATION, FIN, KEY, PING, Replay, Seen, TEXT};
use hubbub_proto::close::{self, CloseCode, CloseFrame};
use hubbub_proto::frame::{Header, Opcode};
use hubbub_proto::message::{Event, Limits, Payload, Reader};
use hubbub_proto::{Role, Violation, frame};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// No limit at all: what stops a message then is what memory can address.
const BOUNDLESS: Limits = Limits { max_message_bytes: None, max_empty_fragments: 64 };

/// What a first byte proves by itself, with a message open or not.
fn verdict(first: u8, open: bool) -> Option<Violation> {
    let (fin, rsv, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    match opcode {
        _ if rsv != 0 => Some(Violation::ReservedBits),
        3..=7 | 11..=15 => Some(Violation::ReservedOpcode),
        8..=10 if !fin => Some(Violation::FragmentedControl),
        0 if !open => Some(Violation::NothingToContinue),
        1 | 2 if open => Some(Violation::MessageInsideMessage),
        _ => None,
    }
}

#[test]
fn row_18_every_first_byte_is_judged_alone() {
    for role in ROLES {
        for open in [false, true] {
            for first in 0..=255 {
                let mut replay = Replay::new(role, Limits::default());
                if open {
                    replay.feed(&crate::replay::frame(role, TEXT, b"open"));
                }
                replay.feed(&[first]);
                let expected: Vec<Seen> = verdict(first, open).map(Broken).into_iter().collect();
                assert_eq!(replay.seen, expected, "{role:?}, first byte {first:#x}, open: {open}");
                if let [Broken(violation)] = replay.seen[..] {
                    assert_eq!(violation.close_code(), CloseCode::PROTOCOL_ERROR);
                    assert!(!replay.reader.is_mid_message(), "nothing is held for a peer that broke the rules");
                }
            }
        }
    }
}

#[test]
fn row_17_lengths_at_the_edges_of_what_can_be_written() {
    let max = Limits::default().max_message_bytes.unwrap() as u64;
    let table: &[(u64, Limits, Option<Violation>)] = &[
        (max, Limits::default(), None),
        (max + 1, Limits::default(), Some(Violation::TooBig)),
        (u64::from(u32::MAX) + 6, Limits::default(), Some(Violation::TooBig)),
        ((1 << 63) - 1, Limits::default(), Some(Violation::TooBig)),
        (1 << 63, Limits::default(), Some(Violation::LengthOverflow)),
        (u64::MAX, Limits::default(), Some(Violation::LengthOverflow)),
        (1 << 62, BOUNDLESS, None),
        ((1 << 63) - 1, BOUNDLESS, None),
        (1 << 63, BOUNDLESS, Some(Violation::LengthOverflow)),
    ];
    for role in ROLES {
        for (len, limits, expected) in table {
            let header = crate::replay::header(role, FIN | BINARY, *len);
            let mut replay = Replay::new(role, *limits);
            replay.feed(&header);
            let expected: Vec<Seen> = expected.map(Broken).into_iter().collect();
            assert_eq!(replay.seen, expected, "{role:?}, length {len}");
            // Without the masking key, too: the length alone is enough.
            let mut replay = Replay::new(role, *limits);
            replay.feed(&header[..10]);
            assert_eq!(replay.seen, expected, "{role:?}, length {len}, no key yet");
        }
    }
}

#[test]
fn row_17_a_sum_of_fragments_that_wraps_is_too_big() {
    for role in ROLES {
        for limits in [Limits::default(), BOUNDLESS] {
            for len in [i64::MAX as u64, i64::MAX as u64 - 3] {
                let mut replay = Replay::new(role, limits);
                replay.feed(&crate::replay::frame(role, BINARY, b"some"));
                replay.feed(&crate::replay::header(role, FIN | CONTINUATION, len));
                assert_eq!(replay.seen, [Broken(Violation::TooBig)], "{role:?}, {len}");
            }
        }
    }
}

#[test]
fn row_17_a_declared_length_allocates_nothing_like_it() {
    let mut replay = Replay::new(Role::Client, BOUNDLESS);
    replay.feed(&crate::replay::header(Role::Client, FIN | BINARY, 1 << 62));
    replay.feed(b"one byte or two");
    let direct = replay.reader.direct(&mut Vec::new()).unwrap();
    assert_eq!(direct.remaining, (1 << 62) - 15);
    assert!(direct.room.len() <= 128 * 1024, "{} bytes are held for 15", direct.room.len());
}

#[test]
fn row_17_lengths_that_are_not_minimal_fail_at_the_byte_that_shows_it() {
    for role in ROLES {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        for (length, shown_after) in [
            (&[mask | 126, 0, 0][..], 3),
            (&[mask | 126, 0, 125], 3),
            (&[mask | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 7),
            (&[mask | 127, 0, 0, 0, 0, 0, 0, 0, 0], 7),
        ] {
            let bytes = [&[FIN | BINARY], length].concat();
            for cut in 0..=bytes.len() {
                let result = Header::parse(&bytes[..cut], role);
                if cut > shown_after {
                    assert_eq!(result, Err(Violation::NonMinimalLength), "{bytes:x?}, {cut} bytes of it");
                } else {
                    assert_eq!(result, Ok(None), "{bytes:x?}, {cut} bytes of it");
                }
            }
        }
        let bytes = [FIN | BINARY, mask | 127, 0x80];
        assert_eq!(Header::parse(&bytes, role), Err(Violation::LengthOverflow));
    }
}

#[test]
fn row_19_frames_must_be_masked_by_clients_and_only_by_them() {
    for first in [FIN | TEXT, PING, CLOSE, BINARY] {
        let unmasked = crate::replay::frame(Role::Client, first, b"");
        assert_eq!(crate::replay::whole(Role::Server, Limits::default(), &unmasked), [Broken(Violation::Unmasked)]);
        let masked = crate::replay::frame(Role::Server, first, b"");
        assert_eq!(crate::replay::whole(Role::Client, Limits::default(), &masked), [Broken(Violation::Masked)]);
    }
}

#[test]
fn row_21_control_frames_are_at_most_125_bytes() {
    for role in ROLES {
        for first in [CLOSE, PING, crate::replay::PONG] {
            for len in [126, 65535, 65536] {
                // Two bytes prove it.
                let header = crate::replay::header(role, first, len);
                let seen = crate::replay::whole(role, Limits::default(), &header[..2]);
                assert_eq!(seen, [Broken(Violation::ControlTooLong)]);
            }
        }
    }
}

#[test]
fn row_21_every_close_code() {
    for code in 0..=u16::MAX {
        let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let payload = [&code.to_be_bytes()[..], "grüße".as_bytes()].concat();
        let seen =
            crate::replay::whole(Role::Server, Limits::default(), &crate::replay::frame(Role::Server, CLOSE, &payload));
        if allowed {
            assert_eq!(seen, [Seen::Close(Some(code), "grüße".into())]);
        } else {
            assert_eq!(seen, [Broken(Violation::CloseCode)], "{code}");
        }
        assert_eq!(CloseCode(code).may_be_received(), allowed, "{code}");
        assert_eq!(CloseCode(code).may_be_sent(), allowed, "{code}");
    }
}

#[test]
fn row_22_a_close_reason_is_at_most_123_bytes_of_utf8() {
    let mut out = Vec::new();
    let longest = "ü".repeat(61) + "x";
    assert_eq!(close::encode(&mut out, Role::Client, Some(CloseCode(4999)), &longest, Some(KEY)), Ok(()));
    assert_eq!(crate::replay::whole(Role::Server, Limits::default(), &out), [Seen::Close(Some(4999), longest.clone())]);
    out.clear();
    let too_long = longest + "x";
    let result = close::encode(&mut out, Role::Client, Some(CloseCode::NORMAL), &too_long, Some(KEY));
    assert_eq!(result, Err(close::ReasonTooLong));
    assert!(out.is_empty());
}

#[test]
fn a_close_without_a_code_is_an_empty_frame() {
    for code in [None, Some(CloseCode::NO_STATUS_RECEIVED)] {
        let mut out = Vec::new();
        close::encode(&mut out, Role::Server, code, "", None).unwrap();
        assert_eq!(out, [CLOSE, 0]);
    }
    assert_eq!(CloseFrame::parse(b""), Ok(CloseFrame { code: None, reason: "" }));
}

#[test]
fn row_15_a_million_fragments_of_one_byte_take_one_buffer() {
    let max = 1 << 20;
    let mut replay = Replay::new(Role::Client, Limits::default());
    replay.feed(&[BINARY, 1, b'x']);
    // Measuring the message anew for each fragment would take hours here.
    let fragments = [CONTINUATION, 1, b'x'].repeat(max - 5001);
    replay.feed(&fragments);
    assert!(replay.seen.is_empty() && replay.reader.is_mid_message());
    replay.feed(&crate::replay::header(Role::Client, CONTINUATION, 5000));
    let direct = replay.reader.direct(&mut Vec::new()).unwrap();
    assert_eq!((direct.room.len(), direct.remaining), (5000, 5000));
    replay.feed_directly(&[b'x'; 5000], 700);
    replay.feed(&[CONTINUATION, 1, b'x']);
    assert_eq!(replay.seen, [Broken(Violation::TooBig)]);
}

#[test]
fn row_15_empty_fragments_are_counted() {
    for role in ROLES {
        let mut replay = Replay::new(role, Limits::default());
        replay.feed(&crate::replay::frame(role, TEXT, b"a"));
        for _ in 0..64 {
            replay.feed(&crate::replay::frame(role, CONTINUATION, b""));
        }
        assert!(replay.seen.is_empty());
        replay.feed(&crate::replay::frame(role, CONTINUATION, b""));
        assert_eq!(replay.seen, [Broken(Violation::TooManyEmptyFragments)]);
        assert_eq!(Violation::TooManyEmptyFragments.close_code(), CloseCode::POLICY_VIOLATION);
    }
}

#[test]
fn row_16_many_legal_fragments_make_one_message() {
    let mut bytes = crate::replay::frame(Role::Server, BINARY, &[7; 64]);
    for _ in 0..65_534 {
        bytes.extend(crate::replay::frame(Role::Server, CONTINUATION, &[7; 64]));
    }
    bytes.extend(crate::replay::frame(Role::Server, FIN | CONTINUATION, &[7; 64]));
    let limits = Limits { max_message_bytes: Some(4 << 20), ..Limits::default() };
    assert!(crate::replay::whole(Role::Server, limits, &bytes) == [Seen::Binary(vec![7; 4 << 20])]);
}

#[test]
fn a_whole_message_is_handed_out_where_it_lies() {
    let mut bytes = crate::replay::frame(Role::Server, FIN | TEXT, b"hello");
    bytes.extend(crate::replay::frame(Role::Server, PING, b"ping"));
    let range = bytes.as_ptr_range();
    let mut reader = Reader::new(Role::Server);
    let mut input = &mut bytes[..];
    let mut events = 0;
    while let Some(event) = reader.next(&mut input, &Limits::default()).unwrap() {
        let (Event::Message { payload, .. } | Event::Ping(payload)) = event else { panic!("{event:?}") };
        let Payload::Borrowed(bytes) = payload else { panic!("copied") };
        assert!(range.contains(&bytes.as_ptr()));
        events += 1;
    }
    assert_eq!(events, 2);
    assert!(!reader.is_mid_message());
}

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Reader>() <= 32);
}

#[test]
fn a_reader_is_idle_again_after_an_unfinished_frame() {
    let bytes = crate::replay::frame(Role::Server, FIN | TEXT, b"hello");
    let mut replay = Replay::new(Role::Server, Limits::default());
    for cut in 1..bytes.len() {
        replay.feed(&bytes[..cut]);
        assert!(replay.reader.is_mid_message(), "{cut}");
        replay.feed(&bytes[cut..]);
        assert!(!replay.reader.is_mid_message(), "{cut}");
    }
}

#[test]
fn direct_uses_a_spare_buffer_that_is_large_enough() {
    let mut spare = vec![vec![7; 10], vec![7; 80_000]];
    let mut reader = Reader::new(Role::Server);
    let key = [1, 2, 3, 4];
    let mut frame = Vec::new();
    frame::encode(&mut frame, Opcode::Binary, &[9; 70_000], Some(key));
    let used = spare[1].as_ptr();
    let mut first = &mut frame[..1000];
    assert!(reader.next(&mut first, &Limits::default()).unwrap().is_none());
    let direct = reader.direct(&mut spare).unwrap();
    let n = direct.room.len();
    assert_eq!(n, direct.remaining);
    direct.room.copy_from_slice(&frame[1000..]);
    let Ok(Some(Event::Message { payload: Payload::Owned(bytes), .. })) =
        reader.received_directly(n, &Limits::default())
    else {
        panic!("the message is complete")
    };
    assert_eq!((bytes.as_ptr(), bytes.len(), spare.len()), (used, 70_000, 1));
    assert!(bytes.iter().all(|byte| *byte == 9));
}

#[test]
fn direct_is_offered_only_where_it_is_worth_it() {
    for (len, sent, offered) in [(4096, 0, true), (4095, 0, false), (9000, 4904, true), (9000, 4905, false)] {
        let mut replay = Replay::new(Role::Client, Limits::default());
        assert!(replay.reader.direct(&mut Vec::new()).is_none());
        replay.feed(&crate::replay::header(Role::Client, FIN | BINARY, len));
        replay.feed(&vec![1; sent]);
        let direct = replay.reader.direct(&mut Vec::new());
        assert_eq!(direct.map(|direct| direct.remaining), offered.then_some(len as usize - sent), "{len}, {sent}");
    }
}

#[test]
fn headers_are_read_as_they_were_written() {
    let opcodes = [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    for opcode in opcodes {
        for len in [0, 1, 125, 126, 127, 255, 256, 65535, 65536, 1 << 32, i64::MAX as u64] {
            for (role, mask) in [(Role::Client, None), (Role::Server, Some(KEY))] {
                if opcode.is_control() && len > 125 {
                    continue;
                }
                let header = Header { fin: true, opcode, len, mask };
                let bytes = header.encode();
                assert_eq!(bytes[..], crate::replay::header(role, FIN | opcode as u8, len)[..]);
                assert_eq!(Header::parse(&bytes, role), Ok(Some((header, bytes.len()))));
            }
        }
    }
}

#[test]
fn whole_frames_are_read_as_they_were_written() {
    for len in [0, 1, 125, 126, 65535, 65536] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        for (role, mask) in [(Role::Client, None), (Role::Server, Some(KEY))] {
            let mut out = b"before".to_vec();
            frame::encode(&mut out, Opcode::Binary, &payload, mask);
            assert_eq!(&out[..6], b"before");
            assert!(crate::replay::whole(role, Limits::default(), &out[6..]) == [Seen::Binary(payload.clone())]);
        }
    }
}

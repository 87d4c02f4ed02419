//! The incremental validator agrees with the standard library at every cut (F12).

use crate::replay::{CONTINUATION, FIN, Seen, TEXT};
use hubbub_proto::message::Limits;
use hubbub_proto::utf8::{Validator, is_valid};
use hubbub_proto::{Role, Violation};

/// Valid and not: every boundary of RFC 3629 §4, from both sides.
const STRINGS: &[&[u8]] = &[
    b"",
    b"plain ASCII",
    b"\x00\x7f",
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2\x80",
    b"\xc2",
    b"\xc2\x7f",
    b"\xc2\xc0",
    b"\xdf\xbf",
    b"\xe0\x9f\xbf",
    b"\xe0\xa0\x80",
    b"\xe1\x80",
    b"\xe1\x80\x7f",
    b"\xec\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xee\x80\x80",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xef\xbb\xbfBOM",
    b"\xf0\x8f\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf0\x9f\x8e\x89",
    b"\xf0\x9f\x8e",
    b"\xf0\x9f\x8e\x89\xf0\x9f",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff\xff",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    "Grüße, мир, 世界, 🎉".as_bytes(),
];

/// Each string alone and inside longer ones, so that the vectors of the fast validator meet it.
fn all_strings() -> impl Iterator<Item = Vec<u8>> {
    let lengths = if cfg!(miri) { &[0, 3][..] } else { &[0, 3, 61, 64, 100] };
    lengths.iter().flat_map(|before| {
        STRINGS.iter().map(|string| [&b"x".repeat(*before)[..], string, &b"y".repeat(*before)].concat())
    })
}

/// Whether some continuation makes `bytes` valid.
fn can_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn validate(pieces: &[&[u8]]) -> bool {
    let mut validator = Validator::default();
    pieces.iter().all(|piece| validator.push(piece).is_ok()) && validator.finish().is_ok()
}

#[test]
fn at_every_pair_of_cuts() {
    for string in all_strings() {
        let expected = std::str::from_utf8(&string).is_ok();
        assert_eq!(is_valid(&string), expected, "{string:x?}");
        for first in 0..=string.len() {
            for second in (first..=string.len()).filter(|second| second - first < 6 || *second == string.len()) {
                let pieces = [&string[..first], &string[first..second], &string[second..]];
                assert_eq!(validate(&pieces), expected, "{pieces:x?}");
            }
        }
    }
}

#[test]
fn fails_at_the_first_byte_that_nothing_could_follow() {
    for string in all_strings() {
        let mut validator = Validator::default();
        for end in 1..=string.len() {
            let expected = can_go_on(&string[..end]);
            assert_eq!(validator.push(&string[end - 1..end]).is_ok(), expected, "{:x?}", &string[..end]);
            if !expected {
                break;
            }
        }
    }
}

#[test]
fn the_state_is_small() {
    assert!(size_of::<Validator>() <= 8);
}

#[test]
#[cfg_attr(miri, ignore = "a few thousand messages")]
fn text_cut_into_fragments_and_pieces_is_delivered_whole_or_not_at_all() {
    for string in STRINGS.iter().chain(&[&[&b"a".repeat(80)[..], "🎉".as_bytes(), b"\xc3"].concat()[..]]) {
        let valid = std::str::from_utf8(string).is_ok();
        let expected = [if valid { Seen::Text(string.to_vec()) } else { Seen::Broken(Violation::TextUtf8) }];
        for first in 0..=string.len() {
            for second in first..=string.len() {
                let bytes = [
                    crate::replay::frame(Role::Server, TEXT, &string[..first]),
                    crate::replay::frame(Role::Server, CONTINUATION, &string[first..second]),
                    crate::replay::frame(Role::Server, FIN | CONTINUATION, &string[second..]),
                ]
                .concat();
                for piece in [1, 7, 1000] {
                    let seen = crate::replay::in_pieces(Role::Server, Limits::default(), &bytes, piece);
                    assert_eq!(seen, expected, "{string:x?}, cut at {first} and {second}, pieces of {piece}");
                }
            }
        }
    }
}

//! Random conversations, cut at random: nothing that a peer says depends on how its bytes arrive.

use crate::replay::{BINARY, CONTINUATION, FIN, PING, Seen, TEXT};
use hubbub_proto::message::Limits;
use hubbub_proto::{Role, frame};
use proptest::collection::vec;
use proptest::prelude::*;

/// A message in fragments, with a ping between all of them.
fn conversation() -> impl Strategy<Value = Vec<(bool, Vec<Vec<u8>>)>> {
    let fragment = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 4000..9000)];
    vec((any::<bool>(), vec(fragment, 1..6)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn row_20_pings_between_all_fragments_lose_nothing(
        messages in conversation(), pieces in 1..3000_usize, is_server: bool,
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (is_text, fragments) in messages {
            let fragments: Vec<Vec<u8>> =
                fragments.into_iter().map(|bytes| if is_text { ascii(bytes) } else { bytes }).collect();
            for (i, fragment) in fragments.iter().enumerate() {
                let opcode = if i > 0 { CONTINUATION } else if is_text { TEXT } else { BINARY };
                let fin = if i + 1 == fragments.len() { FIN } else { 0 };
                bytes.extend(crate::replay::frame(role, fin | opcode, fragment));
                if fin == 0 {
                    bytes.extend(crate::replay::frame(role, PING, &[i as u8]));
                    expected.push(Seen::Ping(vec![i as u8]));
                }
            }
            expected.push(if is_text { Seen::Text(fragments.concat()) } else { Seen::Binary(fragments.concat()) });
        }
        let limits = Limits::default();
        prop_assert_eq!(&crate::replay::whole(role, limits, &bytes), &expected);
        prop_assert_eq!(&crate::replay::in_pieces(role, limits, &bytes, pieces), &expected);
        prop_assert_eq!(&crate::replay::directly(role, limits, &bytes, pieces), &expected);
    }

    #[test]
    fn any_bytes_at_all_give_the_same_verdict_however_they_are_cut(
        mut bytes in vec(any::<u8>(), 0..200), pieces in 1..20_usize, is_server: bool, likely: bool,
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        // Half of them begin as a frame does.
        if let (true, [first, second, ..]) = (likely, &mut bytes[..]) {
            *first &= 0x8b;
            *second = *second & 0x7f | if is_server { 0x80 } else { 0 };
        }
        let limits = Limits { max_message_bytes: Some(100), max_empty_fragments: 1 };
        let whole = crate::replay::whole(role, limits, &bytes);
        prop_assert_eq!(&crate::replay::in_pieces(role, limits, &bytes, pieces), &whole);
        prop_assert_eq!(&crate::replay::directly(role, limits, &bytes, pieces), &whole);
    }

    #[test]
    fn what_one_end_encodes_the_other_reads(
        payloads in vec(vec(any::<u8>(), 0..300), 0..20), key: [u8; 4], is_server: bool,
    ) {
        let (role, mask) = if is_server { (Role::Server, Some(key)) } else { (Role::Client, None) };
        let mut bytes = Vec::new();
        for payload in &payloads {
            frame::encode(&mut bytes, frame::Opcode::Binary, payload, mask);
        }
        let expected: Vec<Seen> = payloads.into_iter().map(Seen::Binary).collect();
        prop_assert_eq!(crate::replay::whole(role, Limits::default(), &bytes), expected);
    }
}

fn ascii(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().for_each(|byte| *byte &= 0x7f);
    bytes
}

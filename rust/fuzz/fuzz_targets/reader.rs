//! Whatever a peer sends, it is read the same whole, in pieces and through a direct receive.

#![no_main]

use hubbub_proto::Role;
use hubbub_proto::message::Limits;
use libfuzzer_sys::fuzz_target;

#[path = "../../proto/tests/replay/mod.rs"]
mod replay;

fuzz_target!(|data: &[u8]| {
    // One byte says who reads and how, the rest is what arrives.
    let Some((how, bytes)) = data.split_first() else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let max_message_bytes = if how & 2 == 0 { Some(300) } else { None };
    let limits = Limits { max_message_bytes, max_empty_fragments: 2 };
    let size = usize::from(how >> 2) + 1;
    let whole = replay::whole(role, limits, bytes);
    assert_eq!(replay::in_pieces(role, limits, bytes, 1), whole);
    assert_eq!(replay::in_pieces(role, limits, bytes, size), whole);
    assert_eq!(replay::split_at(role, limits, bytes, size.min(bytes.len())), whole);
    assert_eq!(replay::directly(role, limits, bytes, size), whole);
});

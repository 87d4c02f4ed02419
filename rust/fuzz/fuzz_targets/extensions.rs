//! Whatever stands in Sec-WebSocket-Extensions, an answer is one that some client could have asked for.

#![no_main]

use hubbub_proto::handshake::deflate::{Offer, Wishes, choose};
use hubbub_proto::handshake::extensions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((how, value)) = data.split_first() else { return };
    let wishes = Wishes {
        takeover: how & 1 != 0,
        server_max_window_bits: 9 + (how >> 1) % 7,
        client_max_window_bits: 8 + (how >> 4) % 8,
    };
    let parsed = extensions::parse(value);
    let Some(chosen) = choose([value], &wishes) else {
        // The client's half must stand it, too.
        let _ = Offer::default().check([value]);
        return;
    };
    assert!(parsed.is_ok(), "a choice from what is no list");
    assert!((9..=wishes.server_max_window_bits).contains(&chosen.params.server_max_window_bits));
    assert!(wishes.takeover || chosen.params.server_no_context_takeover && chosen.params.client_no_context_takeover);
    // Somebody who offers everything can live with it, and reads the same in it.
    let everything = Offer { client_max_window_bits: Some(None), ..Offer::default() };
    match everything.check([chosen.answer.as_bytes()]) {
        Ok(agreed) => assert_eq!(agreed, Some(chosen.params)),
        Err(_) => assert_eq!(chosen.params.client_max_window_bits, 8, "{}", chosen.answer),
    }
});

//! Whatever a peer calls deflated: never more than the limit, the same whatever the inflater has seen before; and what
//! is deflated comes back.

#![no_main]

use hubbub_proto::Violation;
use hubbub_proto::deflate::{Deflater, Inflater};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    let Some((how, payload)) = data.split_first() else { return };
    let inflate = |inflater: &mut Inflater| {
        let mut out = Vec::new();
        let result = inflater.inflate(payload, Some(MAX), &mut out);
        assert!(out.capacity() <= 2 * MAX + payload.len(), "{} for {}", out.capacity(), payload.len());
        result.map(|()| out)
    };
    let mut used = Inflater::new(15, false);
    let fresh = inflate(&mut used);
    assert!(fresh.as_ref().map_or(true, |out| out.len() <= MAX));
    assert_eq!(inflate(&mut used), fresh, "nothing is left of the message before");
    assert_eq!(inflate(&mut Inflater::new(15, true)), fresh, "the first message is like any other");
    if let Err(violation) = fresh {
        assert!(matches!(violation, Violation::Deflate | Violation::TooBig));
    }

    let (bits, level, takeover) = (9 + how % 7, (how >> 3) % 10, how & 0x80 != 0);
    let (mut deflater, mut inflater) = (Deflater::new(bits, level, takeover), Inflater::new(bits, takeover));
    for message in [payload, &payload[payload.len() / 2..], payload] {
        let (mut deflated, mut inflated) = (Vec::new(), Vec::new());
        deflater.deflate(message, &mut deflated);
        assert_eq!(inflater.inflate(&deflated, Some(message.len()), &mut inflated), Ok(()));
        assert_eq!(inflated, message);
    }
});

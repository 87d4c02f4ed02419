//! What proxies say: nothing panics, no cut matters, and what follows a header is no part of it.

#![no_main]

use hubbub_proto::forwarded::{forwarded, x_forwarded_for, x_forwarded_proto};
use hubbub_proto::head::{Head, HeadLimits};
use hubbub_proto::proxy::{MAX_BYTES, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    // The verdict is the same however the bytes come, and stands as soon as it is there.
    let first = (0..=data.len()).map(|len| parse(&data[..len])).find(|verdict| *verdict != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole);
    match whole {
        Ok(Some((end, _))) => assert!(end <= data.len() && end <= MAX_BYTES && parse(&data[..end]) == whole),
        Ok(None) => assert!(data.len() < MAX_BYTES),
        Err(_) => {}
    }
    read_fields(data);
});

/// The same bytes as the values of fields.
fn read_fields(data: &[u8]) {
    let limits = HeadLimits { max_bytes: 1 << 20, max_fields: 10 };
    let line = |name: &str| [name.as_bytes(), b": ", data, b"\r\n"].concat();
    let lines = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"].map(line).concat();
    let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", &lines[..], b"\r\n"].concat();
    let Ok(head) = Head::parse(&head, &limits) else { return };
    let commas = data.iter().filter(|byte| **byte == b',').count();
    assert!(x_forwarded_for(&head.fields).count() <= head.fields.len() * (commas + 1));
    if let Ok(hops) = forwarded(&head.fields) {
        assert!(hops.len() <= head.fields.len() * (commas + 1));
    }
    let _ = x_forwarded_proto(&head.fields);
}

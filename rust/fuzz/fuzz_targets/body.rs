//! Bodies: whatever comes is read the same whole, in pieces and cut in two; what is written can be read again.

#![no_main]

use hubbub_proto::body::{LAST_CHUNK, chunk_head};
use hubbub_proto::head::Body;
use libfuzzer_sys::fuzz_target;

#[path = "../../proto/tests/all/bodies/mod.rs"]
mod bodies;

fuzz_target!(|data: &[u8]| {
    // One byte says how it is framed and cut, the rest is what arrives.
    let Some((how, bytes)) = data.split_first() else { return };
    let body = if how & 1 == 0 { Body::Chunked } else { Body::Length(u64::from(how >> 1)) };
    let size = usize::from(how >> 2) + 1;
    let whole = bodies::whole(body, bytes);
    assert!(whole.0.len() <= bytes.len());
    assert_eq!(bodies::in_pieces(body, bytes, 1), whole);
    assert_eq!(bodies::in_pieces(body, bytes, size), whole);
    assert_eq!(bodies::split_at(body, bytes, size.min(bytes.len())), whole);
    let mut out = Vec::new();
    for chunk in bytes.chunks(size) {
        chunk_head(&mut out, chunk.len());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(LAST_CHUNK);
    assert_eq!(bodies::whole(Body::Chunked, &out), (bytes.to_vec(), Ok(Some(0))));
});

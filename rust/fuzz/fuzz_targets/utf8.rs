//! The incremental validator agrees with the standard library, and fails as early as it could.

#![no_main]

use hubbub_proto::utf8::{Validator, is_valid};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&size, text)) = data.split_first() else { return };
    let expected = std::str::from_utf8(text);
    assert_eq!(is_valid(text), expected.is_ok());
    // The first byte after which no continuation could make the text valid.
    let hopeless = expected.err().and_then(|error| Some(error.valid_up_to() + error.error_len()?));
    for size in [1, usize::from(size) + 1] {
        let mut validator = Validator::default();
        let mut seen = 0;
        let failed = text.chunks(size).any(|piece| {
            seen += piece.len();
            validator.push(piece).is_err()
        });
        match hopeless {
            // `error_len` counts the bytes before the one that made it hopeless, or that one if it is the first.
            Some(at) => assert!(failed && seen >= at && seen <= at + size, "{seen} of {at}, pieces of {size}"),
            None => assert_eq!((failed, validator.finish().is_ok()), (false, expected.is_ok())),
        }
    }
});

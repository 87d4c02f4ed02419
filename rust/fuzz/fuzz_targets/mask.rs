//! Every kernel masks as the definition does.

#![no_main]

use hubbub_proto::mask;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[a, b, c, d, offset, skip], rest)) = data.split_first_chunk::<6>() else { return };
    let (key, offset) = ([a, b, c, d], usize::from(offset));
    // An odd beginning is an odd alignment.
    let plain = &rest[usize::from(skip).min(rest.len())..];
    let expected: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect();
    for kernel in mask::kernels() {
        let mut masked = plain.to_vec();
        kernel.apply(&mut masked, key, offset);
        assert_eq!(masked, expected, "{}", kernel.name());
    }
    let mut masked = plain.to_vec();
    let (front, back) = masked.split_at_mut(plain.len() / 3);
    mask::apply(front, key, offset);
    mask::apply(back, key, offset + front.len());
    assert_eq!(masked, expected, "in two parts");
});

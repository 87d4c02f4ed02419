//! Eight bytes at a time, in safe and portable code.

/// The kernel for any machine.
#[inline]
pub(super) fn apply(data: &mut [u8], key: [u8; 4]) {
    let wide = wide(key);
    let (words, tail) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    // Whole words are a multiple of the key, so the tail begins with its first byte.
    apply_short(tail, key);
}

/// The same for a few bytes, without a loop over single bytes: the last word overlaps the one before it.
#[inline]
pub(super) fn apply_short(data: &mut [u8], key: [u8; 4]) {
    let len = data.len();
    if let Some(last) = data.last_chunk::<8>() {
        let last = u64::from_ne_bytes(*last) ^ wide(super::rotate(key, len - 8));
        let (words, _) = data.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide(key)).to_ne_bytes();
        }
        // Written after the others: where it overlaps them, both hold the same bytes.
        data[len - 8..].copy_from_slice(&last.to_ne_bytes());
    } else if let Some(last) = data.last_chunk::<4>() {
        let last = u32::from_ne_bytes(*last) ^ narrow(super::rotate(key, len - 4));
        let first = u32::from_ne_bytes([data[0], data[1], data[2], data[3]]) ^ narrow(key);
        data[..4].copy_from_slice(&first.to_ne_bytes());
        data[len - 4..].copy_from_slice(&last.to_ne_bytes());
    } else {
        for (byte, key) in data.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

fn wide(key: [u8; 4]) -> u64 {
    let [a, b, c, d] = key;
    u64::from_ne_bytes([a, b, c, d, a, b, c, d])
}

fn narrow(key: [u8; 4]) -> u32 {
    u32::from_ne_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::{apply, apply_short};

    /// RFC 6455 §5.3, to the letter.
    fn by_the_letter(data: &mut [u8], key: [u8; 4]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn words_are_what_the_rfc_says() {
        let plain: Vec<u8> = (0..100_u8).map(|i| i.wrapping_mul(151)).collect();
        for len in 0..plain.len() {
            for key in [[0; 4], [1, 2, 3, 4], [0xff, 0, 0x80, 0x7f]] {
                let mut expected = plain[..len].to_vec();
                by_the_letter(&mut expected, key);
                for kernel in [apply, apply_short] {
                    let mut data = plain[..len].to_vec();
                    kernel(&mut data, key);
                    assert_eq!(data, expected, "length {len}, key {key:?}");
                }
            }
        }
    }
}

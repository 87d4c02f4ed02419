//! Every kernel masks as the definition does, at every length and alignment (F28).

use hubbub_proto::mask;

const KEYS: [[u8; 4]; 5] = [[0; 4], [0xff; 4], [0x37, 0xfa, 0x21, 0x3d], [1, 0, 0, 0], [0, 0, 0, 0x80]];

/// RFC 6455 §5.3.
fn by_definition(data: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
    data.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect()
}

/// Memory whose first byte is aligned to 64.
#[repr(align(64))]
struct Aligned([u8; 1024]);

fn noise() -> Aligned {
    let mut state = 1_u32;
    Aligned(std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }))
}

#[test]
fn every_kernel_at_every_length_and_alignment() {
    // Miri looks at each access closely, so fewer of them will do.
    let (lengths, alignments) = if cfg!(miri) { (70, 3) } else { (515, 64) };
    for kernel in mask::kernels() {
        for len in 0..=lengths {
            for alignment in 0..alignments {
                let (key, offset) = (KEYS[(len + alignment) % KEYS.len()], (len * 7 + alignment) % 6);
                check(len, alignment, key, offset, kernel.name(), |data| kernel.apply(data, key, offset));
            }
        }
    }
}

#[test]
fn every_kernel_with_every_key_and_offset() {
    for kernel in mask::kernels() {
        for len in [0, 1, 3, 4, 7, 8, 9, 15, 16, 31, 33, 63, 65, 127, 129, 300] {
            for key in KEYS {
                for offset in [0, 1, 2, 3, 4, 5, usize::MAX] {
                    // What counts is the offset modulo 4.
                    check(len, 1, key, offset % 4, kernel.name(), |data| kernel.apply(data, key, offset));
                }
            }
        }
    }
}

#[test]
fn the_chosen_kernel_at_every_length() {
    for len in 0..=if cfg!(miri) { 70 } else { 515 } {
        for offset in 0..4 {
            check(len, 5, KEYS[2], offset, "apply", |data| mask::apply(data, KEYS[2], offset));
        }
    }
}

#[test]
fn the_chosen_kernel_is_the_best_there_is() {
    let names: Vec<&str> = mask::kernels().map(|kernel| kernel.name()).collect();
    assert_eq!(mask::kernel(), names[0]);
    assert_eq!(names.last(), Some(&"word"));
}

/// Masks `len` bytes at `alignment` and compares them, and their neighbours, which must not change.
fn check(len: usize, alignment: usize, key: [u8; 4], offset: usize, name: &str, run: impl Fn(&mut [u8])) {
    let plain = noise();
    let mut memory = noise();
    run(&mut memory.0[alignment..alignment + len]);
    let masked = by_definition(&plain.0[alignment..alignment + len], key, offset);
    let same = memory.0[alignment..alignment + len] == masked[..]
        && memory.0[..alignment] == plain.0[..alignment]
        && memory.0[alignment + len..] == plain.0[alignment + len..];
    assert!(same, "{name}: length {len}, alignment {alignment}, key {key:x?}, offset {offset}");
}

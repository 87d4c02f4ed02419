//! 16 bytes at a time; every 64-bit ARM has it.

use std::arch::aarch64::{vdupq_n_u32, veorq_u8, vld1q_u8, vreinterpretq_u8_u32, vst1q_u8};

use super::{Kernel, word};

pub(super) const KERNEL: Kernel = Kernel { name: "neon", run: apply };

fn apply(data: &mut [u8], key: [u8; 4]) {
    let (vectors, tail) = data.as_chunks_mut::<16>();
    // SAFETY: NEON belongs to the 64-bit ARM targets that this file is built for.
    let keys = unsafe { vreinterpretq_u8_u32(vdupq_n_u32(u32::from_ne_bytes(key))) };
    for vector in vectors {
        let at = vector.as_mut_ptr();
        // SAFETY: `at` points to 16 bytes that this function alone may read and write; the intrinsics ask for no
        // alignment.
        unsafe { vst1q_u8(at, veorq_u8(vld1q_u8(at), keys)) };
    }
    word::apply(tail, key);
}

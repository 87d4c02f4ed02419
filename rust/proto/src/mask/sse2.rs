//! 16 bytes at a time; every x86-64 has it.

use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_set1_epi32, _mm_storeu_si128, _mm_xor_si128};

use super::{Kernel, word};

pub(super) const KERNEL: Kernel = Kernel { name: "sse2", run: apply };

fn apply(data: &mut [u8], key: [u8; 4]) {
    let (vectors, tail) = data.as_chunks_mut::<16>();
    // SAFETY: SSE2 belongs to x86-64.
    let keys = unsafe { _mm_set1_epi32(i32::from_ne_bytes(key)) };
    for vector in vectors {
        let at: *mut __m128i = vector.as_mut_ptr().cast();
        // SAFETY: `at` points to 16 bytes that this function alone may read and write; the intrinsics ask for no
        // alignment.
        unsafe { _mm_storeu_si128(at, _mm_xor_si128(_mm_loadu_si128(at), keys)) };
    }
    word::apply(tail, key);
}

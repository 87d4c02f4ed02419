//! 64 bytes at a time.

use std::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_xor_si512};

use super::{Kernel, word};

/// The kernel, if the machine has AVX-512.
pub(super) fn kernel() -> Option<Kernel> {
    is_x86_feature_detected!("avx512f").then_some(Kernel { name: "avx512", run: apply })
}

fn apply(data: &mut [u8], key: [u8; 4]) {
    // SAFETY: reached only through `kernel`, which has seen that the machine has AVX-512F.
    let tail = unsafe { whole_vectors(data, key) };
    word::apply(tail, key);
}

#[target_feature(enable = "avx512f")]
fn whole_vectors(data: &mut [u8], key: [u8; 4]) -> &mut [u8] {
    let (vectors, tail) = data.as_chunks_mut::<64>();
    let keys = _mm512_set1_epi32(i32::from_ne_bytes(key));
    for vector in vectors {
        let at: *mut __m512i = vector.as_mut_ptr().cast();
        // SAFETY: `at` points to 64 bytes that this function alone may read and write; the intrinsics ask for no
        // alignment.
        unsafe { _mm512_storeu_si512(at, _mm512_xor_si512(_mm512_loadu_si512(at), keys)) };
    }
    tail
}

//! 32 bytes at a time.

use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256, _mm256_xor_si256};

use super::{Kernel, word};

/// The kernel, if the machine has AVX2.
pub(super) fn kernel() -> Option<Kernel> {
    is_x86_feature_detected!("avx2").then_some(Kernel { name: "avx2", run: apply })
}

fn apply(data: &mut [u8], key: [u8; 4]) {
    // SAFETY: reached only through `kernel`, which has seen that the machine has AVX2.
    let tail = unsafe { whole_vectors(data, key) };
    word::apply(tail, key);
}

#[target_feature(enable = "avx2")]
fn whole_vectors(data: &mut [u8], key: [u8; 4]) -> &mut [u8] {
    let (vectors, tail) = data.as_chunks_mut::<32>();
    let keys = _mm256_set1_epi32(i32::from_ne_bytes(key));
    for vector in vectors {
        let at: *mut __m256i = vector.as_mut_ptr().cast();
        // SAFETY: `at` points to 32 bytes that this function alone may read and write; the intrinsics ask for no
        // alignment.
        unsafe { _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), keys)) };
    }
    tail
}

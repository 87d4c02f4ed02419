//! The masking of payloads (RFC 6455 §5.3): byte `i` is XORed with byte `i mod 4` of the key.
//!
//! One file per instruction set. Each kernel eats whole vectors and leaves the tail to `word`, which is portable,
//! safe, and the oracle of the others. The best kernel of the machine is found once.
//!
//! ```
//! let mut payload = *b"Hello";
//! hubbub_proto::mask::apply(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
//! assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // RFC 6455 §5.7
//! ```

use std::sync::OnceLock;

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unsafe_code)]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unsafe_code)]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little", not(miri)))]
#[allow(unsafe_code)]
mod neon;
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unsafe_code)]
mod sse2;
mod word;

/// Masks or unmasks `data` in place; `offset` is how far into the payload `data` begins.
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotate(key, offset);
    // PERF: benches/mask.rs: up to here a few words are done before a kernel is even called.
    if data.len() <= SHORT {
        word::apply_short(data, key);
    } else {
        (best().run)(data, key);
    }
}

/// The name of the kernel that [`apply`] uses for long payloads: "avx512", "avx2", "sse2", "neon" or "word".
pub fn kernel() -> &'static str {
    best().name
}

/// Every kernel that this machine can run, best first; the last is always the portable one.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    available().into_iter().flatten()
}

/// One way of masking.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    name: &'static str,
    // INVARIANT: made only by `available`, which has seen that the machine has what `run` needs.
    run: fn(&mut [u8], [u8; 4]),
}

impl Kernel {
    /// Its name, as [`kernel`] gives it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// As [`apply`], but with this kernel at every length.
    pub fn apply(&self, data: &mut [u8], key: [u8; 4], offset: usize) {
        (self.run)(data, rotate(key, offset));
    }
}

/// Payloads of at most this many bytes are masked without asking which kernel is best.
const SHORT: usize = 32;

/// The key as seen by a payload of which `offset` bytes are done.
#[inline]
fn rotate(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(8 * (offset & 3) as u32).to_le_bytes()
}

#[inline]
fn best() -> Kernel {
    static BEST: OnceLock<Kernel> = OnceLock::new();
    *BEST.get_or_init(|| kernels().next().unwrap_or(PORTABLE))
}

const PORTABLE: Kernel = Kernel { name: "word", run: word::apply };

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn available() -> [Option<Kernel>; 4] {
    [avx512::kernel(), avx2::kernel(), Some(sse2::KERNEL), Some(PORTABLE)]
}

#[cfg(all(target_arch = "aarch64", target_endian = "little", not(miri)))]
fn available() -> [Option<Kernel>; 2] {
    [Some(neon::KERNEL), Some(PORTABLE)]
}

#[cfg(any(miri, not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))))]
fn available() -> [Option<Kernel>; 1] {
    [Some(PORTABLE)]
}

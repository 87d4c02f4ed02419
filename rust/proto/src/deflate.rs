//! permessage-deflate (RFC 7692 §7): what two peers have agreed on, and messages deflated and inflated.
//!
//! A peer that may refer back to earlier messages ("context takeover") needs a stream of its own; for all others one
//! inflater and one deflater serve any number of connections, because they forget everything before each message.
//!
//! ```
//! use hubbub_proto::deflate::{Deflater, Inflater};
//!
//! let (mut deflated, mut inflated) = (Vec::new(), Vec::new());
//! Deflater::new(15, 6, false).deflate(b"hello hello hello", &mut deflated);
//! Inflater::new(15, false).inflate(&deflated, Some(17), &mut inflated)?;
//! assert_eq!(inflated, b"hello hello hello");
//! # Ok::<(), hubbub_proto::Violation>(())
//! ```

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Violation;

/// The name under which the extension is registered (RFC 7692 §7).
pub const NAME: &str = "permessage-deflate";
/// The smallest window that RFC 7692 §7.1.2 knows, as a power of two.
pub const MIN_WINDOW_BITS: u8 = 8;
/// The largest one, which is meant where none is named.
pub const MAX_WINDOW_BITS: u8 = 15;
/// The smallest window that the library can deflate with. A peer that asks for less is not compressed for.
pub const MIN_DEFLATE_BITS: u8 = 9;

/// What two peers have agreed on (RFC 7692 §7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Params {
    /// What the server sends never refers to its earlier messages.
    pub server_no_context_takeover: bool,
    /// What the client sends never refers to its earlier messages.
    pub client_no_context_takeover: bool,
    /// How far back the server refers at most, as a power of two: 8 to 15.
    pub server_max_window_bits: u8,
    /// How far back the client refers at most, as a power of two: 8 to 15.
    pub client_max_window_bits: u8,
}

/// Inflates messages.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    takeover: bool,
}

impl Inflater {
    /// An inflater for messages that refer back by at most `window_bits`; with `takeover`, into earlier messages too.
    pub fn new(window_bits: u8, takeover: bool) -> Inflater {
        let bits = window_bits.clamp(MIN_DEFLATE_BITS, MAX_WINDOW_BITS);
        Inflater { stream: Decompress::new_with_window_bits(false, bits), takeover }
    }

    /// Inflates the payload of one message into `out`, whose content it replaces.
    ///
    /// At most `max` bytes come out, whatever the payload says; about twice as much is allocated at the most.
    ///
    /// # Errors
    /// [`Violation::TooBig`] beyond `max`, [`Violation::Deflate`] for a payload that is no deflated message. An inflater
    /// with `takeover` is of no use then.
    pub fn inflate(&mut self, payload: &[u8], max: Option<usize>, out: &mut Vec<u8>) -> Result<(), Violation> {
        out.clear();
        // RFC 7692 §7.2.3.6 sends an empty message as one byte. None at all is taken for the same, and must not reach
        // the stream: the tail alone is the beginning of a block.
        if payload.is_empty() {
            return Ok(());
        }
        if !self.takeover {
            self.stream.reset(false);
        }
        let max = max.unwrap_or(isize::MAX as usize);
        out.reserve(payload.len().saturating_mul(FIRST_RATIO).max(FIRST_BYTES).min(max.saturating_add(1)));
        let ended = self.feed(payload, max, out)?;
        let whole = out.len();
        // RFC 7692 §7.2.2: append 0x00 0x00 0xff 0xff, then decompress.
        if !ended {
            self.feed(&TAIL, max, out)?;
        }
        // The tail ends a block that is complete; if bytes come out of it, it was taken for the rest of another one.
        if out.len() == whole { Ok(()) } else { Err(Violation::Deflate) }
    }

    /// `true`: the last byte was also the last of a final block.
    fn feed(&mut self, mut input: &[u8], max: usize, out: &mut Vec<u8>) -> Result<bool, Violation> {
        let mut final_blocks = 0;
        loop {
            if out.len() == out.capacity() {
                // One byte more than allowed, so that a message that is too long shows.
                let room = (max - out.len()).saturating_add(1).min(out.len().max(FIRST_BYTES));
                out.reserve_exact(room);
            }
            let (taken_before, given_before) = (self.stream.total_in(), out.len());
            let status = self.stream.decompress_vec(input, out, FlushDecompress::Sync);
            let status = status.map_err(|_| Violation::Deflate)?;
            let taken = (self.stream.total_in() - taken_before) as usize;
            input = &input[taken..];
            if out.len() > max {
                return Err(Violation::TooBig);
            }
            if status == Status::StreamEnd {
                // RFC 7692 §7.2.3.4: a block may be marked as the final one; others may follow all the same.
                self.stream.reset(false);
                final_blocks += 1;
                if input.is_empty() {
                    return Ok(true);
                }
                if final_blocks > MAX_FINAL_BLOCKS {
                    return Err(Violation::Deflate);
                }
            } else if out.len() < out.capacity() {
                if input.is_empty() {
                    return Ok(false);
                }
                if taken == 0 && out.len() == given_before {
                    return Err(Violation::Deflate);
                }
            }
        }
    }
}

/// Deflates messages.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    takeover: bool,
}

impl Deflater {
    /// A deflater that refers back by at most `window_bits` (9 to 15), and with `takeover` into earlier messages too;
    /// `level` is 0 (no effort) to 9.
    pub fn new(window_bits: u8, level: u8, takeover: bool) -> Deflater {
        let bits = window_bits.clamp(MIN_DEFLATE_BITS, MAX_WINDOW_BITS);
        let level = Compression::new(u32::from(level.min(9)));
        Deflater { stream: Compress::new_with_window_bits(level, false, bits), takeover }
    }

    /// Appends the deflated payload of one message to `out`.
    pub fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        // RFC 7692 §7.2.3.6: an empty message is an empty block without compression, less the tail.
        if payload.is_empty() {
            out.push(0);
            return;
        }
        if !self.takeover {
            self.stream.reset();
        }
        let mut input = payload;
        out.reserve(payload.len() / 2 + SPARE_BYTES);
        loop {
            let before = self.stream.total_in();
            // INVARIANT: the stream is never finished, which is the only state in which it takes nothing.
            let status = self.stream.compress_vec(input, out, FlushCompress::Sync);
            debug_assert!(status.is_ok(), "{status:?}");
            input = &input[(self.stream.total_in() - before) as usize..];
            // Room that is left means that all is out; zlib asks for more than six bytes of it.
            if input.is_empty() && out.capacity() - out.len() > 6 {
                break;
            }
            out.reserve(payload.len() / 2 + SPARE_BYTES);
        }
        // RFC 7692 §7.2.1: remove the 0x00 0x00 0xff 0xff at the end.
        debug_assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
    }
}

/// What a flush leaves at the end of the output; it is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The least room for output.
const FIRST_BYTES: usize = 1024;
/// How many times a payload's length is first made room for.
const FIRST_RATIO: usize = 4;
/// Room beyond half the payload: what cannot be deflated grows by five bytes per block.
const SPARE_BYTES: usize = 64;
/// The final blocks in one message: a sender marks one, or one per fragment; thousands only serve to keep us resetting.
const MAX_FINAL_BLOCKS: usize = 1024;

//! What every connection says: a ring of a few messages, encoded and masked before the run begins.
//!
//! Sending is then only copying from a shared buffer into sockets: a connection keeps a position in the ring and the
//! number of bytes that are due. The messages differ, so that a lost, doubled or swapped reply is noticed.

use hubbub_proto::frame::{self, Opcode};

use crate::scenario::Messages;

/// The ring of messages.
pub(crate) struct Script {
    frames: Vec<u8>,
    payloads: Vec<u8>,
    frame_len: usize,
    size: usize,
    ring: usize,
    /// The frame that finds out who listens; its payload has another length than the messages.
    pub(crate) roll_call: Vec<u8>,
    pub(crate) roll_call_len: u64,
}

/// Distinct messages in the ring, if memory allows.
const DISTINCT: usize = 8;
/// Memory for the encoded ring.
const MAX_RING_BYTES: usize = 64 << 20;

/// RFC 6455 §5.3: a client MUST choose keys that cannot be foretold, to protect proxies from hostile page scripts. A
/// load generator has no such scripts, and wants the same bytes in every run.
pub(crate) const KEY: [u8; 4] = [0x5a, 0x17, 0xc3, 0x8e];

impl Script {
    /// A ring in which `batch` messages can be written at once, if memory allows.
    pub(crate) fn new(messages: Messages, batch: usize) -> Script {
        let Messages { size, binary } = messages;
        let opcode = if binary { Opcode::Binary } else { Opcode::Text };
        let ring = batch.max(DISTINCT).min(MAX_RING_BYTES / (size + 14)).max(1);
        let mut frames = Vec::with_capacity(ring * (size + 14));
        let mut payloads = Vec::with_capacity(ring * size);
        for index in 0..ring {
            let start = payloads.len();
            payloads.extend(content(index, binary).take(size));
            let [a, b, c, d] = KEY;
            let key = [a, b, c, d.wrapping_add(index as u8)];
            frame::encode(&mut frames, opcode, &payloads[start..], Some(key));
        }
        let roll_call_payload: &[u8] = if size == 9 { b"who hear" } else { b"who hears" };
        let mut roll_call = Vec::new();
        frame::encode(&mut roll_call, opcode, roll_call_payload, Some(KEY));
        Script {
            frame_len: frames.len() / ring,
            frames,
            payloads,
            size,
            ring,
            roll_call,
            roll_call_len: roll_call_payload.len() as u64,
        }
    }

    /// Messages in the ring.
    pub(crate) fn ring(&self) -> usize {
        self.ring
    }

    /// Payload bytes of each message.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of each frame.
    pub(crate) fn frame_len(&self) -> usize {
        self.frame_len
    }

    /// Bytes of the whole encoded ring.
    pub(crate) fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// The payload of a message of the ring.
    pub(crate) fn payload(&self, index: usize) -> &[u8] {
        &self.payloads[index * self.size..][..self.size]
    }

    /// The frame of a message of the ring.
    pub(crate) fn frame(&self, index: usize) -> &[u8] {
        &self.frames[index * self.frame_len..][..self.frame_len]
    }
}

/// Letters and digits, or any bytes, that look random and are the same in every run.
fn content(index: usize, binary: bool) -> impl Iterator<Item = u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        // Knuth's MMIX generator; its high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let byte = (state >> 56) as u8;
        if binary { byte } else { LETTERS[usize::from(byte >> 2)] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_holds_distinct_whole_messages() {
        for size in [0, 1, 64, 125, 126, 65_535, 65_536] {
            let script = Script::new(Messages { size, binary: false }, 16);
            assert_eq!(script.ring(), 16);
            assert_eq!(script.frames().len(), 16 * script.frame_len());
            assert_ne!(script.roll_call_len, size as u64);
            if size >= 64 {
                assert_ne!(script.payload(0), script.payload(1));
            }
        }
    }
}

//! What every connection says: a ring of a few messages, encoded and masked before the run begins.
//!
//! Sending is then only copying from a shared buffer into sockets: a connection keeps a position in the ring and the
//! number of bytes that are due. The messages differ, so that a lost, doubled or swapped reply is noticed. Broadcasts are
//! few beside their deliveries, so each gets a [`Stamp`] and a frame of its own instead. With Socket.IO the messages are events
//! with one argument; the payloads are their packets.

use hubbub_proto::deflate::{Deflater, MAX_WINDOW_BITS};
use hubbub_proto::frame::{self, Header, Opcode};
use hubbub_proto::mask;

use crate::field::Field;
use crate::scenario::Messages;
use crate::stamp::{self, Stamp};

/// The ring of messages.
pub(crate) struct Script {
    frames: Vec<u8>,
    /// Where each frame of the ring ends.
    ends: Vec<usize>,
    payloads: Vec<u8>,
    /// Bytes of each payload.
    size: usize,
    /// What stands before and after the content of a message.
    around: (Vec<u8>, &'static [u8]),
    opcode: Opcode,
    form: Form,
    /// What finds out who listens; it has another length than the messages.
    roll_call: Vec<u8>,
    /// Where messages of the server's own have their time.
    pub(crate) field: Option<Field>,
}

/// What the messages are like beside their size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Form {
    /// They begin with a stamp, which is put in when one is sent.
    pub(crate) stamped: bool,
    /// They are sent deflated.
    pub(crate) deflate: bool,
    /// They are events of Socket.IO with this name.
    pub(crate) event: Option<&'static str>,
    /// What messages are that are not ours.
    pub(crate) foreign: Foreign,
}

/// What is made of messages that the server sends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// What comes is taken for what was sent.
    #[default]
    None,
    /// Nothing was sent: whatever comes was not asked for.
    Unasked,
    /// They are what is measured.
    Wanted,
}

/// Distinct messages in the ring, if memory allows.
const DISTINCT: usize = 8;
/// Memory for the encoded ring.
const MAX_RING_BYTES: usize = 64 << 20;
/// The effort that zlib makes by default.
const LEVEL: u8 = 6;

/// RFC 6455 §5.3: a client MUST choose keys that cannot be foretold, to protect proxies from hostile page scripts. A
/// load generator has no such scripts, and wants the same bytes in every run.
pub(crate) const KEY: [u8; 4] = [0x5a, 0x17, 0xc3, 0x8e];

/// Each message is deflated by itself (`client_no_context_takeover`), so one stream serves all connections.
pub(crate) fn deflater() -> Deflater {
    Deflater::new(MAX_WINDOW_BITS, LEVEL, false)
}

impl Script {
    /// A ring in which `batch` messages can be written at once, if memory allows.
    pub(crate) fn new(messages: Messages, batch: usize, form: Form) -> Script {
        let Messages { size: content_size, binary } = messages;
        let around = around(form.event);
        let size = around.0.len() + content_size + around.1.len();
        let opcode = if binary { Opcode::Binary } else { Opcode::Text };
        let ring = if form.stamped { 1 } else { batch.max(DISTINCT).min(MAX_RING_BYTES / (size + 14)).max(1) };
        let mut deflater = form.deflate.then(deflater);
        let mut frames = Vec::with_capacity(ring * (size + 14));
        let mut ends = Vec::with_capacity(ring);
        let mut payloads = Vec::with_capacity(ring * size);
        for index in 0..ring {
            let start = payloads.len();
            payloads.extend_from_slice(&around.0);
            if form.deflate {
                payloads.extend(words(index).take(content_size));
            } else {
                payloads.extend(content(index, binary).take(content_size));
            }
            payloads.extend_from_slice(around.1);
            let [a, b, c, d] = KEY;
            let key = [a, b, c, d.wrapping_add(index as u8)];
            encode(&mut frames, opcode, &payloads[start..], key, deflater.as_mut());
            ends.push(frames.len());
        }
        let call: &[u8] = if content_size == 9 { b"who hear" } else { b"who hears" };
        let roll_call = [&around.0, call, around.1].concat();
        Script { frames, ends, payloads, size, around, opcode, form, roll_call, field: None }
    }

    /// Messages in the ring.
    pub(crate) fn ring(&self) -> usize {
        self.ends.len()
    }

    /// Payload bytes of each message.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The name of the events that the messages are.
    pub(crate) fn event(&self) -> Option<&'static str> {
        self.form.event
    }

    /// What finds out who listens.
    pub(crate) fn roll_call_payload(&self) -> &[u8] {
        &self.roll_call
    }

    /// The same without what makes an event of it.
    pub(crate) fn roll_call_text(&self) -> &[u8] {
        self.within(&self.roll_call)
    }

    /// A message of the ring without what makes an event of it.
    pub(crate) fn content(&self, index: usize) -> &[u8] {
        self.within(self.payload(index))
    }

    fn within<'p>(&self, payload: &'p [u8]) -> &'p [u8] {
        &payload[self.around.0.len()..payload.len() - self.around.1.len()]
    }

    /// What messages are that are not ours.
    pub(crate) fn foreign(&self) -> Foreign {
        self.form.foreign
    }

    /// Messages begin with a stamp.
    pub(crate) fn is_stamped(&self) -> bool {
        self.form.stamped
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
        &self.frames[self.start(index)..self.ends[index]]
    }

    /// Where a frame of the ring begins.
    pub(crate) fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }

    /// Bytes of `messages` frames, from that of message `first` on.
    pub(crate) fn bytes(&self, first: usize, messages: u64) -> usize {
        let ring = self.ring();
        let rounds = (messages / ring as u64) as usize;
        let last = first + (messages % ring as u64) as usize;
        let part = if last < ring {
            self.start(last) - self.start(first)
        } else {
            self.frames.len() - self.start(first) + self.start(last - ring)
        };
        rounds * self.frames.len() + part
    }

    /// Messages that are not wholly among the bytes before the last `left` of those up to the frame `next`.
    pub(crate) fn unfinished(&self, next: usize, left: usize) -> u64 {
        if left == 0 {
            return 0;
        }
        let (rounds, rest) = (left / self.frames.len(), left % self.frames.len());
        let to = self.start(next);
        let from = if rest <= to { to - rest } else { to + self.frames.len() - rest };
        let at = self.ends.partition_point(|end| *end <= from);
        let part = if rest == 0 { 0 } else { (next + self.ring() - at - 1) % self.ring() + 1 };
        (rounds * self.ring() + part) as u64
    }

    /// How far it is from `position` to the beginning of a frame.
    pub(crate) fn to_boundary(&self, position: usize) -> usize {
        let at = self.ends.partition_point(|end| *end <= position);
        if self.start(at) == position { 0 } else { self.ends[at] - position }
    }

    /// The payload of a stamped message.
    pub(crate) fn stamped(&self, stamp: Stamp) -> Vec<u8> {
        let mut payload = self.payloads.clone();
        if let Some(front) = payload[self.around.0.len()..].first_chunk_mut::<{ stamp::LEN }>() {
            stamp.write(front);
        }
        payload
    }

    /// The stamp of a payload that is one of these messages to the last byte.
    pub(crate) fn read_stamp(&self, payload: &[u8]) -> Option<Stamp> {
        let at = self.around.0.len();
        let like = |range: std::ops::Range<usize>| payload.get(range.clone()) == self.payloads.get(range);
        if payload.len() != self.size || !like(0..at) || !like(at + stamp::LEN..self.size) {
            return None;
        }
        payload[at..].first_chunk().and_then(Stamp::read)
    }

    /// Appends the frame of a payload.
    pub(crate) fn encode(&self, payload: &[u8], deflater: Option<&mut Deflater>, out: &mut Vec<u8>) {
        encode(out, self.opcode, payload, KEY, deflater);
    }
}

/// What stands before and after the content of a message: nothing, or what makes an event of it.
fn around(event: Option<&str>) -> (Vec<u8>, &'static [u8]) {
    match event {
        Some(event) => (format!("42[\"{event}\",\"").into_bytes(), b"\"]"),
        None => (Vec::new(), b""),
    }
}

/// Appends a masked frame.
fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: [u8; 4], deflater: Option<&mut Deflater>) {
    let Some(deflater) = deflater else { return frame::encode(out, opcode, payload, Some(key)) };
    let mut deflated = Vec::new();
    deflater.deflate(payload, &mut deflated);
    let header = Header { fin: true, opcode, len: deflated.len() as u64, mask: Some(key) };
    out.extend_from_slice(&header.encode().compressed());
    let start = out.len();
    out.extend_from_slice(&deflated);
    mask::apply(&mut out[start..], key, 0);
}

/// Letters and digits, or any bytes, that look random and are the same in every run.
fn content(index: usize, binary: bool) -> impl Iterator<Item = u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    random(index).map(move |byte| if binary { byte } else { LETTERS[usize::from(byte >> 2)] })
}

/// Fields of an object as programs exchange them, so that there is something to deflate.
fn words(index: usize) -> impl Iterator<Item = u8> {
    const WORDS: [&str; 16] = [
        "\"room\": \"lobby\", ",
        "\"user\": \"",
        "\", \"id\": ",
        "\"text\": \"so it goes\", ",
        "true, ",
        "null, ",
        "\"time\": ",
        "hello ",
        "{\"kind\": \"message\", ",
        "}, ",
        "\"tags\": [",
        "], ",
        "world ",
        "\"price\": ",
        "\"from\": ",
        "\"to\": ",
    ];
    let mut numbers = random(index);
    std::iter::repeat_with(move || numbers.next().unwrap_or_default()).flat_map(|byte| {
        let number = [b'0' + byte % 10, b'0' + byte / 26, b' '];
        WORDS[usize::from(byte >> 4)].bytes().chain(number)
    })
}

fn random(index: usize) -> impl Iterator<Item = u8> {
    let mut state = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        // Knuth's MMIX generator; its high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(size: usize, batch: usize, deflate: bool) -> Script {
        Script::new(Messages { size, binary: false }, batch, Form { deflate, ..Form::default() })
    }

    #[test]
    fn the_ring_holds_distinct_whole_messages() {
        for size in [0, 1, 64, 125, 126, 65_535, 65_536] {
            let script = script(size, 16, false);
            assert_eq!(script.ring(), 16);
            assert_eq!(script.frames().len(), 16 * script.frame(0).len());
            assert_ne!(script.roll_call_payload().len(), size);
            if size >= 64 {
                assert_ne!(script.payload(0), script.payload(1));
            }
        }
    }

    #[test]
    fn deflated_messages_are_shorter_and_of_different_lengths() {
        let script = script(1000, 8, true);
        let lengths: Vec<usize> = (0..8).map(|index| script.frame(index).len()).collect();
        assert!(lengths.iter().all(|len| *len < 700), "{lengths:?}");
        assert!(lengths.iter().any(|len| *len != lengths[0]), "{lengths:?}");
    }

    #[test]
    fn what_is_left_of_some_bytes_is_counted_in_messages() {
        for deflate in [false, true] {
            let script = script(200, 8, deflate);
            for first in 0..8 {
                for messages in 0..20_u64 {
                    let bytes = script.bytes(first, messages);
                    let next = (first + messages as usize) % 8;
                    assert_eq!(script.unfinished(next, bytes), messages);
                    let after_one_byte = bytes.saturating_sub(1);
                    assert_eq!(script.unfinished(next, after_one_byte), messages);
                    if messages > 0 {
                        let less = bytes - script.frame(first).len();
                        assert_eq!(script.unfinished(next, less), messages - 1);
                    }
                }
            }
        }
    }
}

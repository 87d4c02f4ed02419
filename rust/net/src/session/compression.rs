//! permessage-deflate (RFC 7692) on a shard: who compresses how, and the streams that do it.
//!
//! A stream is large (an inflater 40 KiB, a deflater 370 KiB at most), so sessions share the shard's, which forget
//! everything before each message. Only a session whose client was promised context takeover has its own, made when
//! first used.

use hubbub_proto::deflate::{Deflater, Inflater, MAX_WINDOW_BITS, MIN_DEFLATE_BITS, Params};
use hubbub_proto::handshake::deflate::{Wishes, choose};
use hubbub_proto::message::{Kind, Payload};
use hubbub_proto::{Violation, utf8};

use crate::metrics::counters::Counts;

/// Whose streams compress a session's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionMode {
    /// The shard's, which forget each message: an idle session holds nothing, and a broadcast is compressed once.
    Shared,
    /// The session's own, which refer back to earlier messages, if the client agrees.
    PerSession,
}

/// How an endpoint compresses messages for clients that offer it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    /// Whose streams do it.
    pub mode: CompressionMode,
    /// Effort, 1 to 9.
    pub level: u8,
    /// Shorter messages go out as they are.
    pub threshold_bytes: usize,
    /// The largest window, as a power of two (9 to 15), that either side uses, if the client lets itself be told.
    pub window_bits: u8,
}

impl Default for Compression {
    fn default() -> Self {
        Compression { mode: CompressionMode::Shared, level: 3, threshold_bytes: 256, window_bits: MAX_WINDOW_BITS }
    }
}

/// What a message is, and whether it may be compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// Text or binary.
    pub kind: Kind,
    /// `false` sends it as it is, whatever was agreed on.
    pub compress: bool,
}

impl From<Kind> for Form {
    fn from(kind: Kind) -> Self {
        Form { kind, compress: true }
    }
}

/// What a session has agreed on with its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Packing {
    params: Params,
    level: u8,
    threshold_bytes: u32,
}

impl Packing {
    /// Chooses among the client's offers. Gives the value of Sec-WebSocket-Extensions that says so, too.
    pub(crate) fn agree(compression: &Compression, offers: &[&[u8]]) -> Option<(Packing, String)> {
        let wishes = Wishes {
            takeover: compression.mode == CompressionMode::PerSession,
            server_max_window_bits: compression.window_bits,
            client_max_window_bits: compression.window_bits,
        };
        let chosen = choose(offers.iter().copied(), &wishes)?;
        let threshold_bytes = u32::try_from(compression.threshold_bytes).unwrap_or(u32::MAX);
        Some((Packing { params: chosen.params, level: compression.level, threshold_bytes }, chosen.answer))
    }

    /// A message of this form and length is to be compressed.
    pub(crate) fn wants(&self, form: Form, len: usize) -> bool {
        form.compress && len >= self.threshold_bytes as usize
    }

    /// Messages to this client may refer back to earlier ones: they are nobody else's, and none may be left out.
    pub(crate) fn refers_back(&self) -> bool {
        !self.params.server_no_context_takeover
    }

    /// The window for a message of this length that refers to nothing before it. Who has room for all of the message
    /// can read it whatever the window, so that short messages are the same for all.
    pub(crate) fn window_bits(&self, len: usize) -> u8 {
        let bits = self.params.server_max_window_bits;
        if len <= 1 << bits { MAX_WINDOW_BITS } else { bits }
    }
}

/// The window sizes that there are.
pub(crate) const WINDOWS: usize = (MAX_WINDOW_BITS - MIN_DEFLATE_BITS) as usize + 1;

/// The place of a window size among all.
pub(crate) fn window_place(bits: u8) -> usize {
    usize::from(bits.clamp(MIN_DEFLATE_BITS, MAX_WINDOW_BITS) - MIN_DEFLATE_BITS)
}

/// What one session has for itself; there is none as long as it needs nothing of it.
#[derive(Default)]
pub(crate) struct Own {
    inflater: Option<Inflater>,
    deflater: Option<Deflater>,
    /// Received bytes that wait because what came before them has inflated to more than the inbox takes.
    pub(crate) held: Vec<u8>,
}

impl Own {
    pub(crate) fn is_empty(&self) -> bool {
        self.inflater.is_none() && self.deflater.is_none() && self.held.is_empty()
    }
}

/// A shard's streams, made when first used, and their output.
#[derive(Default)]
pub(crate) struct Codecs {
    inflater: Option<Inflater>,
    /// One per window size and level in use.
    deflaters: Vec<(u8, u8, Deflater)>,
    inflated: Vec<u8>,
    deflated: Vec<u8>,
}

impl Codecs {
    /// Inflates a received message, and validates it if it is a text.
    pub(crate) fn inflate(
        &mut self,
        packing: &Packing,
        own: &mut Option<Box<Own>>,
        (kind, payload): (Kind, &[u8]),
        max: Option<usize>,
    ) -> Result<Payload<'_>, Violation> {
        let inflater = if packing.params.client_no_context_takeover {
            self.inflater.get_or_insert_with(|| Inflater::new(MAX_WINDOW_BITS, false))
        } else {
            let bits = packing.params.client_max_window_bits;
            own.get_or_insert_default().inflater.get_or_insert_with(|| Inflater::new(bits, true))
        };
        let mut inflated = inflater.inflate(payload, max, &mut self.inflated);
        // RFC 7692 §6.2: what a text is made of is what was inflated.
        if inflated.is_ok() && kind == Kind::Text && !utf8::is_valid(&self.inflated) {
            inflated = Err(Violation::TextUtf8);
        }
        if self.inflated.capacity() > KEEP_BYTES {
            let large = std::mem::take(&mut self.inflated);
            return inflated.map(|()| Payload::Owned(large));
        }
        inflated.map(|()| Payload::Borrowed(&self.inflated))
    }

    /// Deflates a message for one session; `None` if it is not shorter then. Give the buffer back with
    /// [`Codecs::keep`].
    pub(crate) fn deflate(
        &mut self,
        packing: &Packing,
        own: &mut Option<Box<Own>>,
        payload: &[u8],
        counts: &mut Counts,
    ) -> Option<Vec<u8>> {
        let mut out = std::mem::take(&mut self.deflated);
        out.clear();
        counts.deflations += 1;
        counts.deflated_bytes += payload.len() as u64;
        if packing.refers_back() {
            let (bits, level) = (packing.params.server_max_window_bits, packing.level);
            let own = own.get_or_insert_default();
            own.deflater.get_or_insert_with(|| Deflater::new(bits, level, true)).deflate(payload, &mut out);
            // The stream remembers the message now, so the client must, however long it has become.
            return Some(out);
        }
        self.shared(packing.window_bits(payload.len()), packing.level).deflate(payload, &mut out);
        if out.len() < payload.len() {
            return Some(out);
        }
        self.keep(out);
        None
    }

    /// Takes a buffer back for the next message.
    pub(crate) fn keep(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= KEEP_BYTES {
            self.deflated = buffer;
        }
    }

    fn shared(&mut self, bits: u8, level: u8) -> &mut Deflater {
        let at = match self.deflaters.iter().position(|(b, l, _)| (*b, *l) == (bits, level)) {
            Some(at) => at,
            None => {
                self.deflaters.push((bits, level, Deflater::new(bits, level, false)));
                self.deflaters.len() - 1
            }
        };
        &mut self.deflaters[at].2
    }
}

/// A buffer that has grown larger than this is not kept for the next message.
const KEEP_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn packing(offer: &str) -> Packing {
        Packing::agree(&Compression::default(), &[offer.as_bytes()]).unwrap().0
    }

    #[test]
    fn short_messages_are_the_same_for_windows_of_every_size() {
        let small = packing("permessage-deflate; server_max_window_bits=9");
        let large = packing("permessage-deflate");
        for len in [0, 1, 256, 512] {
            assert_eq!(small.window_bits(len), large.window_bits(len));
        }
        assert_eq!((small.window_bits(513), large.window_bits(513)), (9, 15));
    }

    #[test]
    fn a_message_that_does_not_shrink_is_left_alone() {
        let mut random = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 56) as u8
        })
        .take(4096)
        .collect();
        let (mut codecs, mut counts) = (Codecs::default(), Counts::default());
        assert_eq!(codecs.deflate(&packing("permessage-deflate"), &mut None, &noise, &mut counts), None);
    }

    #[test]
    fn sharing_sessions_own_nothing() {
        let (mut codecs, mut own, mut counts) = (Codecs::default(), None, Counts::default());
        let packing = packing("permessage-deflate");
        let text = "so it goes ".repeat(100);
        let deflated = codecs.deflate(&packing, &mut own, text.as_bytes(), &mut counts).unwrap();
        let inflated = codecs.inflate(&packing, &mut own, (Kind::Text, &deflated), None).unwrap();
        assert_eq!(inflated.as_slice(), text.as_bytes());
        assert!(own.is_none());
    }
}

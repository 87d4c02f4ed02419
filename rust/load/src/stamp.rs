//! What a broadcast message begins with: who sent it, which of its messages it is, and when it was due.
//!
//! Sixteen characters that may stand in a text message, so that any thread can tell what a delivery is without asking the
//! one that sent it.

/// Bytes of a stamp.
pub(crate) const LEN: usize = 16;
/// Senders that a stamp can tell apart.
pub(crate) const MAX_SENDERS: usize = 1 << 18;
/// Sequence numbers begin again after these.
pub(crate) const SEQUENCE: u32 = (1 << 30) - 1;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut at = 0;
    while at < LETTERS.len() {
        values[LETTERS[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// The beginning of a broadcast message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// 18 bits.
    pub(crate) sender: u32,
    /// 30 bits.
    pub(crate) sequence: u32,
    /// Nanoseconds since the run began; 48 bits are three days.
    pub(crate) due: u64,
}

impl Stamp {
    pub(crate) fn write(self, out: &mut [u8; LEN]) {
        let mut bits =
            u128::from(self.sender) << 78 | u128::from(self.sequence & SEQUENCE) << 48 | u128::from(self.due);
        for letter in out.iter_mut().rev() {
            *letter = LETTERS[(bits & 63) as usize];
            bits >>= 6;
        }
    }

    /// None if it is no stamp.
    pub(crate) fn read(letters: &[u8; LEN]) -> Option<Stamp> {
        let mut bits = 0_u128;
        for letter in letters {
            let value = VALUES[usize::from(*letter)];
            if value == 0xff {
                return None;
            }
            bits = bits << 6 | u128::from(value);
        }
        Some(Stamp {
            sender: (bits >> 78) as u32,
            sequence: (bits >> 48) as u32 & SEQUENCE,
            due: bits as u64 & ((1 << 48) - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for stamp in [
            Stamp { sender: 0, sequence: 0, due: 0 },
            Stamp { sender: MAX_SENDERS as u32 - 1, sequence: SEQUENCE, due: (1 << 48) - 1 },
            Stamp { sender: 7, sequence: 123_456_789, due: 86_400_000_000_001 },
        ] {
            let mut letters = [0; LEN];
            stamp.write(&mut letters);
            assert_eq!(Stamp::read(&letters), Some(stamp));
        }
        assert_eq!(Stamp::read(b"something else ."), None);
    }
}

//! The address of a session: shard, slot and generation in one number.

use std::fmt;

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 32;

/// Names one session for as long as it lives, and nobody afterwards.
///
/// A slot is used again after its session has gone, but with the next generation, so a late
/// command finds nothing instead of a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// The most sessions one shard can hold at a time.
    pub const MAX_SLOTS: usize = 1 << SLOT_BITS;

    pub(crate) fn new(shard: u8, generation: u32, slot: u32) -> Self {
        debug_assert!((slot as usize) < Self::MAX_SLOTS);
        SessionId(
            u64::from(shard) << (SLOT_BITS + GENERATION_BITS) | u64::from(generation) << SLOT_BITS | u64::from(slot),
        )
    }

    /// The shard that owns the session.
    pub fn shard(self) -> usize {
        (self.0 >> (SLOT_BITS + GENERATION_BITS)) as usize
    }

    /// The session's place in its shard.
    pub fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> SLOT_BITS) as u32
    }

    pub(crate) fn from_number(number: u64) -> Self {
        SessionId(number)
    }

    /// The number itself, unique among all sessions of one server.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.shard(), self.slot(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_gives_back_what_it_was_made_of() {
        let id = SessionId::new(255, u32::MAX, (1 << 24) - 1);
        assert_eq!((id.shard(), id.generation(), id.slot()), (255, u32::MAX, (1 << 24) - 1));
    }
}

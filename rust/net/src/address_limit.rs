//! Connections at a time from one address, over all shards. Looked at when a connection begins and when it ends, so one
//! lock will do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What counts as one address: all of an IPv4 one, and the /64 network of an IPv6 one, which one customer has whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct AddressBlock(NonZeroU64);

impl AddressBlock {
    pub(crate) fn of(address: IpAddr) -> AddressBlock {
        // INVARIANT: no IPv6 network is taken for an IPv4 address: what begins with 0000:ffff is reserved (RFC 4291 §4).
        const V4: u64 = 0x0000_ffff_0000_0000;
        let number = match address.to_canonical() {
            IpAddr::V4(address) => V4 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        // ::/64 has but the unspecified address and the loopback's: another number stands for it.
        AddressBlock(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
    }
}

/// The connections that addresses have, and the most that each may have.
#[derive(Debug)]
pub(crate) struct AddressLimit {
    most: u32,
    /// INVARIANT: no entry is 0, so there are no more entries than connections.
    taken: Mutex<HashMap<AddressBlock, u32>>,
}

impl AddressLimit {
    pub(crate) fn new(most: u32) -> AddressLimit {
        AddressLimit { most, taken: Mutex::default() }
    }

    /// Takes a place. `false`: this address has all that it may have.
    #[must_use]
    pub(crate) fn take(&self, address_block: AddressBlock) -> bool {
        match self.lock().entry(address_block) {
            Entry::Occupied(entry) if *entry.get() >= self.most => false,
            Entry::Occupied(entry) => {
                *entry.into_mut() += 1;
                true
            }
            Entry::Vacant(_) if self.most == 0 => false,
            Entry::Vacant(entry) => {
                entry.insert(1);
                true
            }
        }
    }

    /// Gives a place back.
    pub(crate) fn leave(&self, address_block: AddressBlock) {
        let mut taken = self.lock();
        if let Entry::Occupied(mut entry) = taken.entry(address_block) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        // A crowd that has gone leaves no table behind.
        if taken.capacity() > 1024 && taken.len() < taken.capacity() / 8 {
            taken.shrink_to_fit();
        }
    }

    /// Addresses that have a place.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressBlock, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_block(address: &str) -> AddressBlock {
        AddressBlock::of(address.parse().unwrap())
    }

    #[test]
    fn a_household_is_an_ipv4_address_or_an_ipv6_network() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:0:ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "0.0.0.0", false),
            ("::1", "::", true),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(address_block(one) == address_block(other), same, "{one} and {other}");
        }
    }

    /// Row 13: who has gone is forgotten.
    #[test]
    fn places_are_taken_and_given_back_and_leave_nothing() {
        let address_limit = AddressLimit::new(2);
        let [one, other] = ["192.0.2.1", "2001:db8::1"].map(address_block);
        assert!(address_limit.take(one) && address_limit.take(one) && !address_limit.take(one));
        assert!(address_limit.take(other));
        address_limit.leave(one);
        assert!(address_limit.take(one) && !address_limit.take(one));
        for address_block in [one, one, other] {
            address_limit.leave(address_block);
        }
        assert_eq!(address_limit.len(), 0);
        for n in 0..100_000_u32 {
            assert!(address_limit.take(AddressBlock::of(IpAddr::V4(n.into()))));
        }
        for n in 0..100_000_u32 {
            address_limit.leave(AddressBlock::of(IpAddr::V4(n.into())));
        }
        assert_eq!(address_limit.len(), 0);
        assert!(address_limit.lock().capacity() <= 1024);
    }
}

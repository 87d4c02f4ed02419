//! Sessions and requests by kind. Every set is bounded: nothing that a peer chooses becomes a new entry.
//!
//! They change where a session or a request begins or ends, never per message, so they are written at once: a store
//! without contention, as each shard has its own.

use std::sync::atomic::{AtomicU64, Ordering};

use hubbub_proto::close::CloseCode;

use crate::session::carrier::Carrier;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant,)*];
            const COUNT: usize = Self::ALL.len();

            /// Its name among the figures.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

kinds! {
    /// How a session reaches its client.
    Transport {
        /// RFC 6455.
        WebSocket => "websocket",
        /// An event stream.
        EventSource => "eventsource",
        /// A page of scripts that does not end.
        Iframe => "iframe",
        /// Polls; sessions between two connections are among them.
        Polling => "polling",
    }
}

impl From<Carrier> for Transport {
    fn from(carrier: Carrier) -> Transport {
        match carrier {
            Carrier::WebSocket | Carrier::Packets => Transport::WebSocket,
            Carrier::Events | Carrier::EventPackets => Transport::EventSource,
            Carrier::Iframe => Transport::Iframe,
            Carrier::Polling => Transport::Polling,
        }
    }
}

kinds! {
    /// Why a request was refused.
    Reason {
        /// The head is not HTTP/1.1 as it should be.
        Malformed => "malformed",
        /// The head is larger than the limits allow.
        TooLarge => "too_large",
        /// No endpoint has this path.
        NotFound => "not_found",
        /// It was no WebSocket handshake, and nothing else is served there.
        NotWebSocket => "not_websocket",
        /// It was a WebSocket handshake with a mistake in it.
        Handshake => "handshake",
        /// Pages of this origin may not connect.
        Origin => "origin",
        /// It had a body, or one that is too large, or waited for something unknown before it.
        Body => "body",
        /// The figures are not read by this method.
        Method => "method",
        /// The figures are not for this address.
        Address => "address",
        /// This address has as many connections as it may.
        Connections => "connections",
        /// What proxies say of the client contradicts itself.
        Forwarding => "forwarding",
        /// The head was not complete in time.
        Timeout => "timeout",
        /// The user did not decide in time.
        Undecided => "undecided",
        /// There is such a file, but not as it was asked for, or it could not be read.
        File => "file",
        /// The user has decided so.
        Handler => "handler",
    }
}

/// The close codes that have a meaning for everyone (RFC 6455 §7.4.1 and the IANA registry); 1004 has none.
const CODES: [u16; 15] = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015];

/// The statuses that are counted by themselves: the user may answer with any from 200 to 599.
const STATUSES: [u16; 36] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 414, 415,
    417, 418, 422, 426, 429, 431, 500, 501, 502, 503, 504, 505, 511,
];

/// The codes that closes are counted by; `None` stands for all others.
pub(crate) fn codes() -> impl Iterator<Item = Option<u16>> {
    CODES.into_iter().map(Some).chain([None])
}

/// The statuses that answers are counted by; `None` stands for all others.
pub(crate) fn statuses() -> impl Iterator<Item = Option<u16>> {
    STATUSES.into_iter().map(Some).chain([None])
}

/// One shard's.
#[derive(Debug)]
pub(crate) struct Tables {
    opened: [AtomicU64; Transport::COUNT],
    closed: [AtomicU64; Transport::COUNT],
    closes: [AtomicU64; CODES.len() + 1],
    answers: [AtomicU64; STATUSES.len() + 1],
    refusals: [AtomicU64; Reason::COUNT],
}

impl Default for Tables {
    fn default() -> Self {
        fn zeros<const N: usize>() -> [AtomicU64; N] {
            std::array::from_fn(|_| AtomicU64::new(0))
        }
        Tables { opened: zeros(), closed: zeros(), closes: zeros(), answers: zeros(), refusals: zeros() }
    }
}

impl Tables {
    pub(crate) fn session_opened(&self, transport: Transport) {
        add(&self.opened[transport as usize]);
    }

    /// A session is carried by something else now.
    pub(crate) fn session_moved(&self, from: Transport, to: Transport) {
        if from != to {
            add(&self.closed[from as usize]);
            add(&self.opened[to as usize]);
        }
    }

    pub(crate) fn session_closed(&self, transport: Transport, code: CloseCode) {
        add(&self.closed[transport as usize]);
        add(&self.closes[place(&CODES, Some(code.0))]);
    }

    /// Counts an answer other than 101; the reason is that of a refusal.
    pub(crate) fn answered(&self, status: u16, reason: Reason) {
        add(&self.answers[place(&STATUSES, Some(status))]);
        if status >= 400 {
            add(&self.refusals[reason as usize]);
        }
    }

    pub(crate) fn opened(&self, transport: Transport) -> u64 {
        self.opened[transport as usize].load(Ordering::SeqCst)
    }

    pub(crate) fn closed(&self, transport: Transport) -> u64 {
        self.closed[transport as usize].load(Ordering::SeqCst)
    }

    pub(crate) fn closes(&self, code: Option<u16>) -> u64 {
        self.closes[place(&CODES, code)].load(Ordering::Relaxed)
    }

    pub(crate) fn answers(&self, status: Option<u16>) -> u64 {
        self.answers[place(&STATUSES, status)].load(Ordering::Relaxed)
    }

    pub(crate) fn refusals(&self, reason: Reason) -> u64 {
        self.refusals[reason as usize].load(Ordering::Relaxed)
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::SeqCst);
}

/// Where a number is counted: behind the named ones if it is none of them.
fn place(named: &[u16], number: Option<u16>) -> usize {
    number.and_then(|number| named.binary_search(&number).ok()).unwrap_or(named.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_stay_as_they_are_whatever_is_counted() {
        let tables = Tables::default();
        for code in 0..=u16::MAX {
            tables.session_closed(Transport::WebSocket, CloseCode(code));
            tables.answered(code, Reason::Handler);
        }
        assert!(CODES.iter().all(|&code| tables.closes(Some(code)) == 1));
        assert_eq!(tables.closes(None), 65536 - CODES.len() as u64);
        assert!(STATUSES.iter().all(|&status| tables.answers(Some(status)) == 1));
        assert_eq!(tables.answers(None), 65536 - STATUSES.len() as u64);
        assert_eq!(tables.refusals(Reason::Handler), 65536 - 400);
    }

    #[test]
    fn the_named_numbers_stand_in_their_order() {
        assert!(CODES.is_sorted() && STATUSES.is_sorted());
    }
}

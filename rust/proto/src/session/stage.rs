//! The way of an Engine.IO session from polling to a WebSocket.
//!
//! | stage | a packet on the new WebSocket | a GET |
//! |---|---|---|
//! | [`Polling`](Stage::Polling) | | waits |
//! | [`Offered`](Stage::Offered) | `2probe`: answer it; anything else: drop it | waits |
//! | [`Probing`](Stage::Probing) | `2probe`: answer it; `5`: switch; anything else: drop it | noop at once |
//! | [`WebSocket`](Stage::WebSocket) | | refused |
//!
//! No time is known here: that nobody waits for ever for a probe is for the caller to see to.

use crate::engineio::{Packet, PacketError, PacketType, Transport};

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Stage {
    /// On polling, with no WebSocket in sight.
    Polling,
    /// On polling; a WebSocket was opened for the session and has not said anything.
    Offered,
    /// On polling, and the probe was answered. What is to be sent now must wait: it goes out after the switch, or with
    /// the next poll should there be none.
    Probing,
    /// On a WebSocket, from the beginning or by an upgrade.
    WebSocket,
}

/// What is to be done about a packet on the new WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Action {
    /// Send `3probe` on it; answer a waiting poll with a noop.
    AnswerProbe,
    /// Answer a waiting poll with a noop, make it the transport and send on it what has waited.
    Switch,
    /// Close it: it is none of the session's, which goes on.
    Drop,
}

impl Stage {
    /// Which transport requests must name.
    pub fn transport(self) -> Transport {
        match self {
            Stage::Polling | Stage::Offered | Stage::Probing => Transport::Polling,
            Stage::WebSocket => Transport::WebSocket,
        }
    }

    /// Whether what is to be sent must wait for the upgrade.
    pub fn holds_output(self) -> bool {
        self == Stage::Probing
    }

    /// Where the session stands after a packet on the new WebSocket, and what is to be done.
    pub(super) fn handle_packet(self, packet: Result<&Packet<'_>, PacketError>) -> (Stage, Action) {
        match (self, packet) {
            (Stage::Offered | Stage::Probing, Ok(packet)) if packet.is_probe() => (Stage::Probing, Action::AnswerProbe),
            (Stage::Probing, Ok(Packet::Text { kind: PacketType::Upgrade, .. })) => (Stage::WebSocket, Action::Switch),
            (Stage::Offered | Stage::Probing, _) => (Stage::Polling, Action::Drop),
            // No WebSocket was let in.
            (Stage::Polling | Stage::WebSocket, _) => (self, Action::Drop),
        }
    }
}

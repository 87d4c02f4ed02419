//! The way of a session from polling to a WebSocket, which is tried beside the polls and then takes over.
//!
//! | stage | a packet on the new WebSocket |
//! |---|---|
//! | [`Polling`](Stage::Polling) | |
//! | [`Offered`](Stage::Offered) | `2probe`: answer it; anything else: drop it |
//! | [`Probing`](Stage::Probing) | `2probe`: answer it; `5`: switch; anything else: drop it |
//! | [`WebSocket`](Stage::WebSocket) | |
//!
//! No time is known here: that nobody waits for ever for a probe is for the caller to see to, with
//! [`Input::CandidateGone`].

use super::packet::{Packet, PacketError, PacketType};
use super::query::Transport;

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

/// What happened to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input<'p, 'a> {
    /// A WebSocket was opened for a session that exists.
    CandidateOpened,
    /// Something arrived on that WebSocket before it is the transport.
    Candidate(Result<&'p Packet<'a>, PacketError>),
    /// That WebSocket was closed, or the time for the upgrade is up. Only for one that was let in.
    CandidateGone,
}

/// What is to be done about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Let the new WebSocket speak, until the time for the upgrade is up.
    AdmitCandidate,
    /// Send `3probe` on the new WebSocket; answer a waiting poll with a noop.
    AnswerProbe,
    /// Answer a waiting poll with a noop, make the WebSocket the transport and send on it what has waited.
    Switch,
    /// Close the new WebSocket, which is none of the session's; the session goes on.
    DropCandidate,
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

    /// Where the session stands after `input`, and what is to be done.
    pub fn step(self, input: Input<'_, '_>) -> (Stage, Action) {
        match input {
            Input::CandidateOpened if self == Stage::Polling => (Stage::Offered, Action::AdmitCandidate),
            // One upgrade at a time, and none after it.
            Input::CandidateOpened => (self, Action::DropCandidate),
            Input::Candidate(packet) => self.candidate(packet),
            Input::CandidateGone if matches!(self, Stage::Offered | Stage::Probing) => {
                (Stage::Polling, Action::DropCandidate)
            }
            Input::CandidateGone => (self, Action::Nothing),
        }
    }

    fn candidate(self, packet: Result<&Packet<'_>, PacketError>) -> (Stage, Action) {
        match (self, packet) {
            (Stage::Offered | Stage::Probing, Ok(packet)) if packet.is_probe() => (Stage::Probing, Action::AnswerProbe),
            (Stage::Probing, Ok(Packet::Text { kind: PacketType::Upgrade, .. })) => (Stage::WebSocket, Action::Switch),
            (Stage::Offered | Stage::Probing, _) => (Stage::Polling, Action::DropCandidate),
            // There was no candidate that was let in.
            _ => (self, Action::DropCandidate),
        }
    }
}

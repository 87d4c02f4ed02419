//! What a packet means, by where its session stands on the way from polling to a WebSocket.
//!
//! | stage | a packet on the transport in use | a packet on the new WebSocket | a GET |
//! |---|---|---|---|
//! | [`Polling`](Stage::Polling) | as below | | waits |
//! | [`Offered`](Stage::Offered) | as below | `2probe`: answer it; anything else: drop it | waits |
//! | [`Probing`](Stage::Probing) | as below | `2probe`: answer it; `5`: switch; anything else: drop it | noop at once |
//! | [`WebSocket`](Stage::WebSocket) | as below | | refused |
//!
//! On the transport in use: `4` and bytes are delivered, `3` is a heartbeat, `1` ends the session (on a WebSocket as
//! well, where the reference waits for the client to close it), `2` ends it as an error, `0`, `5` and `6` mean nothing
//! from a client. No time is known here: that nobody waits for ever for a probe is for the caller to see to, with
//! [`Input::CandidateGone`].

use super::packet::{Packet, PacketError, PacketType};

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
    /// Over.
    Closed,
}

/// What happened to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input<'p, 'a> {
    /// Something arrived over the transport in use: in a POST, or on the WebSocket once it is the transport.
    Packet(Result<&'p Packet<'a>, PacketError>),
    /// A WebSocket was opened for a session that exists.
    CandidateOpened,
    /// Something arrived on that WebSocket before it is the transport.
    Candidate(Result<&'p Packet<'a>, PacketError>),
    /// That WebSocket was closed, or the time for the upgrade is up. Only for one that was let in.
    CandidateGone,
    /// A GET came and there is nothing for it.
    Poll,
}

/// What is to be done about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Hand the message on.
    Deliver,
    /// The client lives: put the session's one ping timer to the next interval. However many pongs come, no second
    /// timer is made.
    Heartbeat,
    /// Let the new WebSocket speak, until the time for the upgrade is up.
    AdmitCandidate,
    /// Send `3probe` on the new WebSocket; answer a waiting poll with a noop.
    AnswerProbe,
    /// Answer a waiting poll with a noop, make the WebSocket the transport and send on it what has waited.
    Switch,
    /// Close the new WebSocket, which is none of the session's; the session goes on.
    DropCandidate,
    /// Let the GET wait for something to send.
    HoldPoll,
    /// Answer the GET with a noop at once.
    ReleasePoll,
    /// Refuse the GET as a bad request: the session is not on polling.
    RefusePoll,
    /// End the session and answer a waiting poll with a noop.
    End(End),
}

/// Why a packet ends its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum End {
    /// The client said so: "transport close".
    Closed,
    /// It is no packet: "parse error".
    Malformed(PacketError),
    /// A ping from a client, which is for the server to send: "transport error".
    HeartbeatDirection,
}

impl Stage {
    /// Which transport requests must name; `None` when the session is over.
    pub fn transport(self) -> Option<super::Transport> {
        match self {
            Stage::Polling | Stage::Offered | Stage::Probing => Some(super::Transport::Polling),
            Stage::WebSocket => Some(super::Transport::WebSocket),
            Stage::Closed => None,
        }
    }

    /// Whether what is to be sent must wait for the upgrade.
    pub fn holds_output(self) -> bool {
        self == Stage::Probing
    }

    /// Where the session stands after `input`, and what is to be done.
    pub fn step(self, input: Input<'_, '_>) -> (Stage, Action) {
        match input {
            _ if self == Stage::Closed => (self, closed(input)),
            Input::Packet(packet) => match received(packet) {
                Action::End(end) => (Stage::Closed, Action::End(end)),
                action => (self, action),
            },
            Input::CandidateOpened if self == Stage::Polling => (Stage::Offered, Action::AdmitCandidate),
            // One upgrade at a time, and none after it.
            Input::CandidateOpened => (self, Action::DropCandidate),
            Input::Candidate(packet) => self.candidate(packet),
            Input::CandidateGone if matches!(self, Stage::Offered | Stage::Probing) => {
                (Stage::Polling, Action::DropCandidate)
            }
            Input::CandidateGone => (self, Action::Nothing),
            Input::Poll => match self {
                Stage::Probing => (self, Action::ReleasePoll),
                Stage::WebSocket => (self, Action::RefusePoll),
                _ => (self, Action::HoldPoll),
            },
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

/// What a packet on the transport in use means.
fn received(packet: Result<&Packet<'_>, PacketError>) -> Action {
    match packet {
        Ok(Packet::Binary(_) | Packet::Text { kind: PacketType::Message, .. }) => Action::Deliver,
        Ok(Packet::Text { kind, .. }) => match kind {
            PacketType::Pong => Action::Heartbeat,
            PacketType::Ping => Action::End(End::HeartbeatDirection),
            PacketType::Close => Action::End(End::Closed),
            _ => Action::Nothing,
        },
        Err(error) => Action::End(End::Malformed(error)),
    }
}

/// What is still to be said to whoever comes too late.
fn closed(input: Input<'_, '_>) -> Action {
    match input {
        Input::Poll => Action::RefusePoll,
        Input::CandidateOpened | Input::Candidate(_) => Action::DropCandidate,
        Input::Packet(_) | Input::CandidateGone => Action::Nothing,
    }
}

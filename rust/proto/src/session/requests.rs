//! The requests of one session.

use std::collections::VecDeque;

use super::Dialect;
use super::stage::{Action, Stage};
use crate::engineio::{Packet, PacketError};

/// The connections that have a part in a session beside the one that carries it. `K` names a connection.
///
/// Each poll and each POST that was taken in is answered exactly once: it is given back by [`take_poll`](Self::take_poll),
/// [`next_post`](Self::next_post), as [`Polled::Waits`]' older poll, or by [`end`](Self::end), unless its connection
/// [has gone](Self::handle_gone) before.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Requests<K> {
    dialect: Dialect,
    stage: Stage,
    poll: Option<K>,
    posts: VecDeque<K>,
    candidate: Option<K>,
    /// The session has ended, and its client is to be told so.
    ended: bool,
    forfeited: bool,
}

/// What becomes of a poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Polled<K> {
    /// It waits. The older one is to be answered that it did no longer, if there was one.
    Waits(Option<K>),
    /// It is refused, and the session fails: one of two polls would miss what the other gets.
    Overlaps,
}

/// What a connection was to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Part {
    /// Its poll waited.
    Poll,
    /// It has brought a POST, which waited for its turn or its answer.
    Post,
    /// It was the WebSocket that was to take over. What has waited for it goes out with the next poll.
    Candidate,
    /// None.
    None,
}

impl<K: Copy + Eq> Requests<K> {
    /// Those of a session that begins: with a poll, or on a connection that carries it.
    pub fn new(dialect: Dialect) -> Self {
        Requests {
            dialect,
            stage: Stage::Polling,
            poll: None,
            posts: VecDeque::new(),
            candidate: None,
            ended: false,
            forfeited: false,
        }
    }

    /// Whose rules it follows.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Where it stands on its way to a WebSocket.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// It was opened on a WebSocket.
    pub fn begin_on_websocket(&mut self) {
        self.stage = Stage::WebSocket;
    }

    /// The poll that waits.
    pub fn poll(&self) -> Option<K> {
        self.poll
    }

    /// A poll has come.
    pub fn handle_poll(&mut self, key: K) -> Polled<K> {
        match self.poll {
            Some(_) if self.dialect == Dialect::EngineIo => Polled::Overlaps,
            _ => Polled::Waits(self.poll.replace(key)),
        }
    }

    /// The poll is answered now.
    pub fn take_poll(&mut self) -> Option<K> {
        self.poll.take()
    }

    /// A POST has come, with all of its body.
    pub fn handle_post(&mut self, key: K) {
        self.posts.push_back(key);
    }

    /// The POST whose turn it is, to be taken in or, if it was, to be answered.
    pub fn next_post(&mut self) -> Option<K> {
        self.posts.pop_front()
    }

    /// The POST that was taken in waits for its answer, before all others.
    pub fn hold_post(&mut self, key: K) {
        self.posts.push_front(key);
    }

    /// A WebSocket was opened for the session. `false`: it is closed without a word. There is one upgrade at a time, and
    /// none after it.
    #[must_use]
    pub fn handle_candidate(&mut self, key: K) -> bool {
        let admitted = self.stage == Stage::Polling;
        if admitted {
            (self.stage, self.candidate) = (Stage::Offered, Some(key));
        }
        admitted
    }

    /// That WebSocket has said something.
    pub fn handle_packet(&mut self, key: K, packet: Result<&Packet<'_>, PacketError>) -> Action {
        if self.candidate != Some(key) {
            return Action::Drop;
        }
        let (stage, action) = self.stage.handle_packet(packet);
        self.stage = stage;
        if action != Action::AnswerProbe {
            self.candidate = None;
        }
        action
    }

    /// The WebSocket that was to take over is not waited for any longer.
    pub fn give_up_upgrade(&mut self) {
        if self.candidate.take().is_some() {
            self.stage = Stage::Polling;
        }
    }

    /// A connection was lost or closed. Gives what it was.
    pub fn handle_gone(&mut self, key: K) -> Part {
        if self.candidate == Some(key) {
            self.give_up_upgrade();
            return Part::Candidate;
        }
        if self.poll == Some(key) {
            self.poll = None;
            return Part::Poll;
        }
        let posts = self.posts.len();
        self.posts.retain(|other| *other != key);
        if self.posts.len() < posts { Part::Post } else { Part::None }
    }

    /// The session has ended while no connection of its own carried it. Its client may fetch that with a poll, and what was
    /// said before; one that has left its polls for a WebSocket hears it there.
    pub fn handle_end(&mut self) {
        self.ended = true;
    }

    /// The session has failed, or its client has left. What waits is still answered, but Engine.IO's client finds no session
    /// any more; comet's may ask again, in case that the response is lost.
    pub fn forfeit(&mut self) {
        self.forfeited |= self.dialect == Dialect::EngineIo;
    }

    /// A poll is answered, with messages unless `is_alone`. Says whether the end of the session goes with them.
    ///
    /// The official client of Socket.IO heeds the end at once, but a message a moment later: what it was told last would be
    /// lost. So the end has a poll of its own there, and whoever has heard of it has nothing more to ask for.
    #[must_use]
    pub fn give_end(&mut self, is_alone: bool) -> bool {
        let is_given = self.ended && (self.dialect == Dialect::Comet || is_alone);
        if is_given {
            self.forfeit();
        }
        is_given
    }

    /// The client may still come for what a session that has ended has left.
    pub fn may_be_asked(&self) -> bool {
        !self.forfeited
    }

    /// The session has ended while its client goes on from polls to a WebSocket: by that it is to hear the rest.
    pub fn ends_by_upgrade(&self) -> bool {
        self.ended && self.stage.holds_output()
    }

    /// An ended session, whose client is on polls, waits for nobody: not for somebody to ask why when the server stops
    /// (`is_draining`), nor for a client that may not.
    pub fn is_over(&self, is_draining: bool) -> bool {
        self.poll.is_none() && (is_draining || self.forfeited) && !self.ends_by_upgrade()
    }

    /// The session has gone. Gives the requests that wait, each of which is to be told.
    pub fn end(&mut self) -> Vec<K> {
        self.candidate = None;
        self.poll.take().into_iter().chain(self.posts.drain(..)).collect()
    }
}

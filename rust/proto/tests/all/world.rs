//! A client with two connections and a session, beside the record of what each connection waits for: for the test of all rows
//! of inputs, and for the fuzzer.

use hubbub_proto::engineio::{Packet, PacketError, Transport};
use hubbub_proto::session::{Action, Dialect, Part, Polled, Requests, Stage};

/// What a client waits for on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
enum Waits {
    Poll,
    Post,
    /// A POST that was taken in and is still to be answered.
    Taken,
    /// A WebSocket that may take over.
    Candidate,
    /// One that may not any more.
    GivenUp,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    Poll(usize),
    Post(usize),
    WebSocket(usize),
    Probe(usize),
    Upgrade(usize),
    Other(usize),
    Lost(usize),
    /// There is something for the client.
    News,
    /// The program, or comet's client, closes the session.
    Close,
    /// The session fails.
    Fail,
    /// Engine.IO's client closes the session.
    Leave,
    /// The inbox has room.
    Room,
    /// The time for the upgrade is up.
    GiveUp,
    End,
}

/// All that can happen.
pub(crate) fn inputs() -> impl Iterator<Item = Input> {
    let both = (0..2).flat_map(|key| {
        [
            Input::Poll(key),
            Input::Post(key),
            Input::WebSocket(key),
            Input::Probe(key),
            Input::Upgrade(key),
            Input::Other(key),
            Input::Lost(key),
        ]
    });
    both.chain([Input::News, Input::Room, Input::GiveUp, Input::Close, Input::Fail, Input::Leave, Input::End])
}

/// A session and its client's two connections, each of which has at most one request under way.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    requests: Requests<usize>,
    waits: [Option<Waits>; 2],
    switched: bool,
    end: Option<End>,
    pub(crate) over: bool,
}

/// How the session has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
struct End {
    /// The client is to be told why.
    has_words: bool,
    /// Engine.IO's client may not ask for it, or has been told.
    is_forfeited: bool,
}

impl World {
    pub(crate) fn new(dialect: Dialect) -> World {
        World { requests: Requests::new(dialect), waits: [None; 2], switched: false, end: None, over: false }
    }

    fn is_polling(&self) -> bool {
        self.requests.stage().transport() == Transport::Polling
    }

    fn waiting_for(&self, what: Waits) -> Option<usize> {
        (0..2).find(|key| self.waits[*key] == Some(what))
    }

    /// The request on this connection is answered: it must have waited for just that.
    fn answer(&mut self, key: usize, what: Waits) {
        assert_eq!(self.waits[key].take(), Some(what), "it is answered once");
    }

    /// `false`: this cannot happen now.
    pub(crate) fn happens(&mut self, input: Input) -> bool {
        let happened = self.steps(input);
        if !self.over && self.is_polling() {
            self.tell_end();
            self.goes_on_after_end();
        }
        happened
    }

    /// What a session that has ended waits for is a poll to answer, a client that may ask, or the WebSocket that takes over.
    fn goes_on_after_end(&mut self) {
        let Some(end) = self.end else { return };
        let is_awaited = end.has_words && self.requests.stage() == Stage::Probing;
        assert_eq!(self.requests.ends_by_upgrade(), is_awaited);
        assert_eq!(self.requests.may_be_asked(), !end.is_forfeited);
        let is_polled = self.waiting_for(Waits::Poll).is_some();
        assert_eq!(self.requests.is_over(true), !is_polled && !is_awaited);
        assert_eq!(self.requests.is_over(false), !is_polled && !is_awaited && end.is_forfeited);
        if self.requests.is_over(false) {
            self.end();
        }
    }

    fn steps(&mut self, input: Input) -> bool {
        match input {
            Input::Poll(_) | Input::WebSocket(_) if self.end.is_some_and(|end| end.is_forfeited) => return false,
            Input::Poll(key) | Input::Post(key) | Input::WebSocket(key) if self.waits[key].is_some() => return false,
            Input::Poll(_) | Input::Post(_) if !self.is_polling() => return false,
            Input::Poll(key) => match self.requests.handle_poll(key) {
                Polled::Waits(older) => {
                    assert_eq!(older, self.waiting_for(Waits::Poll));
                    if let Some(older) = older {
                        self.answer(older, Waits::Poll);
                    }
                    self.waits[key] = Some(Waits::Poll);
                }
                Polled::Overlaps => {
                    assert_eq!(self.requests.dialect(), Dialect::EngineIo);
                    assert!(self.waiting_for(Waits::Poll).is_some());
                    self.end();
                }
            },
            Input::Post(key) => {
                self.requests.handle_post(key);
                self.waits[key] = Some(Waits::Post);
            }
            Input::WebSocket(key) => {
                let is_first = self.requests.stage() == Stage::Polling;
                assert_eq!(self.requests.handle_candidate(key), is_first);
                self.waits[key] = is_first.then_some(Waits::Candidate);
            }
            Input::Probe(key) | Input::Upgrade(key) | Input::Other(key) => return self.says(key, input),
            Input::Lost(key) => {
                let part = match self.waits[key].take() {
                    None => return false,
                    Some(Waits::Poll) => Part::Poll,
                    Some(Waits::Post | Waits::Taken) => Part::Post,
                    Some(Waits::Candidate) => Part::Candidate,
                    Some(Waits::GivenUp) => Part::None,
                };
                assert_eq!(self.requests.handle_gone(key), part);
                assert_eq!(self.requests.handle_gone(key), Part::None);
            }
            Input::News if self.requests.stage().holds_output() => return false,
            Input::News => return self.answer_poll(),
            Input::Close | Input::Fail | Input::Leave if self.end.is_some() || !self.is_polling() => return false,
            Input::Close | Input::Fail => {
                self.requests.handle_end();
                if matches!(input, Input::Fail) {
                    self.requests.forfeit();
                }
                let is_forfeited = matches!(input, Input::Fail) && self.requests.dialect() == Dialect::EngineIo;
                self.end = Some(End { has_words: true, is_forfeited });
            }
            Input::Leave if self.requests.dialect() == Dialect::Comet => return false,
            Input::Leave => {
                self.requests.forfeit();
                self.end = Some(End { has_words: false, is_forfeited: true });
            }
            Input::Room => match self.requests.next_post() {
                None => return false,
                Some(key) if self.waits[key] == Some(Waits::Post) => {
                    self.waits[key] = Some(Waits::Taken);
                    self.requests.hold_post(key);
                }
                Some(key) => self.answer(key, Waits::Taken),
            },
            Input::GiveUp => {
                let Some(key) = self.waiting_for(Waits::Candidate) else { return false };
                self.requests.give_up_upgrade();
                self.waits[key] = Some(Waits::GivenUp);
            }
            Input::End => self.end(),
        }
        true
    }

    fn says(&mut self, key: usize, input: Input) -> bool {
        let packet = match input {
            Input::Probe(_) => Packet::parse("2probe"),
            Input::Upgrade(_) => Packet::parse("5"),
            _ => Err(PacketError::Type),
        };
        let packet = packet.as_ref().map_err(|error| *error);
        if !matches!(self.waits[key], Some(Waits::Candidate | Waits::GivenUp)) {
            return false;
        }
        let (before, is_candidate) = (self.requests.stage(), self.waits[key] == Some(Waits::Candidate));
        match self.requests.handle_packet(key, packet) {
            Action::AnswerProbe => {
                assert!(matches!(input, Input::Probe(_)) && is_candidate);
                self.answer_poll();
            }
            Action::Switch => {
                assert!(matches!(input, Input::Upgrade(_)) && is_candidate && before == Stage::Probing);
                assert!(!std::mem::replace(&mut self.switched, true), "it switches once");
                self.waits[key] = None;
                self.answer_poll();
            }
            Action::Drop => {
                assert_eq!(self.requests.stage(), if is_candidate { Stage::Polling } else { before });
                self.waits[key] = None;
            }
        }
        true
    }

    /// A poll that waits is given the end of the session, unless the client is to hear of it on the WebSocket.
    fn tell_end(&mut self) {
        let Some(end) = &mut self.end else { return };
        if self.requests.stage().holds_output() || self.requests.poll().is_none() {
            return;
        }
        assert_eq!(self.requests.give_end(true), end.has_words);
        end.is_forfeited |= self.requests.dialect() == Dialect::EngineIo;
        self.answer_poll();
    }

    fn answer_poll(&mut self) -> bool {
        let poll = self.requests.take_poll();
        if let Some(key) = poll {
            self.answer(key, Waits::Poll);
        }
        poll.is_some()
    }

    fn end(&mut self) {
        for key in self.requests.end() {
            assert!(matches!(self.waits[key].take(), Some(Waits::Poll | Waits::Post | Waits::Taken)));
        }
        self.over = true;
        assert!(self.waits.iter().flatten().all(|waits| matches!(waits, Waits::Candidate | Waits::GivenUp)));
        assert_eq!((self.requests.poll(), self.requests.next_post()), (None, None));
    }

    /// What holds whatever has happened.
    pub(crate) fn is_sound(&self) {
        assert_eq!(self.requests.poll(), self.waiting_for(Waits::Poll));
        assert!(self.waits != [Some(Waits::Poll); 2], "one poll waits at a time");
        let is_tried = self.waiting_for(Waits::Candidate).is_some();
        assert_eq!(is_tried, matches!(self.requests.stage(), Stage::Offered | Stage::Probing));
        assert_eq!(self.switched, self.requests.stage() == Stage::WebSocket);
    }
}

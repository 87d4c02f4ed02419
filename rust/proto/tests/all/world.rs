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
    both.chain([Input::News, Input::Room, Input::GiveUp, Input::End])
}

/// A session and its client's two connections, each of which has at most one request under way.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    requests: Requests<usize>,
    waits: [Option<Waits>; 2],
    switched: bool,
    pub(crate) over: bool,
}

impl World {
    pub(crate) fn new(dialect: Dialect) -> World {
        World { requests: Requests::new(dialect), waits: [None; 2], switched: false, over: false }
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
        match input {
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

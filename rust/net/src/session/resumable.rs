//! What a session has that outlives its connections: a secret by which its client is known, and the messages that the
//! client may not have got.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubbub_proto::close::CloseCode;
use hubbub_proto::engineio::payload::SEPARATOR;
use hubbub_proto::engineio::{PacketType, Secret, Sid};
use hubbub_proto::message::Kind;
use hubbub_proto::session::{Dialect, Requests};

use crate::address_limit::AddressBlock;
use crate::id::SessionId;
use crate::pubsub::broadcast::Broadcast;
use crate::session::carrier::{Carrier, join};
use crate::timers::Millis;

/// What the client is told that it can rely on, or must keep to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) ping_timeout: Option<Duration>,
    /// The longest message, in bytes.
    pub(crate) max_payload: usize,
}

/// What a session has that outlives its connections.
#[derive(Debug)]
pub(crate) struct Resumable {
    secret: Secret,
    /// From one ping to the next, how long an answer may take, and the longest message.
    pub(crate) terms: Terms,
    /// The connections whose requests it has, and the WebSocket that is to take over. A POST waits for room in the inbox,
    /// to be taken in, and to be answered.
    pub(crate) requests: Requests<SessionId>,
    /// Fields of the answer that opens the session.
    pub(crate) fields: Vec<(String, String)>,
    /// The client of the poll says which messages it has.
    pub(crate) keeps: bool,
    /// Packets of the protocol's own, for the next poll.
    signals: Vec<u8>,
    /// The last of them, behind all messages.
    ending: Vec<u8>,
    /// The code and reason with which it has ended while its client was away.
    pub(crate) ended: Option<(CloseCode, String)>,
    /// Whose place it has among the sessions on polls, as long as it is one.
    pub(crate) polls_from: Option<AddressBlock>,
    /// Its client has sent a message.
    pub(crate) has_spoken: bool,
    /// What connections have been given, the oldest first: the client may not have got it.
    given: VecDeque<Entry>,
    given_bytes: usize,
    /// The messages that were given before those.
    forgotten: u64,
    /// What no connection has been given.
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// When the oldest of that was said.
    waiting_since: Millis,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Own(Kind, Bytes),
    Broadcast(Arc<Broadcast>),
}

impl Entry {
    /// What it counts for. Its own place counts, too: there may be many that are empty.
    fn len(&self) -> usize {
        let payload = match self {
            Entry::Own(_, payload) => payload.len(),
            Entry::Broadcast(broadcast) => broadcast.len(),
        };
        payload + size_of::<Self>()
    }

    /// Appends it as the carrier has it.
    fn write(&self, carrier: Carrier, out: &mut Vec<u8>) {
        match self {
            Entry::Own(kind, payload) => carrier.write(out, *kind, payload),
            Entry::Broadcast(broadcast) => out.extend_from_slice(broadcast.carried(carrier)),
        }
    }
}

/// The messages behind a client's cursor are not kept any more, or have never been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap;

impl Resumable {
    pub(crate) fn new(dialect: Dialect, terms: Terms) -> Option<Self> {
        let mut secret = Secret::default();
        getrandom::fill(&mut secret).ok()?;
        Some(Resumable {
            secret,
            terms,
            requests: Requests::new(dialect),
            fields: Vec::new(),
            keeps: false,
            signals: Vec::new(),
            ending: Vec::new(),
            ended: None,
            polls_from: None,
            has_spoken: false,
            waiting_since: 0,
            given: VecDeque::new(),
            given_bytes: 0,
            forgotten: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        })
    }

    /// Whose rules it follows.
    pub(crate) fn dialect(&self) -> Dialect {
        self.requests.dialect()
    }

    /// While a session is upgraded, messages wait for the WebSocket.
    pub(crate) fn holds_output(&self) -> bool {
        self.requests.stage().holds_output()
    }

    /// The client may come again after its connection was lost.
    pub(crate) fn resumes(&self) -> bool {
        self.dialect() == Dialect::Comet
    }

    /// The id by which the client names the session.
    pub(crate) fn sid(&self, id: SessionId) -> Sid {
        Sid::of(id.as_u64(), &self.secret)
    }

    /// Whoever says this knows the session.
    pub(crate) fn knows(&self, secret: &Secret) -> bool {
        // Every byte is looked at, so that the time it takes says nothing.
        self.secret.iter().zip(secret).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    /// Bytes of messages that wait here.
    pub(crate) fn bytes(&self) -> usize {
        self.given_bytes + self.waiting_bytes
    }

    /// There is something for a poll.
    pub(crate) fn has_news(&self) -> bool {
        !self.signals.is_empty() || !self.ending.is_empty() || !self.given.is_empty() || !self.waiting.is_empty()
    }

    /// There is something that a poll may have now: while a session is upgraded, messages wait for the WebSocket.
    pub(crate) fn has_news_now(&self) -> bool {
        if self.holds_output() { !self.signals.is_empty() } else { self.has_news() }
    }

    pub(crate) fn signal(&mut self, packet: impl FnOnce(&mut Vec<u8>)) {
        if !self.signals.is_empty() {
            join(&mut self.signals, b"");
        }
        packet(&mut self.signals);
    }

    /// What was to be signalled is void, as no poll has come for it. `true`: there was a ping among it.
    pub(crate) fn take_ping(&mut self) -> bool {
        self.take_signals().split(|byte| *byte == SEPARATOR).any(|packet| packet == [PacketType::Ping as u8])
    }

    /// What answers a poll that no message is entrusted to.
    pub(crate) fn take_signals(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.signals)
    }

    /// The packet that ends the session, for polls, and why it ends, for a client that comes by something else.
    pub(crate) fn end(&mut self, code: CloseCode, reason: &str, packet: impl FnOnce(&mut Vec<u8>)) {
        self.ending.clear();
        packet(&mut self.ending);
        self.ended = Some((code, reason.to_owned()));
        self.requests.handle_end();
    }

    /// Keeps a message for the next connection.
    pub(crate) fn queue(&mut self, entry: Entry, now: Millis) {
        if self.waiting.is_empty() {
            self.waiting_since = now;
        }
        self.waiting_bytes += entry.len();
        self.waiting.push_back(entry);
    }

    /// What waits has not waited for longer: a client that asks again and again may be about to fetch it.
    pub(crate) fn has_waited_at_most(&self, time: Millis, now: Millis) -> bool {
        self.waiting.is_empty() || self.waiting_since + time >= now
    }

    /// Remembers a message that the connection has been given, and forgets older ones beyond so many bytes.
    pub(crate) fn remember(&mut self, entry: Entry, most: usize) {
        self.given_bytes += entry.len();
        self.given.push_back(entry);
        self.shrink(most);
    }

    /// Forgets the oldest messages that a connection has been given, beyond so many bytes.
    pub(crate) fn shrink(&mut self, most: usize) {
        while self.given_bytes > most && self.given.len() > 1 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.given.pop_front() {
            self.given_bytes -= entry.len();
            self.forgotten += 1;
        }
    }

    /// The client has so many messages.
    pub(crate) fn acknowledge(&mut self, cursor: u64) -> Result<(), Gap> {
        if cursor < self.forgotten || cursor > self.forgotten + self.given.len() as u64 {
            return Err(Gap);
        }
        while self.forgotten < cursor {
            self.forget_oldest();
        }
        Ok(())
    }

    /// What answers a poll: the body of the response. From a client that does not say which messages it has, nothing can
    /// be asked for again.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.signals);
        if self.holds_output() {
            return body;
        }
        if !self.keeps {
            self.forget_given();
        }
        self.give(|entry| {
            if !body.is_empty() {
                join(&mut body, b"");
            }
            entry.write(Carrier::Polling, &mut body);
        });
        if !self.keeps {
            self.forget_given();
        }
        if self.requests.give_end(body.is_empty()) {
            join(&mut body, &self.ending);
        }
        body
    }

    pub(crate) fn forget_given(&mut self) {
        self.forgotten += self.given.len() as u64;
        self.given.clear();
        self.given_bytes = 0;
    }

    /// Gives a new connection everything that the client has not got.
    pub(crate) fn replay(&mut self, carrier: Carrier, out: &mut Vec<u8>) {
        self.give(|entry| entry.write(carrier, out));
    }

    fn give(&mut self, mut take: impl FnMut(&Entry)) {
        self.given.append(&mut self.waiting);
        self.given_bytes += std::mem::take(&mut self.waiting_bytes);
        self.given.iter().for_each(&mut take);
    }

    /// Takes out the oldest broadcasts that no connection has been given, until `wanted` bytes are free of `limit`.
    pub(crate) fn drop_oldest(&mut self, wanted: usize, limit: usize) -> usize {
        let mut dropped = 0;
        let mut at = 0;
        while self.bytes() + wanted > limit && at < self.waiting.len() {
            if matches!(self.waiting[at], Entry::Broadcast(_)) {
                if let Some(entry) = self.waiting.remove(at) {
                    self.waiting_bytes -= entry.len();
                    dropped += 1;
                }
            } else {
                at += 1;
            }
        }
        dropped
    }
}

/// The session that a client names, and its proof.
pub(crate) fn read_sid(sid: &Sid) -> Option<(SessionId, Secret)> {
    let (number, secret) = sid.read()?;
    Some((SessionId::from_number(number), secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumable() -> Resumable {
        let terms = Terms { ping_interval: None, ping_timeout: None, max_payload: 1 };
        Resumable::new(Dialect::Comet, terms).unwrap()
    }

    fn own(text: &str) -> Entry {
        Entry::Own(Kind::Text, Bytes::copy_from_slice(text.as_bytes()))
    }

    fn payload(resumable: &mut Resumable, keep: bool) -> String {
        resumable.keeps = keep;
        String::from_utf8(resumable.payload()).unwrap().replace('\u{1e}', "|")
    }

    #[test]
    fn what_is_not_acknowledged_comes_again() {
        let mut resumable = resumable();
        resumable.queue(own("a"), 0);
        resumable.queue(own("b"), 0);
        assert_eq!(payload(&mut resumable, true), "4a|4b");
        assert_eq!(payload(&mut resumable, true), "4a|4b");
        resumable.acknowledge(1).unwrap();
        resumable.queue(own("c"), 0);
        assert_eq!(payload(&mut resumable, true), "4b|4c");
        resumable.acknowledge(3).unwrap();
        assert!(!resumable.has_news());
        assert_eq!(resumable.bytes(), 0);
    }

    #[test]
    fn the_end_of_an_engineio_session_does_not_come_with_its_last_messages() {
        for (dialect, payloads) in [(Dialect::Comet, ["4a|1", "1"]), (Dialect::EngineIo, ["4a", "1"])] {
            let mut resumable = Resumable { requests: Requests::new(dialect), ..resumable() };
            resumable.queue(own("a"), 0);
            resumable.end(CloseCode::NORMAL, "", |out| out.push(b'1'));
            for expected in payloads {
                assert!(resumable.has_news());
                assert_eq!(payload(&mut resumable, false), expected);
            }
        }
    }

    #[test]
    fn it_is_known_for_how_long_something_has_waited() {
        let mut resumable = resumable();
        assert!(resumable.has_waited_at_most(5, 100));
        resumable.queue(own("a"), 100);
        resumable.queue(own("b"), 104);
        assert_eq!([105, 106].map(|now| resumable.has_waited_at_most(5, now)), [true, false]);
        payload(&mut resumable, false);
        resumable.queue(own("c"), 200);
        assert!(resumable.has_waited_at_most(5, 205));
    }

    #[test]
    fn a_cursor_that_cannot_be_is_a_gap() {
        let mut resumable = resumable();
        resumable.queue(own("a"), 0);
        assert_eq!(resumable.acknowledge(1), Err(Gap), "it was given to nobody");
        payload(&mut resumable, true);
        resumable.acknowledge(1).unwrap();
        assert_eq!(resumable.acknowledge(0), Err(Gap), "it is forgotten");
    }

    #[test]
    fn without_keeping_nothing_comes_twice() {
        let mut resumable = resumable();
        resumable.signal(|out| out.extend_from_slice(b"2"));
        resumable.queue(own("a"), 0);
        assert_eq!(payload(&mut resumable, false), "2|4a");
        assert_eq!(payload(&mut resumable, false), "");
        resumable.queue(own("b"), 0);
        assert_eq!(payload(&mut resumable, false), "4b");
    }

    #[test]
    fn a_new_connection_gets_what_the_old_one_may_have_lost_and_what_came_since() {
        let mut resumable = resumable();
        for text in ["a", "b", "c"] {
            resumable.remember(own(text), 1 << 10);
        }
        resumable.queue(own("d"), 0);
        resumable.acknowledge(2).unwrap();
        let mut out = Vec::new();
        resumable.replay(Carrier::Events, &mut out);
        assert_eq!(out, b"data: c\n\ndata: d\n\n");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut resumable = resumable();
        for _ in 0..100 {
            resumable.remember(own("0123456789"), 2 * (10 + size_of::<Entry>()) + 5);
        }
        assert_eq!(resumable.bytes(), 2 * (10 + size_of::<Entry>()));
        assert_eq!(resumable.acknowledge(97), Err(Gap));
        resumable.acknowledge(98).unwrap();
    }

    #[test]
    fn empty_messages_are_bounded_too() {
        let mut resumable = resumable();
        for _ in 0..10_000 {
            resumable.remember(own(""), 1 << 10);
        }
        assert!(resumable.given.len() <= (1 << 10) / size_of::<Entry>());
        resumable.queue(own(""), 0);
        assert!(resumable.waiting_bytes > 0);
    }

    #[test]
    fn a_sid_names_one_session_and_proves_it() {
        let (one, other) = (resumable(), resumable());
        let id = SessionId::new(3, 77, 5);
        let (named, secret) = read_sid(&one.sid(id)).unwrap();
        assert_eq!(named, id);
        assert!(one.knows(&secret) && !other.knows(&secret));
    }
}

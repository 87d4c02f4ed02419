//! One connection, from accept to the last byte, and the table of them.

use std::net::SocketAddr;
use std::sync::Arc;

use hubbub_proto::close::CloseCode;
use hubbub_proto::head::Scanner;
use hubbub_proto::message::Reader;
use hubbub_proto::{Role, Violation};

use crate::compression::{Own, Packing};
use crate::id::SessionId;
use crate::link::Link;
use crate::outbox::Outbox;
use crate::rooms::{Membership, Memberships};
use crate::timers::Millis;
use crate::transport::Stream;

/// Where a connection stands.
pub(crate) enum Phase {
    /// The request head is coming in.
    Handshake(Box<Handshake>),
    /// The user is deciding about the request. Nothing is read meanwhile.
    Deciding(Box<Deciding>),
    /// Messages flow.
    Open,
    /// Our Close frame is out (or queued); the peer's is awaited. Messages are discarded.
    Closing,
    /// Everything is said: after the last byte we send FIN and wait, for a while, for the peer's.
    Lingering,
}

pub(crate) struct Handshake {
    /// Later the link knows it.
    peer: Option<SocketAddr>,
    pub(crate) received: Vec<u8>,
    pub(crate) scanner: Scanner,
}

pub(crate) struct Deciding {
    pub(crate) key: Option<String>,
    pub(crate) subprotocol: Option<String>,
    /// How to compress, and the value of Sec-WebSocket-Extensions that says so.
    pub(crate) packing: Option<(Packing, String)>,
    pub(crate) request_line: String,
    /// Bytes that came after the head.
    pub(crate) rest: Vec<u8>,
}

/// One connection. Idle sessions are many: what is rare is boxed.
pub(crate) struct Session {
    pub(crate) stream: Stream,
    pub(crate) id: SessionId,
    pub(crate) phase: Phase,
    pub(crate) reader: Reader,
    pub(crate) outbox: Outbox,
    /// How messages may be compressed, if that was agreed on.
    pub(crate) packing: Option<Packing>,
    /// Streams of its own, and bytes held back; shared streams leave it empty.
    pub(crate) own: Option<Box<Own>>,
    /// Set when the user has been told of the session.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) memberships: Vec<Membership>,
    /// The newest ping that could not be answered yet (RFC 6455 §5.5.3 allows to leave out older ones).
    pub(crate) unanswered_ping: Option<Box<[u8]>>,
    pub(crate) farewell: Option<Box<Farewell>>,
    /// When the connection was accepted.
    pub(crate) since: Millis,
    /// When closing or lingering ends, or the wait of a session that `broke` the protocol.
    pub(crate) until: Millis,
    pub(crate) last_received: Millis,
    /// When the keepalive ping went out that has not been answered; 0: none.
    pub(crate) pinged: Millis,
    /// When the last keepalive ping went out, in microseconds, as its payload says it; 0: its pong has come.
    pub(crate) ping_micros: u64,
    /// INVARIANT: the wheel holds an entry for exactly this moment; 0: none.
    pub(crate) timer: Millis,
    /// The broadcast that reached this session last, so that several rooms reach it once.
    pub(crate) mark: u32,
    /// How the peer has broken the protocol; said as soon as what came before has been handled, or by `until`.
    pub(crate) broke: Option<Violation>,
    /// The kernel has, or may have, bytes for us.
    pub(crate) readable: bool,
    /// The peer has sent FIN: after a short read there is still the end to be read.
    pub(crate) hung_up: bool,
    /// It stands in the list of sessions to be read.
    pub(crate) in_ready: bool,
    /// The kernel takes no more for now.
    pub(crate) blocked: bool,
    /// It stands in the list of sessions to be written.
    pub(crate) dirty: bool,
    /// The inbox is full: nothing is read until the user has consumed.
    pub(crate) paused: bool,
    /// Writing has failed: only what the peer has sent before is still of interest.
    pub(crate) broken: bool,
    /// FIN has been sent.
    pub(crate) finished: bool,
    /// The user has been told of the end.
    pub(crate) told: bool,
    /// It counts among the handshakes under way.
    pub(crate) pending: bool,
}

/// The Close frames of both directions.
#[derive(Default)]
pub(crate) struct Farewell {
    pub(crate) received: Option<(CloseCode, String)>,
    pub(crate) sent: Option<(CloseCode, String)>,
}

impl Session {
    pub(crate) fn new(stream: Stream, id: SessionId, peer: Option<SocketAddr>, now: Millis) -> Self {
        Session {
            stream,
            id,
            phase: Phase::Handshake(Box::new(Handshake { peer, received: Vec::new(), scanner: Scanner::new() })),
            reader: Reader::new(Role::Server),
            outbox: Outbox::default(),
            packing: None,
            own: None,
            link: None,
            memberships: Vec::new(),
            unanswered_ping: None,
            farewell: None,
            since: now,
            until: 0,
            last_received: now,
            pinged: 0,
            ping_micros: 0,
            timer: 0,
            mark: 0,
            broke: None,
            readable: true,
            hung_up: false,
            in_ready: false,
            blocked: false,
            dirty: false,
            paused: false,
            broken: false,
            finished: false,
            told: false,
            pending: true,
        }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.id.slot() as u32
    }

    /// Received bytes wait to be parsed.
    pub(crate) fn holds(&self) -> bool {
        self.own.as_ref().is_some_and(|own| !own.held.is_empty())
    }

    /// The peer's address; `None` on a unix socket, and when a request was refused before there was a link.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match (&self.link, &self.phase) {
            (Some(link), _) => link.peer(),
            (None, Phase::Handshake(handshake)) => handshake.peer,
            (None, _) => None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }
}

/// The sessions of one shard by slot.
pub(crate) struct Sessions {
    shard: u8,
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
}

struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

impl Sessions {
    pub(crate) fn new(shard: u8) -> Self {
        Sessions { shard, slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Puts in the session that `make` makes; `None` if every slot is taken.
    pub(crate) fn insert(&mut self, make: impl FnOnce(SessionId) -> Session) -> Option<&mut Session> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() == SessionId::MAX_SLOTS => return None,
            None => {
                self.slots.push(Slot { generation: 0, session: None });
                self.slots.len() as u32 - 1
            }
        };
        let place = &mut self.slots[slot as usize];
        self.count += 1;
        Some(place.session.insert(Box::new(make(SessionId::new(self.shard, place.generation, slot)))))
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Session>> {
        let place = self.slots.get_mut(slot as usize)?;
        let session = place.session.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        self.count -= 1;
        Some(session)
    }

    /// The session with this id, if it lives here.
    pub(crate) fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        // A broadcast's list of who is left out names sessions of all shards.
        if id.shard() != usize::from(self.shard) {
            return None;
        }
        let place = self.slots.get_mut(id.slot())?;
        if place.generation != id.generation() {
            return None;
        }
        place.session.as_deref_mut()
    }

    /// Whoever has this slot now.
    pub(crate) fn at(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.session.as_deref_mut()
    }

    /// The slots in use.
    pub(crate) fn occupied(&self) -> Vec<u32> {
        let occupied = self.slots.iter().enumerate().filter(|(_, place)| place.session.is_some());
        occupied.map(|(slot, _)| slot as u32).collect()
    }

    /// One past the highest slot ever used.
    pub(crate) fn end(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl Memberships for Sessions {
    fn of(&mut self, slot: u32) -> Option<&mut Vec<Membership>> {
        self.at(slot).map(|session| &mut session.memberships)
    }
}

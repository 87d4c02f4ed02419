//! Sessions and requests, and the table of them.

pub(crate) mod address;
pub(crate) mod carrier;
pub(crate) mod closing;
pub(crate) mod compression;
pub(crate) mod connection;
pub(crate) mod deadlines;
pub(crate) mod input;
pub(crate) mod link;
pub(crate) mod opening;
pub(crate) mod output;
pub(crate) mod packets;
pub(crate) mod pending;
pub(crate) mod rate_limit;
pub(crate) mod request;
pub(crate) mod resumable;
pub(crate) mod transport;

use std::net::SocketAddr;
use std::sync::Arc;

use hubbub_proto::Violation;
use hubbub_proto::close::CloseCode;
use hubbub_proto::head::Scanner;
use thin_vec::ThinVec;

use hubbub_proto::session::Dialect;

use crate::address_limit::AddressBlock;
use crate::handler::Traffic;
use crate::http::exchange::Exchange;
use crate::http::request_line::RequestLine;
use crate::id::SessionId;
use crate::io::outbox::Outbox;
use crate::io::peer::Peer;
use crate::io::stream::Stream;
use crate::pubsub::broadcast::Broadcast;
use crate::pubsub::position::Since;
use crate::pubsub::rooms::{Membership, Memberships};
use crate::rate::FullAt;
use crate::session::carrier::Carrier;
use crate::session::compression::Packing;
use crate::session::connection::Connection;
use crate::session::link::Link;
use crate::session::resumable::Resumable;
use crate::timers::Millis;

/// Where a connection stands.
pub(crate) enum Phase {
    /// The request head is coming in.
    Handshake(Box<Handshake>),
    /// The user is deciding about the request. Nothing is read meanwhile.
    Deciding(Box<Deciding>),
    /// A request is being answered with HTTP. Its body is read; what follows waits.
    Exchange(Box<Exchange>),
    /// A WebSocket that is to carry this session, which polls carry still.
    Candidate(SessionId),
    /// Messages flow.
    Open,
    /// Our Close frame is out (or queued); the peer's is awaited. Messages are discarded.
    Closing,
    /// Everything is said: after the last byte we send FIN and wait, for a while, for the peer's.
    Lingering,
}

pub(crate) struct Handshake {
    /// Later the link knows it.
    pub(crate) peer: Peer,
    /// A PROXY header must come first.
    pub(crate) awaits_proxy: bool,
    pub(crate) received: Vec<u8>,
    pub(crate) scanner: Scanner,
    /// What was received has not been looked at.
    pub(crate) unread: bool,
    /// The connection has been answered before, and nothing has come since.
    pub(crate) kept: bool,
}

pub(crate) struct Deciding {
    pub(crate) key: Option<String>,
    pub(crate) subprotocol: Option<String>,
    /// How to compress, and the value of Sec-WebSocket-Extensions that says so.
    pub(crate) packing: Option<(Packing, String)>,
    pub(crate) request_line: RequestLine,
    /// Bytes that came after the head.
    pub(crate) rest: Vec<u8>,
    /// What an answer becomes after which the connection may go on.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// It was a file that was looked for, in vain.
    pub(crate) missed: bool,
    pub(crate) plan: Plan,
}

/// How a session is to open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) carrier: Carrier,
    /// The endpoint's number.
    pub(crate) endpoint: u32,
    /// It outlives its connections.
    pub(crate) dialect: Option<Dialect>,
    /// What the client of an event stream has seen before it came.
    pub(crate) since: Option<Since>,
    /// Fields of the response that opens it, already checked.
    pub(crate) fields: Vec<(String, String)>,
}

impl Handshake {
    /// Waits for a head; `received` has come before.
    pub(crate) fn new(peer: Peer, received: Vec<u8>, kept: bool) -> Self {
        let unread = !received.is_empty();
        Handshake { peer, awaits_proxy: false, received, scanner: Scanner::new(), unread, kept: kept && !unread }
    }
}

/// A client, or a request, and the connection that it has.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) id: SessionId,
    pub(crate) phase: Phase,
    /// Set when the user has been told of the session.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) memberships: ThinVec<Membership>,
    pub(crate) rare: Option<Box<Rare>>,
    /// Whose place it has, where places are counted.
    pub(crate) place: Option<AddressBlock>,
    /// When the phase ends if nothing else ends it, or the wait of a session that `broke` the protocol; 0: never.
    pub(crate) until: Millis,
    pub(crate) last_received: Millis,
    /// When the last keepalive ping went out, in microseconds, as its payload says it.
    pub(crate) ping_micros: u64,
    /// INVARIANT: the wheel holds an entry for exactly this moment; 0: none.
    pub(crate) timer: Millis,
    /// The broadcast that reached this session last, so that several rooms reach it once.
    pub(crate) mark: u32,
    /// Where there is an access log: what it will say of the session.
    pub(crate) tally: Option<Box<Tally>>,
    /// How the peer has broken the protocol; said as soon as what came before has been handled, or by `until`.
    pub(crate) broke: Option<Violation>,
    pub(crate) carrier: Carrier,
    /// Nothing has come since the last keepalive ping.
    pub(crate) pinged: bool,
    /// The pong to that ping has not come.
    pub(crate) awaits_pong: bool,
    /// It stands in the list of sessions to be read.
    pub(crate) in_ready: bool,
    /// It stands in the list of sessions to be written.
    pub(crate) dirty: bool,
    /// The inbox is full: nothing is read until the user has consumed.
    pub(crate) paused: bool,
    /// It has sent too fast: nothing is read until it may send again.
    pub(crate) throttled: bool,
    /// It counts among the handshakes under way.
    pub(crate) pending: bool,
    /// The user has been told of the end.
    pub(crate) told: bool,
    /// It gets what is broadcast to everyone: the user knows it.
    pub(crate) known: bool,
}

/// What few sessions have.
#[derive(Default)]
pub(crate) struct Rare {
    /// The newest ping that could not be answered yet (RFC 6455 §5.5.3 allows to leave out older ones).
    pub(crate) unanswered_ping: Option<Box<[u8]>>,
    /// Where the rate of messages is bounded: what it has sent.
    pub(crate) full_at: FullAt,
    pub(crate) farewell: Farewell,
    /// What outlives its connections.
    pub(crate) resumable: Option<Box<Resumable>>,
    /// On an event stream: what the client has seen before it came.
    pub(crate) since: Option<Since>,
    /// Where that place is in this server's life: the newest broadcast that its client has been told, of those that rooms remember.
    pub(crate) told: u64,
    /// Rooms of which it is still to be told what it has missed. Meanwhile it gets nothing that rooms remember.
    pub(crate) missed: Vec<Arc<str>>,
    /// The newest broadcast when that began.
    pub(crate) held_from: u64,
    /// Rooms of which it has been told.
    pub(crate) caught_up: Vec<Arc<str>>,
}

/// What the access log says of a session when it ends.
pub(crate) struct Tally {
    pub(crate) opened: Millis,
    pub(crate) traffic: Traffic,
}

/// The Close frames of both directions.
#[derive(Default)]
pub(crate) struct Farewell {
    pub(crate) received: Option<(CloseCode, String)>,
    pub(crate) sent: Option<(CloseCode, String)>,
}

impl Session {
    /// Somebody has connected, and a request is to come.
    pub(crate) fn new(stream: Stream, id: SessionId, peer: Peer, now: Millis) -> Self {
        Session {
            connection: Connection::new(stream),
            id,
            phase: Phase::Handshake(Box::new(Handshake::new(peer, Vec::new(), false))),
            link: None,
            memberships: ThinVec::new(),
            rare: None,
            place: None,
            until: 0,
            last_received: now,
            ping_micros: 0,
            timer: 0,
            mark: 0,
            tally: None,
            broke: None,
            carrier: Carrier::WebSocket,
            pinged: false,
            awaits_pong: false,
            in_ready: false,
            dirty: false,
            paused: false,
            throttled: false,
            pending: true,
            told: false,
            known: false,
        }
    }

    /// A session that has no connection of its own.
    pub(crate) fn away(id: SessionId, peer: Peer, resumable: Resumable, now: Millis) -> Self {
        let mut session = Session::new(Stream::Away, id, peer, now);
        session.connection = Connection::absent();
        session.pending = false;
        session.carrier = Carrier::Polling;
        session.rare.get_or_insert_default().resumable = Some(Box::new(resumable));
        session
    }

    /// It is a WebSocket whose messages are messages, and that has nothing but that.
    pub(crate) fn is_plain(&self) -> bool {
        self.rare.is_none() && self.carrier == Carrier::WebSocket
    }

    /// Its messages are the program's own, not packets of a protocol that is spoken by it.
    pub(crate) fn is_the_hubs(&self) -> bool {
        self.resumable().is_none_or(|resumable| resumable.dialect() != Dialect::EngineIo)
    }

    /// It is still to be told what it has missed.
    pub(crate) fn misses(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.missed.is_empty())
    }

    /// Its client has been told this broadcast, or will be with all that it has missed.
    pub(crate) fn is_told(&mut self, broadcast: &Broadcast) -> bool {
        let Some(rare) = self.rare.as_mut().filter(|rare| rare.since.is_some()) else { return false };
        let Some(stamp) = broadcast.stamp else { return false };
        let told = !rare.missed.is_empty() || stamp.offset <= rare.told;
        if !told {
            rare.told = stamp.offset;
        }
        told
    }

    /// It has no connection of its own just now.
    pub(crate) fn is_away(&self) -> bool {
        self.connection.is_absent()
    }

    pub(crate) fn resumable(&self) -> Option<&Resumable> {
        self.rare.as_ref()?.resumable.as_deref()
    }

    pub(crate) fn resumable_mut(&mut self) -> Option<&mut Resumable> {
        self.rare.as_mut()?.resumable.as_deref_mut()
    }

    /// The outbox, and what outlives connections.
    pub(crate) fn outbox_and_resumable(&mut self) -> Option<(&mut Outbox, &mut Resumable)> {
        Some((&mut self.connection.outbox, self.rare.as_mut()?.resumable.as_deref_mut()?))
    }

    /// The session that this WebSocket is to carry.
    pub(crate) fn is_candidate_of(&self) -> Option<SessionId> {
        match self.phase {
            Phase::Candidate(id) => Some(id),
            _ => None,
        }
    }

    /// It has ended, and its client, which has no connection just now, may still fetch the last words.
    pub(crate) fn has_last_words(&self) -> bool {
        let ends = matches!(self.phase, Phase::Lingering) && self.is_away();
        ends && self.resumable().is_some_and(|resumable| resumable.requests.may_be_asked() && resumable.has_news())
    }

    /// It has ended while its client goes on from polls to a WebSocket: by that it is to hear the rest.
    pub(crate) fn ends_by_upgrade(&self) -> bool {
        let ends = matches!(self.phase, Phase::Lingering) && self.is_away();
        ends && self.resumable().is_some_and(|resumable| resumable.requests.ends_by_upgrade())
    }

    /// What is sent now is likely to leave at once: the client takes what it is given.
    pub(crate) fn is_writable(&self) -> bool {
        if self.is_away() { self.backlog() == 0 } else { !self.connection.blocked }
    }

    /// Bytes that wait for its client.
    pub(crate) fn backlog(&self) -> usize {
        if self.is_away() { self.resumable().map_or(0, Resumable::bytes) } else { self.connection.outbox.len() }
    }

    /// What that keeps in memory, more or less.
    pub(crate) fn weight(&self) -> usize {
        if self.is_away() { self.backlog() } else { self.connection.outbox.weight() }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.id.slot() as u32
    }

    /// Received bytes wait to be parsed.
    pub(crate) fn holds(&self) -> bool {
        match &self.phase {
            Phase::Handshake(handshake) => handshake.unread,
            _ => self.connection.holds(),
        }
    }

    /// The client's address; `None` on a unix socket, and when a request was refused before there was a link.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.origin().and_then(Peer::client)
    }

    /// Where it comes from; `None` when a request was refused before there was a link.
    pub(crate) fn origin(&self) -> Option<&Peer> {
        match (&self.link, &self.phase) {
            (Some(link), _) => Some(link.origin()),
            (None, Phase::Handshake(handshake)) => Some(&handshake.peer),
            (None, Phase::Exchange(exchange)) => exchange.peer.as_ref(),
            (None, _) => None,
        }
    }

    /// The same, to be kept.
    pub(crate) fn whence(&self) -> Peer {
        self.origin().cloned().unwrap_or(Peer::Unix)
    }

    /// A PROXY header is still to come.
    pub(crate) fn awaits_proxy(&self) -> bool {
        matches!(&self.phase, Phase::Handshake(handshake) if handshake.awaits_proxy)
    }

    /// It is not read for now, and that is not the peer's fault.
    pub(crate) fn is_held_back(&self) -> bool {
        self.paused || self.throttled
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// A request is coming in or being answered: there is no WebSocket, not yet or at all.
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.phase, Phase::Handshake(_) | Phase::Deciding(_) | Phase::Exchange(_))
    }

    /// The user is deciding about a WebSocket, after whose request nothing has come.
    pub(crate) fn wants_websocket(&self) -> bool {
        matches!(&self.phase, Phase::Deciding(deciding) if deciding.key.is_some() && deciding.rest.is_empty())
    }

    pub(crate) fn exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.phase {
            Phase::Exchange(exchange) => Some(exchange),
            _ => None,
        }
    }

    /// Nothing is to be read now: the user has the word.
    pub(crate) fn is_waiting(&self) -> bool {
        match &self.phase {
            Phase::Deciding(_) => true,
            Phase::Exchange(exchange) => self.is_held_back() || exchange.body.is_done(),
            _ => self.is_held_back(),
        }
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

    /// Gives the session its slot's next id: what is still on its way to the former finds nobody.
    pub(crate) fn renew(&mut self, slot: u32) -> Option<&mut Session> {
        let place = self.slots.get_mut(slot as usize)?;
        let session = place.session.as_deref_mut()?;
        place.generation = place.generation.wrapping_add(1);
        session.id = SessionId::new(self.shard, place.generation, slot);
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
    fn of(&mut self, slot: u32) -> Option<&mut ThinVec<Membership>> {
        self.at(slot).map(|session| &mut session.memberships)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the allocator's own word these are multiples of 16, so a field more would cost an idle session 16 bytes.
    #[test]
    fn a_session_is_no_larger_than_it_has_to_be() {
        assert_eq!((size_of::<Session>(), size_of::<Link>(), size_of::<crate::Request>()), (184, 72, 56));
    }
}

//! Who a connection comes from, as far as proxies before the server tell it, and whether one more may come from there.

use std::io;
use std::net::SocketAddr;

use hubbub_proto::proxy::{self};

use super::Shard;
use crate::address_limit::AddressBlock;
use crate::command::Answer;
use crate::handler::Notice;
use crate::http::request_line::RequestLine;
use crate::id::SessionId;
use crate::io::peer::Peer;
use crate::metrics::Reason;
use crate::session::address::TOO_MANY;
use crate::session::{Phase, Session, Sessions};

/// So many new sessions on polls are noted before those that have spoken or gone are forgotten.
const SWEEP: usize = 1024;

impl Shard {
    /// Where every connection begins with a PROXY header, only proxies may connect.
    pub(super) fn may_connect(&mut self, end: Option<SocketAddr>) -> bool {
        let proxies = &self.cx.server.settings().proxies;
        let may = !proxies.protocol || proxies.trusted.has(end);
        if !may {
            self.cx.counts.proxy_refused += 1;
            self.cx.notice(Notice::Refused { peer: end, reason: "not a trusted proxy".into() });
        }
        may
    }

    /// A connection has been taken in: the first thing to find out is who it is.
    pub(super) fn welcome(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        match &mut session.phase {
            Phase::Handshake(handshake) if self.cx.server.settings().proxies.protocol => handshake.awaits_proxy = true,
            _ => self.admit_sender(slot),
        }
    }

    /// Reads the PROXY header, before TLS and everything else. `false`: the session is not to be read on.
    pub(super) fn read_proxy_header(&mut self, slot: u32) -> bool {
        let Some(session) = self.sessions.at(slot) else { return false };
        // What follows the header is not ours to take: it may be TLS. So the header is looked at until it is whole.
        let room = &mut self.buffer[..proxy::MAX_BYTES];
        let len = match session.connection.stream.peek(room) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                session.connection.readable = false;
                return false;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.settle_session(slot);
                return false;
            }
            Err(_) => 0,
        };
        if len == 0 {
            self.drop_session(slot, None);
            return false;
        }
        let reason = match proxy::parse(&room[..len]) {
            Ok(None) if !session.connection.hung_up => {
                // The poll tells of each further byte.
                session.connection.readable = false;
                return false;
            }
            Ok(None) => "the PROXY header does not end".into(),
            Ok(Some((len, announced))) if session.connection.stream.peek_off(&mut room[..len]) => {
                self.cx.counts.bytes_in += len as u64;
                session.announce(announced);
                self.admit_sender(slot);
                return self.sessions.at(slot).is_some();
            }
            Ok(Some(_)) => "the connection is lost".into(),
            Err(error) => error.to_string(),
        };
        self.cx.counts.proxy_refused += 1;
        self.cx.notice(Notice::Refused { peer: session.peer(), reason });
        self.drop_session(slot, None);
        false
    }

    /// Takes a place for the connection, unless it comes from a trusted proxy: the request will say who its client is.
    fn admit_sender(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        let trusted = &self.cx.server.settings().proxies.trusted;
        if self.cx.server.address_limit().is_none() || session.origin().is_none_or(|peer| trusted.has(peer.sender())) {
            return;
        }
        if self.cx.count_address(session) {
            return;
        }
        if session.connection.stream.is_secure() {
            // An answer would need a TLS handshake: more work than the limit is to allow.
            self.cx.notice(Notice::Refused { peer: session.peer(), reason: TOO_MANY.into() });
            self.drop_session(slot, None);
        } else {
            let line = RequestLine::read(b"-", self.cx.micros);
            self.cx.refuse_request(session, &Answer::plain(429, TOO_MANY), Reason::Connections, line);
        }
    }
}

impl Shard {
    /// Takes a place among the sessions on polls for a new one, if need be that of the oldest from its address whose client
    /// has said nothing. `false`: there is none.
    pub(super) fn admit_polling_session(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let Some(client) = session.origin().and_then(Peer::client) else { return true };
        let address_block = AddressBlock::of(client.ip());
        while !self.cx.server.polling_address_limit().take(address_block) {
            let Some(silent) = self.oldest_silent(address_block) else {
                self.cx.counts.address_refused += 1;
                return false;
            };
            self.cx.counts.polls_evicted += 1;
            self.drop_session(silent.slot() as u32, Some(TOO_MANY));
        }
        let Some(resumable) = self.sessions.get(id).and_then(Session::resumable_mut) else {
            self.cx.server.polling_address_limit().leave(address_block);
            return false;
        };
        resumable.polls_from = Some(address_block);
        self.silent.entry(address_block).or_default().push_back(id);
        self.sweep_silent();
        true
    }

    fn oldest_silent(&mut self, address_block: AddressBlock) -> Option<SessionId> {
        let (silent, sessions) = (self.silent.get_mut(&address_block)?, &mut self.sessions);
        std::iter::from_fn(|| silent.pop_front()).find(|id| is_silent(sessions, *id))
    }

    /// Forgets those that have spoken or gone, now and then.
    fn sweep_silent(&mut self) {
        self.unswept += 1;
        if self.unswept < SWEEP {
            return;
        }
        self.unswept = 0;
        let sessions = &mut self.sessions;
        self.silent.retain(|_, silent| {
            silent.retain(|id| is_silent(sessions, *id));
            !silent.is_empty()
        });
    }
}

/// Its client comes by polls, has not sent a message, and is in no room.
fn is_silent(sessions: &mut Sessions, id: SessionId) -> bool {
    let Some(session) = sessions.get(id) else { return false };
    let is_in_a_room = || session.link.as_ref().is_some_and(|link| !link.lock_rooms().is_empty());
    session.resumable().is_some_and(|resumable| resumable.polls_from.is_some() && !resumable.has_spoken)
        && !is_in_a_room()
}

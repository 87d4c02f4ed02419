//! Where a connection comes from, and its place among those from there.

use hubbub_proto::head::Head;
use hubbub_proto::proxy::Announced;

use crate::address_limit::AddressBlock;
use crate::command::Answer;
use crate::context::Context;
use crate::io::peer::Peer;
use crate::metrics::Reason;
use crate::session::{Phase, Session};

pub(crate) const TOO_MANY: &str = "Too many connections from this address.";

impl Context {
    /// Finds out whom a request comes from, and takes that client's place. `Err`: what to answer instead.
    pub(crate) fn identify(&mut self, session: &mut Session, head: &Head<'_>) -> Result<(), (Reason, Answer)> {
        let Phase::Handshake(handshake) = &mut session.phase else { return Ok(()) };
        if let Err(contradiction) = handshake.peer.believe(head, &self.server.settings().proxies.trusted) {
            self.counts.proxy_refused += 1;
            return Err((Reason::Forwarding, Answer::plain(400, contradiction.0)));
        }
        if self.count_address(session) { Ok(()) } else { Err((Reason::Connections, Answer::plain(429, TOO_MANY))) }
    }

    /// Takes a place for the session's client. `false`: it has all that it may have.
    pub(crate) fn count_address(&mut self, session: &mut Session) -> bool {
        let Some(address_limit) = self.server.address_limit() else { return true };
        let Some(client) = session.origin().and_then(Peer::client) else { return true };
        let address_block = AddressBlock::of(client.ip());
        if session.place == Some(address_block) {
            return true;
        }
        // A proxy's connection has brought another client's request.
        if let Some(before) = session.place.take() {
            address_limit.leave(before);
        }
        if !address_limit.take(address_block) {
            self.counts.address_refused += 1;
            return false;
        }
        session.place = Some(address_block);
        true
    }

    /// Gives the session's place back.
    pub(crate) fn uncount_address(&mut self, session: &mut Session) {
        if let Some(address_block) = session.resumable_mut().and_then(|resumable| resumable.polls_from.take()) {
            self.server.polling_address_limit().leave(address_block);
        }
        if let (Some(address_limit), Some(address_block)) = (self.server.address_limit(), session.place.take()) {
            address_limit.leave(address_block);
        }
    }
}

impl Session {
    pub(crate) fn announce(&mut self, announced: Announced) {
        let Phase::Handshake(handshake) = &mut self.phase else { return };
        handshake.awaits_proxy = false;
        if let Announced::Client(client) = announced {
            handshake.peer.announce(client);
        }
    }
}

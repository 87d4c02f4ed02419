//! Where a connection comes from, and its place among those from there.

use hubbub_proto::head::Head;
use hubbub_proto::proxy::Announced;

use crate::command::Answer;
use crate::context::Context;
use crate::io::peer::Peer;
use crate::metrics::Reason;
use crate::places::Household;
use crate::session::{Phase, Session};

pub(crate) const TOO_MANY: &str = "Too many connections from this address.";

impl Context {
    /// Finds out whom a request comes from, and takes that client's place. `Err`: what to answer instead.
    pub(crate) fn identify(&mut self, session: &mut Session, head: &Head<'_>) -> Result<(), (Reason, Answer)> {
        let Phase::Handshake(handshake) = &mut session.phase else { return Ok(()) };
        if let Err(contradiction) = handshake.peer.heed(head, &self.server.settings().proxies.trusted) {
            self.counts.proxy_refused += 1;
            return Err((Reason::Forwarding, Answer::plain(400, contradiction.0)));
        }
        if self.seat(session) { Ok(()) } else { Err((Reason::Connections, Answer::plain(429, TOO_MANY))) }
    }

    /// Takes a place for the session's client. `false`: it has all that it may have.
    pub(crate) fn seat(&mut self, session: &mut Session) -> bool {
        let Some(places) = self.server.places() else { return true };
        let Some(client) = session.origin().and_then(Peer::client) else { return true };
        let household = Household::of(client.ip());
        if session.place == Some(household) {
            return true;
        }
        // A proxy's connection has brought another client's request.
        if let Some(before) = session.place.take() {
            places.leave(before);
        }
        if !places.take(household) {
            self.counts.address_refused += 1;
            return false;
        }
        session.place = Some(household);
        true
    }

    /// Gives the session's place back.
    pub(crate) fn unseat(&mut self, session: &mut Session) {
        if let Some(household) = session.lasting_mut().and_then(|lasting| lasting.polls_from.take()) {
            self.server.polling_places().leave(household);
        }
        if let (Some(places), Some(household)) = (self.server.places(), session.place.take()) {
            places.leave(household);
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

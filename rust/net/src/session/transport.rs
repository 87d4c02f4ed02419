//! What carries a session, when it changes.

use crate::context::Context;
use crate::session::Session;
use crate::session::carrier::Carrier;

impl Context {
    /// Gives a session's new connection all that its client has not got.
    pub(crate) fn replay(&mut self, session: &mut Session) {
        let carrier = session.carrier;
        if let Some((outbox, resumable)) = session.outbox_and_resumable() {
            outbox.gather(&mut self.pool, |out| resumable.replay(carrier, out));
        }
    }

    /// The session is carried by something else from here on.
    pub(crate) fn carry_by(&mut self, session: &mut Session, carrier: Carrier) {
        let before = std::mem::replace(&mut session.carrier, carrier);
        self.figures().tables.session_moved(before.into(), carrier.into());
        if let Some(link) = &session.link {
            link.set_carrier(carrier);
        }
    }
}

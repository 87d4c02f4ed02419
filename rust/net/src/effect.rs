//! What a shard's parts have to tell its user. They note it here; the shard's loop hands it on to the
//! [handler](crate::Handler), in order, before the next message.

use std::collections::VecDeque;
use std::sync::Arc;

use hubbub_proto::message::Kind;

use crate::handler::{Closed, Notice, Request};
use crate::id::SessionId;
use crate::pubsub::broadcast::Delivery;
use crate::session::link::Link;

/// One call of the [handler](crate::Handler)'s method of that name.
pub(crate) enum Effect {
    Request(Arc<Link>, Request),
    Refused(Arc<Link>, Request, u8, &'static str),
    Exchange(Arc<Link>, Request),
    Content(SessionId, Vec<u8>, bool),
    HungUp(SessionId),
    Open(Arc<Link>, Option<Request>),
    /// A message that a POST has brought. Those of WebSockets are not copied, so the loop hands them on itself.
    Message(SessionId, Kind, Vec<u8>),
    Pong(SessionId, Box<[u8]>),
    Drained(SessionId),
    Closed(SessionId, Closed),
    Delivered(Arc<Delivery>),
    Notice(Notice),
}

/// Effects that wait for the loop.
pub(crate) type Effects = VecDeque<Effect>;

impl Effect {
    /// The session that cannot go on if the user does not get to know of it.
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self {
            Effect::Request(link, _) | Effect::Exchange(link, _) | Effect::Open(link, _) => Some(link.id()),
            Effect::Content(id, ..)
            | Effect::HungUp(id)
            | Effect::Message(id, ..)
            | Effect::Pong(id, _)
            | Effect::Drained(id) => Some(*id),
            // What is left of one that has ended, as its Close frame, goes its way.
            Effect::Closed(..) | Effect::Refused(..) | Effect::Delivered(_) | Effect::Notice(_) => None,
        }
    }
}

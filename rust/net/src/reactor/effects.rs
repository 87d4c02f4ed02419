//! Tells the handler what the shard's parts have noted.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hubbub_proto::message::Payload;

use super::Shard;
use crate::context::Context;
use crate::effect::Effect;
use crate::handler::{Handler, Notice};

impl Shard {
    /// Tells the handler all that there is to tell. A session at which it panics is dropped.
    #[inline]
    pub(super) fn perform(&mut self, handler: &mut impl Handler) {
        if !self.cx.effects.is_empty() {
            self.perform_all(handler);
        }
    }

    fn perform_all(&mut self, handler: &mut impl Handler) {
        while let Some(effect) = self.cx.effects.pop_front() {
            let id = effect.session();
            let is_panic = matches!(effect, Effect::Notice(Notice::Panicked(_)));
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.cx.tell(effect, handler))) else { continue };
            match is_panic {
                // A handler that cannot even be told of it must not take the shard with it.
                true => self.cx.counts.panics += 1,
                false => self.cx.report_panic(panic.as_ref()),
            }
            if let Some(id) = id.filter(|id| self.sessions.get(*id).is_some()) {
                self.drop_session(id.slot() as u32, Some("internal error"));
            }
        }
    }
}

impl Context {
    /// Tells the handler what was noted so far, before a message.
    #[inline]
    pub(super) fn perform(&mut self, handler: &mut impl Handler) {
        if !self.effects.is_empty() {
            self.perform_all(handler);
        }
    }

    fn perform_all(&mut self, handler: &mut impl Handler) {
        while let Some(effect) = self.effects.pop_front() {
            self.tell(effect, handler);
        }
    }

    fn tell(&mut self, effect: Effect, handler: &mut impl Handler) {
        match effect {
            Effect::Request(link, request) => handler.request(link, request),
            Effect::Refused(link, request, code, message) => handler.refused(link, request, code, message),
            Effect::Exchange(link, request) => handler.exchange(link, request),
            Effect::Content(id, mut content, last) => {
                handler.content(id, &content, last);
                content.clear();
                self.gathered = content;
            }
            Effect::HungUp(id) => handler.hung_up(id),
            Effect::Open(link, request) => handler.open(link, request),
            Effect::Message(id, kind, payload) => handler.message(id, kind, Payload::Owned(payload)),
            Effect::Pong(id, payload) => handler.pong(id, &payload),
            Effect::Drained(id) => handler.drained(id),
            Effect::Closed(id, closed) => handler.closed(id, closed),
            Effect::Delivered(delivery) => handler.delivered(delivery),
            Effect::Notice(notice) => handler.notice(notice),
        }
    }
}

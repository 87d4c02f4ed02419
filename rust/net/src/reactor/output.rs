//! Sends, broadcasts, and writes what sessions have to say.

use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::close::CloseCode;
use hubbub_proto::frame::{self, Header, Opcode};

use super::Shard;
use crate::context::Context;
use crate::effect::Effect;
use crate::http::exchange::Piece;
use crate::id::SessionId;
use crate::pubsub::broadcast::{Broadcast, Target};
use crate::session::carrier::Carrier;
use crate::session::compression::Form;
use crate::session::output::{Fate, SLOW};
use crate::session::{Phase, Session};

impl Shard {
    /// Puts a message into the session's outbox, copying it. Gives the bytes that wait there now.
    pub fn send(&mut self, id: SessionId, form: impl Into<Form>, payload: &[u8]) -> usize {
        let form = form.into();
        if let Some(deflated) = self.deflated(id, form, payload) {
            return self.send_deflated(id, form, payload.len(), deflated);
        }
        self.push(id, payload.len(), payload.len(), |session, cx| match session.carrier {
            Carrier::WebSocket => {
                session
                    .connection
                    .outbox
                    .gather(&mut cx.pool, |out| frame::encode(out, form.kind.into(), payload, None));
            }
            _ => cx.carry(session, form.kind, &Piece::Borrowed(payload)),
        })
    }

    /// Puts a message into the session's outbox without copying it: worth it for large ones.
    pub fn send_shared(&mut self, id: SessionId, form: impl Into<Form>, payload: Bytes) -> usize {
        let form = form.into();
        if let Some(deflated) = self.deflated(id, form, &payload) {
            return self.send_deflated(id, form, payload.len(), deflated);
        }
        let header = Header { fin: true, opcode: form.kind.into(), len: payload.len() as u64, mask: None }.encode();
        self.push(id, payload.len(), payload.len(), |session, cx| match session.carrier {
            Carrier::WebSocket => {
                session.connection.outbox.gather(&mut cx.pool, |out| out.extend_from_slice(&header));
                session.connection.outbox.push_shared(&mut cx.pool, payload);
            }
            _ => cx.carry(session, form.kind, &Piece::Shared(payload)),
        })
    }

    /// The payload as the session gets it if it gets it compressed.
    fn deflated(&mut self, id: SessionId, form: Form, payload: &[u8]) -> Option<Vec<u8>> {
        if !self.cx.compresses {
            return None;
        }
        let session = self.sessions.get(id).filter(|session| session.is_open())?;
        let packing = session.connection.packing.filter(|packing| packing.wants(form, payload.len()))?;
        self.cx.codecs.deflate(&packing, &mut session.connection.own, payload, &mut self.cx.counts)
    }

    fn send_deflated(&mut self, id: SessionId, form: Form, payload_len: usize, deflated: Vec<u8>) -> usize {
        self.push(id, payload_len, deflated.len(), |session, cx| cx.append_deflated(session, form, deflated))
    }

    fn push(
        &mut self,
        id: SessionId,
        payload_len: usize,
        len: usize,
        append: impl FnOnce(&mut Session, &mut Context),
    ) -> usize {
        let cx = &mut self.cx;
        let Some(session) = self.sessions.get(id).filter(|session| session.is_open()) else {
            cx.counts.late_sends += 1;
            return 0;
        };
        if !cx.has_room(session, len) && !cx.may_still_ask(session, len) {
            cx.counts.slow_closed += 1;
            cx.fail(session, CloseCode::TRY_AGAIN_LATER, SLOW);
            return 0;
        }
        if session.misses() {
            cx.catch_up(session);
        }
        append(session, cx);
        cx.counts.messages_out += 1;
        session.note_message(payload_len);
        cx.mark_dirty(session);
        cx.relieve(session);
        let waiting = session.backlog();
        if let Some(link) = &session.link {
            // The next write may be a turn away; who asks before it, or waits for it, must not see the last one's rest.
            link.grow_outbox(waiting);
        }
        waiting
    }

    /// Hands a broadcast to this shard's members. `true`: some member has more waiting than the high-water mark.
    pub fn broadcast(&mut self, broadcast: &Arc<Broadcast>) -> bool {
        if let (Some(stamp), Target::Rooms(names)) = (broadcast.stamp, &broadcast.target) {
            let forgotten = self.cx.histories.push(names, stamp, broadcast, &self.cx.limits, self.cx.now);
            // Every shard keeps the same.
            self.cx.counts.forgotten += if self.cx.number == 0 { forgotten } else { 0 };
        }
        let mark = self.cx.next_mark();
        for &id in &broadcast.skip {
            if let Some(session) = self.sessions.get(id) {
                session.mark = mark;
            }
        }
        for slot in broadcast.except.iter().flat_map(|name| self.rooms.members(broadcast.space, name)) {
            if let Some(session) = self.sessions.at(slot) {
                session.mark = mark;
            }
        }
        let (mut reached, mut dropped, mut congested) = (0, 0, false);
        let mut count = |fate: Fate, waiting: usize, high_water: usize| {
            reached += usize::from(matches!(fate, Fate::Reached));
            dropped += usize::from(matches!(fate, Fate::Dropped));
            congested |= waiting > high_water;
        };
        let (sessions, cx, rooms) = (&mut self.sessions, &mut self.cx, &self.rooms);
        match &broadcast.target {
            Target::All => {
                for slot in 0..sessions.end() {
                    if let Some(session) = sessions.at(slot) {
                        let fate = match session.known {
                            true => cx.deliver(session, broadcast, mark),
                            false => cx.hold(session, broadcast, mark),
                        };
                        count(fate, session.connection.outbox.len(), cx.limits.high_water_bytes);
                    }
                }
            }
            Target::Rooms(names) => {
                for name in names {
                    // The members are walked over while sessions change, never the room itself: who is
                    // closed for being slow leaves the room when the connection goes.
                    let before = cx.counts.left_out();
                    for slot in rooms.members(broadcast.space, name) {
                        if let Some(session) = sessions.at(slot) {
                            let fate = cx.deliver(session, broadcast, mark);
                            count(fate, session.connection.outbox.len(), cx.limits.high_water_bytes);
                        }
                    }
                    let left_out = cx.counts.left_out() - before;
                    if left_out > 0 {
                        cx.server.rooms(broadcast.space).drop_in(name, left_out);
                    }
                }
            }
        }
        // Every shard is given every broadcast.
        cx.counts.broadcasts += u64::from(cx.number == 0);
        cx.counts.deliveries += reached as u64;
        cx.counts.messages_out += reached as u64;
        if broadcast.delivery.shard_done(reached, dropped) {
            cx.effects.push_back(Effect::Delivered(broadcast.delivery.clone()));
        }
        congested
    }

    /// Puts an event into the outbox of an event stream, written already. Other carriers know no such thing.
    pub fn send_event(&mut self, id: SessionId, block: &[u8]) {
        self.push(id, block.len(), block.len(), |session, cx| {
            if session.carrier == Carrier::Events {
                session.connection.outbox.gather(&mut cx.pool, |out| out.extend_from_slice(block));
            }
        });
    }

    /// Sends a ping of the user's; the payload has at most 125 bytes.
    pub(super) fn ping(&mut self, id: SessionId, payload: &[u8]) {
        let cx = &mut self.cx;
        let Some(session) = self.sessions.get(id).filter(|session| session.is_open()) else { return };
        if !cx.has_room(session, payload.len()) {
            cx.counts.slow_closed += 1;
            cx.fail(session, CloseCode::TRY_AGAIN_LATER, SLOW);
            return;
        }
        if session.carrier.is_websocket() {
            session.connection.outbox.gather(&mut cx.pool, |out| frame::encode(out, Opcode::Ping, payload, None));
        }
        cx.mark_dirty(session);
    }

    /// Writes what one session has to say.
    pub(super) fn flush_session(&mut self, slot: u32) {
        let Some(session) = self.sessions.at(slot) else { return };
        session.dirty = false;
        let session = if session.is_plain() {
            session
        } else {
            self.give_what_waits(slot);
            match self.sessions.at(slot) {
                Some(session) => session,
                None => return,
            }
        };
        if session.sends_file() {
            self.cx.flush_file(session);
        } else {
            self.cx.write(session);
        }
        if let Some(link) = &session.link {
            let low_water = self.cx.limits.high_water_bytes / 2;
            if link.set_outbox(session.backlog(), low_water)
                && matches!(session.phase, Phase::Open | Phase::Exchange(_))
            {
                self.cx.effects.push_back(Effect::Drained(session.id));
            }
        }
        if matches!(session.phase, Phase::Exchange(_)) {
            self.exchange_written(slot);
        }
        self.settle_session(slot);
        if self.sessions.at(slot).is_some_and(|session| session.connection.has_failed() && session.is_held_back()) {
            self.lose_connection(slot, "connection reset by peer");
        }
    }
}

impl Shard {
    /// What waits elsewhere than in the outbox: for a poll.
    fn give_what_waits(&mut self, slot: u32) {
        if self.sessions.at(slot).is_some_and(|session| session.is_away()) {
            self.serve_poll(slot);
            self.forsake(slot);
        }
    }
}

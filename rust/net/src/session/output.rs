//! What a session has to say, on its way to the kernel: room in the outbox, policies, writing.

use std::io::{self, IoSlice};
use std::sync::Arc;

use hubbub_proto::close::CloseCode;
use hubbub_proto::frame::{self, Opcode};

use crate::config::settings::Policy;
use crate::context::{Context, millis};
use crate::io::outbox::Written;
use crate::io::stream::Stream;
use crate::pubsub::broadcast::{Broadcast, compressed_header};
use crate::pubsub::space::Space;
use crate::session::compression::{Form, Packing};
use crate::session::connection::Sending;
use crate::session::{Phase, Session};
use crate::timers::Millis;

/// From so many gathered bytes on, a write of its own is worth its system call.
const EARLY_WRITE_BYTES: usize = 16 << 10;

/// Up to this size a broadcast's frame is copied to each member after all.
/// PERF: several of them are then one piece for the kernel; a reference, its count, and a piece of a vectored write cost more
/// than so few bytes (broadcast-16 in benches/README.md).
const COPY_BYTES: usize = 256;

/// From this size on a compressed message is not copied into the gathered bytes.
pub(crate) const SHARE_BYTES: usize = 8 << 10;

/// A client on polls has so many milliseconds to ask for what its session was sent, before the outbox's limit counts, and may be
/// sent so many times that limit meanwhile.
const POLL_TIME: Millis = 5000;

const POLL_OUTBOXES: usize = 16;

/// What a full outbox has come to, for one member of a broadcast.
pub(crate) enum Fate {
    Reached,
    Dropped,
    Absent,
}

pub(crate) const SLOW: &str = "the client does not read fast enough";

impl Context {
    /// A broadcast to everyone, for a session that the user does not know yet.
    pub(crate) fn hold(&mut self, session: &mut Session, broadcast: &Arc<Broadcast>, mark: u32) -> Fate {
        if session.mark == mark || !session.is_open() || !session.is_the_hubs() {
            return Fate::Absent;
        }
        let limit = self.limits.outbox_bytes;
        let Some(held) = self.arriving.get_mut(&session.slot()) else { return Fate::Absent };
        let bytes = held.bytes + broadcast.len() + size_of::<Broadcast>();
        if held.bytes == 0 || bytes <= limit {
            held.bytes = bytes;
            held.broadcasts.push(broadcast.clone());
            return Fate::Reached;
        }
        match broadcast.policy {
            Policy::Close => self.close_as_too_slow(session),
            Policy::Drop => self.counts.dropped += 1,
            Policy::DropOldest => {
                self.counts.dropped += 1;
                self.counts.dropped_newest += 1;
            }
        }
        Fate::Dropped
    }

    /// The number of the next broadcast.
    pub(crate) fn next_mark(&mut self) -> u32 {
        self.mark = self.mark.wrapping_add(1).max(1);
        self.mark
    }

    pub(crate) fn deliver(&mut self, session: &mut Session, broadcast: &Arc<Broadcast>, mark: u32) -> Fate {
        if session.mark == mark || !session.is_open() {
            return Fate::Absent;
        }
        // PERF: most members are plain WebSockets; what the others need is asked for once.
        let is_plain = session.is_plain();
        if !is_plain && broadcast.space == Space::Hub && !session.is_the_hubs() {
            return Fate::Absent;
        }
        session.mark = mark;
        let is_copied = broadcast.frame().len() <= COPY_BYTES && broadcast.policy != Policy::DropOldest;
        // PERF: most members have nothing waiting and take a small frame as it is; nothing else needs to be asked of them.
        if is_plain
            && session.connection.packing.is_none()
            && !session.connection.blocked
            && session.connection.outbox.is_empty()
            && is_copied
        {
            session.connection.outbox.gather(&mut self.pool, |out| out.extend_from_slice(broadcast.frame()));
            session.note_message(broadcast.len());
            self.mark_dirty(session);
            return Fate::Reached;
        }
        if broadcast.volatile && !session.is_writable() {
            self.counts.dropped += 1;
            self.counts.volatile_dropped += 1;
            return Fate::Dropped;
        }
        if !is_plain {
            if session.is_told(broadcast) {
                return Fate::Reached;
            }
            if session.misses() {
                self.catch_up(session);
            }
        }
        let wants =
            |packing: &Packing| broadcast.is_alone() && packing.wants(broadcast.form(), broadcast.payload().len());
        let packing = session.connection.packing.filter(wants);
        let refers_back = packing.is_some_and(|packing| packing.refers_back());
        let packed = match packing {
            Some(packing) if !refers_back => broadcast.packed(&packing, &mut self.codecs, &mut self.counts),
            _ => None,
        };
        let frame = match packed {
            Some(packed) => packed,
            None if is_plain => broadcast.frame(),
            None => broadcast.carried(session.carrier),
        };
        if !self.has_room(session, frame.len()) {
            match broadcast.policy {
                Policy::Close => {
                    self.close_as_too_slow(session);
                    return Fate::Dropped;
                }
                Policy::Drop => {
                    self.counts.dropped += 1;
                    return Fate::Dropped;
                }
                Policy::DropOldest => {
                    let gone = self.drop_oldest(session, frame.len());
                    self.counts.dropped_oldest += gone as u64;
                    if !self.has_room(session, frame.len()) {
                        self.counts.dropped += 1;
                        self.counts.dropped_newest += 1;
                        return Fate::Dropped;
                    }
                }
            }
        }
        match packing {
            _ if !is_plain && session.is_away() => {}
            // Only now that it is certain to be sent: the stream remembers what it has compressed.
            Some(packing) if refers_back => {
                let payload = broadcast.payload();
                let deflated = self.codecs.deflate(&packing, &mut session.connection.own, payload, &mut self.counts);
                self.append_deflated(session, broadcast.form(), deflated.unwrap_or_default());
            }
            _ => {
                if packed.is_some() {
                    self.counts.compressed_out += 1;
                    self.counts.compressed_bytes_out += frame.len() as u64;
                }
                let (outbox, pool) = (&mut session.connection.outbox, &mut self.pool);
                match broadcast.policy {
                    Policy::DropOldest
                        if is_plain || session.rare.as_ref().is_none_or(|rare| rare.lasting.is_none()) =>
                    {
                        outbox.push_broadcast(pool, frame.clone());
                    }
                    _ if frame.len() <= COPY_BYTES => outbox.gather(pool, |out| out.extend_from_slice(frame)),
                    _ => outbox.push_shared(pool, frame.clone()),
                }
            }
        }
        if !is_plain {
            self.keep_broadcast(session, broadcast);
        }
        session.note_message(broadcast.len());
        self.mark_dirty(session);
        self.relieve(session);
        Fate::Reached
    }

    /// Takes out the oldest broadcasts that wait for this session, until so many bytes fit.
    fn drop_oldest(&mut self, session: &mut Session, wanted: usize) -> usize {
        let limit = self.limits.outbox_bytes;
        let away = session.is_away();
        match session.lasting_mut() {
            None => session.connection.outbox.drop_oldest(&mut self.pool, wanted, limit),
            Some(_) if !away => 0,
            Some(lasting) => lasting.drop_oldest(wanted, limit),
        }
    }

    /// Appends a compressed message. It is never left out afterwards: later ones may refer to it.
    pub(crate) fn append_deflated(&mut self, session: &mut Session, form: Form, mut deflated: Vec<u8>) {
        self.counts.compressed_out += 1;
        let header = compressed_header(form.kind, deflated.len());
        self.counts.compressed_bytes_out += (header.len() + deflated.len()) as u64;
        if deflated.len() < SHARE_BYTES {
            session.connection.outbox.gather(&mut self.pool, |out| {
                out.extend_from_slice(&header);
                out.extend_from_slice(&deflated);
            });
            self.codecs.keep(deflated);
        } else {
            session.connection.outbox.gather(&mut self.pool, |out| out.extend_from_slice(&header));
            deflated.shrink_to_fit();
            session.connection.outbox.push_shared(&mut self.pool, deflated.into());
        }
    }

    /// The outbox can take `len` more bytes. One message is taken however large it is, if nothing else waits.
    pub(crate) fn has_room(&mut self, session: &mut Session, len: usize) -> bool {
        let limit = self.limits.outbox_bytes;
        let fits = |session: &Session| match session.weight() {
            0 => true,
            waiting => waiting + len <= limit,
        };
        if !fits(session) {
            self.write(session);
        }
        fits(session)
    }

    /// A broadcast finds no room in the outbox, and the policy is to close.
    pub(crate) fn close_as_too_slow(&mut self, session: &mut Session) {
        self.counts.slow_closed += 1;
        self.counts.broadcast_closed += 1;
        self.fail(session, CloseCode::TRY_AGAIN_LATER, SLOW);
    }

    /// The client is on polls, and what waits for it was sent only just now: there was no time to ask for it. A WebSocket has
    /// the kernel's buffers for what a program says at once.
    pub(crate) fn may_still_ask(&self, session: &Session, len: usize) -> bool {
        let waits = session.lasting().is_some_and(|lasting| lasting.has_waited_at_most(POLL_TIME, self.now));
        session.is_away() && waits && session.backlog() + len <= POLL_OUTBOXES * self.limits.outbox_bytes
    }

    /// Writes early when much has gathered: memory stays small however much one turn sends.
    /// PERF: what is written while it is still in the cache costs less (16 KiB echo, benches/README.md).
    pub(crate) fn relieve(&mut self, session: &mut Session) {
        if session.connection.outbox.len() >= EARLY_WRITE_BYTES && !session.connection.blocked {
            self.write(session);
        }
    }

    /// Writes until the outbox is empty or the kernel takes no more.
    pub(crate) fn write(&mut self, session: &mut Session) {
        self.write_by(session, Stream::send);
    }

    /// The same, by this way to send.
    pub(crate) fn write_by(
        &mut self,
        session: &mut Session,
        send: impl Fn(&mut Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) {
        if session.connection.blocked || session.connection.has_failed() || session.is_away() {
            return;
        }
        let before = session.connection.outbox.len();
        let stream = &mut session.connection.stream;
        let written = match session.connection.outbox.write(&mut self.pool, |pieces| send(stream, pieces)) {
            Ok(Written::All) => stream.flush(),
            other => other,
        };
        match written {
            Ok(written) => {
                let taken = before - session.connection.outbox.len();
                self.counts.bytes_out += taken as u64;
                // A stream's only sign of life is that its client takes what it is sent.
                session.pinged &= taken == 0 || !session.carrier.is_stream();
                if taken > 0 {
                    match &mut session.phase {
                        Phase::Exchange(exchange) => exchange.progress = self.now,
                        // Whoever takes what was said has the time to take the rest.
                        Phase::Closing | Phase::Lingering => {
                            session.until = session.until.max(self.now + millis(self.limits.close_timeout));
                        }
                        _ => {}
                    }
                }
                self.set_blocked(session, written == Written::Blocked);
                if taken > 0 && self.answer_late(session) && !session.connection.blocked {
                    return self.write(session);
                }
                if written == Written::All {
                    self.all_written(session);
                }
            }
            Err(_) => self.write_failed(session),
        }
    }

    /// The peer has taken something: the newest ping that waits gets its pong, one for each such step. A peer that takes
    /// nothing gets none, so its pings cost nothing; one that reads slowly need not read everything before its pong.
    fn answer_late(&mut self, session: &mut Session) -> bool {
        let Some(payload) =
            session.rare.as_mut().and_then(|rare| rare.unanswered_ping.take()).filter(|_| session.is_open())
        else {
            return false;
        };
        session.connection.outbox.gather(&mut self.pool, |out| frame::encode(out, Opcode::Pong, &payload, None));
        true
    }

    fn all_written(&mut self, session: &mut Session) {
        if matches!(session.phase, Phase::Lingering)
            && session.connection.outbox.is_empty()
            && session.connection.sending == Sending::Open
        {
            let finished = session.connection.stream.finish();
            if finished {
                session.connection.sending = Sending::Finished;
            }
            self.set_blocked(session, !finished);
        }
    }

    /// Nothing can be said any more; what the peer has said before (its Close frame, perhaps) is still read.
    pub(crate) fn write_failed(&mut self, session: &mut Session) {
        session.connection.outbox.clear(&mut self.pool);
        session.connection.sending = Sending::Failed;
        session.connection.hung_up = true;
        session.connection.readable = true;
        self.mark_ready(session);
    }
}

impl Session {
    /// Counts a message that its client is sent.
    pub(crate) fn note_message(&mut self, bytes: usize) {
        if let Some(tally) = &mut self.tally {
            tally.traffic.messages_out += 1;
            tally.traffic.bytes_out += bytes as u64;
        }
    }
}

//! A shard: one readiness poll, the sockets it owns, their timers, and its part of every room.
//!
//! | file | what the shard does there |
//! |---|---|
//! | `accept`, `admission`, `tls_handshakes` | takes connections in, finds out who they are, gives TLS its share of a turn |
//! | `opening`, `calls` | acts on request heads: an exchange, a new session, one that is there already, a refusal |
//! | `input`, `output`, `exchange` | reads sessions, writes what they have to say, answers HTTP requests |
//! | `polling`, `upgrading`, `resuming`, `arriving` | polls and POSTs, WebSockets that take over, sessions that change connections, that the user gets to know |
//! | `expiry`, `closing` | looks at deadlines, ends sessions and itself |
//! | `effects` | tells the handler what all of that has come to |
//!
//! What it does for one session is in `session`, `http` and `pubsub`, which stand on `context` and know nothing of shards.
//! Only the thread that drives the shard touches any of it; everyone else posts commands.

mod accept;
mod admission;
mod arriving;
mod calls;
mod closing;
mod effects;
mod exchange;
mod expiry;
mod input;
mod opening;
mod output;
mod polling;
mod resuming;
mod tls_handshakes;
mod upgrading;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use mio::{Events, Poll, Token};

use self::accept::Acceptor;
use crate::command::{Command, CommandBatch, Parcel, ShardHandle, Waker};
use crate::context::Context;
use crate::handler::{Handler, Notice};
use crate::id::SessionId;
use crate::io::listener::Listener;
use crate::places::Household;
use crate::pubsub::rooms::Rooms;
use crate::pubsub::space::Space;
use crate::server::Server;
use crate::session::connection::Sending;
use crate::session::{Phase, Session, Sessions};
use crate::timers::Entry;

/// Bytes that one readable socket may give in one receive call.
const RECEIVE_BYTES: usize = 64 << 10;
/// Readiness events taken from the kernel at a time.
const EVENTS: usize = 1024;
/// Batches of commands obeyed in one turn: whoever posts without a pause must not keep the sockets waiting.
const BATCHES: usize = 1024;
/// Sockets to be written from which on it is worth while to wait for more to be said.
const MANY_WRITES: usize = 64;
const WAKER: Token = Token(usize::MAX);
/// Listeners have the tokens from here up.
const LISTENERS: usize = 1 << 32;

/// One reactor. Drive it with [`Shard::run`] on a thread of its own, or with [`Shard::turn`] and
/// [`Shard::flush`] whenever [its descriptor](std::os::fd::AsRawFd) is readable.
pub struct Shard {
    poll: Poll,
    events: Events,
    acceptor: Acceptor,
    sessions: Sessions,
    rooms: Rooms,
    cx: Context,
    buffer: Vec<u8>,
    commands: Receiver<CommandBatch>,
    /// The last turn did not come to the end of them.
    commands_left: bool,
    waker: Arc<Waker>,
    /// Readiness events taken since some turn saw all that there were.
    unseen: usize,
    due: Vec<Entry>,
    /// Sessions on polls whose clients have not sent a message, by address, the oldest first; others may be among them.
    silent: HashMap<Household, VecDeque<SessionId>>,
    /// New ones since the others were looked for.
    unswept: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Ends when the last session has gone, or at this moment (in the shard's milliseconds).
    Stopping(u64),
    Stopped,
}

/// What a turn leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// There is more to read right now: come back without waiting.
    pub again: bool,
    /// Come back after this long even if nothing happens; `None`: no need.
    pub wait: Option<Duration>,
    /// The shard has ended.
    pub stopped: bool,
}

/// A poll and its way in: what must exist before the shards can know each other.
pub(crate) struct Seed {
    poll: Poll,
    handle: ShardHandle,
    commands: Receiver<CommandBatch>,
}

impl Seed {
    /// `most`: what may be posted and not obeyed, before those who can wait do.
    pub(crate) fn new(most: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let (sender, commands) = channel();
        Ok(Seed { poll, handle: ShardHandle::new(sender, waker, most), commands })
    }

    pub(crate) fn handle(&self) -> ShardHandle {
        self.handle.clone()
    }

    pub(crate) fn grow(self, number: u8, server: Arc<Server>, mut listeners: Vec<Listener>) -> io::Result<Shard> {
        for (at, listener) in listeners.iter_mut().enumerate() {
            listener.register(self.poll.registry(), Token(LISTENERS + at))?;
        }
        Ok(Shard {
            poll: self.poll,
            events: Events::with_capacity(EVENTS),
            acceptor: Acceptor::new(listeners),
            sessions: Sessions::new(number),
            rooms: Rooms::default(),
            cx: Context::new(number, server),
            buffer: vec![0; RECEIVE_BYTES],
            commands: self.commands,
            commands_left: false,
            waker: self.handle.waker(),
            unseen: 0,
            due: Vec::new(),
            silent: HashMap::new(),
            unswept: 0,
            state: State::Running,
        })
    }
}

impl Shard {
    /// The shard's number among its server's shards.
    pub fn number(&self) -> usize {
        usize::from(self.cx.number)
    }

    /// Connections on this shard.
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Drives the shard until it has stopped.
    pub fn run(mut self, handler: &mut impl Handler) {
        let mut timeout = Some(Duration::ZERO);
        loop {
            if let Err(error) = self.turn(handler, timeout) {
                // The poll itself is broken: nothing can be served any more.
                handler.notice(Notice::Panicked(format!("the poll failed: {error}")));
                handler.stopped();
                return;
            }
            // PERF: before many sockets are written, what was read is handed on, and whoever answers it gets the processor
            // if it is on this one: what it says leaves in the same writes.
            if self.cx.dirty.len() >= MANY_WRITES && handler.turned() {
                std::thread::yield_now();
                self.obey_commands(handler);
            }
            self.flush(handler);
            handler.turned();
            let next = self.outlook();
            if next.stopped {
                return;
            }
            timeout = if next.again { Some(Duration::ZERO) } else { next.wait };
        }
    }

    /// One turn: waits for at most `timeout`, then accepts, reads, obeys commands and looks at the timers.
    /// What is to be sent stays in the outboxes until [`Shard::flush`].
    pub fn turn(&mut self, handler: &mut impl Handler, timeout: Option<Duration>) -> io::Result<Turn> {
        // First, so that what comes in meanwhile is read, handled and answered right after it.
        self.shake_hands(handler);
        // What has come by this moment is among what the poll finds, however long this process is stopped in it.
        self.cx.turn += 1;
        self.cx.look_at_clock();
        let seen_until = self.cx.now;
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(error),
        }
        self.cx.look_at_clock();
        let all_seen = self.note_readiness();
        self.unseen = if all_seen { 0 } else { self.unseen + EVENTS };
        // Who has gone makes room for who comes.
        self.read_ready(handler);
        self.accept(handler);
        self.obey_commands(handler);
        // Timeouts are judged only when every session with input has been read once: after a long sleep the answers
        // are there. The kernel hands out readiness in a circle, so that many events have been all sessions' turn.
        if all_seen || self.unseen > self.sessions.len() {
            self.expire(seen_until, handler);
        }
        self.tell_left_out();
        self.settle(handler);
        Ok(self.outlook())
    }

    /// What there is to do now. Whoever drives the shard turn by turn asks after the flush, and after anything that was
    /// asked of the shard between two turns: a deadline may have come nearer since [`Shard::turn`] returned.
    pub fn outlook(&self) -> Turn {
        Turn {
            again: self.has_ready()
                || self.unseen > 0
                || self.commands_left
                || self.has_unflushed()
                || !self.cx.effects.is_empty(),
            wait: self.next_deadline(),
            stopped: self.state == State::Stopped,
        }
    }

    /// Writes what the outboxes hold, one vectored write per session that has something.
    pub fn flush(&mut self, handler: &mut impl Handler) {
        let mut dirty = std::mem::take(&mut self.cx.dirty);
        // Twice: what waits for a poll goes from the session to the connection, and from there out.
        for _ in 0..2 {
            for slot in dirty.drain(..) {
                self.guard(slot, |shard| shard.flush_session(slot));
            }
            std::mem::swap(&mut dirty, &mut self.cx.dirty);
        }
        // What the second round has left is the next flush's.
        std::mem::swap(&mut dirty, &mut self.cx.dirty);
        self.settle(handler);
    }

    /// Something waits to be written.
    pub fn has_unflushed(&self) -> bool {
        !self.cx.dirty.is_empty()
    }

    /// Obeys one command, on the shard's own thread.
    pub fn obey(&mut self, command: Command) {
        self.obey_with(command, &[]);
    }

    /// Obeys what others have posted so far: what is asked of the shard next comes after it.
    pub fn obey_posted(&mut self, handler: &mut impl Handler) {
        self.obey_commands(handler);
        while self.commands_left {
            self.obey_commands(handler);
        }
    }

    /// Drops everything at once.
    pub fn abandon(&mut self, handler: &mut impl Handler) {
        if self.state == State::Stopped {
            return;
        }
        self.state = State::Stopping(0);
        self.acceptor.close();
        for slot in self.sessions.occupied() {
            self.drop_session(slot, Some("the server has stopped"));
        }
        self.settle(handler);
    }

    /// Something waits to be read or accepted: take a further turn without waiting.
    pub fn has_ready(&self) -> bool {
        !self.cx.ready.is_empty() || !self.cx.shaking.is_empty() || self.acceptor.is_ready()
    }

    fn note_readiness(&mut self) -> bool {
        for event in &self.events {
            match event.token() {
                WAKER => {}
                Token(token) if token >= LISTENERS => self.acceptor.wake(),
                Token(slot) => {
                    let Some(session) = self.sessions.at(slot as u32) else { continue };
                    if event.is_writable() && session.connection.blocked {
                        self.cx.set_blocked(session, false);
                        self.cx.mark_dirty(session);
                    }
                    if event.is_readable() || event.is_error() {
                        session.connection.readable = true;
                        session.connection.hung_up |= event.is_read_closed() || event.is_error();
                        // Who closes a unix socket will read no response. An open session's messages, which may wait for
                        // room in the inbox, are read all the same.
                        if event.is_error() || (event.is_write_closed() && session.is_request()) {
                            session.connection.sending = Sending::Failed;
                        }
                        self.cx.mark_ready(session);
                    }
                }
            }
        }
        self.events.iter().count() < EVENTS
    }

    /// One pass over the sessions that have something to read; what is left over waits for the next turn.
    fn read_ready(&mut self, handler: &mut impl Handler) {
        let mut ready = std::mem::take(&mut self.cx.ready);
        let mut read = 0;
        while read < ready.len() && !handler.is_full() {
            let slot = ready[read];
            read += 1;
            if let Some(session) = self.sessions.at(slot) {
                session.in_ready = false;
                self.guard(slot, |shard| shard.read(slot, handler));
                self.perform(handler);
            }
        }
        // Those that have not been read stand before those that have more.
        ready.drain(..read);
        ready.append(&mut self.cx.ready);
        self.cx.ready = ready;
    }

    fn obey_commands(&mut self, handler: &mut impl Handler) {
        if !self.waker.rearm() && !self.commands_left {
            return;
        }
        self.commands_left = true;
        for _ in 0..BATCHES {
            let Ok(mut batch) = self.commands.try_recv() else {
                self.commands_left = false;
                return;
            };
            let weight = batch.weight();
            batch.obey(|command, bytes| {
                self.obey_guarded(command, bytes);
                self.perform(handler);
            });
            self.waker.keep(batch);
            self.waker.obeyed(weight);
        }
    }

    fn obey_guarded(&mut self, command: Command, bytes: &[u8]) {
        let session = command.session();
        let obeyed = catch_unwind(AssertUnwindSafe(|| self.obey_with(command, bytes)));
        let Err(panic) = obeyed else { return };
        self.cx.report_panic(panic.as_ref());
        if let Some(id) = session.filter(|id| self.sessions.get(*id).is_some()) {
            self.drop_session(id.slot() as u32, Some("internal error"));
        }
    }

    fn obey_with(&mut self, command: Command, bytes: &[u8]) {
        match command {
            Command::Send(id, form, Parcel::Inline(range)) => {
                let payload = &bytes[range];
                self.send(id, form, payload);
                self.take_over(id, payload.len());
            }
            Command::Send(id, form, Parcel::Shared(payload)) => {
                let len = payload.len();
                self.send_shared(id, form, payload);
                self.take_over(id, len);
            }
            Command::Event(id, block) => {
                self.send_event(id, &block);
                self.take_over(id, block.len());
            }
            Command::Broadcast(broadcast) => {
                self.broadcast(&broadcast);
            }
            Command::Arrive(id) => self.arrive(id),
            Command::Introduce(id) => self.introduce(id),
            Command::Join(id, space, room) => self.join(id, space, &room),
            Command::CatchUp(id) => self.catch_up(id),
            Command::Leave(id, space, room) => self.leave(id, space, &room),
            Command::Close(id, code, reason) => self.close(id, code, &reason),
            Command::Abort(id) => {
                if self.sessions.get(id).is_some() {
                    self.drop_session(id.slot() as u32, Some("aborted"));
                }
            }
            Command::Ping(id, payload) => self.ping(id, &payload),
            Command::Resume(id) => self.resume(id),
            Command::Verdict(id, verdict) => self.decide(id, verdict),
            Command::Answer(id, reply, parcel) => self.answer(id, &reply, parcel.open(bytes)),
            Command::Respond(id, reply) => self.respond(id, &reply),
            Command::Content(id, parcel, last) => {
                let piece = parcel.open(bytes);
                let len = piece.len();
                self.content(id, piece, last);
                self.take_over(id, len);
            }
            Command::File(id, file, len) => self.send_file(id, file, len),
            Command::Cut(id) => self.cut(id),
            Command::Want(id) => self.want(id),
            Command::Adopt(socket, peer) => {
                if let Some(session) = self.adopt(socket, peer).and_then(|slot| self.sessions.at(slot)) {
                    self.cx.mark_ready(session);
                }
            }
            Command::Move(moved) => self.take_over_connection(*moved),
            Command::Accept => self.acceptor.wake(),
            Command::StopAccepting => self.stop_accepting(),
            Command::Stop(code, reason, grace) => self.stop(code, &reason, grace),
        }
    }

    /// Moves what was posted to the outbox in the session's public account.
    fn take_over(&mut self, id: SessionId, len: usize) {
        let Some(session) = self.sessions.get(id) else { return };
        if let Some(link) = &session.link {
            link.take_posted(len, session.backlog());
        }
        if session.is_open() && session.broke.is_some() {
            self.cx.execute(session);
        }
    }

    /// Runs `work` for one session; if it panics, only that connection is dropped.
    fn guard(&mut self, slot: u32, work: impl FnOnce(&mut Self)) {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        if let Err(panic) = result {
            self.cx.report_panic(panic.as_ref());
            self.drop_session(slot, Some("internal error"));
        }
    }

    /// Brings counters and the end of the shard up to date.
    fn settle(&mut self, handler: &mut impl Handler) {
        self.perform(handler);
        self.cx.publish();
        if matches!(self.state, State::Stopping(_)) && self.sessions.len() == 0 {
            self.state = State::Stopped;
            handler.stopped();
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        let mut at = self.cx.timers.next();
        for other in [self.acceptor.retry_at(), self.cx.tls_lines.due(), self.stop_at()].into_iter().flatten() {
            at = Some(at.map_or(other, |at| at.min(other)));
        }
        at.map(|at| Duration::from_millis(at.saturating_sub(self.cx.now)))
    }

    fn stop_at(&self) -> Option<u64> {
        match self.state {
            State::Stopping(at) => Some(at),
            State::Running | State::Stopped => None,
        }
    }

    // ---- rooms

    /// Makes the session a member of this shard's part of the room. An event stream that has come back is told what it has
    /// missed there by [`Shard::catch_up`], and until then nothing that its rooms remember: ids only rise.
    pub fn join(&mut self, id: SessionId, space: Space, room: &Arc<str>) {
        // Who joins while the request is being decided is a member from the 101 on.
        let may = |session: &mut Session| matches!(session.phase, Phase::Open | Phase::Deciding(_));
        if self.sessions.get(id).is_some_and(may) {
            self.rooms.join(space, room, id.slot() as u32, &mut self.sessions);
        }
        if let Some(session) = self.sessions.get(id)
            && let Some(rare) = session.rare.as_mut().filter(|rare| rare.since.is_some() && space == Space::Hub)
        {
            if rare.missed.is_empty() {
                rare.held_from = self.cx.histories.newest;
            }
            rare.missed.push(room.clone());
        }
    }

    /// Tells an event stream what it has missed in the rooms that it has joined.
    pub fn catch_up(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(id).filter(|session| session.is_open() && session.misses()) {
            self.cx.catch_up(session);
        }
    }

    /// Ends a membership.
    pub fn leave(&mut self, id: SessionId, space: Space, room: &str) {
        let Some(session) = self.sessions.get(id) else { return };
        let knows = session.rare.as_ref().is_some_and(|rare| rare.caught_up.iter().any(|known| &**known == room));
        if space == Space::Hub && knows && session.misses() {
            // What was said there before still arrives.
            self.cx.catch_up(session);
        }
        if let Some(rare) = session.rare.as_mut().filter(|_| space == Space::Hub) {
            rare.missed.retain(|missed| &**missed != room);
            rare.caught_up.retain(|known| &**known != room);
        }
        self.rooms.leave(space, room, id.slot() as u32, &mut self.sessions);
    }

    fn resume(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.is_open() && session.broke.is_some() {
            self.cx.execute(session);
            return;
        }
        session.paused = false;
        self.cx.watch_progress(session);
        self.cx.watch_exchange(session);
        if session.connection.readable || session.holds() {
            self.cx.mark_ready(session);
        }
        self.answer_posts(id);
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.waker.end();
    }
}

impl std::os::fd::AsRawFd for Shard {
    /// Readable whenever [`Shard::turn`] has something to do.
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.poll.as_raw_fd()
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("number", &self.cx.number).field("connections", &self.sessions.len()).finish()
    }
}

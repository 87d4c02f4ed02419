//! What the server, its sessions and everything that waits share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hubbub_net::{
    Broadcast, Carrier, Command, CommandBatch, Delivery, Form, Link, Parcel, Piece, Reply, Server, SessionId,
    ShardHandle, Space, Target,
};
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use crate::buffers::Message;
use crate::exchange::Exchange;
use crate::home::{self, Home, Way};
use crate::opening::Asked;
use crate::place::Waiters;
use crate::session::Session;

/// What is collected is posted when it weighs so much, although the pass is not over.
const POST_BYTES: usize = 256 << 10;
/// How long a thread waits for a shard that takes up nothing at all.
const POST_PATIENCE: Duration = Duration::from_secs(1);

/// One running server.
pub(crate) struct Core {
    pub(crate) server: Arc<Server>,
    /// A weak reference to the `hubbub.Hub`.
    pub(crate) hub: Py<PyWeakrefReference>,
    /// `None` after the end: handlers may hold sessions, which hold this.
    user: Mutex<Option<Arc<User>>>,
    /// Somebody wants to hear of broadcasts.
    pub(crate) hears_broadcasts: bool,
    /// `None` before the start, and again after the end: it holds the server, which holds this.
    runtime: Mutex<Option<Arc<Runtime>>>,
    /// PERF: every `await` asks whether tasks must be parked; only on trio the answer is yes.
    parks: AtomicBool,
    table: Mutex<Table>,
    /// Requests that the user is deciding about.
    pub(crate) asked: Mutex<HashMap<SessionId, Asked>>,
    /// HTTP requests whose responses are not complete.
    exchanges: Mutex<HashMap<SessionId, Py<Exchange>>>,
    /// Who waits for which broadcast to be handed out, by the delivery's address.
    pub(crate) deliveries: Mutex<HashMap<usize, (Arc<Delivery>, Waiters)>>,
    /// Who waits for the next flush.
    pub(crate) flushes: Mutex<Waiters>,
    /// Broadcasts that `on_broadcast` has not heard of yet.
    pub(crate) spoken: Mutex<Vec<Spoken>>,
    /// Held while a broadcast gets its number and is posted.
    numbering: Mutex<()>,
    /// What the loop's thread has said for shards with threads of their own and has not posted yet, by shard. Any other
    /// thread adds what it says and posts all of it.
    collected: Mutex<Vec<CommandBatch>>,
    pub(crate) stopped_shards: AtomicUsize,
    pub(crate) leaving: AtomicBool,
    /// The process ends: nothing of Python's is called any more.
    pub(crate) frozen: AtomicBool,
}

/// What the core calls.
pub(crate) struct User {
    /// In the order of the settings' endpoints.
    pub(crate) endpoints: Vec<Callbacks>,
    pub(crate) hooks: Hooks,
}

/// The user's handlers of one endpoint, and `hubbub.hub`'s around them.
pub(crate) struct Callbacks {
    /// `hubbub.WebSocket` or `hubbub.EventStream`.
    pub(crate) session_type: Py<PyAny>,
    /// `(ws)`, a function.
    pub(crate) on_connection: Option<Py<PyAny>>,
    /// `(ws, data)`, a function; without it messages wait for `recv`.
    pub(crate) on_message: Option<Py<PyAny>>,
    /// `(ws, code, reason)`, a function.
    pub(crate) on_close: Option<Py<PyAny>>,
    /// `(ws)`: starts the task of a session that is served by a coroutine.
    pub(crate) start: Option<Py<PyAny>>,
    /// `(ws)`: a session that is served by a coroutine has ended.
    pub(crate) ended: Option<Py<PyAny>>,
    /// `()`: whoever calls has been told that its session has ended.
    pub(crate) noticed: Option<Py<PyAny>>,
    /// `(pending)`: decides about a request.
    pub(crate) decide: Option<Py<PyAny>>,
    /// `(opening, code, message)`: a request was refused, at an Engine.IO endpoint that wants to know.
    pub(crate) refused: Option<Py<PyAny>>,
    /// `(exchange)`: starts the task that answers an HTTP request.
    pub(crate) serve: Option<Py<PyAny>>,
}

/// What `hubbub.hub` wants to be told.
pub(crate) struct Hooks {
    /// `(ws, exception, handler)`: a handler, the `on_close` of an endpoint say, has raised.
    pub(crate) failed: Py<PyAny>,
    /// `(endpoint, handler, seconds)`: handlers of one session have kept the loop busy for longer than `slow_handler`.
    pub(crate) slow: Py<PyAny>,
    pub(crate) slow_handler: Option<Duration>,
    /// `(endpoint, handler)`: the name of the user's handler, for the figures.
    pub(crate) name_of: Py<PyAny>,
    /// `(kind, text)`: something for the log.
    pub(crate) notice: Py<PyAny>,
    /// `hubbub._access.AccessLog`: what it is told of requests and sessions.
    pub(crate) access: Option<Py<PyAny>>,
    /// `(room, data, sender)`: the user's `on_broadcast`.
    pub(crate) spoken: Option<Py<PyAny>>,
    /// `()`: the server is leaving, and its last session has ended.
    pub(crate) emptied: Py<PyAny>,
    /// `()`: every shard has ended.
    pub(crate) stopped: Py<PyAny>,
}

/// The event loop.
pub(crate) struct Runtime {
    /// What asyncio tasks compare futures' loops with.
    pub(crate) event_loop: Py<PyAny>,
    /// `(callback, *arguments, context=None)`, in the next turn of the loop.
    pub(crate) call_soon: Py<PyAny>,
    /// `(delay, callback)`.
    pub(crate) call_later: Py<PyAny>,
    /// On trio: makes a generator that awaits for an awaitable of ours. On asyncio tasks do so directly.
    pub(crate) park: Option<Py<PyAny>>,
    /// `Server.turn`, `Server.tick`, `Server.beat` and `Server.flush`, bound.
    pub(crate) turn: Py<PyAny>,
    pub(crate) tick: Py<PyAny>,
    pub(crate) beat: Py<PyAny>,
    pub(crate) flush: Py<PyAny>,
}

/// A broadcast that `on_broadcast` is to hear of.
pub(crate) struct Spoken {
    pub(crate) room: String,
    pub(crate) data: Py<PyAny>,
    pub(crate) sender: Option<Py<Session>>,
}

/// The Python objects of open sessions, by shard and slot.
#[derive(Default)]
struct Table {
    shards: Vec<Vec<Option<Py<Session>>>>,
    count: usize,
}

impl Core {
    pub(crate) fn new(server: Arc<Server>, hub: Py<PyWeakrefReference>, user: User) -> Self {
        let mut table = Table::default();
        table.shards.resize_with(server.handles().len(), Vec::new);
        let collected = server.handles().iter().map(|_| CommandBatch::default()).collect();
        Core {
            collected: Mutex::new(collected),
            server,
            hub,
            hears_broadcasts: user.hooks.spoken.is_some(),
            user: Mutex::new(Some(Arc::new(user))),
            runtime: Mutex::default(),
            parks: AtomicBool::new(false),
            table: Mutex::new(table),
            asked: Mutex::default(),
            exchanges: Mutex::default(),
            deliveries: Mutex::default(),
            flushes: Mutex::default(),
            spoken: Mutex::default(),
            numbering: Mutex::default(),
            stopped_shards: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
        }
    }

    /// Names this server among those of its thread.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// `false`: it has one already.
    pub(crate) fn set_runtime(&self, runtime: Runtime) -> bool {
        let mut place = lock(&self.runtime);
        let free = place.is_none();
        if free {
            self.parks.store(runtime.park.is_some(), Ordering::Relaxed);
            *place = Some(Arc::new(runtime));
        }
        free
    }

    pub(crate) fn runtime(&self) -> Option<Arc<Runtime>> {
        lock(&self.runtime).clone()
    }

    /// The event loop, unless it may not be called any more.
    pub(crate) fn runtime_to_call(&self) -> Option<Arc<Runtime>> {
        if self.frozen.load(Ordering::Relaxed) { None } else { self.runtime() }
    }

    /// Tasks must be parked by `Runtime::park`.
    pub(crate) fn parks(&self) -> bool {
        self.parks.load(Ordering::Relaxed)
    }

    /// What to call; `None` after the end.
    pub(crate) fn user(&self) -> Option<Arc<User>> {
        lock(&self.user).clone()
    }

    /// Lets go of the event loop and the user's handlers.
    pub(crate) fn let_go(&self) {
        let runtime = lock(&self.runtime).take();
        let user = lock(&self.user).take();
        // Not under the locks: what they hold may run code of its own when it goes.
        drop((runtime, user));
    }

    pub(crate) fn all_stopped(&self) -> bool {
        self.stopped_shards.load(Ordering::SeqCst) >= self.server.handles().len()
    }

    // ---- sessions

    pub(crate) fn enter(&self, py: Python<'_>, id: SessionId, session: &Py<Session>) {
        let mut table = lock(&self.table);
        let slots = &mut table.shards[id.shard()];
        if slots.len() <= id.slot() {
            slots.resize_with(id.slot() + 1, || None);
        }
        let before = slots[id.slot()].replace(session.clone_ref(py));
        table.count += 1;
        drop(table);
        drop(before);
    }

    /// The session with this id, if it is open.
    pub(crate) fn session(&self, py: Python<'_>, id: SessionId) -> Option<Py<Session>> {
        let table = lock(&self.table);
        let session = table.shards[id.shard()].get(id.slot())?.as_ref()?;
        (session.get().id() == id).then(|| session.clone_ref(py))
    }

    pub(crate) fn remove(&self, id: SessionId) -> Option<Py<Session>> {
        let mut table = lock(&self.table);
        let place = table.shards[id.shard()].get_mut(id.slot())?;
        let session = place.take_if(|session| session.get().id() == id)?;
        table.count -= 1;
        Some(session)
    }

    pub(crate) fn sessions(&self, py: Python<'_>) -> Vec<Py<Session>> {
        let table = lock(&self.table);
        table.shards.iter().flatten().flatten().map(|session| session.clone_ref(py)).collect()
    }

    pub(crate) fn session_count(&self) -> usize {
        lock(&self.table).count
    }

    // ---- exchanges

    pub(crate) fn enter_exchange(&self, id: SessionId, exchange: Py<Exchange>) {
        let before = lock(&self.exchanges).insert(id, exchange);
        drop(before);
    }

    /// The exchange with this id, if its response is not complete.
    pub(crate) fn exchange(&self, py: Python<'_>, id: SessionId) -> Option<Py<Exchange>> {
        lock(&self.exchanges).get(&id).map(|exchange| exchange.clone_ref(py))
    }

    pub(crate) fn end_exchange(&self, id: SessionId) -> Option<Py<Exchange>> {
        lock(&self.exchanges).remove(&id)
    }

    /// Sends a part of a response. Gives the bytes that wait to be written.
    pub(crate) fn put(&self, py: Python<'_>, link: &Link, part: Part, message: Message<'_>) -> usize {
        let (id, shard) = (link.id(), link.id().shard());
        let piece = match message {
            Message::Borrowed(_, bytes) => Piece::Borrowed(bytes),
            Message::Shared(_, bytes) => Piece::Shared(bytes),
        };
        let mut cargo = Some((part, piece));
        let home = home::with(self.key(), |home| {
            let Some((part, piece)) = cargo.take() else { return (0, false) };
            let waiting = match &mut home.way {
                Way::Inline { shard, events } => {
                    shard.obey_posted(events);
                    match part {
                        Part::Whole(reply) => {
                            shard.answer(id, &reply, piece);
                            0
                        }
                        Part::Content { last } => shard.content(id, piece, last),
                    }
                }
                Way::Remote => self.collect(shard, |batch| load(batch, link, part, piece)),
            };
            (waiting, home.wants_flush())
        });
        match (home, cargo) {
            (Some((waiting, wants_flush)), _) => {
                if wants_flush {
                    self.schedule_flush(py);
                }
                waiting
            }
            (None, Some((part, piece))) => {
                self.wait_for_room(py);
                self.post_behind(|batches| load(&mut batches[shard], link, part, piece))
            }
            (None, None) => 0,
        }
    }

    // ---- commands

    /// Lets the session's shard do something.
    pub(crate) fn post(&self, py: Python<'_>, shard: usize, command: Command) {
        let mut command = Some(command);
        let home = home::with(self.key(), |home| {
            if let Some(command) = command.take() {
                self.let_obey(home, shard, command);
            }
            home.wants_flush()
        });
        if let Some(command) = command {
            self.wait_for_room(py);
            self.post_behind(|batches| batches[shard].push(command));
        }
        if home == Some(true) {
            self.schedule_flush(py);
        }
    }

    /// On the loop's thread: lets a shard obey, behind all that was said before on any thread.
    fn let_obey(&self, home: &mut Home, shard: usize, command: Command) {
        match &mut home.way {
            Way::Inline { shard, events } => {
                shard.obey_posted(events);
                shard.obey(command);
            }
            Way::Remote => self.collect(shard, |batch| batch.push(command)),
        }
    }

    /// On the loop's thread: adds to what is collected for a shard with a thread of its own.
    fn collect<R>(&self, shard: usize, add: impl FnOnce(&mut CommandBatch) -> R) -> R {
        let mut batches = lock(&self.collected);
        let (batch, handle) = (&mut batches[shard], &self.server.handles()[shard]);
        let added = add(batch);
        if batch.weight() >= POST_BYTES {
            handle.post(std::mem::replace(batch, handle.batch()));
        }
        added
    }

    /// On any other thread: posts what the loop's thread has said so far, and then what is added.
    fn post_behind<R>(&self, add: impl FnOnce(&mut [CommandBatch]) -> R) -> R {
        let mut batches = lock(&self.collected);
        let added = add(&mut batches);
        home::post_collected(&mut batches, self.server.handles());
        added
    }

    /// Posts what was collected.
    pub(crate) fn post_collected(&self) {
        let posted = home::post_collected(&mut lock(&self.collected), self.server.handles());
        home::give_way(posted);
    }

    /// On any thread but the loop's: waits until the shards have taken up enough of what was posted. Who is waited for by the
    /// loop's thread, which may have to drive the shard, waits only as long as nothing is taken up.
    fn wait_for_room(&self, py: Python<'_>) {
        let handles = self.server.handles();
        if handles.iter().any(ShardHandle::is_full) {
            py.detach(|| handles.iter().for_each(|handle| handle.wait_for_room(POST_PATIENCE)));
        }
    }

    // ---- sessions that the user is getting to know

    /// The user gets to know a session now: broadcasts to everyone are held for it until the next flush, or until the loop's
    /// thread broadcasts to everyone.
    pub(crate) fn arrive(&self, py: Python<'_>, id: SessionId) {
        self.post(py, id.shard(), Command::Arrive(id));
        home::with(self.key(), |home| home.arriving.push(id));
    }

    /// On the loop's thread: whoever was arriving has arrived.
    pub(crate) fn introduce(&self, home: &mut Home) {
        for id in std::mem::take(&mut home.arriving) {
            self.let_obey(home, id.shard(), Command::Introduce(id));
        }
    }

    // ---- rooms

    /// Lets a session's shard know that it has joined a room. An event stream is told what it has missed there at the next
    /// flush, together with what it has missed in the other rooms that it joins until then; or now, on any other thread.
    pub(crate) fn join(&self, py: Python<'_>, link: &Link, space: Space, room: Arc<str>) {
        let id = link.id();
        self.post(py, id.shard(), Command::Join(id, space, room));
        if link.carrier() == Carrier::Events && home::with(self.key(), |home| home.joined.push(id)).is_none() {
            self.post(py, id.shard(), Command::CatchUp(id));
        }
    }

    /// On the loop's thread: whoever has joined rooms has joined all of them for now.
    pub(crate) fn catch_up(&self, home: &mut Home) {
        for id in std::mem::take(&mut home.joined) {
            self.let_obey(home, id.shard(), Command::CatchUp(id));
        }
    }

    /// Sends a message. Gives the bytes that wait to be written.
    pub(crate) fn send(&self, py: Python<'_>, link: &Link, message: Message<'_>, compress: bool) -> usize {
        self.send_all(py, link, std::iter::once(message), compress)
    }

    /// Sends messages, with nothing between them. Gives the bytes that wait to be written.
    pub(crate) fn send_all<'m>(
        &self,
        py: Python<'_>,
        link: &Link,
        messages: impl IntoIterator<Item = Message<'m>>,
        compress: bool,
    ) -> usize {
        let (id, shard) = (link.id(), link.id().shard());
        let mut messages = Some(messages);
        let home = home::with(self.key(), |home| {
            let mut waiting = 0;
            let messages = messages.take().into_iter().flatten();
            match &mut home.way {
                Way::Inline { shard, events } => {
                    shard.obey_posted(events);
                    for message in messages {
                        let form = Form { kind: message.kind(), compress };
                        waiting = match message {
                            Message::Borrowed(_, bytes) => shard.send(id, form, bytes),
                            Message::Shared(_, bytes) => shard.send_shared(id, form, bytes),
                        };
                    }
                }
                Way::Remote => self.collect(shard, |batch| {
                    for message in messages {
                        waiting = pack(batch, link, message, compress);
                    }
                }),
            }
            (waiting, home.wants_flush())
        });
        match (home, messages) {
            (Some((waiting, wants_flush)), _) => {
                if wants_flush {
                    self.schedule_flush(py);
                }
                waiting
            }
            (None, Some(messages)) => {
                self.wait_for_room(py);
                let mut waiting = 0;
                self.post_behind(|batches| {
                    for message in messages {
                        waiting = pack(&mut batches[shard], link, message, compress);
                    }
                });
                waiting
            }
            (None, None) => 0,
        }
    }

    /// Hands out a broadcast, which its rooms may remember. `true`: some member has much waiting.
    pub(crate) fn broadcast(&self, py: Python<'_>, mut broadcast: Broadcast, memorable: bool) -> bool {
        if !home::is_here(self.key()) {
            self.wait_for_room(py);
        }
        // What rooms remember reaches every shard in the order of its numbers, whichever thread says it: a client that
        // has seen one has seen all before it.
        let (mut numbering, directory) = (None, self.server.directory());
        let keep = self.server.settings().limits.history_messages;
        if let Target::Rooms(names) = &broadcast.target
            && memorable
            && (keep > 0 || directory.remembers())
        {
            numbering = Some(lock(&self.numbering));
            broadcast.stamp = directory.stamp(names, keep, self.server.epoch());
        }
        let remembered = broadcast.stamp.is_some();
        let broadcast = Arc::new(broadcast);
        let command = || Command::Broadcast(broadcast.clone());
        let home = home::with(self.key(), |home| {
            if matches!(broadcast.target, Target::All) {
                self.introduce(home);
            }
            let congested = match &mut home.way {
                Way::Inline { shard, events } => {
                    shard.obey_posted(events);
                    shard.broadcast(&broadcast)
                }
                Way::Remote => {
                    for shard in 0..self.server.handles().len() {
                        self.collect(shard, |batch| batch.push(command()));
                    }
                    if remembered {
                        self.post_behind(|_| ());
                    }
                    false
                }
            };
            (congested, home.wants_flush())
        });
        if home.is_none() {
            self.post_behind(|batches| batches.iter_mut().for_each(|batch| batch.push(command())));
        }
        drop(numbering);
        let (congested, wants_flush) = home.unwrap_or_default();
        if wants_flush {
            self.schedule_flush(py);
        }
        congested
    }

    /// Sees to it that a flush comes, if this is the loop's thread.
    pub(crate) fn want_flush(&self, py: Python<'_>) {
        if home::with(self.key(), Home::wants_flush) == Some(true) {
            self.schedule_flush(py);
        }
    }

    /// Sees to a flush at the end of the loop's turn.
    fn schedule_flush(&self, py: Python<'_>) {
        let Some(runtime) = self.runtime_to_call() else { return };
        if let Err(error) = runtime.call_soon.call1(py, (&runtime.flush,)) {
            // The loop is closed: nothing will be written any more, and the server is about to be told.
            error.write_unraisable(py, None);
        }
    }
}

/// A part of an HTTP response.
pub(crate) enum Part {
    /// All of it: the content comes along.
    Whole(Box<Reply>),
    Content {
        last: bool,
    },
}

fn load(batch: &mut CommandBatch, link: &Link, part: Part, piece: Piece<'_>) -> usize {
    let len = piece.len();
    let parcel = batch.pack(piece);
    match part {
        // Nobody waits behind a whole response.
        Part::Whole(reply) => {
            batch.push(Command::Answer(link.id(), reply, parcel));
            0
        }
        Part::Content { last } => {
            batch.push(Command::Content(link.id(), parcel, last));
            link.add_posted(len)
        }
    }
}

/// Adds a message for a session. Gives the bytes that wait to be written.
fn pack(batch: &mut CommandBatch, link: &Link, message: Message<'_>, compress: bool) -> usize {
    let form = Form { kind: message.kind(), compress };
    let waiting = link.add_posted(message.as_slice().len());
    match message {
        Message::Borrowed(_, bytes) => batch.push_message(link.id(), form, bytes),
        Message::Shared(_, bytes) => batch.push(Command::Send(link.id(), form, Parcel::Shared(bytes))),
    }
    waiting
}

/// A lock that a panic elsewhere does not take away.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

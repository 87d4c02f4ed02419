//! What others ask of a shard: commands, posted in batches, with one wake-up however many wait.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hubbub_proto::close::CloseCode;

use crate::address_limit::AddressBlock;
use crate::http::exchange::{Piece, Reply};
use crate::id::SessionId;
use crate::io::peer::Peer;
use crate::io::socket::Socket;
use crate::io::stream::Stream;
use crate::pubsub::broadcast::Broadcast;
use crate::pubsub::space::Space;
use crate::session::compression::Form;

/// Something for a shard to do. For a session that has ended, every command does nothing.
#[derive(Debug)]
pub enum Command {
    /// Send a message.
    Send(SessionId, Form, Parcel),
    /// Send an event, written already, to an event stream.
    Event(SessionId, Bytes),
    /// Send a message to many.
    Broadcast(Arc<Broadcast>),
    /// The user is just getting to know the session: broadcasts to everyone are held for it. Of use where the
    /// [user introduces sessions](crate::Settings::introduces).
    Arrive(SessionId),
    /// The user knows the session: from now on it gets what is broadcast to everyone, after what was held for it.
    Introduce(SessionId),
    /// The session has joined a room (the directory knows it already).
    Join(SessionId, Space, Arc<str>),
    /// An event stream has entered the rooms that it enters together: now it is told what it has missed in all of them.
    CatchUp(SessionId),
    /// The session has left a room (the directory knows it already).
    Leave(SessionId, Space, Arc<str>),
    /// Begin the closing handshake.
    Close(SessionId, CloseCode, String),
    /// Drop the connection without a word.
    Abort(SessionId),
    /// Send a ping of at most 125 bytes.
    Ping(SessionId, Vec<u8>),
    /// The inbox has room again.
    Resume(SessionId),
    /// The answer to [`Handler::request`](crate::Handler::request).
    Verdict(SessionId, Verdict),
    /// The whole response to [`Handler::exchange`](crate::Handler::exchange), or instead of a session.
    Answer(SessionId, Box<Reply>, Parcel),
    /// The head of a response whose content follows.
    Respond(SessionId, Box<Reply>),
    /// Content of a response; the last of it if the flag stands.
    Content(SessionId, Parcel, bool),
    /// All content of a response: so many bytes of a file, from its beginning.
    File(SessionId, File, u64),
    /// The response ends here although it is not complete: with the connection, so that the client notices.
    Cut(SessionId),
    /// The body of the request is wanted: if the client waits to be asked for it, it is asked.
    Want(SessionId),
    /// A connection that another shard has accepted.
    Adopt(Socket, Peer),
    /// A connection that asks for a session of this shard.
    Move(Box<Moved>),
    /// There is room for further connections, or an embedded client waits.
    Accept,
    /// Take no further connections; drop those whose request has not come.
    StopAccepting,
    /// Close every session with this code and reason, drop what is left after the grace, and end.
    Stop(CloseCode, String, Duration),
}

impl Command {
    /// The session that it is about.
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self {
            Command::Send(id, ..)
            | Command::Event(id, _)
            | Command::Arrive(id)
            | Command::Introduce(id)
            | Command::Join(id, ..)
            | Command::CatchUp(id)
            | Command::Leave(id, ..)
            | Command::Close(id, ..)
            | Command::Abort(id)
            | Command::Ping(id, _)
            | Command::Resume(id)
            | Command::Verdict(id, _)
            | Command::Answer(id, ..)
            | Command::Respond(id, _)
            | Command::Content(id, ..)
            | Command::File(id, ..)
            | Command::Cut(id)
            | Command::Want(id) => Some(*id),
            Command::Broadcast(_)
            | Command::Adopt(..)
            | Command::Move(_)
            | Command::Accept
            | Command::StopAccepting
            | Command::Stop(..) => None,
        }
    }

    /// The bytes that wait with it, its own place among them.
    fn weight(&self) -> usize {
        let carried = match self {
            Command::Send(_, _, Parcel::Shared(bytes))
            | Command::Content(_, Parcel::Shared(bytes), _)
            | Command::Answer(_, _, Parcel::Shared(bytes))
            | Command::Event(_, bytes) => bytes.len(),
            Command::Broadcast(broadcast) => broadcast.len(),
            _ => 0,
        };
        carried + size_of::<Self>()
    }
}

/// A connection on its way from one shard to another.
#[derive(Debug)]
pub struct Moved {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) place: Option<AddressBlock>,
    pub(crate) received: Vec<u8>,
    /// It counts among the handshakes under way.
    pub(crate) pending: bool,
}

/// A message's bytes on their way to a shard.
#[derive(Debug)]
pub enum Parcel {
    /// A part of the batch's own bytes.
    Inline(Range<usize>),
    /// Bytes that are not copied.
    Shared(Bytes),
}

impl Parcel {
    /// The bytes themselves; `batch` are those of the batch.
    pub(crate) fn open(self, batch: &[u8]) -> Piece<'_> {
        match self {
            Parcel::Inline(range) => Piece::Borrowed(&batch[range]),
            Parcel::Shared(bytes) => Piece::Shared(bytes),
        }
    }
}

/// What the user has decided about a request.
#[derive(Debug)]
pub enum Verdict {
    /// Open the session.
    Accept {
        /// The subprotocol to name, `None` for the one in common, if there is one.
        subprotocol: Option<String>,
        /// Further fields of the 101, already checked.
        fields: Vec<(String, String)>,
    },
    /// Answer with this and close.
    Answer(Answer),
}

/// An HTTP response, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// Fields, already checked. `Content-Length` and `Connection` are added.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A short text.
    pub(crate) fn plain(status: u16, text: &str) -> Self {
        Answer {
            status,
            fields: vec![("Content-Type".into(), "text/plain; charset=utf-8".into())],
            body: format!("{text}\n").into_bytes().into(),
        }
    }
}

/// Commands with the bytes that they carry.
#[derive(Debug, Default)]
pub struct CommandBatch {
    bytes: Vec<u8>,
    commands: Vec<Command>,
    /// What the commands weigh, without `bytes`.
    weight: usize,
}

impl CommandBatch {
    /// Appends a command.
    pub fn push(&mut self, command: Command) {
        self.weight += command.weight();
        self.commands.push(command);
    }

    /// The bytes that it keeps in memory, more or less.
    pub fn weight(&self) -> usize {
        self.weight + self.bytes.len()
    }

    /// Appends a message, copying it.
    pub fn push_message(&mut self, id: SessionId, form: impl Into<Form>, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.push(Command::Send(id, form.into(), Parcel::Inline(start..self.bytes.len())));
    }

    /// Takes in bytes for a command, copying small ones.
    pub fn pack(&mut self, piece: Piece<'_>) -> Parcel {
        match piece {
            Piece::Shared(bytes) => Parcel::Shared(bytes),
            Piece::Borrowed(bytes) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                Parcel::Inline(start..self.bytes.len())
            }
        }
    }

    /// The number of commands in it.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Gives each command, with the bytes that commands refer to; the batch is empty afterwards.
    pub(crate) fn obey(&mut self, mut obey: impl FnMut(Command, &[u8])) {
        for command in self.commands.drain(..) {
            obey(command, &self.bytes);
        }
        self.bytes.clear();
        self.weight = 0;
    }
}

impl From<Command> for CommandBatch {
    fn from(command: Command) -> Self {
        CommandBatch { bytes: Vec::new(), weight: command.weight(), commands: vec![command] }
    }
}

/// Posts commands to one shard, from any thread.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    sender: Sender<CommandBatch>,
    waker: Arc<Waker>,
}

/// One wake-up for all commands that wait.
#[derive(Debug)]
pub(crate) struct Waker {
    waker: mio::Waker,
    woken: AtomicBool,
    /// Batches that have been obeyed, with their memory.
    empties: Mutex<Vec<CommandBatch>>,
    /// What the batches weigh that have been posted and not obeyed.
    posted: AtomicUsize,
    /// From here on whoever can wait does.
    most: usize,
    /// Threads that wait for room.
    waiting: AtomicUsize,
    room: Mutex<()>,
    freed: Condvar,
    /// The shard has ended: nothing is obeyed any more.
    ended: AtomicBool,
}

/// Obeyed batches that are kept, and the bytes that one must and may hold for that.
const KEEP_BATCHES: usize = 4;
const KEEP_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=256 << 10;
const KEEP_COMMANDS: usize = 4 << 10;

impl ShardHandle {
    pub(crate) fn new(sender: Sender<CommandBatch>, waker: mio::Waker, most: usize) -> Self {
        let waker = Waker {
            waker,
            woken: AtomicBool::new(false),
            empties: Mutex::default(),
            posted: AtomicUsize::new(0),
            most,
            waiting: AtomicUsize::new(0),
            room: Mutex::default(),
            freed: Condvar::new(),
            ended: AtomicBool::new(false),
        };
        ShardHandle { sender, waker: Arc::new(waker) }
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// An empty batch, with the memory of one that has been obeyed if there is one.
    pub fn batch(&self) -> CommandBatch {
        self.waker.lock_empties().pop().unwrap_or_default()
    }

    /// Posts the batch; for a shard that has ended it is dropped.
    pub fn post(&self, batch: impl Into<CommandBatch>) {
        let batch = batch.into();
        self.waker.posted.fetch_add(batch.weight(), Ordering::SeqCst);
        if self.sender.send(batch).is_ok() && !self.waker.woken.swap(true, Ordering::SeqCst) {
            // It fails only when the poll is gone, and the shard with it.
            let _ = self.waker.waker.wake();
        }
    }
}

impl ShardHandle {
    /// As much was posted and not obeyed as [may be](crate::Limits::posted_bytes). It is taken all the same: who can wait
    /// should.
    pub fn is_full(&self) -> bool {
        self.waker.is_full()
    }

    /// Waits until there is room, or until the shard has obeyed nothing for so long.
    pub fn wait_for_room(&self, patience: Duration) {
        let waker = &*self.waker;
        let mut room = waker.room.lock().unwrap_or_else(PoisonError::into_inner);
        waker.waiting.fetch_add(1, Ordering::SeqCst);
        while waker.is_full() {
            let before = waker.posted.load(Ordering::SeqCst);
            let (locked, waited) = waker.freed.wait_timeout(room, patience).unwrap_or_else(PoisonError::into_inner);
            room = locked;
            if waited.timed_out() && waker.posted.load(Ordering::SeqCst) >= before {
                break;
            }
        }
        waker.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Waker {
    fn is_full(&self) -> bool {
        self.posted.load(Ordering::SeqCst) >= self.most && !self.ended.load(Ordering::SeqCst)
    }

    /// So much of what was posted has been taken up.
    pub(crate) fn obeyed(&self, weight: usize) {
        self.posted.fetch_sub(weight, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 && !self.is_full() {
            self.wake_waiting();
        }
    }

    /// The shard has ended.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        // Whoever has seen that there is no room waits by the time that the lock is free.
        drop(self.room.lock().unwrap_or_else(PoisonError::into_inner));
        self.freed.notify_all();
    }

    /// Keeps an obeyed batch's memory for the next one.
    pub(crate) fn keep(&self, batch: CommandBatch) {
        let mut empties = self.lock_empties();
        if empties.len() < KEEP_BATCHES
            && KEEP_BYTES.contains(&batch.bytes.capacity())
            && batch.commands.capacity() <= KEEP_COMMANDS
        {
            empties.push(batch);
        }
    }

    fn lock_empties(&self) -> MutexGuard<'_, Vec<CommandBatch>> {
        self.empties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard looks at its commands now: the next one must wake it again.
    pub(crate) fn rearm(&self) -> bool {
        self.woken.load(Ordering::SeqCst) && self.woken.swap(false, Ordering::SeqCst)
    }
}

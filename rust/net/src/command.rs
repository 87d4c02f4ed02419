//! What others ask of a shard: commands, posted in batches, with one wake-up however many wait.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hubbub_proto::close::CloseCode;

use crate::broadcast::Broadcast;
use crate::compression::Form;
use crate::exchange::{Piece, Reply};
use crate::id::SessionId;
use crate::peer::Peer;
use crate::places::Household;
use crate::transport::Stream;

/// Something for a shard to do. For a session that has ended, every command does nothing.
#[derive(Debug)]
pub enum Command {
    /// Send a message.
    Send(SessionId, Form, Parcel),
    /// Send an event, written already, to an event stream.
    Event(SessionId, Bytes),
    /// Send a message to many.
    Broadcast(Arc<Broadcast>),
    /// The session has joined a room (the directory knows it already).
    Join(SessionId, Arc<str>),
    /// An event stream has entered the rooms that it enters together: now it is told what it has missed in all of them.
    CatchUp(SessionId),
    /// The session has left a room (the directory knows it already).
    Leave(SessionId, Arc<str>),
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
    Adopt(Stream, Peer),
    /// A connection that asks for a session of this shard.
    Move(Box<Moved>),
    /// There is room for further connections, or a guest to be let in.
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
            | Command::Join(id, _)
            | Command::CatchUp(id)
            | Command::Leave(id, _)
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
}

/// A connection on its way from one shard to another.
#[derive(Debug)]
pub struct Moved {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) place: Option<Household>,
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
}

impl CommandBatch {
    /// Appends a command.
    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Appends a message, copying it.
    pub fn push_message(&mut self, id: SessionId, form: impl Into<Form>, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.commands.push(Command::Send(id, form.into(), Parcel::Inline(start..self.bytes.len())));
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
    }
}

impl From<Command> for CommandBatch {
    fn from(command: Command) -> Self {
        CommandBatch { bytes: Vec::new(), commands: vec![command] }
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
}

/// Obeyed batches that are kept, and the bytes that one must and may hold for that.
const KEEP_BATCHES: usize = 4;
const KEEP_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=256 << 10;

impl ShardHandle {
    pub(crate) fn new(sender: Sender<CommandBatch>, waker: mio::Waker) -> Self {
        ShardHandle {
            sender,
            waker: Arc::new(Waker { waker, woken: AtomicBool::new(false), empties: Mutex::default() }),
        }
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
        if self.sender.send(batch.into()).is_ok() && !self.waker.woken.swap(true, Ordering::SeqCst) {
            // It fails only when the poll is gone, and the shard with it.
            let _ = self.waker.waker.wake();
        }
    }
}

impl Waker {
    /// Keeps an obeyed batch's memory for the next one.
    pub(crate) fn keep(&self, batch: CommandBatch) {
        let mut empties = self.lock_empties();
        if empties.len() < KEEP_BATCHES && KEEP_BYTES.contains(&batch.bytes.capacity()) {
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

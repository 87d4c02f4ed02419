//! Events on their way from the shards to Python: collected in batches, handed over with one wake-up.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Instant;

use hubbub_net::proto::message::{Kind, Payload};
use hubbub_net::{Closed, Delivery, Handler, Link, Notice, Request, SessionId};
use pyo3::prelude::*;

use crate::buffers;

/// Bytes that a batch keeps for its next use.
const KEEP_BYTES: usize = 256 << 10;
/// Emptied batches that wait for their shard. A loop that was busy may come back to hundreds.
const KEEP_BATCHES: usize = 4;
/// A batch with so many bytes is dispatched before more is read.
/// PERF: large messages are then still in the cache when the handler gets them (16 KiB echo).
const FULL_BYTES: usize = 128 << 10;
/// Messages from this size on become Python objects at once where that is possible.
const OBJECT_BYTES: usize = 1 << 10;
/// Refusals of one shard that wait to be told; further ones are not.
const MAX_REFUSALS: usize = 1000;
/// Buffers of large messages that a shard keeps for the next ones, and the largest of them. Of a shard with a thread of
/// its own, each batch keeps one.
const KEEP_BUFFERS: usize = KEEP_BATCHES;
const KEEP_BUFFER_BYTES: usize = 4 << 20;

/// What happened, in order, with the bytes of small messages in one piece.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) arena: Vec<u8>,
    /// Bytes of all its messages.
    bytes: usize,
    /// Buffers of messages that have been dispatched.
    spent: Vec<Vec<u8>>,
    /// Filled on the event loop's own thread, with the GIL held: large messages become Python objects at once.
    /// PERF: that saves a copy, and the buffer is free for the next message (16 KiB and 1 MiB echo).
    attached: bool,
}

pub(crate) enum Event {
    Message { id: SessionId, kind: Kind, data: Data },
    Request(Arc<Link>, Box<Request>),
    Refused(Box<Refusal>),
    Exchange(Arc<Link>, Box<Request>),
    Content { id: SessionId, data: Data, last: bool },
    HungUp(SessionId),
    Open(Arc<Link>, Option<Box<Request>>),
    Pong(SessionId, Box<[u8]>),
    Drained(SessionId),
    Closed(SessionId, Box<Closed>),
    Delivered(Arc<Delivery>),
    Notice(Box<Notice>),
    Stopped,
}

/// A request that an Engine.IO endpoint has refused, with a code and its words.
pub(crate) struct Refusal {
    pub(crate) link: Arc<Link>,
    pub(crate) request: Request,
    pub(crate) code: u8,
    pub(crate) message: &'static str,
    /// Counts those that are still to be told.
    _untold: Option<Arc<()>>,
}

/// Where a message's bytes are.
pub(crate) enum Data {
    /// In Python's hands already.
    Object(Py<PyAny>, usize),
    /// In the batch's arena.
    Arena(usize, usize),
    /// In a buffer of their own: the message was assembled there.
    Owned(Vec<u8>),
}

impl Batch {
    /// A batch that the event loop's own thread fills.
    pub(crate) fn attached() -> Self {
        Batch { attached: true, ..Batch::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Takes back the buffer of a message that has been dispatched.
    pub(crate) fn reuse(&mut self, buffer: Vec<u8>) {
        let most = if self.attached { KEEP_BUFFERS } else { 1 };
        if self.spent.len() < most && buffer.capacity() <= KEEP_BUFFER_BYTES {
            self.spent.push(buffer);
        }
    }

    /// Takes in bytes.
    fn keep(&mut self, kind: Kind, payload: Payload<'_>) -> Data {
        let len = payload.as_slice().len();
        self.bytes += len;
        match payload {
            payload if self.attached && len >= OBJECT_BYTES => {
                let object = Python::attach(|py| buffers::to_python(py, kind, payload.as_slice()));
                if let Payload::Owned(buffer) = payload {
                    self.reuse(buffer);
                }
                Data::Object(object, len)
            }
            Payload::Borrowed(bytes) => {
                let start = self.arena.len();
                self.arena.extend_from_slice(bytes);
                Data::Arena(start, self.arena.len())
            }
            Payload::Owned(bytes) => Data::Owned(bytes),
        }
    }

    /// Empties it for its next use.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.arena.clear();
        self.bytes = 0;
        if self.arena.capacity() > KEEP_BYTES {
            self.arena = Vec::new();
        }
    }
}

impl Handler for Batch {
    fn request(&mut self, link: Arc<Link>, request: Request) {
        self.events.push(Event::Request(link, Box::new(request)));
    }

    fn refused(&mut self, link: Arc<Link>, request: Request, code: u8, message: &'static str) {
        self.events.push(Event::Refused(Box::new(Refusal { link, request, code, message, _untold: None })));
    }

    fn exchange(&mut self, link: Arc<Link>, request: Request) {
        self.events.push(Event::Exchange(link, Box::new(request)));
    }

    fn content(&mut self, id: SessionId, content: &[u8], last: bool) {
        let data = self.keep(Kind::Binary, Payload::Borrowed(content));
        self.events.push(Event::Content { id, data, last });
    }

    fn hung_up(&mut self, id: SessionId) {
        self.events.push(Event::HungUp(id));
    }

    fn open(&mut self, link: Arc<Link>, request: Option<Request>) {
        self.events.push(Event::Open(link, request.map(Box::new)));
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES
    }

    fn spent(&mut self) -> Option<Vec<u8>> {
        self.spent.pop()
    }

    fn message(&mut self, id: SessionId, kind: Kind, payload: Payload<'_>) {
        let data = self.keep(kind, payload);
        self.events.push(Event::Message { id, kind, data });
    }

    fn pong(&mut self, id: SessionId, payload: &[u8]) {
        self.events.push(Event::Pong(id, payload.into()));
    }

    fn drained(&mut self, id: SessionId) {
        self.events.push(Event::Drained(id));
    }

    fn closed(&mut self, id: SessionId, closed: Closed) {
        self.events.push(Event::Closed(id, Box::new(closed)));
    }

    fn delivered(&mut self, delivery: Arc<Delivery>) {
        self.events.push(Event::Delivered(delivery));
    }

    fn notice(&mut self, notice: Notice) {
        self.events.push(Event::Notice(Box::new(notice)));
    }

    fn stopped(&mut self) {
        self.events.push(Event::Stopped);
    }
}

/// The event loop's end: batches of all shards, and a descriptor that says when there are some.
pub(crate) struct Inbox {
    batches: Receiver<Filled>,
    bell: UnixStream,
    rung: Arc<AtomicBool>,
    /// Emptied batches go back to the shard that filled them.
    empties: Vec<SyncSender<Batch>>,
}

/// A batch, the number of the shard that filled it, and when that was done.
pub(crate) struct Filled {
    pub(crate) shard: usize,
    pub(crate) at: Instant,
    pub(crate) batch: Batch,
}

/// A shard thread's end.
pub(crate) struct Batcher {
    batch: Batch,
    shard: usize,
    batches: Sender<Filled>,
    bell: UnixStream,
    rung: Arc<AtomicBool>,
    empties: Receiver<Batch>,
    /// One for each refusal that is still to be told, and this.
    refusals: Arc<()>,
}

/// An inbox, and a batcher for each shard.
pub(crate) fn inbox(shards: usize) -> std::io::Result<(Inbox, Vec<Batcher>)> {
    let (sender, batches) = channel();
    let (bell, button) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    button.set_nonblocking(true)?;
    let rung = Arc::new(AtomicBool::new(false));
    let mut empties = Vec::new();
    let mut batchers = Vec::new();
    for shard in 0..shards {
        let (back, returned) = sync_channel(KEEP_BATCHES);
        empties.push(back);
        batchers.push(Batcher {
            batch: Batch::default(),
            shard,
            batches: sender.clone(),
            bell: button.try_clone()?,
            rung: rung.clone(),
            empties: returned,
            refusals: Arc::new(()),
        });
    }
    Ok((Inbox { batches, bell, rung, empties }, batchers))
}

impl Inbox {
    /// Readable when a batch waits.
    pub(crate) fn fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// The bell is silent from here on until a further batch comes.
    pub(crate) fn answer_bell(&self) {
        let mut bytes = [0; 8];
        // Nothing to read means that it was answered before.
        let _ = (&self.bell).read(&mut bytes);
        self.rung.store(false, Ordering::SeqCst);
    }

    pub(crate) fn next(&self) -> Option<Filled> {
        self.batches.try_recv().ok()
    }

    /// Gives a batch's memory back to its shard.
    pub(crate) fn give_back(&self, shard: usize, mut batch: Batch) {
        batch.clear();
        // The shard may have ended, or have enough of them; then the memory is simply freed.
        let _ = self.empties[shard].try_send(batch);
    }
}

impl Batcher {
    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let empty = self.empties.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, empty);
        let filled = Filled { shard: self.shard, at: Instant::now(), batch };
        if self.batches.send(filled).is_ok() && !self.rung.swap(true, Ordering::SeqCst) {
            // A full socket means that the bell is ringing anyway.
            let _ = (&self.bell).write(&[1]);
        }
    }
}

impl Handler for Batcher {
    fn request(&mut self, link: Arc<Link>, request: Request) {
        self.batch.request(link, request);
    }

    fn refused(&mut self, link: Arc<Link>, request: Request, code: u8, message: &'static str) {
        // Whoever is refused comes again at once, with a head of its choice, while the loop may be busy.
        if Arc::strong_count(&self.refusals) <= MAX_REFUSALS {
            let _untold = Some(self.refusals.clone());
            self.batch.events.push(Event::Refused(Box::new(Refusal { link, request, code, message, _untold })));
        }
    }

    fn exchange(&mut self, link: Arc<Link>, request: Request) {
        self.batch.exchange(link, request);
    }

    fn content(&mut self, id: SessionId, content: &[u8], last: bool) {
        self.batch.content(id, content, last);
    }

    fn hung_up(&mut self, id: SessionId) {
        self.batch.hung_up(id);
    }

    fn open(&mut self, link: Arc<Link>, request: Option<Request>) {
        self.batch.open(link, request);
    }

    fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    fn spent(&mut self) -> Option<Vec<u8>> {
        self.batch.spent()
    }

    fn message(&mut self, id: SessionId, kind: Kind, payload: Payload<'_>) {
        self.batch.message(id, kind, payload);
    }

    fn pong(&mut self, id: SessionId, payload: &[u8]) {
        self.batch.pong(id, payload);
    }

    fn drained(&mut self, id: SessionId) {
        self.batch.drained(id);
    }

    fn closed(&mut self, id: SessionId, closed: Closed) {
        self.batch.closed(id, closed);
    }

    fn delivered(&mut self, delivery: Arc<Delivery>) {
        self.batch.delivered(delivery);
    }

    fn notice(&mut self, notice: Notice) {
        self.batch.notice(notice);
    }

    fn stopped(&mut self) {
        self.batch.stopped();
        self.hand_over();
    }

    fn turned(&mut self) -> bool {
        let something = !self.batch.is_empty();
        self.hand_over();
        something
    }
}

//! One message for many sessions: encoded once, shared by all that get it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hubbub_proto::engineio::payload::SEPARATOR;
use hubbub_proto::frame::{self, Header, Opcode};
use hubbub_proto::message::Kind;

use crate::config::settings::Policy;
use crate::id::SessionId;
use crate::metrics::counters::Counts;
use crate::pubsub::position::{Since, Stamp};
use crate::pubsub::space::Space;
use crate::session::carrier::{self, Carrier, OTHERS};
use crate::session::compression::{Codecs, Form, Packing, WINDOWS, window_place};

/// Whom a broadcast is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// Every open session.
    All,
    /// The members of any of these rooms, each once.
    Rooms(Vec<Arc<str>>),
}

/// A message on its way to many sessions.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// Whom it is for.
    pub target: Target,
    /// Whose the rooms are, those that are left out included. What is the hub's does not reach sessions by which another
    /// protocol is spoken, such as Engine.IO.
    pub space: Space,
    /// Who is left out.
    pub skip: Vec<SessionId>,
    /// The members of these rooms are left out, too.
    pub except: Vec<Arc<str>>,
    /// Left out for those who do not take what they are given just now.
    pub volatile: bool,
    /// What a full outbox means.
    pub policy: Policy,
    /// What has come of it.
    pub delivery: Arc<Delivery>,
    /// The type of the event that it is on event streams; other carriers know no such thing.
    pub event: Option<Box<str>>,
    /// Its rooms remember it.
    pub stamp: Option<Stamp>,
    /// The frame as every member without an extension gets it.
    frame: Bytes,
    form: Form,
    /// Where in the frame the payload is; behind it there are only the frames of attachments.
    payload: Range<usize>,
    /// Binary messages that come right behind it.
    attachments: Vec<Bytes>,
    /// The compressed frame for each window size, made by the first shard that has a member for it and shared by all
    /// members that get messages without reference to earlier ones; `None` in it: it would not be shorter.
    packed: [OnceLock<Option<Bytes>>; WINDOWS],
    /// The message as other carriers than a WebSocket have it, made for the first member that needs it.
    carried: [OnceLock<Bytes>; OTHERS],
}

impl Broadcast {
    /// Encodes the message for `shards` shards to hand out.
    pub fn new(
        target: Target,
        skip: Vec<SessionId>,
        policy: Policy,
        form: impl Into<Form>,
        payload: &[u8],
        shards: usize,
    ) -> Self {
        let form = form.into();
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        frame::encode(&mut bytes, form.kind.into(), payload, None);
        Broadcast {
            target,
            space: Space::Hub,
            skip,
            except: Vec::new(),
            volatile: false,
            policy,
            delivery: Arc::new(Delivery {
                pending: AtomicUsize::new(shards),
                reached: AtomicUsize::new(0),
                dropped: AtomicUsize::new(0),
                wanted: AtomicBool::new(false),
            }),
            event: None,
            stamp: None,
            payload: bytes.len() - payload.len()..bytes.len(),
            attachments: Vec::new(),
            frame: Bytes::from(bytes),
            form,
            packed: Default::default(),
            carried: Default::default(),
        }
    }

    /// Adds binary messages that belong to it: whoever gets it gets all of them right behind it, or nothing.
    #[must_use]
    pub fn attach(mut self, attachments: Vec<Bytes>) -> Self {
        let len = attachments.iter().map(|attachment| attachment.len() + 14).sum::<usize>();
        let mut frames = Vec::with_capacity(self.frame.len() + len);
        frames.extend_from_slice(&self.frame);
        for attachment in &attachments {
            frame::encode(&mut frames, Opcode::Binary, attachment, None);
        }
        (self.frame, self.attachments) = (frames.into(), attachments);
        self
    }

    /// The message as a WebSocket has it.
    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The message as this carrier has it.
    pub(crate) fn carried(&self, carrier: Carrier) -> &Bytes {
        match (carrier, self.form.kind) {
            (Carrier::WebSocket, _) | (Carrier::Packets, Kind::Binary) => &self.frame,
            (other, kind) => self.carried[usize::from(other.number()) - 1].get_or_init(|| match other {
                Carrier::Events => {
                    let id = self.stamp.map(|Stamp { epoch, offset, .. }| Since { epoch, offset }.text());
                    carrier::event(self.event.as_deref(), id.as_deref(), kind, self.payload())
                }
                other => self.encode(other),
            }),
        }
    }

    fn encode(&self, carrier: Carrier) -> Bytes {
        if self.is_alone() {
            return carrier.encode(self.form.kind, self.payload());
        }
        let mut out = Vec::with_capacity(2 * self.len());
        carrier.write(&mut out, self.form.kind, self.payload());
        for attachment in &self.attachments {
            if carrier == Carrier::Polling {
                out.push(SEPARATOR);
            }
            carrier.write(&mut out, Kind::Binary, attachment);
        }
        out.into()
    }

    /// One of these rooms is among its own.
    pub(crate) fn is_for_any(&self, rooms: &[Arc<str>]) -> bool {
        matches!(&self.target, Target::Rooms(names) if names.iter().any(|name| rooms.contains(name)))
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.frame[self.payload.clone()]
    }

    /// Bytes of the message and of what belongs to it.
    pub(crate) fn len(&self) -> usize {
        self.payload.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// It is one message, and nothing goes with it.
    pub(crate) fn is_alone(&self) -> bool {
        self.attachments.is_empty()
    }

    /// The frame for members whose messages do not refer back, compressed now if nobody has done so for their group;
    /// `None`: it would not be shorter.
    pub(crate) fn packed(&self, packing: &Packing, codecs: &mut Codecs, counts: &mut Counts) -> Option<&Bytes> {
        let place = window_place(packing.window_bits(self.payload.len()));
        let packed = self.packed[place].get_or_init(|| {
            let deflated = codecs.deflate(packing, &mut None, self.payload(), counts)?;
            let header = compressed_header(self.form.kind, deflated.len());
            let frame = Bytes::from([&header[..], &deflated].concat());
            codecs.keep(deflated);
            Some(frame)
        });
        packed.as_ref()
    }
}

/// The header of a compressed message in one frame.
pub(crate) fn compressed_header(kind: Kind, len: usize) -> frame::EncodedHeader {
    Header { fin: true, opcode: kind.into(), len: len as u64, mask: None }.encode().compressed()
}

/// What has come of a broadcast so far.
#[derive(Debug)]
pub struct Delivery {
    /// Shards that have not handed it out yet.
    pending: AtomicUsize,
    reached: AtomicUsize,
    dropped: AtomicUsize,
    wanted: AtomicBool,
}

impl Delivery {
    /// Sessions whose outbox has taken the message.
    pub fn reached(&self) -> usize {
        self.reached.load(Ordering::Relaxed)
    }

    /// Sessions that should have got it but whose outbox was full.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Every shard has handed it out: the numbers are final.
    pub fn is_done(&self) -> bool {
        self.pending.load(Ordering::SeqCst) == 0
    }

    /// Asks for [`Handler::delivered`](crate::Handler::delivered). `false`: it is done already.
    pub fn wait(&self) -> bool {
        self.wanted.store(true, Ordering::SeqCst);
        !self.is_done()
    }

    /// One shard has done its part. `true` if it was the last one and somebody waits.
    pub(crate) fn shard_done(&self, reached: usize, dropped: usize) -> bool {
        self.reached.fetch_add(reached, Ordering::Relaxed);
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.pending.fetch_sub(1, Ordering::SeqCst) == 1 && self.wanted.load(Ordering::SeqCst)
    }
}

//! A handler that writes down what it is told, and does the little that a test asks of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use hubbub_net::proto::message::{Kind, Payload};
use hubbub_net::{Closed, Command, CommandBatch, Delivery, Handler, Link, Notice, Request, Server, SessionId, Verdict};

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Request(Arc<Link>, Arc<Request>),
    Open(Arc<Link>, Option<Arc<Request>>),
    Message(SessionId, Kind, Vec<u8>),
    Pong(SessionId, Vec<u8>),
    Drained(SessionId),
    Closed(SessionId, Closed),
    Delivered(usize, usize),
    Notice(Notice),
    Stopped,
}

/// What the handler does beside writing down.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Sends each message back.
    pub(crate) echo: bool,
    /// Says of each message at once that it is consumed.
    pub(crate) consume: bool,
    /// Decides about requests at once; `None` leaves it to the test.
    pub(crate) decide: Option<fn(&Request) -> Verdict>,
    /// Panics on the message "panic", and in `closed` of that session if it says "panic twice".
    pub(crate) panics: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Manner { echo: false, consume: true, decide: None, panics: false }
    }
}

impl Manner {
    pub(crate) fn echo() -> Self {
        Manner { echo: true, ..Manner::default() }
    }
}

#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) server: Arc<Server>,
    pub(crate) events: Sender<Event>,
    pub(crate) manner: Manner,
    pub(crate) cursed: Option<SessionId>,
}

impl Recorder {
    pub(crate) fn new(server: Arc<Server>, events: Sender<Event>, manner: Manner) -> Self {
        Recorder { server, events, manner, cursed: None }
    }

    fn tell(&self, event: Event) {
        // A test that has seen enough no longer listens.
        let _ = self.events.send(event);
    }
}

thread_local! {
    /// The links of this shard's sessions. A shard has a thread of its own, or the test has the shards one by one.
    static LINKS: std::cell::RefCell<HashMap<SessionId, Arc<Link>>> = std::cell::RefCell::default();
}

impl Handler for Recorder {
    fn request(&mut self, link: Arc<Link>, request: Request) {
        let id = link.id();
        if let Some(decide) = self.manner.decide {
            self.server.handles()[id.shard()].post(Command::Verdict(id, decide(&request)));
        }
        self.tell(Event::Request(link, Arc::new(request)));
    }

    fn open(&mut self, link: Arc<Link>, request: Option<Request>) {
        LINKS.with_borrow_mut(|links| links.insert(link.id(), link.clone()));
        self.tell(Event::Open(link, request.map(Arc::new)));
    }

    fn message(&mut self, id: SessionId, kind: Kind, payload: Payload<'_>) {
        let payload = payload.into_vec();
        if self.manner.panics && payload.starts_with(b"panic") {
            self.cursed = (payload == b"panic twice").then_some(id);
            panic!("the handler was asked to panic");
        }
        let handle = &self.server.handles()[id.shard()];
        let link = LINKS.with_borrow(|links| links.get(&id).cloned()).expect("a message comes after open");
        if self.manner.echo {
            let mut batch = CommandBatch::default();
            link.add_posted(payload.len());
            batch.push_message(id, kind, &payload);
            handle.post(batch);
        }
        if self.manner.consume && link.consumed(1, payload.len(), &self.server.settings().limits) {
            handle.post(Command::Resume(id));
        }
        self.tell(Event::Message(id, kind, payload));
    }

    fn pong(&mut self, id: SessionId, payload: &[u8]) {
        self.tell(Event::Pong(id, payload.to_vec()));
    }

    fn drained(&mut self, id: SessionId) {
        self.tell(Event::Drained(id));
    }

    fn closed(&mut self, id: SessionId, closed: Closed) {
        LINKS.with_borrow_mut(|links| links.remove(&id));
        self.tell(Event::Closed(id, closed));
        assert_ne!(self.cursed, Some(id), "the handler was asked to panic twice");
    }

    fn delivered(&mut self, delivery: Arc<Delivery>) {
        self.tell(Event::Delivered(delivery.reached(), delivery.dropped()));
    }

    fn notice(&mut self, notice: Notice) {
        self.tell(Event::Notice(notice));
    }

    fn stopped(&mut self) {
        self.tell(Event::Stopped);
    }
}

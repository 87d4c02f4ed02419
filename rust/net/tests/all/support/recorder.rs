//! A handler that writes down what it is told, and does the little that a test asks of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use hubbub_net::proto::message::{Kind, Payload};
use hubbub_net::{
    Closed, Command, CommandBatch, Delivery, Handler, Link, Notice, Parcel, Reply, Request, Server, SessionId, Verdict,
};

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Request(Arc<Link>, Arc<Request>),
    Exchange(Arc<Link>, Arc<Request>),
    Content(SessionId, Vec<u8>, bool),
    HungUp(SessionId),
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
    /// Decides about requests, and answers those of HTTP, at once; `None` leaves it to the test.
    pub(crate) decide: Option<fn(&Request) -> Verdict>,
    /// Panics on the message "panic", and in `closed` of that session if it says "panic twice".
    pub(crate) panics: bool,
    /// Panics when it is called so for the n-th time, or, with 0, every time.
    pub(crate) curse: Option<(Call, usize)>,
}

/// The handler's calls that can be cursed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    Request,
    Open,
    Message,
    Pong,
    Drained,
    Closed,
    Delivered,
    Notice,
}

impl Default for Manner {
    fn default() -> Self {
        Manner { echo: false, consume: true, decide: None, panics: false, curse: None }
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
    /// How often the cursed call was made.
    calls: usize,
}

impl Recorder {
    pub(crate) fn new(server: Arc<Server>, events: Sender<Event>, manner: Manner) -> Self {
        Recorder { server, events, manner, cursed: None, calls: 0 }
    }

    fn tell(&self, event: Event) {
        // A test that has seen enough no longer listens.
        let _ = self.events.send(event);
    }

    /// Every call ends here, when all else is done.
    fn done(&mut self, call: Call) {
        let Some((cursed, nth)) = self.manner.curse else { return };
        self.calls += usize::from(call == cursed);
        assert!(call != cursed || nth != 0 && nth != self.calls, "the handler was asked to panic");
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
        self.done(Call::Request);
    }

    fn exchange(&mut self, link: Arc<Link>, request: Request) {
        LINKS.with_borrow_mut(|links| links.insert(link.id(), link.clone()));
        if let Some(Verdict::Answer(answer)) = self.manner.decide.map(|decide| decide(&request)) {
            let parcel = Parcel::Shared(answer.body.clone());
            let command = Command::Answer(link.id(), Box::new(Reply::from(answer)), parcel);
            self.server.handles()[link.id().shard()].post(command);
        }
        self.tell(Event::Exchange(link, Arc::new(request)));
    }

    fn content(&mut self, id: SessionId, content: &[u8], last: bool) {
        let link = LINKS.with_borrow(|links| links.get(&id).cloned()).expect("content comes after its request");
        if self.manner.consume && link.consumed(1, content.len(), &self.server.settings().limits) {
            self.server.handles()[id.shard()].post(Command::Resume(id));
        }
        self.tell(Event::Content(id, content.to_vec(), last));
    }

    fn hung_up(&mut self, id: SessionId) {
        self.tell(Event::HungUp(id));
    }

    fn open(&mut self, link: Arc<Link>, request: Option<Request>) {
        LINKS.with_borrow_mut(|links| links.insert(link.id(), link.clone()));
        self.tell(Event::Open(link, request.map(Arc::new)));
        self.done(Call::Open);
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
        self.done(Call::Message);
    }

    fn pong(&mut self, id: SessionId, payload: &[u8]) {
        self.tell(Event::Pong(id, payload.to_vec()));
        self.done(Call::Pong);
    }

    fn drained(&mut self, id: SessionId) {
        self.tell(Event::Drained(id));
        self.done(Call::Drained);
    }

    fn closed(&mut self, id: SessionId, closed: Closed) {
        LINKS.with_borrow_mut(|links| links.remove(&id));
        self.tell(Event::Closed(id, closed));
        assert_ne!(self.cursed, Some(id), "the handler was asked to panic twice");
        self.done(Call::Closed);
    }

    fn delivered(&mut self, delivery: Arc<Delivery>) {
        self.tell(Event::Delivered(delivery.reached(), delivery.dropped()));
        self.done(Call::Delivered);
    }

    fn notice(&mut self, notice: Notice) {
        self.tell(Event::Notice(notice));
        self.done(Call::Notice);
    }

    fn stopped(&mut self) {
        self.tell(Event::Stopped);
    }
}

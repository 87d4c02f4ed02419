//! A server on threads of its own. At the end it is stopped and its books are checked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{
    Address, Bind, Broadcast, Closed, Command, CommandBatch, Counts, Delivery, Joined, Link, Notice, Policy, Server,
    SessionId, Settings, Space, Target,
};

use super::client::Client;
use super::recorder::{Event, Manner, Recorder};
use super::{PATIENCE, loopback, secure};

pub(crate) struct House {
    pub(crate) server: Arc<Server>,
    events: Receiver<Event>,
    /// What has come and nobody has asked for yet.
    waiting: VecDeque<Event>,
    threads: Vec<JoinHandle<()>>,
    books: Books,
    /// Connections came while it stopped: those on their way to a shard that has ended are closed, but nobody is left to
    /// count them.
    pub(crate) gatecrashed: bool,
}

/// Every session that the user has heard of ends once, and nothing comes from it afterwards.
#[derive(Default)]
struct Books {
    sessions: HashMap<SessionId, bool>,
    /// Those end with their last content, of which the user is not told again.
    exchanges: HashSet<SessionId>,
    opened: u64,
    stopped: usize,
}

impl Books {
    fn enter(&mut self, event: &Event) {
        match event {
            Event::Request(link, _) => assert!(self.sessions.insert(link.id(), false).is_none(), "{link:?} asks twice"),
            Event::Exchange(link, _) => {
                assert!(self.sessions.insert(link.id(), false).is_none(), "{link:?} begins twice");
                self.exchanges.insert(link.id());
            }
            Event::Open(link, request) => {
                let known = self.sessions.insert(link.id(), false);
                assert_eq!(known, request.is_none().then_some(false), "{link:?} opens once");
                self.opened += 1;
            }
            Event::Closed(id, closed) => {
                let before = self.sessions.insert(*id, true);
                assert_eq!(before, Some(false), "{id:?} ends once: {closed:?}");
            }
            Event::Message(id, ..)
            | Event::Content(id, ..)
            | Event::HungUp(id)
            | Event::Pong(id, _)
            | Event::Drained(id) => {
                assert_eq!(self.sessions.get(id), Some(&false), "nothing comes from {id:?} once it has ended");
            }
            Event::Stopped => self.stopped += 1,
            Event::Delivered(..) | Event::Notice(_) => {}
        }
    }
}

impl House {
    pub(crate) fn open(settings: Settings, manner: Manner) -> House {
        House::at(vec![loopback()], settings, manner)
    }

    pub(crate) fn at(binds: Vec<Bind>, settings: Settings, manner: Manner) -> House {
        let (server, shards) = Server::bind(settings, binds).unwrap();
        let (sender, events) = channel();
        let threads = shards
            .into_iter()
            .map(|shard| {
                let mut recorder = Recorder::new(server.clone(), sender.clone(), manner);
                std::thread::spawn(move || shard.run(&mut recorder))
            })
            .collect();
        House { server, events, waiting: VecDeque::new(), threads, books: Books::default(), gatecrashed: false }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self.server.addresses().first() {
            Some(Address::Tcp(address)) => *address,
            other => panic!("not on TCP: {other:?}"),
        }
    }

    pub(crate) fn limits(&self) -> &hubbub_net::Limits {
        &self.server.settings().limits
    }

    // ---- clients

    pub(crate) fn connect(&self) -> Client {
        let client = Client::connect(self.address());
        match self.server.settings().tls {
            Some(_) => client.secure(secure::connection("localhost")),
            None => client,
        }
    }

    /// A client with an open session, and the session's other end.
    pub(crate) fn guest(&mut self) -> (Client, Arc<Link>) {
        let mut client = self.connect();
        client.shake_hands("/");
        (client, self.opened())
    }

    pub(crate) fn guests(&mut self, count: usize) -> Vec<(Client, Arc<Link>)> {
        (0..count).map(|_| self.guest()).collect()
    }

    // ---- events

    /// The first event, of those not asked for yet, that `pick` takes.
    pub(crate) fn expect<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        for at in 0..self.waiting.len() {
            if let Some(found) = pick(&self.waiting[at]) {
                self.waiting.remove(at);
                return found;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.books.enter(&event);
                    match pick(&event) {
                        Some(found) => return found,
                        None => self.waiting.push_back(event),
                    }
                }
                Err(error) => panic!("{what} did not come ({error}); there are {}", Brief(&self.waiting)),
            }
        }
    }

    pub(crate) fn opened(&mut self) -> Arc<Link> {
        self.expect("open", |event| match event {
            Event::Open(link, _) => Some(link.clone()),
            _ => None,
        })
    }

    pub(crate) fn message(&mut self, from: SessionId) -> (Kind, Vec<u8>) {
        self.expect("a message", |event| match event {
            Event::Message(id, kind, payload) if *id == from => Some((*kind, payload.clone())),
            _ => None,
        })
    }

    pub(crate) fn closed(&mut self, whom: SessionId) -> Closed {
        self.expect("closed", |event| match event {
            Event::Closed(id, closed) if *id == whom => Some(closed.clone()),
            _ => None,
        })
    }

    pub(crate) fn drained(&mut self, whom: SessionId) {
        self.expect("drained", |event| matches!(event, Event::Drained(id) if *id == whom).then_some(()));
    }

    pub(crate) fn delivered(&mut self) -> (usize, usize) {
        self.expect("delivered", |event| match event {
            Event::Delivered(reached, dropped) => Some((*reached, *dropped)),
            _ => None,
        })
    }

    pub(crate) fn notice(&mut self, wanted: impl Fn(&Notice) -> bool) -> Notice {
        self.expect("a notice", |event| match event {
            Event::Notice(notice) if wanted(notice) => Some(notice.clone()),
            _ => None,
        })
    }

    /// The status that the next refused request got, and its request line.
    pub(crate) fn answered(&mut self) -> (u16, String) {
        let notice = self.notice(|notice| matches!(notice, Notice::Answered { .. }));
        let Notice::Answered { status, request_line, .. } = notice else { unreachable!("just asked for") };
        (status, request_line)
    }

    /// What came and nobody asked for.
    pub(crate) fn left_over(&mut self) -> Vec<Event> {
        while let Ok(event) = self.events.try_recv() {
            self.books.enter(&event);
            self.waiting.push_back(event);
        }
        self.waiting.drain(..).collect()
    }

    // ---- commands

    pub(crate) fn post(&self, id: SessionId, command: Command) {
        self.server.handles()[id.shard()].post(command);
    }

    pub(crate) fn post_to_all(&self, command: impl Fn() -> Command) {
        self.server.handles().iter().for_each(|handle| handle.post(command()));
    }

    pub(crate) fn send(&self, link: &Link, kind: Kind, payload: &[u8]) {
        let mut batch = CommandBatch::default();
        link.add_posted(payload.len());
        batch.push_message(link.id(), kind, payload);
        self.server.handles()[link.id().shard()].post(batch);
    }

    pub(crate) fn close(&self, id: SessionId, code: u16, reason: &str) {
        self.post(id, Command::Close(id, CloseCode(code), reason.into()));
    }

    pub(crate) fn join(&self, link: &Link, room: &str) {
        if let Joined::Now(name) = self.server.directory().join(link, room, None) {
            self.post(link.id(), Command::Join(link.id(), Space::Hub, name));
        }
    }

    pub(crate) fn leave(&self, link: &Link, room: &str) {
        if let Some(name) = self.server.directory().leave(link, room) {
            self.post(link.id(), Command::Leave(link.id(), Space::Hub, name));
        }
    }

    /// Broadcasts a text and says how many it reached, and for how many it was dropped.
    pub(crate) fn broadcast(&mut self, target: Target, skip: &[SessionId], text: &str) -> (usize, usize) {
        let delivery = self.publish(target, skip, Policy::Close, text.as_bytes());
        self.await_delivery(&delivery)
    }

    pub(crate) fn publish(&self, target: Target, skip: &[SessionId], policy: Policy, text: &[u8]) -> Arc<Delivery> {
        let shards = self.server.handles().len();
        let broadcast = Arc::new(Broadcast::new(target, skip.to_vec(), policy, Kind::Text, text, shards));
        self.post_to_all(|| Command::Broadcast(broadcast.clone()));
        broadcast.delivery.clone()
    }

    /// Broadcasts a text to which something is done before.
    pub(crate) fn publish_as(&self, target: Target, text: &[u8], change: impl Fn(&mut Broadcast)) -> Arc<Delivery> {
        let shards = self.server.handles().len();
        let mut broadcast = Broadcast::new(target, Vec::new(), Policy::Close, Kind::Text, text, shards);
        change(&mut broadcast);
        let broadcast = Arc::new(broadcast);
        self.post_to_all(|| Command::Broadcast(broadcast.clone()));
        broadcast.delivery.clone()
    }

    pub(crate) fn await_delivery(&mut self, delivery: &Delivery) -> (usize, usize) {
        // `wait` and the last shard may meet: then both say that it is done, and the event is nobody's.
        if delivery.wait() {
            self.delivered();
        }
        (delivery.reached(), delivery.dropped())
    }

    /// Returns when every shard has obeyed all that was posted before.
    pub(crate) fn sync(&mut self) {
        let delivery = self.publish(rooms(&[]), &[], Policy::Close, b"");
        let deadline = Instant::now() + PATIENCE;
        while !delivery.is_done() {
            assert!(Instant::now() < deadline, "a shard does not obey");
            std::thread::yield_now();
        }
    }

    /// Waits for a condition that no event announces.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.server) {
            assert!(Instant::now() < deadline, "{what} does not become true: {:?}", self.server.counts());
            std::thread::yield_now();
        }
    }

    /// The counts are published at the end of a turn, and what they count may be told before.
    pub(crate) fn counts_to<T: PartialEq + Debug>(&self, expected: T, count: impl Fn(&Counts) -> T) {
        let deadline = Instant::now() + PATIENCE;
        while count(&self.server.counts()) != expected {
            assert!(Instant::now() < deadline, "not {expected:?}: {:?}", self.server.counts());
            std::thread::yield_now();
        }
    }

    // ---- the end

    pub(crate) fn stop(&self, grace: Duration) {
        self.post_to_all(|| Command::Stop(CloseCode::GOING_AWAY, "bye".into(), grace));
    }

    /// Waits for the shards to end, and checks the books.
    fn audit(&mut self) {
        for thread in self.threads.drain(..) {
            thread.join().expect("a shard's thread does not panic");
        }
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => {
                    self.books.enter(&event);
                    self.waiting.push_back(event);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("somebody still holds the events"),
            }
        }
        assert_eq!(self.books.stopped, self.server.handles().len(), "each shard stops once");
        let open = self.books.sessions.iter().filter(|(id, ended)| !**ended && !self.books.exchanges.contains(id));
        let open: Vec<_> = open.collect();
        assert!(open.is_empty(), "sessions that never ended: {open:?}");
        if !self.gatecrashed {
            assert_eq!(self.server.connections(), 0, "connections are counted out as they were counted in");
        }
        assert!(self.server.directory().is_empty(), "nobody is in a room");
        assert_eq!(self.server.addresses_connected(), 0, "places are given back");
        let counts = self.server.counts();
        assert_eq!((counts.opened, counts.closed), (self.books.opened, self.books.opened), "{counts:?}");
        let figures = self.server.figures();
        let backlog = (figures.outbox_bytes, figures.largest_outbox_bytes, figures.blocked_sessions);
        assert_eq!(backlog, (0, 0, 0), "nothing waits when nobody is left");
        let closes: u64 = figures.closes.iter().map(|(_, count)| count).sum();
        let refusals: u64 = figures.refusals.iter().map(|(_, count)| count).sum();
        assert_eq!((closes, refusals), (counts.closed, counts.refused), "what is told by kind is all there is");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.stop(Duration::from_millis(20));
        self.audit();
    }
}

pub(crate) fn rooms(names: &[&str]) -> Target {
    Target::Rooms(names.iter().map(|name| Arc::from(*name)).collect())
}

struct Brief<'a>(&'a VecDeque<Event>);

impl std::fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in self.0.iter().take(20) {
            let text = format!("{event:?}");
            writeln!(f, "{}", text.chars().take(200).collect::<String>())?;
        }
        write!(f, "({} events)", self.0.len())
    }
}

/// Asserts that something fails or holds with the values shown.
pub(crate) fn assert_all_equal<T: PartialEq + Debug>(values: &[T]) {
    for (at, value) in values.iter().enumerate() {
        assert_eq!(value, &values[0], "number {at} differs from the first");
    }
}

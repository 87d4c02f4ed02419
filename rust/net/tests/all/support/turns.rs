//! A server that the test drives itself, turn by turn, as an event loop would.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hubbub_net::{Address, Bind, Link, Server, Settings, Shard};

use super::client::Client;
use super::recorder::{Event, Manner, Recorder};
use super::{PATIENCE, loopback, secure};

pub(crate) struct Turns {
    pub(crate) server: Arc<Server>,
    pub(crate) shard: Shard,
    pub(crate) recorder: Recorder,
    events: Receiver<Event>,
    pub(crate) seen: Vec<Event>,
}

impl Turns {
    pub(crate) fn open(settings: Settings, manner: Manner) -> Turns {
        Turns::at(loopback(), settings, manner)
    }

    pub(crate) fn at(bind: Bind, settings: Settings, manner: Manner) -> Turns {
        let (server, mut shards) = Server::bind(settings, vec![bind]).unwrap();
        let (sender, events) = channel();
        let recorder = Recorder::new(server.clone(), sender, manner);
        let shard = shards.pop().unwrap();
        assert!(shards.is_empty(), "one shard is driven here");
        Turns { server, shard, recorder, events, seen: Vec::new() }
    }

    pub(crate) fn connect(&self) -> Client {
        let Some(Address::Tcp(address)) = self.server.addresses().first() else { panic!("not on TCP") };
        let client = Client::connect(*address);
        match self.server.settings().tls {
            Some(_) => client.secure(secure::connection("localhost")),
            None => client,
        }
    }

    /// One turn, that waits for as long as the shard says but never for long.
    pub(crate) fn turn(&mut self) {
        let next = self.shard.outlook();
        let most = Duration::from_millis(10);
        let wait = if next.again { Duration::ZERO } else { next.wait.map_or(most, |wait| wait.min(most)) };
        self.shard.turn(&mut self.recorder, Some(wait)).unwrap();
        self.shard.flush(&mut self.recorder);
        self.seen.extend(self.events.try_iter());
    }

    /// Turns until `holds` finds what it looks for.
    pub(crate) fn until<T>(&mut self, what: &str, mut holds: impl FnMut(&mut Turns) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = holds(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} does not come: {:?}", self.seen);
            self.turn();
        }
    }

    /// A client with an open session.
    pub(crate) fn guest(&mut self) -> (Client, Arc<Link>) {
        let mut client = self.connect();
        let request = client.request("/", &[], &[]);
        client.raw(&request);
        let link = self.until("open", |turns| {
            turns.take(|event| match event {
                Event::Open(link, _) => Some(link.clone()),
                _ => None,
            })
        });
        client.agreed(&[]);
        (client, link)
    }

    /// Takes the first event that `pick` wants out of those seen.
    pub(crate) fn take<T>(&mut self, mut pick: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        let (at, found) = self.seen.iter().enumerate().find_map(|(at, event)| pick(event).map(|found| (at, found)))?;
        self.seen.remove(at);
        Some(found)
    }
}

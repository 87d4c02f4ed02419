//! A shard with many members in one room, over loopback sockets, all on one thread: what happens here is the same in
//! every run.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use hubbub_net::proto::message::{Kind, Payload};
use hubbub_net::{
    Address, Bind, Broadcast, Closed, Command, Delivery, Handler, Joined, Limits, Link, Notice, Policy, Request,
    Server, SessionId, Settings, Shard, Space, Target,
};
use rustix::process::{Resource, getrlimit, setrlimit};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// How many connections may wait to be accepted: they are opened in groups of this size.
const BACKLOG: i32 = 500;

pub(crate) struct Crowd {
    shard: Shard,
    handler: Guests,
    clients: Vec<TcpStream>,
    room: Arc<str>,
}

/// Knows who has come, and how many have gone.
#[derive(Default)]
struct Guests {
    links: Vec<Arc<Link>>,
    gone: usize,
}

impl Handler for Guests {
    fn request(&mut self, _: Arc<Link>, _: Request) {}
    fn open(&mut self, link: Arc<Link>, _: Option<Request>) {
        self.links.push(link);
    }
    fn exchange(&mut self, _: Arc<Link>, _: Request) {}
    fn content(&mut self, _: SessionId, _: &[u8], _: bool) {}
    fn hung_up(&mut self, _: SessionId) {}
    fn message(&mut self, _: SessionId, _: Kind, _: Payload<'_>) {}
    fn pong(&mut self, _: SessionId, _: &[u8]) {}
    fn drained(&mut self, _: SessionId) {}
    fn closed(&mut self, _: SessionId, _: Closed) {
        self.gone += 1;
    }
    fn delivered(&mut self, _: Arc<Delivery>) {}
    fn notice(&mut self, _: Notice) {}
    fn stopped(&mut self) {}
}

impl Crowd {
    /// Opens a server and connects `members` clients, all in one room.
    pub(crate) fn gather(members: usize) -> io::Result<Crowd> {
        allow_descriptors(2 * members as u64 + 100)?;
        let limits = Limits { ping_interval: None, ..Limits::default() };
        let bind = Bind::Tcp { host: "127.0.0.1".into(), port: 0, backlog: BACKLOG, reuse_port: false };
        let (server, mut shards) = Server::bind(Settings { limits, ..Settings::default() }, vec![bind])?;
        let (Some(Address::Tcp(address)), Some(mut shard)) = (server.addresses().first(), shards.pop()) else {
            return Err(io::Error::other("the server has no shard on TCP"));
        };
        let (mut handler, mut clients) = (Guests::default(), Vec::new());
        while clients.len() < members {
            for _ in 0..(members - clients.len()).min(BACKLOG as usize) {
                let mut client = TcpStream::connect(address)?;
                client.write_all(REQUEST)?;
                client.set_nonblocking(true)?;
                clients.push(client);
            }
            while handler.links.len() < clients.len() {
                shard.turn(&mut handler, Some(Duration::from_millis(10)))?;
                shard.flush(&mut handler);
            }
        }
        let mut room: Arc<str> = "all".into();
        for link in handler.links.clone() {
            if let Joined::Now(name) = server.directory().join(&link, &room, None) {
                shard.obey(Command::Join(link.id(), Space::Hub, name.clone()));
                room = name;
            }
        }
        let mut crowd = Crowd { shard, handler, clients, room };
        crowd.read();
        Ok(crowd)
    }

    /// Broadcasts to everyone as often as `times`, then writes: one vectored write for each member.
    pub(crate) fn broadcast(&mut self, payload: &[u8], times: usize) {
        for _ in 0..times {
            let target = Target::Rooms(vec![self.room.clone()]);
            let broadcast = Broadcast::new(target, Vec::new(), Policy::Close, Kind::Text, payload, 1);
            self.shard.obey(Command::Broadcast(Arc::new(broadcast)));
        }
        self.shard.flush(&mut self.handler);
    }

    /// Reads what has come to the clients, so that their sockets have room again. Returns the bytes.
    pub(crate) fn read(&mut self) -> usize {
        assert_eq!(self.handler.gone, 0, "nobody was closed");
        let mut buffer = [0; 1 << 16];
        let mut total = 0;
        for client in &mut self.clients {
            while let Ok(length @ 1..) = client.read(&mut buffer) {
                total += length;
            }
        }
        total
    }
}

fn allow_descriptors(count: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        setrlimit(
            Resource::Nofile,
            rustix::process::Rlimit { current: limit.maximum.map(|most| most.min(count)), ..limit },
        )?;
    }
    Ok(())
}

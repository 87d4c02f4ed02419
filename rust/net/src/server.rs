//! A server: listeners opened, shards made, and what they all share.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use mio::net::UnixStream;

use crate::command::{Command, ShardHandle};
use crate::counters::{Counters, Counts};
use crate::directory::{Directory, Space};
use crate::figures::{ShardFigures, Times};
use crate::link::Link;
use crate::peer::Peer;
use crate::places::Places;
use crate::routes::Routes;
use crate::settings::{Bind, Settings};
use crate::shard::Shard;
use crate::transport::{self, Address, Guest, Listener};

/// As many as a session's id has room for.
const MAX_SHARDS: usize = 1 << 8;
/// Descriptors that are left for the rest of the process when the operator set no bound.
const RESERVED_DESCRIPTORS: usize = 64;

/// What every shard and every thread of a server may touch.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    routes: Routes,
    directory: Directory,
    /// The rooms of protocols that the server itself speaks.
    protocols: Directory,
    /// Which life of the server it is; not 0.
    epoch: u32,
    addresses: Vec<Address>,
    handles: Vec<ShardHandle>,
    counters: Vec<Counters>,
    figures: Vec<ShardFigures>,
    times: Times,
    max_sessions: usize,
    places: Option<Places>,
    /// Places of sessions on polls: what costs its client no connection.
    polling_places: Places,
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    /// The listening shard waits to be told that there is room.
    accept_paused: AtomicBool,
    /// Of those that are counted outside of the shards.
    volatile_dropped: AtomicU64,
    /// The door for whom another server has accepted, if there is to be one.
    door: Option<SyncSender<Guest>>,
}

fn epoch() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u32::from_ne_bytes(bytes).max(1))
}

impl Server {
    /// Opens the listeners and makes the shards, ready to be driven. The first shard accepts for all.
    pub fn bind(settings: Settings, binds: Vec<Bind>) -> io::Result<(Arc<Server>, Vec<Shard>)> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        if settings.shards > MAX_SHARDS {
            return Err(invalid(format!("{} shards are more than {MAX_SHARDS}", settings.shards)));
        }
        let routes = Routes::new(&settings.endpoints).map_err(invalid)?;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        let mut door = None;
        for bind in binds {
            if let Bind::Guests { backlog } = bind {
                let (sender, guests) = sync_channel(backlog);
                door = Some(sender);
                listeners.push(Listener::Guests(guests));
                continue;
            }
            for (listener, address) in transport::listen(bind)? {
                if let Some(bytes) = settings.limits.unsent_bytes {
                    listener.bound_unsent(bytes);
                }
                listeners.push(listener);
                addresses.push(address);
            }
        }
        let seeds = (0..settings.shards.max(1))
            .map(|_| crate::shard::Seed::new(settings.limits.posted_bytes))
            .collect::<io::Result<Vec<_>>>()?;
        let max_sessions = settings.max_sessions.unwrap_or_else(descriptors_to_spare);
        let half = u32::try_from((max_sessions / 2).max(1)).unwrap_or(u32::MAX);
        let server = Arc::new(Server {
            max_sessions,
            polling_places: Places::new(settings.polling_sessions_per_address.unwrap_or(half)),
            places: settings.max_sessions_per_address.map(Places::new),
            counters: seeds.iter().map(|_| Counters::default()).collect(),
            figures: seeds.iter().map(|_| ShardFigures::default()).collect(),
            times: Times::default(),
            handles: seeds.iter().map(crate::shard::Seed::handle).collect(),
            settings,
            routes,
            directory: Directory::default(),
            protocols: Directory::new(Space::Protocol),
            epoch: epoch()?,
            addresses,
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            accept_paused: AtomicBool::new(false),
            volatile_dropped: AtomicU64::new(0),
            door,
        });
        let mut shards = Vec::new();
        for (number, seed) in seeds.into_iter().enumerate() {
            shards.push(seed.grow(number as u8, server.clone(), std::mem::take(&mut listeners))?);
        }
        Ok((server, shards))
    }

    /// What the operator has set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Lets in a client that another server has accepted, and gives the end that speaks for it: a stream socket that does
    /// not block. It is accepted as one that connects to a listener would be; until then it waits.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): as many wait as may, the server takes no further
    /// connections, or was not [made](Bind::Guests) to let anyone in. Other errors: no descriptors are left.
    pub fn let_in(&self, client: Option<SocketAddr>, secure: bool) -> io::Result<OwnedFd> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let door = self.door.as_ref().ok_or_else(refused)?;
        let (ours, theirs) = UnixStream::pair()?;
        door.try_send((ours, Peer::guest(client, secure))).map_err(|_| refused())?;
        self.handles[0].post(Command::Accept);
        Ok(theirs.into())
    }

    /// Who is in which room of the hub's.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Who is in which room of this space.
    pub fn rooms(&self, space: Space) -> &Directory {
        match space {
            Space::Hub => &self.directory,
            Space::Protocol => &self.protocols,
        }
    }

    /// Takes a session that has ended out of all rooms, and gives those of the hub's.
    pub(crate) fn leave_all_rooms(&self, link: &Link) -> Vec<Arc<str>> {
        self.protocols.leave_all(link);
        self.directory.leave_all(link)
    }

    /// Numbers of broadcasts are those of this life of the server.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The way to each shard.
    pub fn handles(&self) -> &[ShardHandle] {
        &self.handles
    }

    /// Connections at this moment, handshakes included.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The most connections it takes at a time.
    pub fn max_sessions(&self) -> usize {
        self.max_sessions
    }

    /// Addresses that have connections, while those of each are counted (`max_sessions_per_address`).
    pub fn addresses_connected(&self) -> usize {
        self.places.as_ref().map_or(0, Places::len)
    }

    /// The counts of all shards together.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.counters.iter().for_each(|counters| sum.add(&counters.read()));
        sum.volatile_dropped += self.volatile_dropped.load(Ordering::Relaxed);
        sum
    }

    /// Counts a message that its sender has left out because [its session](crate::Link::is_writable) takes nothing now.
    pub fn count_volatile_dropped(&self) {
        self.volatile_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// What the user's side takes; whoever calls the user's code writes it.
    pub fn times(&self) -> &Times {
        &self.times
    }

    pub(crate) fn shard_figures(&self) -> &[ShardFigures] {
        &self.figures
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(crate) fn counters(&self, shard: u8) -> &Counters {
        &self.counters[usize::from(shard)]
    }

    // ---- places for connections

    pub(crate) fn places(&self) -> Option<&Places> {
        self.places.as_ref()
    }

    pub(crate) fn polling_places(&self) -> &Places {
        &self.polling_places
    }

    pub(crate) fn room_for_connection(&self) -> Result<(), Full> {
        if self.connections.load(Ordering::SeqCst) >= self.max_sessions {
            Err(Full::Sessions)
        } else if self.handshakes.load(Ordering::SeqCst) >= self.settings.max_handshakes {
            Err(Full::Handshakes)
        } else {
            Ok(())
        }
    }

    pub(crate) fn connection_begins(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.handshakes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn handshake_ends(&self) {
        self.handshakes.fetch_sub(1, Ordering::SeqCst);
        self.resume_accepting();
    }

    pub(crate) fn connection_ends(&self) {
        self.connections.fetch_sub(1, Ordering::SeqCst);
        self.resume_accepting();
    }

    pub(crate) fn pause_accepting(&self) {
        self.accept_paused.store(true, Ordering::SeqCst);
    }

    fn resume_accepting(&self) {
        if self.accept_paused.load(Ordering::SeqCst) && self.accept_paused.swap(false, Ordering::SeqCst) {
            self.handles[0].post(Command::Accept);
        }
    }
}

/// Why no further connection is accepted for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    Sessions,
    Handshakes,
}

/// As many connections as the process has descriptors for, less a reserve.
fn descriptors_to_spare() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let reserve = RESERVED_DESCRIPTORS.max(limit / 20).min(limit / 2);
    (limit - reserve).max(1)
}

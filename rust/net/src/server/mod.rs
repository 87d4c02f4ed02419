//! A server: what its shards share.
//!
//! | file | what is in it |
//! |---|---|
//! | `bind.rs` | opens the listeners and makes the shards |
//! | `metrics.rs` | gathers its figures, and answers requests for them |

mod bind;
mod metrics;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;

use mio::net::UnixStream;

use crate::address_limit::AddressLimit;
use crate::command::{Command, ShardHandle};
use crate::config::routes::Routes;
use crate::config::settings::Settings;
use crate::io::listener::{Address, EmbeddedClient};
use crate::io::peer::Peer;
use crate::metrics::counters::{Counters, Counts};
use crate::metrics::{ShardFigures, Times};
use crate::pubsub::directory::Directory;
use crate::pubsub::space::Space;
use crate::session::link::Link;

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
    address_limit: Option<AddressLimit>,
    /// AddressLimit of sessions on polls: what costs its client no connection.
    polling_address_limit: AddressLimit,
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    /// The listening shard waits to be told that there is room.
    accept_paused: AtomicBool,
    /// Of those that are counted outside of the shards.
    volatile_dropped: AtomicU64,
    /// The way in for clients that another server has accepted, if there are to be any.
    embedded: Option<SyncSender<EmbeddedClient>>,
}

impl Server {
    /// What the operator has set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Takes in a client that another server has accepted, and gives the end that speaks for it: a stream socket that does
    /// not block. It is accepted as one that connects to a listener would be; until then it waits.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): as many wait as may, the server takes no further
    /// connections, or was not [made](Bind::Embedded) to take anyone in. Other errors: no descriptors are left.
    pub fn connect_embedded(&self, client: Option<SocketAddr>, secure: bool) -> io::Result<OwnedFd> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let embedded = self.embedded.as_ref().ok_or_else(refused)?;
        let (ours, theirs) = UnixStream::pair()?;
        embedded.try_send((ours, Peer::embedded(client, secure))).map_err(|_| refused())?;
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
        self.address_limit.as_ref().map_or(0, AddressLimit::len)
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

    pub(crate) fn address_limit(&self) -> Option<&AddressLimit> {
        self.address_limit.as_ref()
    }

    pub(crate) fn polling_address_limit(&self) -> &AddressLimit {
        &self.polling_address_limit
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

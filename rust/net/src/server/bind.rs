//! Makes a server: its listeners, its shards, and what they share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::sync_channel;

use super::Server;
use crate::address_limit::AddressLimit;
use crate::config::routes::Routes;
use crate::config::settings::{Bind, Settings};
use crate::io::listener::{self, Listener};
use crate::metrics::counters::Counters;
use crate::metrics::{ShardFigures, Times};
use crate::pubsub::directory::Directory;
use crate::pubsub::space::Space;
use crate::reactor::{Shard, ShardBuilder};

/// As many as a session's id has room for.
const MAX_SHARDS: usize = 1 << 8;
/// Descriptors that are left for the rest of the process when the operator set no bound.
const RESERVED_DESCRIPTORS: usize = 64;

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
        let mut embedded = None;
        for bind in binds {
            if let Bind::Embedded { backlog } = bind {
                let (sender, clients) = sync_channel(backlog);
                embedded = Some(sender);
                listeners.push(Listener::Embedded(clients));
                continue;
            }
            for (listener, address) in listener::listen(bind)? {
                if let Some(bytes) = settings.limits.unsent_bytes {
                    listener.bound_unsent(bytes);
                }
                listeners.push(listener);
                addresses.push(address);
            }
        }
        let seeds = (0..settings.shards.max(1))
            .map(|_| ShardBuilder::new(settings.limits.posted_bytes))
            .collect::<io::Result<Vec<_>>>()?;
        let max_sessions = settings.max_sessions.unwrap_or_else(descriptors_to_spare);
        let half = u32::try_from((max_sessions / 2).max(1)).unwrap_or(u32::MAX);
        let server = Arc::new(Server {
            max_sessions,
            polling_address_limit: AddressLimit::new(settings.polling_sessions_per_address.unwrap_or(half)),
            address_limit: settings.max_sessions_per_address.map(AddressLimit::new),
            counters: seeds.iter().map(|_| Counters::default()).collect(),
            figures: seeds.iter().map(|_| ShardFigures::default()).collect(),
            times: Times::default(),
            handles: seeds.iter().map(ShardBuilder::handle).collect(),
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
            embedded,
        });
        let mut shards = Vec::new();
        for (number, seed) in seeds.into_iter().enumerate() {
            shards.push(seed.build(number as u8, server.clone(), std::mem::take(&mut listeners))?);
        }
        Ok((server, shards))
    }
}

fn epoch() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u32::from_ne_bytes(bytes).max(1))
}

/// As many connections as the process has descriptors for, less a reserve.
fn descriptors_to_spare() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let reserve = RESERVED_DESCRIPTORS.max(limit / 20).min(limit / 2);
    (limit - reserve).max(1)
}

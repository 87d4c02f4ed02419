//! The network side of hubbub: shards, sessions, rooms and fan-out. It knows nothing of Python.
//!
//! | module | what it knows |
//! |---|---|
//! | [`server`](Server) | opens the listeners, makes the shards, holds what they share |
//! | [`reactor`](Shard) | one shard: a poll, its sockets, their timers, its part of every room; the only caller of the handler |
//! | `effect` | what a shard's parts have to tell the handler |
//! | `session` | sessions and connections: their state, what carries them, what outlives their connections, compression |
//! | `http` | one request and the response to it; folders whose files are served |
//! | `pubsub` | who is in which room, one message for many, what rooms remember |
//! | [`metrics`](Figures) | what the server knows about itself, and its text for Prometheus |
//! | `config` | settings, limits, endpoints and their routes |
//! | [`command`](Command), [`handler`](Handler) | what others ask of a shard, what a shard tells its user |
//! | `io` | sockets, TLS on them, what waits to be written, and who is at the other end |
//! | `address_limit`, [`rate`](Rate), `timers`, [`id`](SessionId) | connections from one address, so many things in a second, deadlines, names of sessions |
//!
//! A shard is driven either by a thread of its own ([`Shard::run`]) or, a turn at a time, by somebody's
//! event loop that watches its descriptor ([`Shard::turn`] and [`Shard::flush`]).

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing"))]

mod address_limit;
mod command;
mod config;
mod context;
mod effect;
mod handler;
mod http;
mod id;
mod io;
mod log_limit;
mod metrics;
mod pubsub;
mod rate;
mod reactor;
mod server;
mod session;
mod timers;
mod tls_handshakes;

pub use command::{Answer, Command, CommandBatch, Moved, Parcel, ShardHandle, Verdict};
pub use config::settings::{
    Bind, Cors, Endpoint, EngineIo, Limits, Open, Policy, Proxies, RatePolicy, Service, Settings, Transports,
};
pub use handler::{Closed, Handler, Notice, Request, Traffic};
pub use http::exchange::{Piece, Reply};
pub use http::files::Folder;
pub use hubbub_proto as proto;
pub use id::SessionId;
pub use io::listener::Address;
pub use io::peer::Trust;
pub use io::socket::Socket;
pub use io::stream::Stream;
pub use io::tls::{CertificateFiles, ClientCertificates, Password, Tls, TlsError, TlsFiles, TlsStream};
pub use metrics::counters::Counts;
pub use metrics::{BOUNDS, Exposition, Figures, Histogram, Lag, Reason, Slowest, Times, Transport};
pub use pubsub::broadcast::{Broadcast, Delivery, Target};
pub use pubsub::directory::{Directory, Joined, Position};
pub use pubsub::position::Stamp;
pub use pubsub::space::Space;
pub use rate::Rate;
pub use reactor::{Shard, Turn};
pub use server::Server;
pub use session::carrier::Carrier;
pub use session::compression::{Compression, CompressionMode, Form};
pub use session::link::Link;

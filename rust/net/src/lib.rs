//! The network side of hubbub: shards, sessions, rooms and fan-out. It knows nothing of Python.
//!
//! | module | what it knows |
//! |---|---|
//! | [`server`](Server) | opens the listeners, makes the shards, holds what they share |
//! | [`shard`](Shard) | one reactor: a poll, its sockets, their timers, its part of every room |
//! | `session` | one connection, and the table of them |
//! | `outbox` | what waits to be written to one socket |
//! | `rooms`, [`directory`](Directory) | who is in which room: on one shard, and for everyone |
//! | [`broadcast`](Broadcast) | one message for many |
//! | [`carrier`](Carrier) | what carries a session, and how a message is written for it |
//! | `lasting` | what a session has that outlives its connections |
//! | `history` | what was last said in rooms that remember |
//! | [`compression`](Compression) | permessage-deflate: who compresses how, and the streams that do it |
//! | [`exchange`](Reply) | one HTTP request and the response to it |
//! | `request_line` | what the access log says of a request |
//! | [`command`](Command) | what others ask of a shard |
//! | [`link`](Link) | the few numbers that both sides of a session share |
//! | [`handler`](Handler) | what a shard tells its user |
//! | [`peer`](Trust) | who is at the other end, and what trusted proxies say of it |
//! | `places`, [`rate`](Rate) | connections from one address, and so many things in a second |
//! | [`figures`](Figures) | what the server knows about itself, and its text for Prometheus |
//! | [`files`](Folder) | folders whose files are served |
//! | [`tls`](Tls) | certificates and keys, and TLS between a socket and its session |
//! | `routes`, `timers`, `date`, `transport`, [`counters`](Counts), [`settings`](Settings), [`id`](SessionId) | what they are made of |
//!
//! A shard is driven either by a thread of its own ([`Shard::run`]) or, a turn at a time, by somebody's
//! event loop that watches its descriptor ([`Shard::turn`] and [`Shard::flush`]).

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing"))]

mod broadcast;
mod carrier;
mod command;
mod compression;
mod counters;
mod date;
mod directory;
mod exchange;
mod figures;
mod files;
mod handler;
mod history;
mod id;
mod lasting;
mod link;
mod outbox;
mod peer;
mod places;
mod rate;
mod request_line;
mod rooms;
mod routes;
mod server;
mod session;
mod settings;
mod shard;
mod timers;
mod tls;
mod transport;

pub use broadcast::{Broadcast, Delivery, Target};
pub use carrier::Carrier;
pub use command::{Answer, Command, CommandBatch, Moved, Parcel, ShardHandle, Verdict};
pub use compression::{Compression, CompressionMode, Form};
pub use counters::Counts;
pub use directory::{Directory, Joined, Position, Space};
pub use exchange::{Piece, Reply};
pub use figures::{BOUNDS, Exposition, Figures, Histogram, Lag, Reason, Slowest, Times, Transport};
pub use files::Folder;
pub use handler::{Closed, Handler, Notice, Request, Traffic};
pub use history::Stamp;
pub use hubbub_proto as proto;
pub use id::SessionId;
pub use link::Link;
pub use peer::Trust;
pub use rate::Rate;
pub use server::Server;
pub use settings::{
    Bind, Cors, Endpoint, EngineIo, Limits, Open, Policy, Proxies, RatePolicy, Service, Settings, Transports,
};
pub use shard::{Shard, Turn};
pub use tls::{CertificateFiles, ClientCertificates, Password, Tls, TlsError, TlsFiles, TlsStream};
pub use transport::{Address, Stream};

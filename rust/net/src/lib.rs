//! The network side of hubbub: shards, sessions, rooms and fan-out. It knows nothing of Python.
//!
//! | module | what it knows |
//! |---|---|
//! | [`server`](Server) | opens the listeners, makes the shards, holds what they share |
//! | [`shard`](Shard) | one reactor: a poll, its sockets, their timers, its part of every room |
//! | `session` | one connection, and the table of them |
//! | `rooms`, [`directory`](Directory), [`space`](Space) | who is in which room: on one shard, and for everyone |
//! | [`broadcast`](Broadcast) | one message for many |
//! | [`carrier`](Carrier) | what carries a session, and how a message is written for it |
//! | `lasting` | what a session has that outlives its connections |
//! | `history`, [`position`](Stamp) | what was last said in rooms that remember, and where |
//! | [`compression`](Compression) | permessage-deflate: who compresses how, and the streams that do it |
//! | [`exchange`](Reply) | one HTTP request and the response to it |
//! | `request_line` | what the access log says of a request |
//! | [`command`](Command) | what others ask of a shard |
//! | [`link`](Link) | the few numbers that both sides of a session share |
//! | [`handler`](Handler) | what a shard tells its user |
//! | `places`, [`rate`](Rate) | connections from one address, and so many things in a second |
//! | [`figures`](Figures) | what the server knows about itself, and its text for Prometheus |
//! | [`files`](Folder) | folders whose files are served |
//! | `io` | sockets, TLS on them, what waits to be written, and who is at the other end |
//! | `routes`, `timers`, `date`, [`counters`](Counts), [`settings`](Settings), [`id`](SessionId) | what they are made of |
//!
//! A shard is driven either by a thread of its own ([`Shard::run`]) or, a turn at a time, by somebody's
//! event loop that watches its descriptor ([`Shard::turn`] and [`Shard::flush`]).

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing"))]

mod broadcast;
mod carrier;
mod command;
mod compression;
mod connection;
mod counters;
mod date;
mod directory;
mod effect;
mod exchange;
mod figures;
mod files;
mod handler;
mod history;
mod id;
mod io;
mod lasting;
mod link;
mod places;
mod position;
mod rate;
mod request_line;
mod rooms;
mod routes;
mod server;
mod session;
mod settings;
mod shard;
mod space;
mod timers;

pub use broadcast::{Broadcast, Delivery, Target};
pub use carrier::Carrier;
pub use command::{Answer, Command, CommandBatch, Moved, Parcel, ShardHandle, Verdict};
pub use compression::{Compression, CompressionMode, Form};
pub use counters::Counts;
pub use directory::{Directory, Joined, Position};
pub use exchange::{Piece, Reply};
pub use figures::{BOUNDS, Exposition, Figures, Histogram, Lag, Reason, Slowest, Times, Transport};
pub use files::Folder;
pub use handler::{Closed, Handler, Notice, Request, Traffic};
pub use hubbub_proto as proto;
pub use id::SessionId;
pub use io::listener::Address;
pub use io::peer::Trust;
pub use io::socket::Socket;
pub use io::stream::Stream;
pub use io::tls::{CertificateFiles, ClientCertificates, Password, Tls, TlsError, TlsFiles, TlsStream};
pub use link::Link;
pub use position::Stamp;
pub use rate::Rate;
pub use server::Server;
pub use settings::{
    Bind, Cors, Endpoint, EngineIo, Limits, Open, Policy, Proxies, RatePolicy, Service, Settings, Transports,
};
pub use shard::{Shard, Turn};
pub use space::Space;

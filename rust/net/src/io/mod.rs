//! Between the kernel and a session: sockets, TLS on them, and what waits to be written.
//!
//! | file | what is in it |
//! |---|---|
//! | `listener.rs` | opens listening sockets, and accepts |
//! | `socket.rs` | a connected TCP or unix socket |
//! | `tls/` | certificates and keys, and TLS on a socket |
//! | `stream.rs` | what a session reads and writes: a socket, TLS on one, or nothing just now |
//! | `outbox.rs` | what waits to be written to one stream |
//! | `peer.rs` | who is at the other end, and what trusted proxies say of it |

pub(crate) mod listener;
pub(crate) mod outbox;
pub(crate) mod peer;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;

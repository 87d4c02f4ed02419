//! Everything is one program: it is linked once, and the support is compiled once.

mod bodies;
mod body;
mod client;
mod content;
mod deflate;
mod engineio;
mod event_stream;
mod forwarded;
mod framing;
mod handshake;
mod head;
mod mask;
mod msgpack;
mod properties;
mod proxy;
mod replay;
mod response;
mod session;
mod socketio;
mod transcripts;
mod utf8;
mod values;
mod world;

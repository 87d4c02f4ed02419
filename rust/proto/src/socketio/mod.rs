//! Socket.IO v5: packets in namespaces, with acknowledgements and bytes, as messages of Engine.IO.
//!
//! ```text
//! packet = type [ attachments "-" ] [ namespace "," ] [ ack ] [ JSON ]
//! ```
//!
//! JSON is checked here, and handed on as text or as what a [`Build`](json::Build) makes of it. What it is checked for is
//! in [`json`].
//!
//! | module | what it knows |
//! |---|---|
//! | [`assembler`] | text and binary messages to whole packets |
//! | [`packet`] | one packet, parsed and encoded |
//! | [`json`] | its JSON: checked, cut into arguments, searched for attachments |
//! | [`msgpack`] | packets of the other parser: MessagePack instead of text and attachments |
//!
//! ```
//! use hubbub_proto::socketio::{Header, Kind, Limits, Name, Packet, packet};
//!
//! let packet = Packet::parse(r#"2/chat,17["say","hello",{"to":"all"}]"#, &Limits::default())?;
//! assert_eq!((packet.kind(), packet.namespace(), packet.ack()), (Kind::Event, "/chat", Some(17)));
//! assert_eq!(packet.name(), Some(Name::Text("say".into())));
//! assert_eq!(packet.arguments().collect::<Vec<_>>(), [r#""hello""#, r#"{"to":"all"}"#]);
//!
//! let mut answer = Vec::new();
//! let header = Header { kind: Kind::Ack, attachments: 0, namespace: packet.namespace(), ack: packet.ack() };
//! packet::encode(&mut answer, &header, "[true]");
//! assert_eq!(answer, br#"3/chat,17[true]"#);
//! # Ok::<(), hubbub_proto::socketio::PacketError>(())
//! ```

pub mod assembler;
mod error;
pub mod json;
pub mod msgpack;
pub mod packet;

pub use assembler::{Assembled, Assembler, Progress};
pub use error::PacketError;
pub use json::Placeholder;
pub use packet::{Header, Kind, Name, Packet};

/// What one packet may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most attachments; 10 by default, as in the reference.
    pub max_attachments: u32,
    /// The most bytes that a packet and its attachments may have together; 1 MiB by default. One frame alone is held to
    /// the limit of the transport.
    pub max_packet_bytes: usize,
    /// The most arguments of an event or acknowledgement; 256 by default.
    pub max_arguments: usize,
    /// How many arrays and objects may be nested, the outermost counted; [`json::DEFAULT_DEPTH`] by default, at most
    /// [`json::MAX_DEPTH`].
    pub max_depth: u32,
    /// The longest namespace in bytes, with its query; 4,096 by default.
    pub max_namespace_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_attachments: 10,
            max_packet_bytes: 1 << 20,
            max_arguments: 256,
            max_depth: json::DEFAULT_DEPTH,
            max_namespace_bytes: 4096,
        }
    }
}

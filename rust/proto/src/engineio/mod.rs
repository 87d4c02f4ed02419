//! Engine.IO v4: one session over HTTP long-polling or a WebSocket, and the way from the first to the second.
//!
//! | module | what it knows |
//! |---|---|
//! | [`packet`] | one packet: a digit and text, or bytes |
//! | [`payload`] | packets joined into the body of a polling request or response |
//! | [`query`] | what a request to the endpoint asks for |
//! | [`error_code`] | the six ways to refuse it |
//! | [`sid`] | the id of a session |
//! | [`open`] | the first packet, which tells the client its session |
//! | [`upgrade`] | what each packet means while a session is on polling, is being upgraded, or is on a WebSocket |
//!
//! ```
//! use hubbub_proto::engineio::{Packet, PacketType, payload};
//!
//! let mut body = Vec::new();
//! payload::append(&mut body, &Packet::text(PacketType::Message, "hello"))?;
//! payload::append(&mut body, &Packet::Binary((&[1, 2, 3, 4]).into()))?;
//! assert_eq!(body, b"4hello\x1ebAQIDBA==");
//!
//! let packets = payload::decode(&body, &payload::Limits::default())?;
//! assert_eq!(packets.collect::<Result<Vec<_>, _>>()?.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod error_code;
pub mod open;
pub mod packet;
pub mod payload;
pub mod query;
pub mod sid;
pub mod upgrade;

pub use error_code::ErrorCode;
pub use packet::{Packet, PacketError, PacketType};
pub use query::{Query, Request, Transport, admit};
pub use sid::Sid;
pub use upgrade::{Action, Input, Stage};

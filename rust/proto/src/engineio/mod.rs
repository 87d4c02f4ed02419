//! Engine.IO v4: one session over HTTP long-polling or a WebSocket, and the way from the first to the second.
//!
//! | module | what it knows |
//! |---|---|
//! | [`packet`] | one packet: a digit and text, or bytes |
//! | [`payload`] | what separates packets in the body of a polling request or response, and why a body is not taken |
//! | [`query`] | what a request to the endpoint asks for |
//! | [`error_code`] | the six ways to refuse it |
//! | [`sid`] | the id of a session |
//! | [`open`] | the first packet, which tells the client its session |

pub mod error_code;
pub mod open;
pub mod packet;
pub mod payload;
pub mod query;
pub mod sid;

pub use error_code::ErrorCode;
pub use packet::{Packet, PacketError, PacketType};
pub use query::{Query, Request, Transport, admit};
pub use sid::{Secret, Sid};

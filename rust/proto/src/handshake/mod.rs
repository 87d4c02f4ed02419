//! The opening handshake (RFC 6455 §4), both halves: [`server`] reads a request and writes the 101, [`client`] the
//! other way round.

pub mod client;
pub mod deflate;
pub mod extensions;
pub mod server;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use server::{Refusal, Upgrade, is_upgrade, parse, write_response};

/// The value of Sec-WebSocket-Accept that answers this key (RFC 6455 §4.2.2): 28 bytes.
///
/// ```
/// let answer = hubbub_proto::handshake::accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // RFC 6455 §1.3
/// ```
pub fn accept_key(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.digest().bytes())
}

/// Whether `key` is 16 bytes in base64, as Sec-WebSocket-Key must be.
fn is_key(key: &str) -> bool {
    let mut nonce = [0; 18];
    STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

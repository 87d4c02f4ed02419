//! The id of a session. Whoever has it can speak for the session, so it is a secret and no debug output shows it.

use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The random part of this server's ids.
pub type Secret = [u8; 16];

/// The id of a session: 16 to 32 characters of base64url, held in place.
///
/// 16 characters have room for 96 random bits. Where they come from is for the caller to see to: this module makes none.
#[derive(Clone, Copy)]
pub struct Sid {
    /// INVARIANT: the first `len` bytes are characters of base64url, the others 0.
    bytes: [u8; Sid::MAX_LEN],
    len: u8,
}

impl Sid {
    /// The fewest characters.
    pub const MIN_LEN: usize = 16;
    /// The most characters.
    pub const MAX_LEN: usize = 32;

    /// This text as an id; `None` if its length is wrong or a character is not in base64url's alphabet.
    pub fn new(text: &str) -> Option<Sid> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(Sid::MIN_LEN..=Sid::MAX_LEN).contains(&text.len()) || !text.bytes().all(is_base64url) {
            return None;
        }
        let mut bytes = [0; Sid::MAX_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Sid { bytes, len: text.len() as u8 })
    }

    /// The id of the session with this number, as this server makes them.
    pub fn of(number: u64, secret: &Secret) -> Sid {
        let mut raw = [0; 24];
        raw[..8].copy_from_slice(&number.to_be_bytes());
        raw[8..].copy_from_slice(secret);
        let mut bytes = [0; Sid::MAX_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut bytes);
        debug_assert_eq!(written, Ok(Sid::MAX_LEN));
        Sid { bytes, len: Sid::MAX_LEN as u8 }
    }

    /// The number and the secret; `None` if this server makes no such id.
    pub fn read(&self) -> Option<(u64, Secret)> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(self.as_str()).ok()?.try_into().ok()?;
        let (number, secret) = bytes.split_at(8);
        Some((u64::from_be_bytes(number.try_into().ok()?), secret.try_into().ok()?))
    }

    /// The text, which is the secret.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl PartialEq for Sid {
    fn eq(&self, other: &Sid) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Sid {}

impl Hash for Sid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Sid(..)")
    }
}

//! The negotiation of permessage-deflate (RFC 7692 §7.1), both halves.
//!
//! ```
//! use hubbub_proto::handshake::deflate::{Offer, Wishes, choose};
//!
//! let offer = Offer { client_max_window_bits: Some(None), ..Offer::default() };
//! assert_eq!(offer.to_string(), "permessage-deflate; client_max_window_bits");
//!
//! let wishes = Wishes { takeover: false, server_max_window_bits: 15, client_max_window_bits: 12 };
//! let chosen = choose([offer.to_string().as_bytes()], &wishes).expect("a good offer");
//! assert_eq!(offer.check([chosen.answer.as_bytes()]), Ok(Some(chosen.params)));
//! ```

use std::fmt;

use super::extensions::{self, Extension};
use crate::deflate::{MAX_WINDOW_BITS, MIN_DEFLATE_BITS, MIN_WINDOW_BITS, NAME, Params};

/// What a server would like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wishes {
    /// Both sides may refer back to earlier messages.
    pub takeover: bool,
    /// The largest window that the server deflates with, as a power of two: 9 to 15.
    pub server_max_window_bits: u8,
    /// The largest window that clients shall deflate with, if they let themselves be told: 8 to 15.
    pub client_max_window_bits: u8,
}

/// What a server has chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// What holds from now on.
    pub params: Params,
    /// The value of Sec-WebSocket-Extensions that says so.
    pub answer: String,
}

/// Chooses the first offer that can be accepted, in the client's order; `values` are those of Sec-WebSocket-Extensions.
///
/// An offer with an unknown, repeated or malformed parameter is declined (RFC 7692 §7.1), and so is one that the library
/// cannot keep. Other extensions are passed over.
pub fn choose<'b>(values: impl IntoIterator<Item = &'b [u8]>, wishes: &Wishes) -> Option<Chosen> {
    let offers = values.into_iter().filter_map(|value| extensions::parse(value).ok()).flatten();
    offers.filter(|offer| offer.name == NAME).find_map(|offer| accept(&Named::read(&offer)?, wishes))
}

fn accept(offer: &Named, wishes: &Wishes) -> Option<Chosen> {
    // RFC 7692 §7.1.2.1: in an offer, server_max_window_bits has a value,
    let server_asked = match offer.server_max_window_bits {
        Some(bits) => bits?,
        None => MAX_WINDOW_BITS,
    };
    let server_bits = server_asked.min(wishes.server_max_window_bits);
    // and a server that cannot keep to it declines.
    if server_bits < MIN_DEFLATE_BITS {
        return None;
    }
    // RFC 7692 §7.1.2.2: client_max_window_bits may stand in the answer only if it stood in the offer; its value there,
    // if it has one, is what the client will keep to anyway.
    let client_bits = match offer.client_max_window_bits {
        Some(bits) => bits.unwrap_or(MAX_WINDOW_BITS).min(wishes.client_max_window_bits),
        None => MAX_WINDOW_BITS,
    };
    let params = Params {
        // RFC 7692 §7.1.1: an answer MUST repeat what the client demands of the server, and may add both.
        server_no_context_takeover: offer.server_no_context_takeover || !wishes.takeover,
        client_no_context_takeover: offer.client_no_context_takeover || !wishes.takeover,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    };
    let answer = Named {
        server_no_context_takeover: params.server_no_context_takeover,
        client_no_context_takeover: params.client_no_context_takeover,
        server_max_window_bits: (offer.server_max_window_bits.is_some() || server_bits < MAX_WINDOW_BITS)
            .then_some(Some(server_bits)),
        client_max_window_bits: (client_bits < MAX_WINDOW_BITS).then_some(Some(client_bits)),
    };
    Some(Chosen { params, answer: answer.to_string() })
}

/// What a client offers; [`fmt::Display`] gives the value of Sec-WebSocket-Extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offer {
    /// The server shall not refer to its earlier messages.
    pub server_no_context_takeover: bool,
    /// The client will not refer to its earlier messages.
    pub client_no_context_takeover: bool,
    /// The largest window that the server may use, as a power of two: 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// The server may name a window for the client; with a value, the client will not use a larger one.
    pub client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// Checks the server's answer, the values of its Sec-WebSocket-Extensions. `None`: it has declined.
    ///
    /// # Errors
    /// The answer names something that was not offered: the client MUST fail the connection (RFC 7692 §7.1).
    pub fn check<'b>(&self, values: impl IntoIterator<Item = &'b [u8]>) -> Result<Option<Params>, Unfit> {
        let mut agreed = None;
        for value in values {
            for extension in extensions::parse(value).map_err(|_| Unfit)? {
                // Nothing else was offered, and this once.
                if extension.name != NAME || agreed.is_some() {
                    return Err(Unfit);
                }
                agreed = Some(Named::read(&extension).and_then(|answer| self.fit(&answer)).ok_or(Unfit)?);
            }
        }
        Ok(agreed)
    }

    fn fit(&self, answer: &Named) -> Option<Params> {
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return None;
        }
        let server_bits = match (self.server_max_window_bits, answer.server_max_window_bits) {
            (Some(most), Some(Some(bits))) if bits <= most => bits,
            (None, Some(Some(bits))) => bits,
            (None, None) => MAX_WINDOW_BITS,
            _ => return None,
        };
        let client_bits = match (self.client_max_window_bits, answer.client_max_window_bits) {
            (offered, None) => offered.flatten().unwrap_or(MAX_WINDOW_BITS),
            (Some(most), Some(Some(bits))) if bits <= most.unwrap_or(MAX_WINDOW_BITS) => bits,
            _ => return None,
        };
        // The library cannot deflate with less, and the server waits for less.
        (client_bits >= MIN_DEFLATE_BITS).then_some(Params {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: answer.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        })
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Named {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.map(Some),
            client_max_window_bits: self.client_max_window_bits,
        }
        .fmt(out)
    }
}

/// A server's answer that does not fit the offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unfit;

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the server's answer to the offered extension does not fit the offer")
    }
}

impl std::error::Error for Unfit {}

/// The four parameters as they stand in a field; a window is named with a value or without.
#[derive(Default)]
struct Named {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Option<u8>>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Named {
    /// `None` for a parameter that is unknown, stands twice, or has a value that it must not have.
    fn read(extension: &Extension<'_>) -> Option<Named> {
        let mut named = Named::default();
        for &(name, value) in &extension.params {
            let fresh = match name {
                "server_no_context_takeover" => set_flag(&mut named.server_no_context_takeover, value),
                "client_no_context_takeover" => set_flag(&mut named.client_no_context_takeover, value),
                "server_max_window_bits" => set_bits(&mut named.server_max_window_bits, value),
                "client_max_window_bits" => set_bits(&mut named.client_max_window_bits, value),
                _ => None,
            };
            fresh?;
        }
        Some(named)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(NAME)?;
        if self.server_no_context_takeover {
            out.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            out.write_str("; client_no_context_takeover")?;
        }
        for (name, bits) in [
            ("server_max_window_bits", self.server_max_window_bits),
            ("client_max_window_bits", self.client_max_window_bits),
        ] {
            match bits {
                Some(Some(bits)) => write!(out, "; {name}={bits}")?,
                Some(None) => write!(out, "; {name}")?,
                None => {}
            }
        }
        Ok(())
    }
}

/// A parameter without a value, for the first time.
fn set_flag(flag: &mut bool, value: Option<&str>) -> Option<()> {
    (value.is_none() && !std::mem::replace(flag, true)).then_some(())
}

/// A window, for the first time. RFC 7692 §7.1.2: a decimal integer from 8 to 15 without leading zeros.
fn set_bits(place: &mut Option<Option<u8>>, value: Option<&str>) -> Option<()> {
    let bits = match value {
        None => None,
        Some(text) if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        Some(text) => Some(text.parse().ok().filter(|bits| (MIN_WINDOW_BITS..=MAX_WINDOW_BITS).contains(bits))?),
    };
    place.replace(bits).is_none().then_some(())
}

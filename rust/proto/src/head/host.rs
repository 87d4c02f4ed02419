//! The Host field: exactly one, and nothing but a host with an optional port (RFC 9112 §3.2).

use std::net::Ipv6Addr;

use super::{Fields, HeadError};

/// The host that the client wants; `authority` is that of an absolute target.
pub(super) fn host<'b>(
    fields: &Fields<'b>,
    version: u8,
    authority: Option<&'b str>,
) -> Result<Option<&'b str>, HeadError> {
    // RFC 9112 §3.2: a request of HTTP/1.1 without Host, and any request with two or with an invalid one, MUST be
    // answered with 400.
    let host = match fields.one("host").map_err(|_| HeadError::HostRepeated)? {
        Some(value) if is_authority(value) => std::str::from_utf8(value).ok(),
        Some(_) => return Err(HeadError::Host),
        None if version == 0 => None,
        None => return Err(HeadError::HostMissing),
    };
    // RFC 9112 §3.2.2: with an absolute target, the Host field MUST be ignored and the target's host used.
    Ok(authority.or(host))
}

/// Whether `text` is `uri-host [":" port]` with a host that is not empty (RFC 3986 §3.2.2); never userinfo.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    if let Some(literal) = text.strip_prefix('[') {
        let Some((address, rest)) = literal.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((host, port)) => is_name(host) && is_port(port),
        None => is_name(text),
    }
}

/// A port may be empty (RFC 3986 §3.2.3), but not more than a port can be.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

/// A registered name or an IPv4 address.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'%' => {
                let mut digit = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                digit() && digit()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !valid {
            return false;
        }
    }
    !text.is_empty()
}

//! The PROXY protocol, versions 1 and 2: what a proxy says about the client before the connection's own bytes.
//!
//! ```
//! use hubbub_proto::proxy::{Announced, parse};
//!
//! let bytes = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\nGET / HTTP/1.1\r\n";
//! assert_eq!(parse(bytes)?, Some((44, Announced::Client("192.0.2.1:4711".parse().unwrap()))));
//! assert_eq!(parse(&bytes[..43])?, None);
//! # Ok::<(), hubbub_proto::proxy::ProxyError>(())
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A header of version 1, its line's end included (specification, §2.1: the worst case).
const V1_BYTES: usize = 107;
const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const V2_HEADER_BYTES: usize = 16;

/// No header is longer: what version 2 may carry beside the addresses (TLVs) is bounded.
pub const MAX_BYTES: usize = 4096;

/// Whom a header speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announced {
    /// Nobody: the proxy connects for itself (a health check), or knows no address. The connection's own end counts.
    Nobody,
    /// The client, at this address.
    Client(SocketAddr),
}

/// What is wrong with a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ProxyError {
    /// The bytes are not the beginning of a header.
    Missing,
    /// It is longer than it may be.
    TooLong,
    /// Version 1: the line is not what it should be.
    Line,
    /// Version 2: a version or a command that does not exist.
    Command,
    /// Version 2: a family or a protocol that does not exist, or that no TCP connection has.
    Family,
    /// Version 2: the addresses do not fit into the length that it says.
    Length,
}

/// Reads the header at the front of `bytes`: its length, and whom it speaks of. `None`: its end has not come yet.
///
/// # Errors
/// It is no header, whatever may still come. Nothing that follows can be believed: the connection must be dropped.
pub fn parse(bytes: &[u8]) -> Result<Option<(usize, Announced)>, ProxyError> {
    let starts = |prefix: &[u8]| bytes.iter().zip(prefix).all(|(byte, other)| byte == other);
    if starts(V1_PREFIX) {
        return parse_v1(bytes);
    }
    if starts(V2_SIGNATURE) {
        return parse_v2(bytes);
    }
    Err(ProxyError::Missing)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(usize, Announced)>, ProxyError> {
    let line = &bytes[..bytes.len().min(V1_BYTES)];
    let Some(end) = line.iter().position(|byte| byte.is_ascii_control()) else {
        return if line.len() < V1_BYTES { Ok(None) } else { Err(ProxyError::TooLong) };
    };
    match line[end..] {
        [b'\r'] if line.len() < V1_BYTES => return Ok(None),
        [b'\r', b'\n', ..] => {}
        _ => return Err(ProxyError::Line),
    }
    let text = std::str::from_utf8(&line[V1_PREFIX.len().min(end)..end]).map_err(|_| ProxyError::Line)?;
    let announced = match text.split_once(' ') {
        // §2.1: what follows UNKNOWN MUST be ignored.
        None if text == "UNKNOWN" => Announced::Nobody,
        Some(("UNKNOWN", _)) => Announced::Nobody,
        Some(("TCP4", rest)) => Announced::Client(source::<Ipv4Addr>(rest)?),
        Some(("TCP6", rest)) => Announced::Client(source::<Ipv6Addr>(rest)?),
        _ => return Err(ProxyError::Line),
    };
    Ok(Some((end + 2, announced)))
}

/// The source of `source destination source-port destination-port`, once all four are in order.
fn source<A: std::str::FromStr + Into<IpAddr>>(text: &str) -> Result<SocketAddr, ProxyError> {
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(ProxyError::Line);
    let address = |word: &str| word.parse::<A>().map_err(|_| ProxyError::Line);
    let (source, _destination) = (address(next()?)?, address(next()?)?);
    let (source_port, _destination_port) = (port(next()?)?, port(next()?)?);
    match words.next() {
        None => Ok(SocketAddr::new(source.into(), source_port)),
        Some(_) => Err(ProxyError::Line),
    }
}

/// §2.1: decimal digits, without leading zeroes.
fn port(word: &str) -> Result<u16, ProxyError> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if plain { word.parse().map_err(|_| ProxyError::Line) } else { Err(ProxyError::Line) }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(usize, Announced)>, ProxyError> {
    // What is wrong is said as soon as it is there.
    let local = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyError::Command),
    };
    let family = match bytes.get(13) {
        None => return Ok(None),
        // §2.2: for LOCAL, the receiver must discard whatever the rest says.
        Some(_) if local => Family::None,
        Some(0x00) => Family::None,
        Some(0x11) => Family::Inet,
        Some(0x21) => Family::Inet6,
        Some(0x31) => Family::Unix,
        Some(_) => return Err(ProxyError::Family),
    };
    let (Some(&high), Some(&low)) = (bytes.get(14), bytes.get(15)) else { return Ok(None) };
    let end = V2_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if end > MAX_BYTES {
        return Err(ProxyError::TooLong);
    }
    if end < V2_HEADER_BYTES + family.bytes() {
        return Err(ProxyError::Length);
    }
    let Some(block) = bytes.get(V2_HEADER_BYTES..end) else { return Ok(None) };
    let announced = match (family, block) {
        (Family::Inet, [a, b, c, d, _, _, _, _, high, low, ..]) => {
            client(Ipv4Addr::new(*a, *b, *c, *d), u16::from_be_bytes([*high, *low]))
        }
        (Family::Inet6, _) => match (block.first_chunk::<16>(), block.get(32..34)) {
            (Some(address), Some(&[high, low])) => client(Ipv6Addr::from(*address), u16::from_be_bytes([high, low])),
            _ => return Err(ProxyError::Length),
        },
        (Family::Inet, _) => return Err(ProxyError::Length),
        (Family::None | Family::Unix, _) => Announced::Nobody,
    };
    Ok(Some((end, announced)))
}

#[derive(Clone, Copy)]
enum Family {
    None,
    Inet,
    Inet6,
    Unix,
}

impl Family {
    /// Two addresses, and two ports.
    fn bytes(self) -> usize {
        match self {
            Family::None => 0,
            Family::Inet => 12,
            Family::Inet6 => 36,
            Family::Unix => 216,
        }
    }
}

fn client(address: impl Into<IpAddr>, port: u16) -> Announced {
    Announced::Client(SocketAddr::new(address.into(), port))
}

impl fmt::Display for ProxyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ProxyError::Missing => "no PROXY header",
            ProxyError::TooLong => "the PROXY header is too long",
            ProxyError::Line => "the PROXY line is malformed",
            ProxyError::Command => "the PROXY header has an unknown version or command",
            ProxyError::Family => "the PROXY header speaks of something else than a TCP connection",
            ProxyError::Length => "the PROXY header is shorter than its addresses",
        })
    }
}

impl std::error::Error for ProxyError {}

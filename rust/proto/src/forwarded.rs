//! Who a request comes from, as the proxies on its way tell it: `Forwarded` (RFC 7239) and the `X-Forwarded-` fields
//! that are older. Whether they are to be believed is not decided here.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::head::{Fields, is_token, list, trim};

/// One step of a request's way, as the proxy at its end has told it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Hop {
    /// Where it came from, with port 0 if none was told; `None`: not told, obfuscated, or unreadable.
    pub from: Option<SocketAddr>,
    /// It came over TLS; `None`: not told.
    pub secure: Option<bool>,
}

/// `Forwarded` is not what RFC 7239 says: where one element ends and the next begins is not certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// The addresses of X-Forwarded-For, the nearest proxy's first; `None` for each that is none.
pub fn x_forwarded_for(fields: &Fields<'_>) -> impl Iterator<Item = Option<SocketAddr>> {
    let named = fields.iter().rev().filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"));
    let elements = named.flat_map(|field| field.value.rsplit(|byte| *byte == b',').map(trim));
    elements.filter(|element| !element.is_empty()).map(node)
}

/// Whether X-Forwarded-Proto says that the client speaks TLS. Of several values the last counts, the nearest proxy's.
pub fn x_forwarded_proto(fields: &Fields<'_>) -> Option<bool> {
    fields.all("x-forwarded-proto").flat_map(list).last().and_then(secure)
}

/// The elements of Forwarded in their order: the nearest proxy's is the last.
///
/// # Errors
/// A quotation mark that is not closed, a parameter that stands twice, a pair that is none: what the client has written
/// could swallow what the proxies have.
pub fn forwarded(fields: &Fields<'_>) -> Result<Vec<Hop>, Malformed> {
    let mut hops = Vec::new();
    for value in fields.all("forwarded") {
        let mut rest = value;
        loop {
            rest = skip_space(rest);
            match rest {
                [] => break,
                [b',', more @ ..] => rest = more,
                _ => hops.push(element(&mut rest)?),
            }
        }
    }
    Ok(hops)
}

/// RFC 7239 §4: forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] ).
fn element(rest: &mut &[u8]) -> Result<Hop, Malformed> {
    let mut hop = Hop::default();
    let (mut seen_for, mut seen_proto) = (false, false);
    loop {
        *rest = skip_space(rest);
        if !matches!(rest.first(), None | Some(b';' | b',')) {
            let (name, value) = pair(rest)?;
            // §4: each parameter MUST NOT occur more than once in an element.
            if name.eq_ignore_ascii_case(b"for") {
                if std::mem::replace(&mut seen_for, true) {
                    return Err(Malformed);
                }
                hop.from = node(&value);
            } else if name.eq_ignore_ascii_case(b"proto") {
                if std::mem::replace(&mut seen_proto, true) {
                    return Err(Malformed);
                }
                hop.secure = secure(&value);
            }
            *rest = skip_space(rest);
        }
        match *rest {
            [b';', more @ ..] => *rest = more,
            [b',', ..] | [] => return Ok(hop),
            _ => return Err(Malformed),
        }
    }
}

/// RFC 7239 §4: forwarded-pair = token "=" value. A value without quotation marks may have what no token has, such as the
/// colon before a port: it ends at the next delimiter all the same.
fn pair<'b>(rest: &mut &'b [u8]) -> Result<(&'b [u8], Vec<u8>), Malformed> {
    let at = rest.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
    let name = &rest[..at];
    if !is_token(name) {
        return Err(Malformed);
    }
    *rest = &rest[at + 1..];
    let mut value = Vec::new();
    if let [b'"', quoted @ ..] = *rest {
        let mut bytes = quoted.iter().copied();
        loop {
            match bytes.next().ok_or(Malformed)? {
                b'"' => break,
                b'\\' => value.push(bytes.next().ok_or(Malformed)?),
                byte => value.push(byte),
            }
        }
        *rest = &rest[rest.len() - bytes.len()..];
    } else {
        let end = rest.iter().position(|byte| b";, \t".contains(byte)).unwrap_or(rest.len());
        let plain = &rest[..end];
        if plain.is_empty() || plain.contains(&b'"') {
            return Err(Malformed);
        }
        value.extend_from_slice(plain);
        *rest = &rest[end..];
    }
    Ok((name, value))
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `[2001:db8::1]`, and, as
/// X-Forwarded-For has it, `2001:db8::1`.
fn node(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port) = if let Ok(address) = text.parse::<IpAddr>() {
        (address, None)
    } else if let Some(literal) = text.strip_prefix('[') {
        let (address, rest) = literal.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        (address.parse::<Ipv6Addr>().ok()?.into(), port)
    } else {
        let (address, port) = text.split_once(':')?;
        (address.parse::<IpAddr>().ok()?, Some(port))
    };
    let port = match port {
        None => 0,
        // RFC 7239 §6.3: a port may be obfuscated.
        Some(port) if port.starts_with('_') => 0,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

fn secure(scheme: &[u8]) -> Option<bool> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    if is("https") || is("wss") {
        Some(true)
    } else if is("http") || is("ws") {
        Some(false)
    } else {
        None
    }
}

fn skip_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}

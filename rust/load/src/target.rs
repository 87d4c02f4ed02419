//! The server's URL, and the address behind it.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;

/// A `ws://` or `wss://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address, without brackets.
    pub host: String,
    /// 80 (or, for `wss://`, 443) if the URL has none.
    pub port: u16,
    /// Speak TLS.
    pub secure: bool,
    /// Path and query, at least `/`.
    pub resource: String,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(url: &str) -> Result<Target, Error> {
        let bad = |why| Error::BadUrl { url: url.to_owned(), why };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(bad("it contains a space or a control character"));
        }
        let (secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => (true, rest),
            Some(_) | None => return Err(bad("it must begin with ws:// or wss://")),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, resource) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (host, port) = split_authority(authority, if secure { 443 } else { 80 })
            .ok_or_else(|| bad("its host or port is not one"))?;
        let slash = if resource.starts_with('?') { "/" } else { "" };
        Ok(Target { host, port, secure, resource: format!("{slash}{resource}") })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_authority(authority: &str, default: u16) -> Option<(String, u16)> {
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return None;
    }
    let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port != 0))?;
    Some((host.to_owned(), port))
}

impl Target {
    /// The value of the `Host` field.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The first address that takes a connection; of a single address that is not tried.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, Error> {
        let unknown = |source| Error::UnknownHost { host: self.host.clone(), source };
        let addresses: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs().map_err(unknown)?.collect();
        if let [only] = addresses[..] {
            return Ok(only);
        }
        let mut failure = std::io::Error::other("the name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                Ok(_) => return Ok(address),
                Err(error) => failure = error,
            }
        }
        Err(Error::Unreachable { address: self.authority(), open: 0, source: failure })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, port, resource) in [
            ("ws://localhost:9001/chat?x=1#part", "localhost", 9001, "/chat?x=1"),
            ("WS://127.0.0.1", "127.0.0.1", 80, "/"),
            ("ws://[::1]:81", "::1", 81, "/"),
            ("ws://h?q", "h", 80, "/?q"),
            ("wss://h", "h", 443, "/"),
        ] {
            let target: Target = url.parse().expect(url);
            assert_eq!((target.host.as_str(), target.port, target.resource.as_str()), (host, port, resource));
        }
    }

    #[test]
    fn other_urls_are_refused_with_a_reason() {
        for url in ["", "http://h/", "ws://", "ws://h:0", "ws://h:x", "ws://[::1", "ws://a b", "ws://u@h/"] {
            let error = url.parse::<Target>().expect_err(url);
            assert!(error.to_string().starts_with("cannot use the URL"), "{error}");
        }
    }
}

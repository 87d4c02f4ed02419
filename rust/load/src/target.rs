//! The server's URL, and the address behind it.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;

/// A `ws://` or `wss://` URL; for Socket.IO `http://` and `https://` will do as well.
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
        Target::parse(url, &[("ws", false), ("wss", true)], "it must begin with ws:// or wss://")
    }
}

/// Where Socket.IO is if a URL has no path.
const SOCKETIO_PATH: &str = "/socket.io/";

impl Target {
    /// The URL of a Socket.IO server.
    ///
    /// # Errors
    /// It is not one that can be used.
    pub fn socketio(url: &str) -> Result<Target, Error> {
        let schemes = [("http", false), ("https", true), ("ws", false), ("wss", true)];
        let mut target = Target::parse(url, &schemes, "it must begin with http://, https://, ws:// or wss://")?;
        if let Some(query) = target.resource.strip_prefix('/').filter(|rest| rest.is_empty() || rest.starts_with('?')) {
            target.resource = format!("{SOCKETIO_PATH}{query}");
        }
        Ok(target)
    }

    /// Path and query of an Engine.IO session.
    pub(crate) fn socketio_resource(&self, transport: &str) -> String {
        let and = if self.resource.contains('?') { '&' } else { '?' };
        format!("{}{and}EIO=4&transport={transport}", self.resource)
    }

    fn parse(url: &str, schemes: &[(&str, bool)], wanted: &'static str) -> Result<Target, Error> {
        let bad = |why| Error::BadUrl { url: url.to_owned(), why };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(bad("it contains a space or a control character"));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad(wanted))?;
        let known = schemes.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
        let (_, secure) = *known.ok_or_else(|| bad(wanted))?;
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
    fn socketio_has_a_path_of_its_own_unless_there_is_one() {
        for (url, secure, resource) in [
            ("http://h", false, "/socket.io/?EIO=4&transport=polling"),
            ("https://h/", true, "/socket.io/?EIO=4&transport=polling"),
            ("ws://h/?token=a", false, "/socket.io/?token=a&EIO=4&transport=polling"),
            ("wss://h/chat/", true, "/chat/?EIO=4&transport=polling"),
        ] {
            let target = Target::socketio(url).expect(url);
            assert_eq!((target.secure, target.socketio_resource("polling").as_str()), (secure, resource));
        }
        assert!(Target::socketio("ftp://h/").is_err());
    }

    #[test]
    fn other_urls_are_refused_with_a_reason() {
        for url in ["", "http://h/", "ws://", "ws://h:0", "ws://h:x", "ws://[::1", "ws://a b", "ws://u@h/"] {
            let error = url.parse::<Target>().expect_err(url);
            assert!(error.to_string().starts_with("cannot use the URL"), "{error}");
        }
    }
}

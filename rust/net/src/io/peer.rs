//! Where a connection comes from: from whoever is at its other end, or from a client that a trusted proxy speaks for.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use hubbub_proto::forwarded;
use hubbub_proto::head::Head;
use ipnet::IpNet;

/// Some peers, by address: the proxies that are believed, who may read the figures.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    networks: Vec<IpNet>,
    unix: bool,
    everyone: bool,
}

impl Trust {
    /// Reads addresses (`127.0.0.1`), networks (`10.0.0.0/8`), `unix` for whoever connects to a unix socket, and `*` for
    /// everyone.
    ///
    /// # Errors
    /// The first name that is none of these.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Trust, String> {
        let mut trust = Trust::default();
        for name in names {
            match name {
                "*" => trust.everyone = true,
                "unix" => trust.unix = true,
                name => match name.parse().or_else(|_| name.parse::<IpAddr>().map(IpNet::from)) {
                    Ok(network) => trust.networks.push(network),
                    Err(_) => return Err(name.to_owned()),
                },
            }
        }
        Ok(trust)
    }

    /// It has nobody.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix && !self.everyone
    }

    /// Whether it has this one; `None` is the other end of a unix socket.
    pub(crate) fn has(&self, peer: Option<SocketAddr>) -> bool {
        self.everyone
            || match peer.map(|peer| peer.ip().to_canonical()) {
                Some(address) => self.networks.iter().any(|network| network.contains(&address)),
                None => self.unix,
            }
    }
}

/// The other end of a connection, in as little room as the usual one takes: the rest is boxed.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A unix socket, or somebody without an address.
    Unix,
    /// An address of IPv4.
    V4(SocketAddrV4),
    /// An address of IPv6.
    V6(Box<SocketAddrV6>),
    /// Somebody whom others speak for.
    Proxied(Box<Proxied>),
}

/// What trusted proxies have said about the client.
#[derive(Clone, Debug, Default)]
pub struct Proxied {
    /// The connection's own other end: the nearest proxy.
    end: Option<SocketAddr>,
    /// Whom the PROXY header has named.
    announced: Option<SocketAddr>,
    /// Whom the last request's fields have named.
    forwarded: Option<SocketAddr>,
    /// Whether the client speaks TLS, as these fields say.
    secure: Option<bool>,
    /// Whether the client speaks TLS, as the server says that has accepted the connection in our place.
    hosted: Option<bool>,
}

impl Peer {
    pub(crate) fn new(end: Option<SocketAddr>) -> Peer {
        match end {
            None => Peer::Unix,
            Some(SocketAddr::V4(end)) => Peer::V4(end),
            Some(SocketAddr::V6(end)) => Peer::V6(Box::new(end)),
        }
    }

    /// A client that another server has accepted: what that server says of it is true.
    pub(crate) fn embedded(client: Option<SocketAddr>, secure: bool) -> Peer {
        let hosted = Some(secure);
        Peer::Proxied(Box::new(Proxied { end: client, hosted, ..Proxied::default() }))
    }

    /// The connection's own other end.
    fn end(&self) -> Option<SocketAddr> {
        match self {
            Peer::Unix => None,
            Peer::V4(end) => Some((*end).into()),
            Peer::V6(end) => Some((**end).into()),
            Peer::Proxied(proxied) => proxied.end,
        }
    }

    /// The client's address; `None` if it is not known to have one.
    pub(crate) fn client(&self) -> Option<SocketAddr> {
        match self {
            Peer::Proxied(proxied) => proxied.forwarded.or(proxied.announced).or(proxied.end),
            Peer::Unix | Peer::V4(_) | Peer::V6(_) => self.end(),
        }
    }

    /// The proxy's address, if one speaks for the client.
    pub(crate) fn proxy(&self) -> Option<SocketAddr> {
        match self {
            Peer::Proxied(proxied) if proxied.forwarded.or(proxied.announced).is_some() => proxied.end,
            _ => None,
        }
    }

    /// Whether the client speaks TLS, if a proxy or the host has said it.
    pub(crate) fn secure(&self) -> Option<bool> {
        match self {
            Peer::Proxied(proxied) => proxied.secure.or(proxied.hosted),
            Peer::Unix | Peer::V4(_) | Peer::V6(_) => None,
        }
    }

    /// Who has sent the request itself, whatever stands in it.
    pub(crate) fn sender(&self) -> Option<SocketAddr> {
        match self {
            Peer::Proxied(proxied) => proxied.announced.or(proxied.end),
            Peer::Unix | Peer::V4(_) | Peer::V6(_) => self.end(),
        }
    }

    /// A PROXY header has named the client.
    pub(crate) fn announce(&mut self, client: SocketAddr) {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        self.note(|proxied| proxied.announced = Some(client));
    }

    /// Believes what stands in a request's head, as far as it comes from trusted proxies. What an earlier request of the
    /// same connection said is forgotten.
    pub(crate) fn believe(&mut self, head: &Head<'_>, trust: &Trust) -> Result<(), Contradiction> {
        if let Peer::Proxied(proxied) = self {
            (proxied.forwarded, proxied.secure) = (None, None);
        }
        if trust.is_empty() || !trust.has(self.sender()) {
            return Ok(());
        }
        let (forwarded, secure) = told(head, trust)?;
        if forwarded.is_some() || secure.is_some() {
            self.note(|proxied| (proxied.forwarded, proxied.secure) = (forwarded, secure));
        }
        Ok(())
    }

    fn note(&mut self, note: impl FnOnce(&mut Proxied)) {
        let end = self.end();
        let mut proxied = match std::mem::replace(self, Peer::Unix) {
            Peer::Proxied(proxied) => proxied,
            Peer::Unix | Peer::V4(_) | Peer::V6(_) => Box::new(Proxied { end, ..Proxied::default() }),
        };
        note(&mut proxied);
        *self = Peer::Proxied(proxied);
    }
}

/// The forwarding fields of one request do not agree, or cannot be read in one way only: what the client has written
/// might be taken for a proxy's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Contradiction(pub(crate) &'static str);

/// The client's address and whether it speaks TLS, as far as trusted proxies tell.
///
/// A proxy writes one kind of field and hands on the other as the client has sent it; which, is not known here. So where
/// both kinds stand they have to agree.
fn told(head: &Head<'_>, trust: &Trust) -> Result<(Option<SocketAddr>, Option<bool>), Contradiction> {
    let fields = &head.fields;
    let listed = walk(forwarded::x_forwarded_for(fields).map(|from| (from, None)), trust);
    let scheme = forwarded::x_forwarded_proto(fields);
    let hops = forwarded::forwarded(fields).map_err(|_| Contradiction("The Forwarded field is malformed."))?;
    let standard = walk(hops.iter().rev().map(|hop| (hop.from, hop.secure)), trust);
    let client = match (listed, standard) {
        (Some((one, _)), Some((other, _))) if one.ip() != other.ip() => {
            return Err(Contradiction("Forwarded and X-Forwarded-For name different clients."));
        }
        // The port may stand in either.
        (Some((one, _)), Some((other, _))) => Some(if one.port() == 0 { other } else { one }),
        (one, other) => one.or(other).map(|(client, _)| client),
    };
    let nearest = hops.last().and_then(|hop| hop.secure);
    let secure = match (scheme, standard.map_or(nearest, |(_, secure)| secure)) {
        (Some(one), Some(other)) if one != other => {
            return Err(Contradiction("Forwarded and X-Forwarded-Proto name different schemes."));
        }
        (one, other) => one.or(other),
    };
    Ok((client, secure))
}

/// From the nearest proxy on: past those that are trusted, up to the first that is not, or to where the way is lost.
fn walk(
    hops: impl Iterator<Item = (Option<SocketAddr>, Option<bool>)>,
    trust: &Trust,
) -> Option<(SocketAddr, Option<bool>)> {
    let mut client = None;
    for (from, secure) in hops {
        let Some(from) = from else { break };
        client = Some((from, secure));
        if !trust.has(client.map(|(from, _)| from)) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use hubbub_proto::head::HeadLimits;

    use super::*;

    fn trust(names: &[&str]) -> Trust {
        Trust::parse(names.iter().copied()).unwrap()
    }

    /// What is believed of a request with these lines that comes from `end`.
    fn believed(end: &str, names: &[&str], lines: &[&str]) -> Result<(String, Option<bool>), &'static str> {
        let lines = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let head = Head::parse(head.as_bytes(), &HeadLimits::default()).unwrap();
        let end = (end != "unix").then(|| end.parse().unwrap());
        let mut peer = Peer::new(end);
        peer.believe(&head, &trust(names)).map_err(|contradiction| contradiction.0)?;
        assert_eq!(peer.sender(), end);
        Ok((peer.client().map_or("unix".into(), |client| client.to_string()), peer.secure()))
    }

    #[test]
    fn names_of_proxies_are_addresses_networks_unix_or_everyone() {
        let some = trust(&["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "::1", "unix"]);
        for (peer, has) in [
            ("127.0.0.1:1", true),
            ("127.0.0.2:1", false),
            ("10.255.0.1:1", true),
            ("11.0.0.1:1", false),
            ("[::1]:1", true),
            ("[::2]:1", false),
            ("[2001:db8:1::]:1", true),
            ("[::ffff:10.0.0.1]:1", true),
            ("[::ffff:11.0.0.1]:1", false),
        ] {
            assert_eq!(some.has(Some(peer.parse().unwrap())), has, "{peer}");
        }
        assert!(some.has(None) && !some.is_empty());
        assert!(trust(&["*"]).has(None) && trust(&["*"]).has(Some("192.0.2.1:1".parse().unwrap())));
        assert!(!trust(&["0.0.0.0/0"]).has(None) && trust(&[]).is_empty());
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0", "::1/129", "Unix", "127.0.0.1:80", "**"] {
            assert_eq!(Trust::parse(["::1", wrong]).err().as_deref(), Some(wrong));
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let lines = &["X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.9;proto=https"];
        assert_eq!(believed("10.0.0.1:5", &[], lines), Ok(("10.0.0.1:5".into(), None)));
        assert_eq!(believed("10.0.0.1:5", &["10.0.0.2", "unix"], lines), Ok(("10.0.0.1:5".into(), None)));
        assert_eq!(believed("unix", &["10.0.0.0/8"], lines), Ok(("unix".into(), None)));
        for (end, names) in [("10.0.0.1:5", "10.0.0.0/8"), ("unix", "unix"), ("10.0.0.1:5", "*")] {
            assert_eq!(believed(end, &[names], lines), Ok(("192.0.2.9:0".into(), Some(true))));
        }
        // Nonsense of those who are not believed is nobody's trouble.
        assert_eq!(believed("192.0.2.1:5", &["10.0.0.0/8"], &["Forwarded: \""]), Ok(("192.0.2.1:5".into(), None)));
    }

    #[test]
    fn the_first_that_is_not_trusted_is_the_client() {
        let names = &["10.0.0.0/8"];
        for (list, client) in [
            ("192.0.2.9", "192.0.2.9:0"),
            ("192.0.2.9:77", "192.0.2.9:77"),
            // What stands before it may be the client's own invention.
            ("127.0.0.1, 10.0.0.7, 192.0.2.9", "192.0.2.9:0"),
            ("192.0.2.9, 10.0.0.2, 10.0.0.3", "192.0.2.9:0"),
            ("nonsense, 192.0.2.9, 10.0.0.3", "192.0.2.9:0"),
            // All are proxies: the farthest.
            ("10.0.0.2, 10.0.0.3", "10.0.0.2:0"),
            // The way is lost: the last that is known.
            ("192.0.2.9, unknown, 10.0.0.3", "10.0.0.3:0"),
            ("192.0.2.9, unknown", "10.0.0.1:5"),
            ("", "10.0.0.1:5"),
        ] {
            let listed = format!("X-Forwarded-For: {list}");
            assert_eq!(believed("10.0.0.1:5", names, &[&listed]), Ok((client.into(), None)), "{list}");
            let standard = list.split(", ").map(|from| format!("for=\"{from}\"")).collect::<Vec<_>>().join(", ");
            let standard = format!("Forwarded: {standard}");
            assert_eq!(believed("10.0.0.1:5", names, &[&standard]), Ok((client.into(), None)), "{standard}");
        }
        let all = believed("10.0.0.1:5", &["*"], &["X-Forwarded-For: 192.0.2.1, 192.0.2.2"]);
        assert_eq!(all, Ok(("192.0.2.1:0".into(), None)), "where everyone is trusted, the farthest");
    }

    #[test]
    fn the_scheme_is_that_of_the_clients_own_hop() {
        let names = &["10.0.0.0/8"];
        for (lines, secure) in [
            (&["Forwarded: for=192.0.2.9;proto=https, for=10.0.0.2;proto=http"][..], Some(true)),
            (&["Forwarded: for=192.0.2.9;proto=http, for=10.0.0.2;proto=https"], Some(false)),
            (&["Forwarded: proto=https"], Some(true)),
            (&["X-Forwarded-Proto: https"], Some(true)),
            (&["X-Forwarded-Proto: http", "Forwarded: for=192.0.2.9"], Some(false)),
            (&["X-Forwarded-Proto: gopher"], None),
        ] {
            let told = believed("10.0.0.1:5", names, lines).map(|(_, secure)| secure);
            assert_eq!(told, Ok(secure), "{lines:?}");
        }
    }

    /// A proxy that writes X-Forwarded-For hands on a Forwarded that the client has made up, and the other way round.
    #[test]
    fn fields_that_contradict_each_other_are_not_believed() {
        for lines in [
            &["X-Forwarded-For: 192.0.2.9", "Forwarded: for=192.0.2.8"][..],
            &["X-Forwarded-For: 192.0.2.9", "Forwarded: \"for=192.0.2.9"],
            &["X-Forwarded-For: 192.0.2.9, 10.0.0.3", "Forwarded: for=10.0.0.3"],
            &["X-Forwarded-Proto: http", "Forwarded: for=192.0.2.9;proto=https"],
        ] {
            assert!(believed("10.0.0.1:5", &["10.0.0.0/8"], lines).is_err(), "{lines:?}");
        }
        let agreed = &["X-Forwarded-For: 192.0.2.9", "Forwarded: for=\"192.0.2.9:7\""];
        assert_eq!(believed("10.0.0.1:5", &["10.0.0.0/8"], agreed), Ok(("192.0.2.9:7".into(), None)));
    }

    fn include(networks: &[&str], peer: &str) -> bool {
        trust(networks).has(Some(SocketAddr::new(peer.parse().unwrap(), 5)))
    }

    #[test]
    fn an_address_is_within_a_network_by_its_first_bits() {
        assert!(include(&["127.0.0.1/32"], "127.0.0.1"));
        assert!(!include(&["127.0.0.1/32"], "127.0.0.2"));
        assert!(include(&["10.0.0.0/8", "::1/128"], "10.200.3.4"));
        assert!(!include(&["10.0.0.0/8", "::1/128"], "11.0.0.0"));
        assert!(include(&["10.0.0.0/8", "::1/128"], "::1"));
        assert!(include(&["0.0.0.0/0"], "203.0.113.9"));
        assert!(!include(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(include(&["2001:db8::/33"], "2001:db8:7fff::1"));
        assert!(!include(&["2001:db8::/33"], "2001:db8:8000::1"));
        assert!(!include(&[], "127.0.0.1"));
    }

    #[test]
    fn a_mapped_address_is_the_one_it_stands_for() {
        assert!(include(&["127.0.0.1/32"], "::ffff:127.0.0.1"));
    }

    #[test]
    fn a_unix_socket_has_no_address_and_must_be_allowed_by_name() {
        assert!(!Trust::default().has(None));
        assert!(trust(&["unix"]).has(None));
        assert!(trust(&["*"]).has(None));
    }

    #[test]
    fn a_proxy_may_be_announced_by_another() {
        let mut peer = Peer::new(Some("10.0.0.1:5".parse().unwrap()));
        peer.announce("10.0.0.2:6".parse().unwrap());
        let head = |list: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {list}\r\n\r\n");
        let mut believe = |list: &str| {
            let head = head(list);
            peer.believe(&Head::parse(head.as_bytes(), &HeadLimits::default()).unwrap(), &trust(&["10.0.0.0/8"]))
                .unwrap();
            peer.clone()
        };
        let client = |peer: &Peer| peer.client().unwrap().to_string();
        assert_eq!(client(&believe("192.0.2.9")), "192.0.2.9:0");
        assert_eq!(client(&believe("192.0.2.8")), "192.0.2.8:0");
        // The next request on the same connection says nothing.
        assert_eq!(client(&believe("")), "10.0.0.2:6");
        assert_eq!(peer.proxy(), Some("10.0.0.1:5".parse().unwrap()));
    }

    #[test]
    fn who_comes_over_ipv4_without_a_proxy_takes_little_room() {
        assert_eq!(size_of::<Peer>(), 16);
    }
}

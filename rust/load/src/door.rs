//! Where new connections come from: sockets, source addresses and descriptors.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::error::Error;
use crate::handshake::Handshake;
use crate::polling::Requests;
use crate::scenario::{Mode, Protocol, Scenario, Transport};
use crate::target::Target;
use crate::wire::{Client, Wire};

/// Makes connections to one server, for one thread.
pub(crate) struct Door {
    address: SocketAddr,
    pub(crate) opening: Opening,
    tls: Option<Client>,
    /// None leaves the choice to the system.
    sources: Vec<Option<SocketAddr>>,
    /// Which of the sources comes next, and how many connections it has given.
    source: usize,
    from_source: usize,
    per_source: usize,
}

/// How a connection begins.
#[derive(Debug)]
pub(crate) enum Opening {
    /// With nothing: what is sent are bytes.
    Raw,
    WebSocket(Handshake),
    /// With a WebSocket, and a session of Socket.IO on it.
    SocketIo(Handshake),
    /// With a session of Socket.IO over long polling.
    Polling(Requests),
}

impl Opening {
    fn new(scenario: &Scenario) -> Result<Opening, Error> {
        let Scenario { target, asked, .. } = scenario;
        Ok(match (scenario.protocol, &scenario.mode) {
            (_, Mode::Echo { raw: true, .. }) => Opening::Raw,
            (Protocol::WebSocket, _) => Opening::WebSocket(Handshake::new(target, asked)?),
            (Protocol::SocketIo(Transport::WebSocket), _) => {
                let resource = target.socketio_resource(Transport::WebSocket.name());
                Opening::SocketIo(Handshake::new(&Target { resource, ..target.clone() }, asked)?)
            }
            (Protocol::SocketIo(Transport::Polling), _) => Opening::Polling(Requests::new(target, asked)?),
        })
    }
}

/// Source addresses of the loopback network that are used if none is named.
const LOOPBACK_SOURCES: u8 = 250;
/// The ports that Linux hands out by default.
const DEFAULT_PORTS: usize = 28_232;

impl Door {
    /// The door of one of `threads` threads.
    pub(crate) fn new(scenario: &Scenario, address: SocketAddr, threads: usize) -> Result<Door, Error> {
        let target = &scenario.target;
        let opening = Opening::new(scenario)?;
        let cannot = |why| Error::BadScenario(format!("cannot speak TLS: {why}"));
        let tls = target.secure.then(|| Client::new(target, scenario.ca.as_deref()).map_err(cannot)).transpose()?;
        let sources = sources(&scenario.sources, address);
        // Some of an address's ports belong to others, or to connections that ended a moment ago.
        let per_source = (ports() * 7 / 10 / threads).max(1);
        Ok(Door { address, opening, tls, sources, source: 0, from_source: 0, per_source })
    }

    /// Starts to connect.
    pub(crate) fn connect(&mut self, open: usize) -> Result<Wire, Error> {
        if self.from_source >= self.per_source {
            self.next_source();
        }
        let mut tried = 0;
        loop {
            self.from_source += 1;
            match self.connect_from(self.sources[self.source]) {
                Ok(socket) => return Ok(socket),
                Err(error) if is_out_of_ports(&error) && tried < self.sources.len() => {
                    tried += 1;
                    self.next_source();
                }
                Err(error) if is_out_of_ports(&error) => {
                    let ports = ports();
                    return Err(Error::TooFewPorts { connections: open + 1, ports, sources: self.sources.len() });
                }
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                    return Err(Error::TooFewDescriptors { needed: open as u64 + 64, limit: limit().0 });
                }
                Err(source) => return Err(self.unreachable(open, source)),
            }
        }
    }

    /// The error for a connection that did not come about.
    pub(crate) fn unreachable(&self, open: usize, source: io::Error) -> Error {
        Error::Unreachable { address: self.address.to_string(), open, source }
    }

    fn connect_from(&self, source: Option<SocketAddr>) -> io::Result<Wire> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&source.into())?;
        }
        match socket.connect(&self.address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let tls = self.tls.as_ref().map(Client::connection).transpose().map_err(io::Error::other)?;
        Ok(Wire::new(TcpStream::from_std(socket.into()), tls))
    }

    fn next_source(&mut self) {
        self.from_source = 0;
        self.source = (self.source + 1) % self.sources.len();
    }
}

/// Those that are named; else the system's choice, and for a loopback server, which all of 127/8 can reach, more.
fn sources(named: &[IpAddr], address: SocketAddr) -> Vec<Option<SocketAddr>> {
    if !named.is_empty() {
        return named.iter().map(|source| Some(SocketAddr::new(*source, 0))).collect();
    }
    let more = match address.ip() {
        IpAddr::V4(address) if address.is_loopback() => LOOPBACK_SOURCES,
        IpAddr::V4(_) | IpAddr::V6(_) => 1,
    };
    let other = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    std::iter::once(None).chain((2..=more).map(|last| Some(other(last)))).collect()
}

/// How many ports the system hands out for each source address.
fn ports() -> usize {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = range.split_whitespace().filter_map(|bound| bound.parse::<usize>().ok());
    bounds.next().zip(bounds.next()).map_or(DEFAULT_PORTS, |(first, last)| (last + 1).saturating_sub(first).max(1))
}

/// Makes sure that there are ports for `connections`.
pub(crate) fn check_ports(connections: usize, named: &[IpAddr], address: SocketAddr) -> Result<(), Error> {
    let sources = sources(named, address);
    if let Some(wrong) = named.iter().find(|source| source.is_ipv4() != address.is_ipv4()) {
        return Err(Error::BadScenario(format!("the source {wrong} cannot reach {address}: one is IPv4, one IPv6")));
    }
    let ports = ports();
    if connections > ports * sources.len() {
        return Err(Error::TooFewPorts { connections, ports, sources: sources.len() });
    }
    Ok(())
}

fn is_out_of_ports(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
}

/// Makes sure that `connections` can be open at once, beside what `threads` need, raising the soft limit of this process if it must.
pub(crate) fn reserve_descriptors(connections: usize, threads: usize) -> Result<(), Error> {
    let open_now = std::fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    // Each thread's poll, waker and timer, and the files of /proc that are read.
    let needed = (connections + open_now + 4 * threads + 8) as u64;
    let (soft, hard) = limit();
    if needed <= soft {
        return Ok(());
    }
    if needed > hard {
        return Err(Error::TooFewDescriptors { needed, limit: hard });
    }
    let raised = Rlimit { current: Some(needed), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, raised).map_err(|_| Error::TooFewDescriptors { needed, limit: soft })
}

/// The soft and the hard limit.
fn limit() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

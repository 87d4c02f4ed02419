//! Where new connections come from: sockets, source addresses and descriptors.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::Error;
use crate::handshake::Handshake;
use crate::target::Target;
use crate::wire::{Client, Wire};

/// Makes connections to one server.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    /// None if no WebSocket is spoken.
    pub(crate) handshake: Option<Handshake>,
    tls: Option<Client>,
    /// How many of the source addresses are used up.
    source: u8,
    from_source: usize,
}

/// Connections from one source address, below the 28,232 ports that Linux hands out by default.
const PER_SOURCE: usize = 20_000;

impl Door {
    pub(crate) fn new(target: &Target, raw: bool) -> Result<Door, Error> {
        let handshake = if raw { None } else { Some(Handshake::new(target)?) };
        let cannot = |why| Error::BadScenario(format!("cannot speak TLS: {why}"));
        let tls = target.secure.then(|| Client::new(target).map_err(cannot)).transpose()?;
        Ok(Door { address: target.resolve()?, handshake, tls, source: 0, from_source: 0 })
    }

    /// Starts to connect.
    pub(crate) fn connect(&mut self, open: usize) -> Result<Wire, Error> {
        loop {
            if self.from_source == PER_SOURCE {
                self.next_source();
            }
            self.from_source += 1;
            match self.connect_from(self.source_address()) {
                Ok(socket) => return Ok(socket),
                Err(error) if is_out_of_ports(&error) && self.next_source() => {}
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                    return Err(Error::TooFewDescriptors { needed: open as u64 + 64, limit: limit().0 });
                }
                Err(source) => return Err(Error::Unreachable { address: self.address.to_string(), open, source }),
            }
        }
    }

    /// The error for a connection that did not come about.
    pub(crate) fn unreachable(&self, open: usize, source: io::Error) -> Error {
        Error::Unreachable { address: self.address.to_string(), open, source }
    }

    fn connect_from(&self, source: Option<SocketAddr>) -> io::Result<Wire> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
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

    /// None leaves the choice to the system. A loopback server can be reached from all of 127/8.
    fn source_address(&self) -> Option<SocketAddr> {
        (self.source > 0).then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1 + self.source), 0)))
    }

    /// False if there is no other source address.
    fn next_source(&mut self) -> bool {
        self.from_source = 0;
        match self.address.ip() {
            IpAddr::V4(address) if address.is_loopback() => {
                self.source = (self.source + 1) % 250;
                true
            }
            IpAddr::V4(_) | IpAddr::V6(_) => false,
        }
    }
}

fn is_out_of_ports(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
}

/// Makes sure that `connections` can be open at once, raising the soft limit of this process if it must.
pub(crate) fn reserve_descriptors(connections: usize) -> Result<(), Error> {
    let open_now = std::fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    // The poll and its waker, and the files of /proc that are read.
    let needed = (connections + open_now + 8) as u64;
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

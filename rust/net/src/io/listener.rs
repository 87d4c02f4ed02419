//! Listening sockets: opening, inheriting, accepting.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};

use mio::net::{TcpListener, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Type};

use super::peer::Peer;
use super::socket::Socket;
use crate::config::settings::Bind;

/// Where connections come from: a listening socket, or the program itself.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        _name: Option<UnlinkOnDrop>,
    },
    /// Whom another server has accepted.
    Embedded(Receiver<EmbeddedClient>),
}

/// Our end of a connection that another server's client has come by, and what is known of that client.
pub(crate) type EmbeddedClient = (UnixStream, Peer);

impl Listener {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Listener::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
            // Whoever connects an embedded client wakes the shard.
            Listener::Embedded(_) => Ok(()),
        }
    }

    /// The kernel holds no more than so many bytes unsent on each connection that is accepted here. Where it has no such
    /// bound, nothing changes.
    pub(crate) fn bound_unsent(&self, bytes: u32) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Listener::Tcp(listener) = self {
            // Connections have it from their listener. It fails nowhere; without it, more is held.
            let _ = socket2::SockRef::from(listener).set_tcp_notsent_lowat(bytes);
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = bytes;
    }

    pub(crate) fn accept(&self, nodelay: bool) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                if nodelay {
                    // It fails only for a connection that is gone; reading will say so.
                    let _ = stream.set_nodelay(true);
                }
                Ok((Socket::Tcp(stream), Peer::new(Some(peer))))
            }
            Listener::Unix { listener, .. } => Ok((Socket::Unix(listener.accept()?.0), Peer::Unix)),
            Listener::Embedded(embedded) => match embedded.try_recv() {
                Ok((stream, peer)) => Ok((Socket::Unix(stream), peer)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }
}

/// Where a listener can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IPv4 or IPv6 address and port.
    Tcp(SocketAddr),
    /// A unix socket's path; `None` for one that was inherited without a name.
    Unix(Option<PathBuf>),
}

/// Opens the listening sockets of one `Bind`. Embedded clients need none.
pub(crate) fn listen(bind: Bind) -> io::Result<Vec<(Listener, Address)>> {
    match bind {
        Bind::Embedded { .. } => Ok(Vec::new()),
        Bind::Tcp { host, port, backlog, reuse_port } => listen_tcp(&host, port, backlog, reuse_port),
        Bind::Unix { path, backlog, mode, group } => Ok(vec![listen_unix(path, backlog, mode, group)?]),
        Bind::Descriptor(fd) => Ok(vec![inherit(fd)?]),
    }
}

fn listen_tcp(host: &str, port: u16, backlog: i32, reuse_port: bool) -> io::Result<Vec<(Listener, Address)>> {
    let mut listeners = Vec::new();
    let mut port = port;
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.dedup();
    let mut refused = None;
    for mut address in addresses {
        // When the system chose the first port, the other addresses get the same one.
        address.set_port(port);
        match listen_at(address, backlog, reuse_port) {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                port = bound.port();
                listeners.push((Listener::Tcp(listener), Address::Tcp(bound)));
            }
            // A host without IPv6 may still resolve "localhost" to ::1: the other addresses will do.
            Err(error) if is_absent(&error) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn listen_at(address: SocketAddr, backlog: i32, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// This machine has no such address, or no such family of addresses.
fn is_absent(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::ADDRNOTAVAIL | rustix::io::Errno::AFNOSUPPORT))
}

fn listen_unix(path: PathBuf, backlog: i32, mode: Option<u32>, group: Option<u32>) -> io::Result<(Listener, Address)> {
    if std::fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
        if !is_stale(&path)? {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(&path)?;
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(&path)?)?;
    let name = Some(UnlinkOnDrop(path.clone()));
    // Before it listens: until then nobody can connect.
    if group.is_some() {
        std::os::unix::fs::chown(&path, None, group)?;
    }
    if let Some(mode) = mode {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from_std(socket.into());
    Ok((Listener::Unix { listener, _name: name }, Address::Unix(Some(path))))
}

/// Whether a socket was left behind by a process that is gone. One that is only busy, or not ours to connect to, was not.
fn is_stale(path: &Path) -> io::Result<bool> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A process that lives but does not accept must not make us wait.
    socket.set_nonblocking(true)?;
    let answer = socket.connect(&socket2::SockAddr::unix(path)?);
    Ok(answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

fn inherit(fd: OwnedFd) -> io::Result<(Listener, Address)> {
    let socket = socket2::Socket::from(fd);
    if !socket.is_listener()? {
        // What accept() would say, said now.
        return Err(rustix::io::Errno::INVAL.into());
    }
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    if let Some(address) = address.as_socket() {
        return Ok((Listener::Tcp(TcpListener::from_std(socket.into())), Address::Tcp(address)));
    }
    let path = address.as_pathname().map(Path::to_path_buf);
    let listener = UnixListener::from_std(socket.into());
    Ok((Listener::Unix { listener, _name: None }, Address::Unix(path)))
}

/// The name of a unix socket goes when its listener goes.
#[derive(Debug)]
pub(crate) struct UnlinkOnDrop(PathBuf);

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        // Somebody else may have removed it: nothing to do about that.
        let _ = std::fs::remove_file(&self.0);
    }
}

//! Sockets: listening, accepting, reading, writing. The only file that knows of TCP and unix sockets, and the one where
//! TLS comes between them and the rest.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::RecvFlags;
#[cfg(target_os = "linux")]
use rustix::net::SendFlags;
use socket2::{Domain, Protocol, Socket, Type};

use crate::outbox::Written;
use crate::peer::Peer;
use crate::settings::Bind;
use crate::tls::TlsStream;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP, IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// Either of them, with TLS on it.
    Tls(Box<TlsStream>),
    /// None: the session has no connection of its own just now.
    Away,
}

impl Stream {
    /// Watches for both directions, edge-triggered: one system call in a connection's life.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => registry.register(stream, token, both),
            Stream::Unix(stream) => registry.register(stream, token, both),
            Stream::Tls(stream) => stream.socket_mut().register(registry, token),
            Stream::Away => Ok(()),
        }
    }

    /// Lets the poll call it by another token.
    pub(crate) fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => registry.reregister(stream, token, both),
            Stream::Unix(stream) => registry.reregister(stream, token, both),
            Stream::Tls(stream) => stream.socket_mut().reregister(registry, token),
            Stream::Away => Ok(()),
        }
    }

    /// Takes it out of the poll, so that another one may watch it.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => registry.deregister(stream),
            Stream::Unix(stream) => registry.deregister(stream),
            Stream::Tls(stream) => stream.socket_mut().deregister(registry),
            Stream::Away => Ok(()),
        }
    }

    /// There is no connection.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Stream::Away)
    }

    /// Receives into the front of `buffer`. 0: the peer has finished.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Stream::Tls(stream) = self {
            return stream.receive(buffer);
        }
        let (_, len) = rustix::net::recv(self.socket()?, buffer, RecvFlags::empty())?;
        Ok(len)
    }

    /// Looks at what the socket has, below TLS, and leaves it there. 0: the peer has finished.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.socket()?, buffer, RecvFlags::PEEK)?.1)
    }

    /// Takes off what was looked at. `false`: it is not there any more.
    pub(crate) fn peek_off(&self, peeked: &mut [u8]) -> bool {
        let len = peeked.len();
        let Ok(socket) = self.socket() else { return false };
        rustix::net::recv(socket, peeked, RecvFlags::empty()).is_ok_and(|(_, taken)| taken == len)
    }

    /// There is something to receive although the kernel has nothing: TLS keeps what one call had no room for.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.has_more())
    }

    /// Writes the pieces, as many as the kernel takes.
    pub(crate) fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Stream::Tls(stream) = self {
            return stream.send(pieces);
        }
        let socket = self.socket()?;
        // One piece needs no vector for the kernel to read.
        let written = match pieces {
            [one] => rustix::io::write(socket, one)?,
            many => rustix::io::writev(socket, many)?,
        };
        Ok(written)
    }

    /// Writes the first of the pieces, which leaves with the file that follows at once.
    /// PERF: a packet less for each file (benches/README.md, Static files).
    #[cfg(target_os = "linux")]
    pub(crate) fn send_before_file(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            [head] => Ok(rustix::net::send(self.socket()?, head, SendFlags::MORE)?),
            pieces => self.send(pieces),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send_before_file(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(pieces)
    }

    /// The kernel can send a file over it without our reading it.
    pub(crate) fn takes_files(&self) -> bool {
        cfg!(target_os = "linux") && !matches!(self, Stream::Tls(_))
    }

    /// Sends so many bytes of a file from `at` on, which moves. Gives how many the kernel took; 0: the file is shorter.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_file(&mut self, file: &File, at: &mut u64, len: usize) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(self.socket()?, file, Some(at), len)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send_file(&mut self, _file: &File, _at: &mut u64, _len: usize) -> io::Result<usize> {
        Err(rustix::io::Errno::INVAL.into())
    }

    /// TLS has something of its own to write, or has encrypted more than the kernel took.
    pub(crate) fn wants_write(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.wants_write())
    }

    /// Writes that.
    pub(crate) fn flush(&mut self) -> io::Result<Written> {
        match self {
            Stream::Tls(stream) => stream.flush(),
            Stream::Tcp(_) | Stream::Unix(_) | Stream::Away => Ok(Written::All),
        }
    }

    /// Says that nothing more will be written. `false`: the kernel does not take that for now; ask again.
    pub(crate) fn finish(&mut self) -> bool {
        if let Stream::Tls(stream) = self {
            return stream.finish();
        }
        if let Ok(socket) = self.socket() {
            // An error means that the peer has gone already.
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
        }
        true
    }

    /// What its TLS has met cannot be mended: only the last words are still to be written.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.has_failed())
    }

    /// TLS has not agreed on its keys yet: what comes may cost much more than to read it.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.is_handshaking())
    }

    /// Nobody on the way can read along.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The certificate that the client has shown, in DER.
    pub(crate) fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            Stream::Tls(stream) => stream.client_certificate(),
            Stream::Tcp(_) | Stream::Unix(_) | Stream::Away => None,
        }
    }
}

impl Stream {
    fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        match self {
            Stream::Tcp(stream) => Ok(stream.as_fd()),
            Stream::Unix(stream) => Ok(stream.as_fd()),
            Stream::Tls(stream) => stream.socket().socket(),
            Stream::Away => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Where connections come from: a listening socket, or the program itself.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        _name: Option<UnlinkOnDrop>,
    },
    /// Whom another server has accepted.
    Guests(Receiver<Guest>),
}

/// Our end of a connection that another server's client has come by, and what is known of that client.
pub(crate) type Guest = (UnixStream, Peer);

impl Listener {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Listener::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
            // Whoever lets a guest in wakes the shard.
            Listener::Guests(_) => Ok(()),
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

    pub(crate) fn accept(&self, nodelay: bool) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                if nodelay {
                    // It fails only for a connection that is gone; reading will say so.
                    let _ = stream.set_nodelay(true);
                }
                Ok((Stream::Tcp(stream), Peer::new(Some(peer))))
            }
            Listener::Unix { listener, .. } => Ok((Stream::Unix(listener.accept()?.0), Peer::Unix)),
            Listener::Guests(guests) => match guests.try_recv() {
                Ok((stream, peer)) => Ok((Stream::Unix(stream), peer)),
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

/// Opens the listening sockets of one `Bind`. Guests need none.
pub(crate) fn listen(bind: Bind) -> io::Result<Vec<(Listener, Address)>> {
    match bind {
        Bind::Guests { .. } => Ok(Vec::new()),
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
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
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
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A process that lives but does not accept must not make us wait.
    socket.set_nonblocking(true)?;
    let answer = socket.connect(&socket2::SockAddr::unix(path)?);
    Ok(answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

fn inherit(fd: OwnedFd) -> io::Result<(Listener, Address)> {
    let socket = Socket::from(fd);
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

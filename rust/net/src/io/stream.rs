//! What a session reads and writes: a socket, TLS on one, or nothing while it has no connection.

use std::fs::File;
use std::io::{self, IoSlice};

use mio::{Registry, Token};

use super::outbox::Written;
use super::socket::Socket;
use super::tls::TlsStream;

/// A connection, or none.
#[derive(Debug)]
pub enum Stream {
    /// A socket and nothing on it.
    Plain(Socket),
    /// A socket with TLS on it.
    Tls(Box<TlsStream>),
    /// None: the session has no connection of its own just now.
    Away,
}

impl Stream {
    /// Watches for both directions, edge-triggered: one system call in a connection's life.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket_mut().map_or(Ok(()), |socket| socket.register(registry, token))
    }

    /// Lets the poll call it by another token.
    pub(crate) fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket_mut().map_or(Ok(()), |socket| socket.reregister(registry, token))
    }

    /// Takes it out of the poll, so that another one may watch it.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket_mut().map_or(Ok(()), |socket| socket.deregister(registry))
    }

    /// There is no connection.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Stream::Away)
    }

    /// Receives into the front of `buffer`. 0: the peer has finished.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.receive(buffer),
            Stream::Tls(stream) => stream.receive(buffer),
            Stream::Away => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Looks at what the socket has, below TLS, and leaves it there. 0: the peer has finished.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket()?.peek(buffer)
    }

    /// Takes off what was looked at. `false`: it is not there any more.
    pub(crate) fn peek_off(&self, peeked: &mut [u8]) -> bool {
        self.socket().is_ok_and(|socket| socket.peek_off(peeked))
    }

    /// There is something to receive although the kernel has nothing: TLS keeps what one call had no room for.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.has_more())
    }

    /// Writes the pieces, as many as the kernel takes.
    pub(crate) fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.send(pieces),
            Stream::Tls(stream) => stream.send(pieces),
            Stream::Away => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes the first of the pieces, which leaves with the file that follows at once.
    pub(crate) fn send_before_file(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.send_before_file(pieces),
            other => other.send(pieces),
        }
    }

    /// The kernel can send a file over it without our reading it.
    pub(crate) fn takes_files(&self) -> bool {
        cfg!(target_os = "linux") && !matches!(self, Stream::Tls(_))
    }

    /// Sends so many bytes of a file from `at` on, which moves. Gives how many the kernel took; 0: the file is shorter.
    pub(crate) fn send_file(&mut self, file: &File, at: &mut u64, len: usize) -> io::Result<usize> {
        self.socket()?.send_file(file, at, len)
    }

    /// TLS has something of its own to write, or has encrypted more than the kernel took.
    pub(crate) fn wants_write(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.wants_write())
    }

    /// Writes that.
    pub(crate) fn flush(&mut self) -> io::Result<Written> {
        match self {
            Stream::Tls(stream) => stream.flush(),
            Stream::Plain(_) | Stream::Away => Ok(Written::All),
        }
    }

    /// Says that nothing more will be written. `false`: the kernel does not take that for now; ask again.
    pub(crate) fn finish(&mut self) -> bool {
        match self {
            Stream::Tls(stream) => return stream.finish(),
            Stream::Plain(socket) => socket.finish(),
            Stream::Away => {}
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
            Stream::Plain(_) | Stream::Away => None,
        }
    }

    /// The socket below.
    fn socket(&self) -> io::Result<&Socket> {
        match self {
            Stream::Plain(socket) => Ok(socket),
            Stream::Tls(stream) => Ok(stream.socket()),
            Stream::Away => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(stream) => Some(stream.socket_mut()),
            Stream::Away => None,
        }
    }
}

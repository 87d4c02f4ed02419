//! A connected socket: TCP or unix. The only file that reads from one or writes to one.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::RecvFlags;
#[cfg(target_os = "linux")]
use rustix::net::SendFlags;

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP, IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Watches for both directions, edge-triggered: one system call in a connection's life.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Lets the poll call it by another token.
    pub(crate) fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.reregister(self.source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Takes it out of the poll, so that another one may watch it.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.source())
    }

    /// Receives into the front of `buffer`. 0: the peer has finished.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self, buffer, RecvFlags::empty())?.1)
    }

    /// Looks at what has come, and leaves it there. 0: the peer has finished.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self, buffer, RecvFlags::PEEK)?.1)
    }

    /// Takes off what was looked at. `false`: it is not there any more.
    pub(crate) fn peek_off(&self, peeked: &mut [u8]) -> bool {
        let len = peeked.len();
        rustix::net::recv(self, peeked, RecvFlags::empty()).is_ok_and(|(_, taken)| taken == len)
    }

    /// Writes the pieces, as many as the kernel takes.
    pub(crate) fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // One piece needs no vector for the kernel to read.
        let written = match pieces {
            [one] => rustix::io::write(self, one)?,
            many => rustix::io::writev(self, many)?,
        };
        Ok(written)
    }

    /// Writes the first of the pieces, which leaves with the file that follows at once.
    /// PERF: a packet less for each file (benches/README.md, Static files).
    #[cfg(target_os = "linux")]
    pub(crate) fn send_before_file(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            [head] => Ok(rustix::net::send(self, head, SendFlags::MORE)?),
            pieces => self.send(pieces),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send_before_file(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(pieces)
    }

    /// Sends so many bytes of a file from `at` on, which moves. Gives how many the kernel took; 0: the file is shorter.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_file(&self, file: &File, at: &mut u64, len: usize) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(self, file, Some(at), len)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send_file(&self, _file: &File, _at: &mut u64, _len: usize) -> io::Result<usize> {
        Err(rustix::io::Errno::INVAL.into())
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) {
        // An error means that the peer has gone already.
        let _ = rustix::net::shutdown(self, rustix::net::Shutdown::Write);
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Tcp(stream) => stream,
            Socket::Unix(stream) => stream,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

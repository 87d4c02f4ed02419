//! Accepting connections, and pausing when there is no room for more.

use std::io;

use mio::Token;

use super::Shard;
use crate::command::Command;
use crate::handler::{Handler, Notice};
use crate::io::listener::Listener;
use crate::io::peer::Peer;
use crate::io::socket::Socket;
use crate::io::stream::Stream;
use crate::rate::FullAt;
use crate::server::Full;
use crate::session::Session;
use crate::session::rate_limit::up_to_millis;
use crate::timers::Millis;

/// Connections accepted in one turn: the others wait their turn behind those that are being served.
const BATCH: usize = 128;

/// How long to wait after accept() has failed for want of descriptors or memory.
const RETRY: Millis = 100;

/// An operator hears of the same trouble once in this time.
const NOTICE_INTERVAL: Millis = 1000;

pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    /// There may be connections to accept (the poll is edge-triggered and says so once).
    ready: bool,
    paused: bool,
    /// No connection is taken any more, from whichever shard it comes.
    closed: bool,
    retry_at: Option<Millis>,
    /// What was accepted, for the rate.
    full_at: FullAt,
    next: usize,
    noticed: Option<Millis>,
}

impl Acceptor {
    pub(super) fn new(listeners: Vec<Listener>) -> Self {
        Acceptor {
            ready: !listeners.is_empty(),
            listeners,
            paused: false,
            closed: false,
            retry_at: None,
            full_at: 0,
            next: 0,
            noticed: None,
        }
    }

    /// Something may be there to be accepted.
    pub(super) fn wake(&mut self) {
        self.ready = true;
        self.paused = false;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready && !self.paused && self.retry_at.is_none() && !self.listeners.is_empty()
    }

    pub(super) fn retry_at(&self) -> Option<Millis> {
        self.retry_at
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.listeners.clear();
        self.retry_at = None;
    }

    fn may_notice(&mut self, now: Millis) -> bool {
        let may = self.noticed.is_none_or(|at| now >= at + NOTICE_INTERVAL);
        if may {
            self.noticed = Some(now);
        }
        may
    }
}

impl Shard {
    pub(super) fn accept(&mut self, handler: &mut impl Handler) {
        if self.acceptor.retry_at.is_some_and(|at| at <= self.cx.now) {
            self.acceptor.retry_at = None;
        }
        if !self.acceptor.is_ready() {
            return;
        }
        for _ in 0..BATCH {
            if let Err(full) = self.cx.server.room_for_connection() {
                self.pause(full);
                return;
            }
            match self.accept_one() {
                Ok(Some((socket, peer))) => {
                    self.cx.counts.accepted += 1;
                    self.cx.server.connection_begins();
                    let wait = self.wait_for_rate();
                    if let Some(slot) = self.place(socket, peer) {
                        self.read_first(slot, handler);
                    }
                    if wait {
                        return;
                    }
                }
                Ok(None) => {
                    self.acceptor.ready = false;
                    return;
                }
                Err(error) => {
                    self.accept_failed(&error);
                    return;
                }
            }
        }
    }

    /// The next connection of any listener.
    fn accept_one(&self) -> io::Result<Option<(Socket, Peer)>> {
        let nodelay = self.cx.server.settings().tcp_nodelay;
        for listener in &self.acceptor.listeners {
            loop {
                match listener.accept(nodelay) {
                    Ok(accepted) => return Ok(Some(accepted)),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock => break,
                        // That connection has gone before we came to it; the next one may be well.
                        io::ErrorKind::Interrupted
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset => {}
                        _ => return Err(error),
                    },
                }
            }
        }
        Ok(None)
    }

    /// Counts a connection against the rate. `true`: the next one has to wait.
    fn wait_for_rate(&mut self) -> bool {
        let Some(rate) = self.cx.server.settings().handshake_rate else { return false };
        let now = self.cx.nanos();
        rate.take(&mut self.acceptor.full_at, 1, now);
        let Some(at) = rate.next_at(self.acceptor.full_at, now) else { return false };
        self.acceptor.retry_at = Some(up_to_millis(at));
        self.cx.counts.accept_pauses += 1;
        true
    }

    fn pause(&mut self, full: Full) {
        self.acceptor.paused = true;
        self.cx.server.pause_accepting();
        // Room may have come free before the flag stood: then nobody will send the command.
        if self.cx.server.room_for_connection().is_ok() {
            self.acceptor.paused = false;
        } else if full == Full::Sessions && self.acceptor.may_notice(self.cx.now) {
            self.cx.notice(Notice::SessionsFull);
        }
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.cx.counts.accept_errors += 1;
        self.acceptor.retry_at = Some(self.cx.now + RETRY);
        if self.acceptor.may_notice(self.cx.now) {
            let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
            let out = matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE));
            let notice = if out { Notice::OutOfDescriptors } else { Notice::AcceptFailed(error.to_string()) };
            self.cx.notice(notice);
        }
    }

    /// The request has often come with the connection: looks at once.
    fn read_first(&mut self, slot: u32, handler: &mut impl Handler) {
        match self.sessions.at(slot) {
            // Handshakes have their own share of a turn.
            Some(session) if session.connection.stream.is_handshaking() => self.cx.mark_ready(session),
            _ => {
                self.guard(slot, |shard| shard.read(slot, handler));
                self.perform(handler);
            }
        }
    }

    /// Gives the connection to one shard after the other. Gives its slot if it is this one's.
    fn place(&mut self, socket: Socket, peer: Peer) -> Option<u32> {
        let handles = self.cx.server.handles();
        let shard = self.acceptor.next % handles.len();
        self.acceptor.next += 1;
        if shard == usize::from(self.cx.number) {
            return self.adopt(socket, peer);
        }
        handles[shard].post(Command::Adopt(socket, peer));
        None
    }

    /// Takes a connection in: from here on it is this shard's. Gives its slot.
    pub(super) fn adopt(&mut self, socket: Socket, peer: Peer) -> Option<u32> {
        // It may have been on its way from another shard when the end was announced.
        if self.acceptor.closed || !self.may_connect(peer.sender()) {
            self.cx.server.handshake_ends();
            self.cx.server.connection_ends();
            return None;
        }
        let stream = match &self.cx.server.settings().tls {
            Some(tls) => tls.wrap(socket).map(|stream| Stream::Tls(Box::new(stream))),
            None => Ok(Stream::Plain(socket)),
        };
        let Ok(mut stream) = stream else {
            // TLS refuses its own settings, which it has taken before: nothing that the peer could know.
            self.cx.server.handshake_ends();
            self.cx.server.connection_ends();
            return None;
        };
        // The stream may come from another shard's accept; only here does it meet a poll.
        let now = self.cx.now;
        let registry = self.poll.registry();
        let adopted = self.sessions.insert(|id| {
            // A failed registration shows as a session that is never ready; its deadline ends it.
            let _ = stream.register(registry, Token(id.slot()));
            Session::new(stream, id, peer, now)
        });
        let Some(session) = adopted else {
            // Every slot is taken; the stream is dropped with the closure.
            self.cx.server.handshake_ends();
            self.cx.server.connection_ends();
            return None;
        };
        session.until = self.cx.head_deadline();
        self.cx.arm_until(session);
        let slot = session.slot();
        self.guard(slot, |shard| shard.welcome(slot));
        Some(slot)
    }
}

//! All connections of a run, and the poll that watches them.

use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::door::Door;
use crate::error::Error;
use crate::faults::Faults;
use crate::inbound::{Arrived, Parting};
use crate::link::{Failure, Link};
use crate::observer::Observer;
use crate::script::Script;

/// The connections, addressed by their place.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    pub(crate) links: Vec<Link>,
    pub(crate) script: Script,
    pub(crate) faults: Faults,
    pub(crate) door: Door,
    /// Look for events again and again instead of sleeping until there are some.
    spin: bool,
    /// Connections that have been opened, for the caller to take.
    pub(crate) opened: Vec<usize>,
    /// Connections that could not be opened, for the caller to take.
    pub(crate) failures: Vec<(usize, Failure)>,
    /// Connections that were lost, for the caller to take.
    pub(crate) losses: Vec<(usize, Parting)>,
}

/// How long the generator waits for a handshake, for a roll call and for the last replies.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Handshakes under way at once: fewer than the accept queue of any server holds.
const AT_ONCE: usize = 64;
const BUFFER: usize = 256 << 10;
const EVENTS: usize = 1024;

impl Crowd {
    pub(crate) fn new(door: Door, script: Script, spin: bool) -> Result<Crowd, Error> {
        Ok(Crowd {
            poll: Poll::new().map_err(Error::system("cannot make a poll"))?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            links: Vec::new(),
            script,
            faults: Faults::default(),
            door,
            spin,
            opened: Vec::new(),
            failures: Vec::new(),
            losses: Vec::new(),
        })
    }

    /// Opens `count` connections. With `alike`, all expect the ring of the script from its beginning.
    pub(crate) fn open(&mut self, count: usize, alike: bool, observer: &mut Observer<'_>) -> Result<(), Error> {
        self.links.reserve_exact(count);
        let mut open = 0;
        let mut last = Instant::now();
        while open < count {
            while self.links.len() < count && self.links.len() - open < AT_ONCE {
                let first = if alike { 0 } else { self.links.len() % self.script.ring() };
                self.start(first, open)?;
            }
            self.turn(Duration::from_millis(100), |_, _, _, _| {})?;
            if let Some((_, failure)) = self.failures.pop() {
                return Err(failure.into_error(&self.door, open));
            }
            if !self.opened.is_empty() {
                open += self.opened.drain(..).count();
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                return Err(Error::SilentHandshake { open, waited: PATIENCE });
            }
            observer.tell("opening", open as u64)?;
        }
        Ok(())
    }

    /// Starts one more connection.
    fn start(&mut self, first: usize, open: usize) -> Result<(), Error> {
        let link = self.connect(self.links.len(), first, open)?;
        self.links.push(link);
        Ok(())
    }

    /// A new connection for `place`, watched.
    pub(crate) fn connect(&mut self, place: usize, first: usize, open: usize) -> Result<Link, Error> {
        let socket = self.door.connect(open)?;
        let mut link = Link::new(socket, self.door.handshake.is_none(), first, &self.script);
        self.poll
            .registry()
            .register(&mut link.socket.tcp, Token(place), Interest::READABLE | Interest::WRITABLE)
            .map_err(Error::system("cannot watch a socket"))?;
        Ok(link)
    }

    /// Waits for events; being interrupted is as good as none.
    fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        let timeout = if self.spin { Duration::ZERO } else { timeout };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result.map_err(Error::system("cannot poll")),
        }
    }

    /// Waits for events and serves them: goes on with handshakes, receives, and sends what is due. `arrived` sees what
    /// each connection received and may make messages due.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        mut arrived: impl FnMut(usize, &mut Link, Arrived, &Script),
    ) -> Result<(), Error> {
        self.wait(timeout)?;
        for event in &self.events {
            let place = event.token().0;
            let link = &mut self.links[place];
            if link.is_opening() {
                match link.open(self.door.handshake.as_ref(), &self.script, &mut self.faults) {
                    Ok(true) => self.opened.push(place),
                    Ok(false) => {}
                    Err(failure) => self.failures.push((place, failure)),
                }
            }
            if !link.is_open() {
                continue;
            }
            let closed = event.is_read_closed() || event.is_error();
            let result = if event.is_readable() || closed {
                link.receive(&mut self.buffer, closed, &self.script, &mut self.faults)
            } else {
                Ok(Arrived::default())
            };
            let result = result.and_then(|result| {
                if result != Arrived::default() {
                    arrived(place, link, result, &self.script);
                }
                link.flush(&self.script)
            });
            if let Err(parting) = result {
                self.losses.push((place, parting));
            }
        }
        Ok(())
    }
}

//! The connections of one thread, and the poll that watches them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::arrived::{Arrived, Parting};
use crate::desk::{Bytes, Desk, Event};
use crate::door::{Door, Opening};
use crate::error::Error;
use crate::inbound::Reading;
use crate::link::{Failure, Link};
use crate::script::{Foreign, Script};
use crate::stamp::Stamp;

/// The connections, addressed by their place.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    pub(crate) links: Vec<Link>,
    pub(crate) script: Script,
    pub(crate) reading: Reading,
    pub(crate) bytes: Bytes,
    pub(crate) door: Door,
    /// When the run began.
    pub(crate) epoch: Instant,
    /// Look for events again and again instead of sleeping until there are some.
    spin: bool,
    /// Wakes the poll at the time that is set; only for what is sent at fixed times.
    alarm: Option<OwnedFd>,
    /// Connections that have been opened, for the caller to take.
    pub(crate) opened: Vec<usize>,
    /// Connections that could not be opened, for the caller to take.
    pub(crate) failures: Vec<(usize, Failure)>,
    /// Connections that were lost, for the caller to take.
    pub(crate) losses: Vec<(usize, Parting)>,
}

const BUFFER: usize = 256 << 10;
const EVENTS: usize = 1024;
const WAKER: Token = Token(usize::MAX - 1);
const ALARM: Token = Token(usize::MAX - 2);
/// In the token of a connection that POSTs go by, beside the place of the link.
const POST: usize = 1 << (usize::BITS - 2);

impl Crowd {
    /// Nobody yet. `alarmed`: there will be an alarm to set.
    pub(crate) fn new(door: Door, script: Script, epoch: Instant, spin: bool, alarmed: bool) -> Result<Crowd, Error> {
        let poll = Poll::new().map_err(Error::system("cannot make a poll"))?;
        let alarm = alarmed.then(|| alarm(&poll)).transpose().map_err(Error::system("cannot make a timer"))?;
        Ok(Crowd {
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            links: Vec::new(),
            script,
            reading: Reading::default(),
            bytes: Bytes::default(),
            door,
            epoch,
            spin,
            alarm,
            opened: Vec::new(),
            failures: Vec::new(),
            losses: Vec::new(),
        })
    }

    /// What ends a turn from another thread.
    pub(crate) fn waker(&self) -> Result<Waker, Error> {
        Waker::new(self.poll.registry(), WAKER).map_err(Error::system("cannot make a waker"))
    }

    /// There are two distributions of times: see `Tally`.
    pub(crate) fn has_second(&self) -> bool {
        self.alarm.is_some() || self.script.foreign() == Foreign::Wanted
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Ends a turn after `delay`; the poll's own time is counted in milliseconds, which is too coarse.
    pub(crate) fn set_alarm(&self, delay: Duration) -> Result<(), Error> {
        let Some(alarm) = &self.alarm else { return Ok(()) };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A timer that is set to nothing is switched off.
        let delay = delay.max(Duration::from_nanos(1));
        let once = Timespec { tv_sec: delay.as_secs() as i64, tv_nsec: i64::from(delay.subsec_nanos()) };
        timerfd_settime(alarm, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: once })
            .map(|_| ())
            .map_err(|error| Error::system("cannot set a timer")(error.into()))
    }

    /// A new connection for `place`, watched.
    pub(crate) fn connect(&mut self, place: usize, first: usize, open: usize) -> Result<Link, Error> {
        let socket = self.door.connect(open)?;
        let polls = matches!(self.door.opening, Opening::Polling(_));
        let post = if polls { Some(self.door.connect(open)?) } else { None };
        let mut link = Link::new(socket, post, &self.door.opening, first, &self.script);
        let watch = |tcp: &mut TcpStream, is_post| {
            watch(&self.poll, tcp, place, is_post).map_err(Error::system("cannot watch a socket"))
        };
        watch(&mut link.socket.tcp, false)?;
        link.post().map_or(Ok(()), |post| watch(post, true))?;
        Ok(link)
    }

    /// Writes what a connection has to send.
    pub(crate) fn flush(&mut self, place: usize) {
        let Crowd { poll, links, script, bytes, epoch, alarm, losses, door, .. } = self;
        let timed = alarm.is_some().then_some(*epoch);
        let renewed = renew(&mut links[place], place, door, poll);
        if let Err(parting) = renewed.and_then(|()| flush(&mut links[place], &door.opening, script, bytes, timed)) {
            losses.push((place, parting));
        }
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
    /// each connection received, with the stamps of its messages, and may make messages due.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        mut arrived: impl FnMut(usize, &mut Link, Arrived, &[Stamp], &Script),
    ) -> Result<(), Error> {
        self.wait(timeout)?;
        let Crowd { poll, links, script, reading, bytes, door, epoch, alarm, buffer, .. } = self;
        let timed = alarm.is_some().then_some(*epoch);
        for event in &self.events {
            let place = event.token().0 & !POST;
            let happened =
                Event { is_post: event.token().0 & POST != 0, closed: event.is_read_closed() || event.is_error() };
            let mut desk = Desk { buffer, script, reading, bytes };
            // The waker and the alarm have done their work by waking us.
            let Some(link) = links.get_mut(place) else { continue };
            if link.is_opening() {
                match link.open(happened, &door.opening, &mut desk) {
                    Ok(true) => self.opened.push(place),
                    Ok(false) => {
                        let renewed = renew(link, place, door, poll);
                        if let Err(parting) =
                            renewed.and_then(|()| flush(link, &door.opening, desk.script, desk.bytes, None))
                        {
                            self.failures.push((place, Failure::Refused(parting.to_string())));
                        }
                    }
                    Err(failure) => self.failures.push((place, failure)),
                }
                desk.reading.stamps.clear();
            }
            if !link.is_open() {
                continue;
            }
            let mut came = Arrived::default();
            let result = if event.is_readable() || happened.closed {
                link.receive(happened, &mut desk, &mut came)
            } else {
                Ok(())
            };
            if came != Arrived::default() {
                arrived(place, link, came, &reading.stamps, script);
            }
            reading.stamps.clear();
            let result = result.and_then(|()| renew(link, place, door, poll));
            let result = result.and_then(|()| flush(link, &door.opening, script, bytes, timed));
            if let Err(parting) = result {
                self.losses.push((place, parting));
            }
        }
        Ok(())
    }
}

/// Connects again what has to be.
fn renew(link: &mut Link, place: usize, door: &mut Door, poll: &Poll) -> Result<(), Parting> {
    link.renew(&mut |is_post| {
        let mut wire = door.connect(place).map_err(|error| Parting::Lost(error.to_string()))?;
        watch(poll, &mut wire.tcp, place, is_post).map_err(|error| Parting::Lost(error.to_string()))?;
        Ok(wire)
    })
}

fn watch(poll: &Poll, tcp: &mut TcpStream, place: usize, is_post: bool) -> std::io::Result<()> {
    let token = Token(if is_post { place | POST } else { place });
    poll.registry().register(tcp, token, Interest::READABLE | Interest::WRITABLE)
}

/// Writes what is due; with an epoch, takes note of when each message was written.
fn flush(
    link: &mut Link,
    opening: &Opening,
    script: &Script,
    bytes: &mut Bytes,
    timed: Option<Instant>,
) -> Result<(), Parting> {
    let Some(epoch) = timed else { return link.flush(opening, script, bytes) };
    let unwritten = link.unwritten(script);
    if unwritten == 0 {
        return link.flush(opening, script, bytes);
    }
    // Before the write: a reply can be on its way before the call returns.
    let now = epoch.elapsed().as_nanos() as u64;
    link.flush(opening, script, bytes)?;
    link.note_written(script, unwritten, now);
    Ok(())
}

fn alarm(poll: &Poll) -> std::io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), ALARM, Interest::READABLE)?;
    Ok(timer)
}

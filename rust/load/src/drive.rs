//! The timed part of a run: warm-up, measured window, last replies.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::crowd::{Crowd, PATIENCE};
use crate::error::Error;
use crate::faults::Fault;
use crate::inbound::Arrived;
use crate::link::Link;
use crate::meter::{self, Meter};
use crate::observer::{INTERVAL, Observer};
use crate::scenario::Timing;
use crate::script::Script;

/// What the connections do with each other. Times are nanoseconds since the run began.
pub(crate) trait Play {
    /// Sends the first messages.
    fn begin(&mut self, links: &mut [Link], script: &Script, now: u64);
    /// A connection received messages.
    fn arrived(&mut self, place: usize, link: &mut Link, messages: u64, script: &Script, now: u64, tally: &mut Tally);
    /// All that was ready has been served.
    fn turn_ended(&mut self, links: &mut [Link], script: &Script, now: u64);
    /// Nothing more is to be sent.
    fn stop(&mut self);
    /// Replies that are still to come.
    fn awaited(&self) -> u64;
    /// A connection is gone, with this many messages in flight; false if the run cannot go on without it.
    fn lost(&mut self, in_flight: u64) -> bool;
}

/// What is counted in the measured window.
pub(crate) struct Tally {
    pub(crate) messages: u64,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Tally, Error> {
        // 1 ns to 1000 s in three digits: a table of some 250 KiB.
        let latency = Histogram::new_with_bounds(1, 1_000_000_000_000, 3)
            .map_err(|error| Error::BadScenario(format!("cannot make a histogram: {error}")))?;
        Ok(Tally { messages: 0, latency })
    }

    /// One message that took this long.
    pub(crate) fn count(&mut self, nanoseconds: u64) {
        self.messages += 1;
        self.latency.saturating_record(nanoseconds);
    }

    pub(crate) fn reset(&mut self) {
        self.messages = 0;
        self.latency.reset();
    }
}

/// What was measured in the window.
pub(crate) struct Measured {
    pub(crate) tally: Tally,
    pub(crate) lasted: Duration,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) own_cpu: Duration,
}

/// A measured window that is open.
pub(crate) struct Window {
    began: Instant,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
}

impl Window {
    pub(crate) fn open(meter: Option<&Meter>) -> Result<Window, Error> {
        let server_cpu = meter.map(Meter::cpu).transpose()?;
        Ok(Window { began: Instant::now(), server_cpu, own_cpu: meter::own_cpu() })
    }

    pub(crate) fn close(self, meter: Option<&Meter>, tally: Tally) -> Result<Measured, Error> {
        let lasted = self.began.elapsed();
        let own_cpu = meter::own_cpu().saturating_sub(self.own_cpu);
        let server_cpu = match (meter, self.server_cpu) {
            (Some(meter), Some(before)) => Some(meter.cpu()?.saturating_sub(before)),
            _ => None,
        };
        Ok(Measured { tally, lasted, server_cpu, own_cpu })
    }
}

/// Plays until the time is over and the last replies are in.
pub(crate) fn drive(
    crowd: &mut Crowd,
    play: &mut impl Play,
    timing: Timing,
    meter: Option<&Meter>,
    observer: &mut Observer<'_>,
) -> Result<Measured, Error> {
    let mut stage = Running { crowd, play, epoch: Instant::now(), open: 0, tally: Tally::new()? };
    stage.begin()?;
    stage.run_for("warming up", timing.warmup, observer)?;
    let answered = stage.tally.messages > 0;
    stage.tally.reset();
    let window = Window::open(meter)?;
    stage.run_for("measuring", timing.duration, observer)?;
    let tally = std::mem::replace(&mut stage.tally, Tally::new()?);
    let measured = window.close(meter, tally)?;
    stage.drain(observer)?;
    if !answered && measured.tally.messages == 0 && stage.tally.messages == 0 {
        return Err(Error::NoReply { waited: stage.epoch.elapsed() });
    }
    Ok(measured)
}

struct Running<'r, P> {
    crowd: &'r mut Crowd,
    play: &'r mut P,
    epoch: Instant,
    open: usize,
    tally: Tally,
}

impl<P: Play> Running<'_, P> {
    fn begin(&mut self) -> Result<(), Error> {
        self.open = self.crowd.links.len();
        self.play.begin(&mut self.crowd.links, &self.crowd.script, 0);
        for (place, link) in self.crowd.links.iter_mut().enumerate() {
            if let Err(parting) = link.flush(&self.crowd.script) {
                self.crowd.losses.push((place, parting));
            }
        }
        self.bury()
    }

    fn run_for(&mut self, name: &'static str, time: Duration, observer: &mut Observer<'_>) -> Result<(), Error> {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            self.turn(left.min(INTERVAL))?;
            observer.tell(name, self.tally.messages)?;
        }
        Ok(())
    }

    /// Waits for the replies that are still to come, and counts those that do not.
    fn drain(&mut self, observer: &mut Observer<'_>) -> Result<(), Error> {
        self.play.stop();
        let began = Instant::now();
        while self.play.awaited() > 0 && began.elapsed() < PATIENCE {
            self.turn(INTERVAL)?;
            observer.tell("draining", self.tally.messages)?;
        }
        self.crowd.faults.count(Fault::Unanswered, self.play.awaited());
        Ok(())
    }

    fn turn(&mut self, timeout: Duration) -> Result<(), Error> {
        let Running { crowd, play, epoch, tally, .. } = self;
        crowd.turn(timeout, |place, link, Arrived { messages, .. }, script| {
            if messages > 0 {
                let now = epoch.elapsed().as_nanos() as u64;
                play.arrived(place, link, messages, script, now, tally);
            }
        })?;
        play.turn_ended(&mut crowd.links, &crowd.script, epoch.elapsed().as_nanos() as u64);
        self.bury()
    }

    /// Counts the connections that were lost; fails if the run cannot go on.
    fn bury(&mut self) -> Result<(), Error> {
        for (place, parting) in std::mem::take(&mut self.crowd.losses) {
            let link = &mut self.crowd.links[place];
            if !link.is_open() {
                continue;
            }
            self.crowd.faults.count(parting.fault(), 1);
            let in_flight = link.sent.len() as u64;
            link.end();
            self.open -= 1;
            if !self.play.lost(in_flight) || self.open == 0 {
                return Err(Error::ServerGone { after: self.epoch.elapsed(), how: parting.to_string() });
            }
        }
        Ok(())
    }
}

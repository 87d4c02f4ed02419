//! Connections that are opened, upgraded and closed over and over.

use std::time::{Duration, Instant};

use hubbub_proto::frame::{self, Opcode};

use crate::crowd::{Crowd, PATIENCE};
use crate::drive::{Measured, Tally, Window};
use crate::error::Error;
use crate::faults::Fault;
use crate::inbound::Parting;
use crate::link::Failure;
use crate::meter::Meter;
use crate::observer::{INTERVAL, Observer};
use crate::scenario::Timing;
use crate::script::KEY;

/// Keeps `connections` cycles going: connect, handshake, close frame, close frame of the server, the next.
pub(crate) fn play(
    crowd: &mut Crowd,
    connections: usize,
    timing: Timing,
    meter: Option<&Meter>,
    observer: &mut Observer<'_>,
) -> Result<Measured, Error> {
    let epoch = Instant::now();
    let mut cycles = Cycles { crowd, epoch, last: epoch, started: Vec::new(), total: 0, tally: Tally::new()? };
    for place in 0..connections {
        let link = cycles.crowd.connect(place, 0, place)?;
        cycles.crowd.links.push(link);
        cycles.started.push(Instant::now());
    }
    cycles.run_for("warming up", timing.warmup, observer)?;
    cycles.tally.reset();
    let window = Window::open(meter)?;
    cycles.run_for("measuring", timing.duration, observer)?;
    let tally = std::mem::replace(&mut cycles.tally, Tally::new()?);
    let measured = window.close(meter, tally)?;
    while cycles.total == 0 {
        // Fails when the patience is over.
        cycles.run_for("draining", INTERVAL, observer)?;
    }
    Ok(measured)
}

struct Cycles<'c> {
    crowd: &'c mut Crowd,
    epoch: Instant,
    /// When a handshake was last completed.
    last: Instant,
    started: Vec<Instant>,
    total: u64,
    tally: Tally,
}

impl Cycles<'_> {
    fn run_for(&mut self, name: &'static str, time: Duration, observer: &mut Observer<'_>) -> Result<(), Error> {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            self.crowd.turn(left.min(INTERVAL), |_, _, _, _| {})?;
            self.say_goodbye();
            self.begin_anew()?;
            if self.last.elapsed() > PATIENCE {
                return Err(Error::SilentHandshake { open: 0, waited: PATIENCE });
            }
            observer.tell(name, self.tally.messages)?;
        }
        Ok(())
    }

    /// Counts the handshakes that were completed and closes those connections.
    fn say_goodbye(&mut self) {
        for place in std::mem::take(&mut self.crowd.opened) {
            self.last = Instant::now();
            self.total += 1;
            self.tally.count((self.last - self.started[place]).as_nanos() as u64);
            let link = &mut self.crowd.links[place];
            frame::encode(&mut link.outbound.control, Opcode::Close, &1000_u16.to_be_bytes(), Some(KEY));
            if let Err(parting) = link.flush(&self.crowd.script) {
                self.crowd.losses.push((place, parting));
            }
        }
    }

    /// Starts new connections in the places of those that are over.
    fn begin_anew(&mut self) -> Result<(), Error> {
        for (place, failure) in std::mem::take(&mut self.crowd.failures) {
            match failure {
                Failure::Unreachable(source) if self.total > 0 => {
                    return Err(Error::ServerGone { after: self.epoch.elapsed(), how: source.to_string() });
                }
                failure if self.total == 0 => return Err(failure.into_error(&self.crowd.door, 0)),
                _ => self.crowd.faults.count(Fault::Handshake, 1),
            }
            self.again(place)?;
        }
        for (place, parting) in std::mem::take(&mut self.crowd.losses) {
            // The server's close frame and the end of the stream may both be reported; the first one counts.
            if !self.crowd.links[place].is_open() {
                continue;
            }
            match parting {
                Parting::Closed(_) => {}
                Parting::Protocol(_) | Parting::Lost(_) => self.crowd.faults.count(parting.fault(), 1),
            }
            self.again(place)?;
        }
        Ok(())
    }

    fn again(&mut self, place: usize) -> Result<(), Error> {
        self.crowd.links[place].end();
        self.crowd.links[place] = self.crowd.connect(place, 0, 0)?;
        self.started[place] = Instant::now();
        Ok(())
    }
}

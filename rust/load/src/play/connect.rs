//! Connections that are opened, upgraded and closed over and over.

use std::time::Instant;

use crate::arrived::{Arrived, Parting};
use crate::board::{Board, Stage};
use crate::error::Error;
use crate::faults::Fault;
use crate::link::{Failure, Link};
use crate::worker::{Hands, Moment, Play};

/// Keeps cycles going: connect, handshake, close frame, close frame of the server, the next.
#[derive(Default)]
pub(crate) struct Connect {
    started: Vec<Instant>,
    total: u64,
}

impl Connect {
    fn begin(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        for place in 0..hands.share {
            let link = hands.crowd.connect(place, 0, place)?;
            hands.crowd.links.push(link);
            self.started.push(Instant::now());
        }
        hands.progress = Instant::now();
        Ok(())
    }

    /// Counts the handshakes that were completed and closes those connections.
    fn say_goodbye(&mut self, hands: &mut Hands<'_>) {
        for place in std::mem::take(&mut hands.crowd.opened) {
            hands.opened(1);
            self.total += 1;
            hands.tally.count(self.started[place].elapsed().as_nanos() as u64);
            hands.crowd.links[place].say_goodbye();
            hands.crowd.flush(place);
        }
    }

    /// Starts new connections in the places of those that are over.
    fn begin_anew(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        for (place, failure) in std::mem::take(&mut hands.crowd.failures) {
            match failure {
                Failure::Unreachable(source) if self.total > 0 => {
                    return Err(Error::ServerGone { after: hands.board.epoch.elapsed(), how: source.to_string() });
                }
                failure if self.total == 0 => return Err(failure.into_error(&hands.crowd.door, 0)),
                _ => hands.crowd.reading.faults.count(Fault::Handshake, 1),
            }
            self.again(place, hands)?;
        }
        for (place, parting) in std::mem::take(&mut hands.crowd.losses) {
            // The server's close frame and the end of the stream may both be reported; the first one counts.
            if !hands.crowd.links[place].is_open() {
                continue;
            }
            match parting {
                Parting::Closed(_) | Parting::Left(_) => {}
                Parting::Protocol(_) | Parting::Lost(_) => hands.crowd.reading.faults.count(parting.fault(), 1),
            }
            hands.closed(1);
            self.again(place, hands)?;
        }
        Ok(())
    }

    fn again(&mut self, place: usize, hands: &mut Hands<'_>) -> Result<(), Error> {
        hands.crowd.links[place].end();
        hands.crowd.links[place] = hands.crowd.connect(place, 0, 0)?;
        self.started[place] = Instant::now();
        Ok(())
    }
}

impl Play for Connect {
    const OPENS: bool = false;

    fn enter(&mut self, stage: Stage, hands: &mut Hands<'_>) -> Result<(), Error> {
        let begins = hands.crowd.links.is_empty() && (Stage::WarmingUp..=Stage::Measuring).contains(&stage);
        if begins { self.begin(hands) } else { Ok(()) }
    }

    fn arrived(&mut self, _: usize, _: &mut Link, _: Arrived, _: &mut Moment<'_>) {}

    fn turned(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        self.say_goodbye(hands);
        self.begin_anew(hands)?;
        if hands.crowd.links.is_empty() { Ok(()) } else { hands.check_progress() }
    }

    fn awaited(&self, _: &Board) -> u64 {
        // Whoever never answers shall be waited for until it is too long.
        u64::from(self.total == 0)
    }

    fn lost(&mut self, _: usize, _: u64, _: &Parting, _: &mut Hands<'_>) -> Result<(), Error> {
        Ok(())
    }
}

//! All connections are dropped at once and come back at once, as after a restart or a broken network.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::arrived::{Arrived, Parting};
use crate::board::{Board, Stage};
use crate::error::Error;
use crate::faults::Fault;
use crate::link::Link;
use crate::worker::{Hands, Moment, Play};

/// The part of a storm that is one thread's.
#[derive(Default)]
pub(crate) struct Storm {
    /// The storm that is on, or was last.
    number: u64,
    /// It is on.
    raging: bool,
    began: Option<Instant>,
    /// Places whose handshakes failed, and when they are tried again.
    again: Vec<(Instant, usize)>,
}

/// What a client that was refused waits before it tries again.
const RETRY: Duration = Duration::from_millis(100);

impl Storm {
    /// Drops everyone; all come back.
    fn begin(&mut self, number: u64, hands: &mut Hands<'_>) -> Result<(), Error> {
        self.number = number;
        self.raging = true;
        self.again.clear();
        hands.crowd.opened.clear();
        hands.crowd.losses.clear();
        hands.closed(hands.open());
        hands.crowd.links.drain(..).for_each(Link::drop_dead);
        self.began = Some(Instant::now());
        hands.progress = Instant::now();
        for place in 0..hands.share {
            let link = hands.crowd.connect(place, 0, place)?;
            hands.crowd.links.push(link);
        }
        Ok(())
    }

    fn go_on(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        let opened = hands.crowd.opened.drain(..).count();
        if opened > 0 {
            hands.opened(opened);
            let taken = self.began.map_or(Duration::ZERO, |began| began.elapsed());
            (0..opened).for_each(|_| hands.tally.count(taken.as_nanos() as u64));
        }
        let now = Instant::now();
        for (place, _) in std::mem::take(&mut hands.crowd.failures) {
            hands.crowd.reading.faults.count(Fault::Handshake, 1);
            self.again.push((now + RETRY, place));
        }
        for (_, place) in self.again.extract_if(.., |(at, _)| *at <= now) {
            hands.crowd.links[place] = hands.crowd.connect(place, 0, place)?;
        }
        if hands.open() == hands.share {
            self.raging = false;
            hands.ready(self.number + 1);
            return Ok(());
        }
        hands.check_progress()
    }
}

impl Play for Storm {
    fn enter(&mut self, _: Stage, _: &mut Hands<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn arrived(&mut self, _: usize, _: &mut Link, _: Arrived, _: &mut Moment<'_>) {}

    fn turned(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        let number = hands.board.storm.load(Ordering::Acquire);
        if number > self.number {
            self.begin(number, hands)?;
        }
        if self.raging { self.go_on(hands) } else { Ok(()) }
    }

    fn awaited(&self, _: &Board) -> u64 {
        0
    }

    fn lost(&mut self, place: usize, _: u64, how: &Parting, hands: &mut Hands<'_>) -> Result<(), Error> {
        if self.raging {
            self.again.push((Instant::now() + RETRY, place));
            return Ok(());
        }
        hands.check_anyone_left(how)
    }
}

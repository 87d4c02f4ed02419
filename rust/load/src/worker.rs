//! One thread of the generator: opens its share of the connections and plays with them until it is over.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::arrived::{Arrived, Parting};
use crate::board::{Board, Order, Stage};
use crate::crowd::Crowd;
use crate::door::Opening;
use crate::error::Error;
use crate::link::Link;
use crate::script::Script;
use crate::stamp::Stamp;
use crate::tally::{Tally, thread_cpu};

/// What the connections do with each other. Times are nanoseconds since the run began.
pub(crate) trait Play {
    /// The connections are opened before it begins.
    const OPENS: bool = true;
    /// A stage begins.
    fn enter(&mut self, stage: Stage, hands: &mut Hands<'_>) -> Result<(), Error>;
    /// A connection received messages.
    fn arrived(&mut self, place: usize, link: &mut Link, arrived: Arrived, at: &mut Moment<'_>);
    /// All that was ready has been served.
    fn turned(&mut self, hands: &mut Hands<'_>) -> Result<(), Error>;
    /// Replies that are still to come.
    fn awaited(&self, board: &Board) -> u64;
    /// A connection that was open is gone, with this many messages in flight.
    fn lost(&mut self, place: usize, in_flight: u64, how: &Parting, hands: &mut Hands<'_>) -> Result<(), Error>;
}

/// What there is to know while a connection is served.
pub(crate) struct Moment<'m> {
    pub(crate) now: u64,
    pub(crate) stamps: &'m [Stamp],
    pub(crate) script: &'m Script,
    pub(crate) tally: &'m mut Tally,
    /// Messages that were due in this time have their latencies recorded.
    pub(crate) window: Window,
}

/// A stretch of the run, in nanoseconds since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    from: u64,
    to: u64,
}

impl Window {
    pub(crate) fn contains(self, due: u64) -> bool {
        (self.from..self.to).contains(&due)
    }
}

/// What a play works with.
pub(crate) struct Hands<'b> {
    pub(crate) board: &'b Board,
    pub(crate) crowd: Crowd,
    pub(crate) tally: Tally,
    /// Which thread this is.
    pub(crate) index: usize,
    /// Connections of this thread.
    pub(crate) share: usize,
    pub(crate) patience: Duration,
    /// When something was last opened or heard.
    pub(crate) progress: Instant,
    open: usize,
}

impl Hands<'_> {
    /// A handshake was completed, or a connection is back.
    pub(crate) fn opened(&mut self, count: usize) {
        self.open += count;
        self.progress = Instant::now();
    }

    pub(crate) fn closed(&mut self, count: usize) {
        self.open -= count;
    }

    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Tells the conductor that all is as it is to be.
    pub(crate) fn ready(&self, number: u64) {
        let gauges = &self.board.gauges[self.index];
        gauges.open.store(self.open, Ordering::Relaxed);
        gauges.ready_at.store(self.crowd.now(), Ordering::Relaxed);
        gauges.ready.store(number, Ordering::Release);
        self.board.tell();
    }

    /// Fails if no connection of any thread is left.
    pub(crate) fn check_anyone_left(&self, how: &Parting) -> Result<(), Error> {
        if self.board.open() == 0 { Err(gone(self.board, how)) } else { Ok(()) }
    }

    /// Fails if nothing has been opened for too long.
    pub(crate) fn check_progress(&self) -> Result<(), Error> {
        if self.progress.elapsed() > self.patience {
            let what = self.crowd.links.iter().find(|link| link.is_opening()).map_or("answer", Link::awaits);
            return Err(Error::SilentHandshake { what, open: self.board.open(), waited: self.patience });
        }
        Ok(())
    }
}

/// Handshakes under way at once, of all threads: fewer than the accept queue of any server holds.
const AT_ONCE: usize = 64;
/// The longest sleep.
const NAP: Duration = Duration::from_millis(100);
/// How long the server may take for its part of the goodbyes.
const GOODBYE: Duration = Duration::from_secs(1);

/// Plays until the run is over.
pub(crate) fn work<P: Play>(
    board: &Board,
    index: usize,
    share: usize,
    patience: Duration,
    crowd: Crowd,
    play: P,
) -> Result<(), Error> {
    let tally = Tally::new(crowd.has_second())?;
    let hands = Hands { board, crowd, tally, index, share, patience, progress: Instant::now(), open: 0 };
    let window = Window { from: u64::MAX, to: u64::MAX };
    let mut worker = Worker { hands, play, order: board.order(), window };
    // What a thread has counted until it failed counts, too.
    worker.run().or_else(|error| worker.hand_over(worker.order).and(Err(error)))
}

struct Worker<'b, P> {
    hands: Hands<'b>,
    play: P,
    order: Order,
    window: Window,
}

impl<P: Play> Worker<'_, P> {
    fn run(&mut self) -> Result<(), Error> {
        if P::OPENS {
            self.hands.crowd.links.reserve_exact(self.hands.share);
        } else {
            self.hands.ready(1);
        }
        while self.obey()? != Stage::Over {
            if P::OPENS && self.order.stage() == Stage::Connecting {
                self.open_more()?;
            }
            self.turn()?;
        }
        self.say_goodbye()
    }

    /// Closes the connections as the protocol wants it, so that the server sees an orderly end; who does not answer soon is
    /// left.
    fn say_goodbye(&mut self) -> Result<(), Error> {
        let crowd = &mut self.hands.crowd;
        if matches!(crowd.door.opening, Opening::Raw) {
            return Ok(());
        }
        let mut left = 0;
        for place in 0..crowd.links.len() {
            if crowd.links[place].is_open() {
                left += 1;
                crowd.links[place].say_goodbye();
                crowd.flush(place);
            }
        }
        let began = Instant::now();
        while left > 0 && began.elapsed() < GOODBYE {
            crowd.turn(GOODBYE.saturating_sub(began.elapsed()), |_, _, _, _, _| {})?;
            for (place, _) in std::mem::take(&mut crowd.losses) {
                if crowd.links[place].is_open() {
                    crowd.links[place].end();
                    left -= 1;
                }
            }
        }
        Ok(())
    }

    /// Looks at the order in force; a new one is obeyed. Gives the stage.
    fn obey(&mut self) -> Result<Stage, Error> {
        let order = self.hands.board.order();
        if order != self.order {
            let before = self.order.stage();
            let stage = order.stage();
            if stage != before && stage == Stage::Measuring {
                self.window = Window { from: self.hands.crowd.now(), to: u64::MAX };
            } else if stage != before && before == Stage::Measuring {
                self.window.to = self.hands.crowd.now();
            }
            self.hand_over(order)?;
            self.order = order;
            if stage != before {
                self.play.enter(stage, &mut self.hands)?;
                self.bury()?;
            }
        }
        Ok(order.stage())
    }

    /// Hands over what was counted under the order so far; `order` is obeyed from now on.
    fn hand_over(&mut self, order: Order) -> Result<(), Error> {
        let hands = &mut self.hands;
        let mut tally = std::mem::replace(&mut hands.tally, Tally::new(hands.crowd.has_second())?);
        tally.bytes = std::mem::take(&mut hands.crowd.bytes);
        tally.faults.add(&std::mem::take(&mut hands.crowd.reading.faults));
        tally.cpu = thread_cpu();
        hands.board.hand_over(hands.index, self.order.stage(), tally, order);
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Error> {
        let Worker { hands, play, window, .. } = self;
        let Hands { crowd, tally, .. } = hands;
        let epoch = crowd.epoch;
        crowd.turn(NAP, |place, link, arrived, stamps, script| {
            let now = epoch.elapsed().as_nanos() as u64;
            play.arrived(place, link, arrived, &mut Moment { now, stamps, script, tally, window: *window });
        })?;
        self.play.turned(&mut self.hands)?;
        self.bury()?;
        let gauges = &self.hands.board.gauges[self.hands.index];
        gauges.open.store(self.hands.open, Ordering::Relaxed);
        gauges.awaited.store(self.play.awaited(self.hands.board), Ordering::Relaxed);
        if self.order.stage() == Stage::Draining && self.hands.board.awaited() == 0 {
            self.hands.board.tell();
        }
        Ok(())
    }

    /// Starts connections, a few at a time.
    fn open_more(&mut self) -> Result<(), Error> {
        let hands = &mut self.hands;
        if let Some((_, failure)) = hands.crowd.failures.pop() {
            return Err(failure.into_error(&hands.crowd.door, hands.board.open()));
        }
        let opened = hands.crowd.opened.drain(..).count();
        if opened > 0 {
            hands.opened(opened);
        }
        if hands.open == hands.share {
            if opened > 0 {
                hands.ready(1);
            }
            return Ok(());
        }
        let at_once = (AT_ONCE / hands.board.gauges.len()).max(1);
        while hands.crowd.links.len() < hands.share && hands.crowd.links.len() - hands.open < at_once {
            let place = hands.crowd.links.len();
            let link = hands.crowd.connect(place, place % hands.crowd.script.ring(), hands.board.open())?;
            hands.crowd.links.push(link);
        }
        hands.check_progress()
    }

    /// Counts the connections that were lost; fails if the run cannot go on.
    fn bury(&mut self) -> Result<(), Error> {
        for (place, parting) in std::mem::take(&mut self.hands.crowd.losses) {
            let link = &mut self.hands.crowd.links[place];
            if !link.is_open() {
                continue;
            }
            let in_flight = link.sent.len() as u64;
            link.end();
            self.hands.crowd.reading.faults.count(parting.fault(), 1);
            self.hands.open = self.hands.open.saturating_sub(1);
            self.hands.board.gauges[self.hands.index].open.store(self.hands.open, Ordering::Relaxed);
            if self.order.stage() < Stage::WarmingUp {
                return Err(gone(self.hands.board, &parting));
            }
            self.play.lost(place, in_flight, &parting, &mut self.hands)?;
        }
        Ok(())
    }
}

/// The error of a run that has lost its connections.
pub(crate) fn gone(board: &Board, how: &Parting) -> Error {
    Error::ServerGone { after: board.epoch.elapsed(), how: how.to_string() }
}

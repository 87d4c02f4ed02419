//! Connections that listen to a server that sends by itself: how much comes, how evenly, how late?

use crate::arrived::{Arrived, Parting};
use crate::board::{Board, Stage};
use crate::error::Error;
use crate::field::BEFORE;
use crate::link::Link;
use crate::worker::{Hands, Moment, Play};

/// Keeps the connections and times what they receive.
pub(crate) struct Listen {
    /// When each connection last received something, in nanoseconds since the run began; 0: nothing yet.
    last: Vec<u64>,
}

impl Listen {
    pub(crate) fn new(share: usize) -> Listen {
        Listen { last: vec![0; share] }
    }
}

impl Play for Listen {
    fn enter(&mut self, _: Stage, _: &mut Hands<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn arrived(&mut self, place: usize, _: &mut Link, arrived: Arrived, at: &mut Moment<'_>) {
        if arrived.messages == 0 {
            return;
        }
        at.tally.messages += arrived.messages;
        let before = std::mem::replace(&mut self.last[place], at.now);
        if let Some(gaps) = &mut at.tally.second {
            if before > 0 {
                gaps.saturating_record(at.now - before);
            }
            // Those behind the first have come together with it.
            gaps.saturating_record_n(0, arrived.messages - 1);
        }
        for stamp in at.stamps {
            at.tally.latency.saturating_record((at.now + BEFORE).saturating_sub(stamp.due));
        }
    }

    fn turned(&mut self, _: &mut Hands<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn awaited(&self, _: &Board) -> u64 {
        0
    }

    fn lost(&mut self, _: usize, _: u64, how: &Parting, hands: &mut Hands<'_>) -> Result<(), Error> {
        hands.check_anyone_left(how)
    }
}

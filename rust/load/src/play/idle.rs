//! Connections that say nothing: what do they cost?

use crate::arrived::{Arrived, Parting};
use crate::board::{Board, Stage};
use crate::error::Error;
use crate::link::Link;
use crate::worker::{Hands, Moment, Play};

/// Keeps the connections. Pings are answered.
pub(crate) struct Idle;

impl Play for Idle {
    fn enter(&mut self, _: Stage, _: &mut Hands<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn arrived(&mut self, _: usize, _: &mut Link, _: Arrived, _: &mut Moment<'_>) {}

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

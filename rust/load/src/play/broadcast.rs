//! One connection publishes; every message is to reach all connections before it counts as done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::crowd::{Crowd, PATIENCE};
use crate::drive::{Play, Tally};
use crate::error::Error;
use crate::inbound::Arrived;
use crate::link::Link;
use crate::observer::Observer;
use crate::script::Script;

/// The publisher's place.
const PUBLISHER: usize = 0;

/// The state of a broadcast run.
pub(crate) struct Broadcast {
    outstanding: usize,
    /// The broadcasts under way, oldest first.
    under_way: VecDeque<UnderWay>,
    /// The number of the oldest of them.
    oldest: u64,
    /// How many broadcasts each member has received.
    received: Vec<u64>,
    stopped: bool,
}

struct UnderWay {
    sent: u64,
    missing: usize,
}

impl Broadcast {
    pub(crate) fn new(outstanding: usize, members: usize) -> Broadcast {
        Broadcast {
            outstanding,
            under_way: VecDeque::with_capacity(outstanding),
            oldest: 0,
            received: vec![0; members],
            stopped: false,
        }
    }

    fn publish(&mut self, links: &mut [Link], script: &Script, now: u64) {
        let due = self.outstanding - self.under_way.len();
        if due == 0 || self.stopped {
            return;
        }
        for _ in 0..due {
            self.under_way.push_back(UnderWay { sent: now, missing: links.len() });
        }
        links[PUBLISHER].outbound.owe(due as u64, script);
    }
}

impl Play for Broadcast {
    fn begin(&mut self, links: &mut [Link], script: &Script, now: u64) {
        self.publish(links, script, now);
    }

    fn arrived(&mut self, place: usize, _: &mut Link, messages: u64, _: &Script, now: u64, tally: &mut Tally) {
        for _ in 0..messages {
            let index = (self.received[place] - self.oldest) as usize;
            // A server that sends more than was published is not counted for it.
            let Some(broadcast) = self.under_way.get_mut(index) else { return };
            self.received[place] += 1;
            broadcast.missing -= 1;
            tally.count(now - broadcast.sent);
            // What was sent first may complete only first: members receive in order.
            while self.under_way.front().is_some_and(|broadcast| broadcast.missing == 0) {
                self.under_way.pop_front();
                self.oldest += 1;
            }
        }
    }

    fn turn_ended(&mut self, links: &mut [Link], script: &Script, now: u64) {
        self.publish(links, script, now);
        // A failure to write shows as an event of the publisher, too.
        let _ = links[PUBLISHER].flush(script);
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn awaited(&self) -> u64 {
        self.under_way.iter().map(|broadcast| broadcast.missing as u64).sum()
    }

    fn lost(&mut self, _: u64) -> bool {
        false
    }
}

/// Returns when a broadcast reaches everyone. A handshake is answered before the server has taken the connection among
/// those it broadcasts to, so the publisher calls until all have heard a call.
pub(crate) fn call_roll(crowd: &mut Crowd, observer: &mut Observer<'_>) -> Result<(), Error> {
    const BETWEEN_CALLS: Duration = Duration::from_millis(100);
    let members = crowd.links.len();
    let mut heard = vec![false; members];
    let mut reached = 0;
    let mut last_progress = Instant::now();
    let mut next_call = last_progress;
    while reached < members {
        if Instant::now() >= next_call {
            next_call = Instant::now() + BETWEEN_CALLS;
            let publisher = &mut crowd.links[PUBLISHER];
            publisher.outbound.control.extend_from_slice(&crowd.script.roll_call);
            // A failure to write shows as an event, too.
            let _ = publisher.flush(&crowd.script);
        }
        let before = reached;
        crowd.turn(BETWEEN_CALLS, |place, _, Arrived { roll_calls, .. }, _| {
            if roll_calls > 0 && !std::mem::replace(&mut heard[place], true) {
                reached += 1;
            }
        })?;
        if let Some((_, parting)) = crowd.losses.first() {
            return Err(Error::ServerGone { after: Duration::ZERO, how: parting.to_string() });
        }
        if reached > before {
            last_progress = Instant::now();
        } else if last_progress.elapsed() > PATIENCE {
            return Err(Error::NotAllReached { reached, members, waited: PATIENCE });
        }
        observer.tell("roll call", reached as u64)?;
    }
    Ok(())
}

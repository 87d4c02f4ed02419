//! Every connection sends messages and waits for them to come back: as replies come, or at fixed times.

use crate::arrived::{Arrived, Parting};
use crate::board::{Board, Stage};
use crate::error::Error;
use crate::faults::Fault;
use crate::link::{Link, Sent};
use crate::scenario::{MAX_UNDER_WAY, Pace};
use crate::schedule::Schedule;
use crate::script::Script;
use crate::worker::{Hands, Moment, Play};

/// The state of an echo run; the rest is in the links.
pub(crate) struct Echo {
    pace: Pace,
    /// The part of all connections that this thread has.
    part: f64,
    schedule: Option<Schedule>,
    /// The connection whose turn it is.
    next: usize,
    /// Connections for which messages became due.
    touched: Vec<usize>,
    awaited: u64,
    begun: bool,
    stopped: bool,
}

impl Echo {
    pub(crate) fn new(pace: Pace, part: f64) -> Echo {
        let (next, touched) = (0, Vec::new());
        Echo { pace, part, schedule: None, next, touched, awaited: 0, begun: false, stopped: false }
    }

    fn begin(&mut self, hands: &mut Hands<'_>) {
        self.begun = true;
        let now = hands.crowd.now();
        match self.pace {
            Pace::Rate(rate) => self.schedule = Some(Schedule::new(rate, self.part, hands.index, now)),
            Pace::InFlight(count) => {
                for place in 0..hands.crowd.links.len() {
                    owe(&mut hands.crowd.links[place], &hands.crowd.script, count as u64, now);
                    self.awaited += count as u64;
                    hands.tally.sent += count as u64;
                    hands.crowd.flush(place);
                }
            }
        }
    }

    /// Sends what is due by the schedule.
    fn send_due(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        let Some(schedule) = &mut self.schedule else { return Ok(()) };
        if self.stopped {
            return Ok(());
        }
        let now = hands.crowd.now();
        while let Some(due) = schedule.take(now) {
            let links = &mut hands.crowd.links;
            let Some(place) = (self.next..links.len()).chain(0..self.next).find(|place| links[*place].is_open()) else {
                return Ok(());
            };
            self.next = place + 1;
            if self.awaited >= MAX_UNDER_WAY as u64 {
                hands.crowd.reading.faults.count(Fault::Unsent, 1);
                continue;
            }
            owe(&mut links[place], &hands.crowd.script, 1, due);
            self.awaited += 1;
            hands.tally.sent += 1;
            self.touched.push(place);
        }
        for place in self.touched.drain(..) {
            hands.crowd.flush(place);
        }
        hands.crowd.set_alarm(schedule.left(hands.crowd.now()))
    }
}

fn owe(link: &mut Link, script: &Script, messages: u64, due: u64) {
    link.owe(messages, script);
    link.sent.extend((0..messages).map(|_| Sent { due, written: due }));
}

impl Play for Echo {
    fn enter(&mut self, stage: Stage, hands: &mut Hands<'_>) -> Result<(), Error> {
        if !self.begun && (Stage::WarmingUp..=Stage::Measuring).contains(&stage) {
            self.begin(hands);
        }
        self.stopped = stage >= Stage::Draining;
        self.send_due(hands)
    }

    fn arrived(&mut self, _: usize, link: &mut Link, arrived: Arrived, at: &mut Moment<'_>) {
        let mut replies = 0;
        // A server that sends more than it got is not to be paid with more messages.
        for sent in link.sent.drain(..link.sent.len().min(arrived.messages as usize)) {
            replies += 1;
            if let Some(service) = &mut at.tally.second {
                // A message counts where it was due: one that comes late is the more to be heard of.
                if at.window.contains(sent.due) {
                    at.tally.latency.saturating_record(at.now.saturating_sub(sent.due));
                    service.saturating_record(at.now.saturating_sub(sent.written));
                }
            } else {
                at.tally.latency.saturating_record(at.now - sent.due);
            }
        }
        at.tally.messages += replies;
        self.awaited -= replies;
        if !self.stopped && self.schedule.is_none() && replies > 0 {
            owe(link, at.script, replies, at.now);
            self.awaited += replies;
            at.tally.sent += replies;
        }
    }

    fn turned(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        self.send_due(hands)
    }

    fn awaited(&self, _: &Board) -> u64 {
        self.awaited
    }

    fn lost(&mut self, _: usize, in_flight: u64, how: &Parting, hands: &mut Hands<'_>) -> Result<(), Error> {
        self.awaited -= in_flight;
        hands.check_anyone_left(how)
    }
}

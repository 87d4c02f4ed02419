//! Some connections send; every message is to reach all of them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hubbub_proto::deflate::Deflater;

use crate::arrived::{Arrived, Parting};
use crate::board::{Airwaves, Board, Stage};
use crate::error::Error;
use crate::faults::Fault;
use crate::link::Link;
use crate::scenario::Pace;
use crate::schedule::Schedule;
use crate::script;
use crate::stamp::{SEQUENCE, Stamp};
use crate::worker::{Hands, Moment, Play, gone};

/// The part of a broadcast run that is one thread's. Sender `n` is the first free connection of thread `n % threads`.
pub(crate) struct Broadcast {
    pace: Pace,
    threads: usize,
    /// Connections of all threads.
    members: u64,
    senders: usize,
    schedule: Option<Schedule>,
    /// The numbers of this thread's senders; the one at `n` is the connection at place `n`.
    mine: Vec<usize>,
    /// Which of them sends next by the schedule.
    next: usize,
    /// The sequence number that each connection expects of each sender.
    expected: Vec<u32>,
    /// Deliveries from each sender that the others have not been told of.
    news: Vec<u64>,
    deflater: Option<Deflater>,
    roll: Option<Roll>,
    stopped: bool,
}

/// The call that has to reach everyone before it begins. A handshake is answered before the server has taken the
/// connection among those it broadcasts to, so the first sender calls until all have heard a call.
struct Roll {
    heard: Vec<bool>,
    count: usize,
    next: Instant,
    /// How many had heard it when last looked at, and when that changed.
    reached: usize,
    progress: Instant,
}

const BETWEEN_CALLS: Duration = Duration::from_millis(100);
/// What one sender may have waiting to be written.
const MAX_WAITING: usize = 64 << 20;

impl Broadcast {
    pub(crate) fn new(
        pace: Pace,
        senders: usize,
        members: usize,
        (thread, threads): (usize, usize),
        share: usize,
        deflate: bool,
    ) -> Broadcast {
        Broadcast {
            pace,
            threads,
            members: members as u64,
            senders,
            schedule: None,
            mine: (thread..senders).step_by(threads).collect(),
            next: 0,
            expected: vec![0; share * senders],
            news: vec![0; senders],
            deflater: deflate.then(script::deflater),
            roll: None,
            stopped: false,
        }
    }

    fn call_roll(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        let Some(roll) = &mut self.roll else { return Ok(()) };
        let airwaves = &hands.board.airwaves;
        let before = airwaves.heard.fetch_add(std::mem::take(&mut roll.count), Ordering::AcqRel);
        let reached = airwaves.heard.load(Ordering::Acquire);
        if reached as u64 == self.members && before != reached {
            hands.board.tell();
        }
        if reached != roll.reached {
            roll.reached = reached;
            roll.progress = Instant::now();
        } else if roll.progress.elapsed() > hands.patience && (reached as u64) < self.members {
            let (members, waited) = (self.members as usize, hands.patience);
            return Err(Error::NotAllReached { reached, members, waited });
        }
        if self.mine.first() == Some(&0) && (reached as u64) < self.members && Instant::now() >= roll.next {
            roll.next = Instant::now() + BETWEEN_CALLS;
            let script = &hands.crowd.script;
            hands.crowd.links[0].say(script.roll_call_payload().to_vec(), script, None);
            hands.tally.calls_sent += 1;
            hands.crowd.flush(0);
        }
        Ok(())
    }

    /// Tells the other threads what has been delivered; wakes those whose senders may go on.
    fn tell_news(&mut self, hands: &Hands<'_>) {
        let Airwaves { delivered, wanted, .. } = &hands.board.airwaves;
        for (sender, news) in self.news.iter_mut().enumerate().filter(|(_, news)| **news > 0) {
            let before = delivered[sender].fetch_add(*news, Ordering::AcqRel);
            let wanted = wanted[sender].load(Ordering::Acquire);
            if before < wanted && before + *news >= wanted && sender % self.threads != hands.index {
                hands.board.wake(sender % self.threads);
            }
            *news = 0;
        }
    }

    /// Sends what may be sent: as much as has come back, or what is due by now.
    fn publish(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        let now = hands.crowd.now();
        if let Some(schedule) = &mut self.schedule {
            let mut due_times = Vec::new();
            while let Some(due) = schedule.take(now) {
                due_times.push(due);
            }
            for due in due_times {
                let place = self.next % self.mine.len();
                self.next = place + 1;
                if hands.crowd.links[place].waiting(&hands.crowd.script) > MAX_WAITING {
                    hands.crowd.reading.faults.count(Fault::Unsent, 1);
                } else {
                    self.send(place, due, hands);
                }
            }
            for place in 0..self.mine.len() {
                hands.crowd.flush(place);
            }
            let left = self.schedule.as_ref().map(|schedule| schedule.left(hands.crowd.now()));
            return left.map_or(Ok(()), |left| hands.crowd.set_alarm(left));
        }
        let Pace::InFlight(in_flight) = self.pace else { return Ok(()) };
        for place in 0..self.mine.len() {
            // Looked at again after it has sent: what others delivered meanwhile woke nobody.
            while let Some(free) = self.free(place, in_flight as u64, &hands.board.airwaves) {
                for _ in 0..free {
                    self.send(place, now, hands);
                }
                hands.crowd.flush(place);
            }
        }
        Ok(())
    }

    /// How many more a sender may send; sets what lets it go on after that.
    fn free(&self, place: usize, in_flight: u64, airwaves: &Airwaves) -> Option<u64> {
        let sender = self.mine[place];
        let published = airwaves.published[sender].load(Ordering::Relaxed);
        let delivered = airwaves.delivered[sender].load(Ordering::Acquire);
        let under_way = (published * self.members).saturating_sub(delivered).div_ceil(self.members);
        let free = in_flight.checked_sub(under_way).filter(|free| *free > 0)?;
        // All but `in_flight - 1` of them have been delivered.
        let wanted = (published + free).saturating_sub(in_flight - 1) * self.members;
        airwaves.wanted[sender].store(wanted, Ordering::Release);
        Some(free)
    }

    fn send(&mut self, place: usize, due: u64, hands: &mut Hands<'_>) {
        let sender = self.mine[place];
        let sequence = hands.board.airwaves.published[sender].fetch_add(1, Ordering::AcqRel);
        let stamp = Stamp { sender: sender as u32, sequence: sequence as u32 & SEQUENCE, due };
        let script = &hands.crowd.script;
        hands.crowd.links[place].say(script.stamped(stamp), script, self.deflater.as_mut());
        hands.tally.sent += 1;
    }
}

impl Play for Broadcast {
    fn enter(&mut self, stage: Stage, hands: &mut Hands<'_>) -> Result<(), Error> {
        match stage {
            Stage::Gathering => {
                let (now, heard) = (Instant::now(), vec![false; hands.share]);
                self.roll = Some(Roll { heard, count: 0, next: now, reached: 0, progress: now });
                self.call_roll(hands)
            }
            Stage::WarmingUp | Stage::Measuring => {
                self.roll = None;
                if let (Pace::Rate(rate), None, false) = (self.pace, &self.schedule, self.mine.is_empty()) {
                    let part = self.mine.len() as f64 / self.senders as f64;
                    self.schedule = Some(Schedule::new(rate, part, hands.index, hands.crowd.now()));
                }
                self.publish(hands)
            }
            Stage::Connecting => Ok(()),
            Stage::Draining | Stage::Over => {
                self.stopped = true;
                self.roll = None;
                Ok(())
            }
        }
    }

    fn arrived(&mut self, place: usize, _: &mut Link, arrived: Arrived, at: &mut Moment<'_>) {
        at.tally.calls_received += arrived.roll_calls;
        if let Some(roll) = self.roll.as_mut().filter(|_| arrived.roll_calls > 0) {
            roll.count += usize::from(!std::mem::replace(&mut roll.heard[place], true));
        }
        for stamp in at.stamps {
            let sender = stamp.sender as usize;
            if sender >= self.senders {
                at.tally.faults.count(Fault::WrongContent, 1);
                continue;
            }
            let expected = &mut self.expected[place * self.senders + sender];
            let missed = stamp.sequence.wrapping_sub(*expected) & SEQUENCE;
            if missed > SEQUENCE / 2 {
                // It has come before.
                at.tally.faults.count(Fault::OutOfOrder, 1);
                continue;
            }
            // Those between will not come any more, so nobody shall wait for them.
            at.tally.faults.count(Fault::OutOfOrder, u64::from(missed));
            *expected = stamp.sequence.wrapping_add(1) & SEQUENCE;
            self.news[sender] += u64::from(missed) + 1;
            at.tally.messages += 1;
            let latency = at.now.saturating_sub(stamp.due);
            if at.tally.second.is_none() || at.window.contains(stamp.due) {
                at.tally.latency.saturating_record(latency);
            }
        }
    }

    fn turned(&mut self, hands: &mut Hands<'_>) -> Result<(), Error> {
        self.tell_news(hands);
        if self.roll.is_some() {
            return self.call_roll(hands);
        }
        match hands.board.order().stage() {
            Stage::WarmingUp | Stage::Measuring if !self.stopped => self.publish(hands),
            _ => Ok(()),
        }
    }

    fn awaited(&self, board: &Board) -> u64 {
        let Airwaves { published, delivered, .. } = &board.airwaves;
        let awaited = |sender: &usize| {
            let sent = published[*sender].load(Ordering::Acquire) * self.members;
            sent.saturating_sub(delivered[*sender].load(Ordering::Acquire))
        };
        self.mine.iter().map(awaited).sum()
    }

    fn lost(&mut self, _: usize, _: u64, how: &Parting, hands: &mut Hands<'_>) -> Result<(), Error> {
        Err(gone(hands.board, how))
    }
}

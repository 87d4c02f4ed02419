//! What was last broadcast to rooms that remember, so that a client who comes back gets what it has missed.
//!
//! Each shard has its own, of the same broadcasts: nobody is asked, and nothing is locked, when a client comes back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::config::settings::Limits;
use crate::pubsub::broadcast::Broadcast;
use crate::pubsub::position::{Since, Stamp};
use crate::timers::Millis;

/// What one shard remembers.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    rooms: HashMap<Arc<str>, History>,
    /// What was forgotten with its room.
    swept: u64,
    /// Every message that some room keeps, the oldest first, and some that none keeps any more.
    order: VecDeque<(u64, Arc<str>)>,
    /// Messages in all rooms, and what they cost.
    kept: usize,
    bytes: usize,
    /// The newest of all.
    pub(crate) newest: u64,
    swept_at: Millis,
}

#[derive(Debug, Default)]
struct History {
    kept: VecDeque<(Stamp, Arc<Broadcast>)>,
    bytes: usize,
    /// The newest that is not kept any more.
    forgotten: u64,
    last: Millis,
}

impl History {
    /// Gives what it has cost.
    fn forget_oldest(&mut self) -> Option<usize> {
        let (stamp, broadcast) = self.kept.pop_front()?;
        self.bytes -= broadcast.payload().len();
        self.forgotten = self.forgotten.max(stamp.offset);
        Some(cost(&broadcast))
    }
}

/// What a message costs in memory, its places in a history among it.
fn cost(broadcast: &Broadcast) -> usize {
    broadcast.len() + size_of::<Broadcast>() + size_of::<(Stamp, Arc<Broadcast>)>() + size_of::<(u64, Arc<str>)>()
}

/// Entries of `Histories::order` that stand for nothing are looked for only beyond so many.
const SLACK: usize = 1024;

/// How often rooms are looked for that nothing was said in for long.
const SWEEP: Millis = 1000;

impl Histories {
    /// Remembers a broadcast to these rooms. Gives how many others are forgotten for want of room in all of them together.
    pub(crate) fn push(
        &mut self,
        names: &[Arc<str>],
        stamp: Stamp,
        broadcast: &Arc<Broadcast>,
        limits: &Limits,
        now: Millis,
    ) -> u64 {
        self.sweep(limits, now);
        self.newest = self.newest.max(stamp.offset);
        let cost = cost(broadcast);
        for name in names {
            let swept = self.swept;
            // A room that is new here may be one that was forgotten.
            let room =
                self.rooms.entry(name.clone()).or_insert_with(|| History { forgotten: swept, ..History::default() });
            room.last = now;
            room.bytes += broadcast.payload().len();
            room.kept.push_back((stamp, broadcast.clone()));
            self.order.push_back((stamp.offset, name.clone()));
            (self.kept, self.bytes) = (self.kept + 1, self.bytes + cost);
            while room.kept.len() > stamp.keep || room.bytes > limits.history_bytes {
                let Some(freed) = room.forget_oldest() else { break };
                (self.kept, self.bytes) = (self.kept - 1, self.bytes - freed);
            }
        }
        self.bound(limits.histories_bytes)
    }

    /// Forgets the oldest messages of all rooms beyond so many bytes. Gives their number.
    fn bound(&mut self, most: usize) -> u64 {
        let mut forgotten = 0;
        while self.bytes > most {
            let Some((offset, name)) = self.order.pop_front() else { break };
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            // The room may have forgotten it by itself.
            if room.kept.front().is_none_or(|(stamp, _)| stamp.offset != offset) {
                continue;
            }
            let freed = room.forget_oldest().unwrap_or_default();
            (self.kept, self.bytes) = (self.kept - 1, self.bytes - freed);
            forgotten += 1;
            if room.kept.is_empty() {
                self.swept = self.swept.max(room.forgotten);
                self.rooms.remove(&name);
            }
        }
        // Those that the rooms have forgotten by themselves are not to pile up.
        if self.order.len() > 2 * self.kept + SLACK {
            let rooms = &self.rooms;
            let oldest = |name: &Arc<str>| rooms.get(name).and_then(|room| Some(room.kept.front()?.0.offset));
            self.order.retain(|(offset, name)| oldest(name).is_some_and(|oldest| oldest <= *offset));
            self.order.shrink_to(2 * self.order.len());
        }
        forgotten
    }

    /// Forgets rooms in which nothing was said for so long.
    fn sweep(&mut self, limits: &Limits, now: Millis) {
        let age = limits.history_timeout.as_millis() as Millis;
        if now < self.swept_at + SWEEP.min(age) {
            return;
        }
        self.swept_at = now;
        let (swept, kept, bytes) = (&mut self.swept, &mut self.kept, &mut self.bytes);
        self.rooms.retain(|_, room| {
            let stays = room.last + age > now;
            if !stays {
                *kept -= room.kept.len();
                *bytes -= room.kept.iter().map(|(_, broadcast)| cost(broadcast)).sum::<usize>();
                let newest = room.kept.back().map_or(room.forgotten, |(stamp, _)| stamp.offset);
                *swept = (*swept).max(newest);
            }
            stays
        });
    }

    /// Nothing is missing of what was said in these rooms since then. [`Histories::kept`] has it, or what there is of it.
    pub(crate) fn is_gapless(&self, names: &[Arc<str>], since: Since, epoch: u32) -> bool {
        let forgotten = |name: &Arc<str>| self.rooms.get(name).map_or(self.swept, |room| room.forgotten);
        since.epoch == epoch && names.iter().all(|name| forgotten(name) <= since.offset)
    }

    /// The broadcasts to these rooms behind that place, each once, in order; all that are kept if the place is none of ours.
    pub(crate) fn kept(&self, names: &[Arc<str>], since: Since, epoch: u32) -> Vec<Arc<Broadcast>> {
        let after = if since.epoch == epoch { since.offset } else { 0 };
        let mut found: Vec<_> = Vec::new();
        for room in names.iter().filter_map(|name| self.rooms.get(name)) {
            found.extend(room.kept.iter().filter(|(stamp, _)| stamp.offset > after));
        }
        found.sort_by_key(|(stamp, _)| stamp.offset);
        found.dedup_by_key(|(stamp, _)| stamp.offset);
        found.into_iter().map(|(_, broadcast)| broadcast.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::message::Kind;

    use super::*;
    use crate::config::settings::Policy;
    use crate::pubsub::broadcast::Target;

    const EPOCH: u32 = 0xabc;

    struct House {
        histories: Histories,
        limits: Limits,
        next: u64,
        forgotten: u64,
    }

    impl House {
        fn new(limits: Limits) -> Self {
            House { histories: Histories::default(), limits, next: 1, forgotten: 0 }
        }

        fn say(&mut self, rooms: &[&str], text: &str, keep: usize, now: Millis) {
            let stamp = Stamp { epoch: EPOCH, offset: self.next, keep };
            self.next += 1;
            let names: Vec<Arc<str>> = rooms.iter().map(|name| Arc::from(*name)).collect();
            let target = Target::Rooms(names.clone());
            let broadcast = Arc::new(Broadcast::new(target, Vec::new(), Policy::Close, Kind::Text, text.as_bytes(), 1));
            self.forgotten += self.histories.push(&names, stamp, &broadcast, &self.limits, now);
        }

        fn since(&self, rooms: &[&str], offset: u64) -> (String, bool) {
            let names: Vec<Arc<str>> = rooms.iter().map(|name| Arc::from(*name)).collect();
            let since = Since { epoch: EPOCH, offset };
            let kept = self.histories.kept(&names, since, EPOCH);
            let texts: Vec<_> = kept.iter().map(|broadcast| String::from_utf8_lossy(broadcast.payload())).collect();
            (texts.join(" "), self.histories.is_gapless(&names, since, EPOCH))
        }
    }

    #[test]
    fn who_comes_back_gets_what_was_said_since_each_once_and_in_order() {
        let mut house = House::new(Limits::default());
        house.say(&["x"], "1", 10, 0);
        house.say(&["y"], "2", 10, 0);
        house.say(&["x", "y"], "3", 10, 0);
        house.say(&["z"], "4", 10, 0);
        assert_eq!(house.since(&["x", "y"], 0), ("1 2 3".into(), true));
        assert_eq!(house.since(&["x", "y"], 2), ("3".into(), true));
        assert_eq!(house.since(&["nowhere"], 2), (String::new(), true));
    }

    #[test]
    fn what_is_not_kept_any_more_is_a_gap() {
        let mut house = House::new(Limits::default());
        for text in ["1", "2", "3"] {
            house.say(&["x"], text, 2, 0);
        }
        assert_eq!(house.since(&["x"], 1), ("2 3".into(), true));
        assert_eq!(house.since(&["x"], 0), ("2 3".into(), false));
        let other = Since { epoch: 1, offset: 2 };
        let names = [Arc::from("x")];
        assert!(!house.histories.is_gapless(&names, other, EPOCH));
        assert_eq!(house.histories.kept(&names, other, EPOCH).len(), 2);
    }

    #[test]
    fn a_room_is_bounded_in_bytes_and_forgotten_when_nothing_is_said_in_it() {
        let limits =
            Limits { history_bytes: 5, history_timeout: std::time::Duration::from_secs(10), ..Limits::default() };
        let mut house = House::new(limits);
        house.say(&["x"], "abc", 9, 0);
        house.say(&["x"], "def", 9, 0);
        assert_eq!(house.since(&["x"], 0), ("def".into(), false));
        house.say(&["y"], "g", 9, 10_000);
        assert_eq!(house.since(&["x"], 1), (String::new(), false));
        assert_eq!(house.since(&["x"], 2), (String::new(), true));
        assert_eq!(house.since(&["y"], 2), ("g".into(), true));
    }

    #[test]
    fn all_rooms_together_are_bounded_and_the_oldest_message_of_any_goes_first() {
        let each = size_of::<Broadcast>() + size_of::<(Stamp, Arc<Broadcast>)>() + size_of::<(u64, Arc<str>)>() + 1;
        let limits = Limits { histories_bytes: 3 * each, ..Limits::default() };
        let mut house = House::new(limits);
        for (room, text) in [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4"), ("z", "5")] {
            house.say(&[room], text, 9, 0);
        }
        assert_eq!(house.forgotten, 2);
        assert_eq!(house.since(&["x", "y", "z"], 0), ("3 4 5".into(), false));
        assert_eq!(house.since(&["x", "y", "z"], 2), ("3 4 5".into(), true));
        assert_eq!(house.histories.rooms.len(), 2);
    }

    #[test]
    fn what_rooms_forget_by_themselves_does_not_pile_up() {
        let mut house = House::new(Limits::default());
        for number in 0..20_000 {
            house.say(&["x"], "text", 5, number);
            house.say(&[if number % 2 == 0 { "y" } else { "z" }], "text", 1, number);
        }
        assert_eq!(house.forgotten, 0);
        assert_eq!(house.histories.kept, 7);
        assert!(house.histories.order.len() <= 2 * 7 + SLACK, "{}", house.histories.order.len());
        house.say(&["x"], "text", 5, 10_000_000);
        let one = cost(&house.histories.rooms["x"].kept[0].1);
        assert_eq!((house.histories.kept, house.histories.bytes), (1, one));
    }
}

//! Every connection keeps messages in flight and sends the next ones as replies come.

use crate::drive::{Play, Tally};
use crate::link::Link;
use crate::script::Script;

/// The state of an echo run; the rest is in the links.
pub(crate) struct Echo {
    in_flight: u64,
    awaited: u64,
    stopped: bool,
}

impl Echo {
    pub(crate) fn new(in_flight: usize) -> Echo {
        Echo { in_flight: in_flight as u64, awaited: 0, stopped: false }
    }

    fn send(&mut self, link: &mut Link, messages: u64, script: &Script, now: u64) {
        link.outbound.owe(messages, script);
        link.sent.extend((0..messages).map(|_| now));
        self.awaited += messages;
    }
}

impl Play for Echo {
    fn begin(&mut self, links: &mut [Link], script: &Script, now: u64) {
        for link in links {
            self.send(link, self.in_flight, script, now);
        }
    }

    fn arrived(&mut self, _: usize, link: &mut Link, messages: u64, script: &Script, now: u64, tally: &mut Tally) {
        let mut replies = 0;
        // A server that sends more than it got is not to be paid with more messages.
        for sent in link.sent.drain(..link.sent.len().min(messages as usize)) {
            tally.count(now - sent);
            replies += 1;
        }
        self.awaited -= replies;
        if !self.stopped {
            self.send(link, replies, script, now);
        }
    }

    fn turn_ended(&mut self, _: &mut [Link], _: &Script, _: u64) {}

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn awaited(&self) -> u64 {
        self.awaited
    }

    fn lost(&mut self, in_flight: u64) -> bool {
        self.awaited -= in_flight;
        true
    }
}

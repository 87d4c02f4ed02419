//! Lines for a log that anybody on the network can cause: so many in a second, the others only as a number.

use crate::timers::Millis;

/// Lines in one second.
const LINES: u32 = 10;
const SECOND: Millis = 1000;

#[derive(Default)]
pub(crate) struct LogLimit {
    /// When the second began.
    since: Millis,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    /// Whether a line may be written now. If not, it is counted.
    pub(crate) fn may_write(&mut self, now: Millis) -> bool {
        // A second with lines left out ends with `take_left_out`, so that they are told before the next line.
        if self.left_out == 0 && now >= self.since + SECOND {
            (self.since, self.lines) = (now, 0);
        }
        let may = self.lines < LINES;
        if may {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        may
    }

    /// When it is time to say how many were left out.
    pub(crate) fn due(&self) -> Option<Millis> {
        (self.left_out > 0).then_some(self.since + SECOND)
    }

    /// How many were left out, once their second is over.
    pub(crate) fn take_left_out(&mut self, now: Millis) -> Option<u64> {
        self.due().filter(|due| *due <= now)?;
        (self.since, self.lines) = (now, 0);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_ten_lines_and_says_how_many_more_there_were() {
        let mut quota = LogLimit::default();
        let written = |quota: &mut LogLimit, now| (0..25).filter(|_| quota.may_write(now)).count();
        assert_eq!(written(&mut quota, 5000), 10);
        assert_eq!(written(&mut quota, 5999), 0);
        assert_eq!((quota.due(), quota.take_left_out(5999)), (Some(6000), None));
        assert_eq!((quota.take_left_out(6200), quota.due()), (Some(40), None));
        assert_eq!(written(&mut quota, 7199), 10);
        assert_eq!((quota.due(), quota.take_left_out(7200)), (Some(7200), Some(15)));
    }

    #[test]
    fn seconds_with_few_lines_have_nothing_to_add() {
        let mut quota = LogLimit::default();
        for now in (0..100_000).step_by(100) {
            assert!(quota.may_write(now), "{now}");
            assert_eq!(quota.due(), None);
        }
    }
}

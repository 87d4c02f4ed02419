//! Connections that say nothing: what do they cost?

use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::drive::{Measured, Tally, Window};
use crate::error::Error;
use crate::meter::Meter;
use crate::observer::{INTERVAL, Observer};

/// Resident bytes of the server.
pub(crate) struct Resident {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// Opens the connections, keeps them, and reads what the server took for them. Pings are answered.
pub(crate) fn play(
    crowd: &mut Crowd,
    connections: usize,
    hold: Duration,
    meter: Option<&Meter>,
    observer: &mut Observer<'_>,
) -> Result<(Measured, Option<Resident>), Error> {
    let before = meter.map(Meter::resident).transpose()?;
    crowd.open(connections, true, observer)?;
    let mut open = connections;
    let window = Window::open(meter)?;
    let began = Instant::now();
    while let Some(left) = hold.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        crowd.turn(left.min(INTERVAL), |_, _, _, _| {})?;
        for (place, parting) in std::mem::take(&mut crowd.losses) {
            if !crowd.links[place].is_open() {
                continue;
            }
            crowd.faults.count(parting.fault(), 1);
            crowd.links[place].end();
            open -= 1;
            if open == 0 {
                return Err(Error::ServerGone { after: began.elapsed(), how: parting.to_string() });
            }
        }
        observer.tell("holding", open as u64)?;
    }
    let after = meter.map(Meter::resident).transpose()?;
    let measured = window.close(meter, Tally::new()?)?;
    let resident = before.zip(after).map(|(before, after)| Resident { before, after });
    Ok((measured, resident))
}

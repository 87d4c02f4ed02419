//! A run in threads of its own, and the handle to watch and to stop it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::board::Board;
use crate::conductor::Conductor;
use crate::crowd::Crowd;
use crate::door::{self, Door};
use crate::error::Error;
use crate::field::Field;
use crate::meter::Meter;
use crate::play::broadcast::Broadcast;
use crate::play::connect::Connect;
use crate::play::echo::Echo;
use crate::play::idle::Idle;
use crate::play::listen::Listen;
use crate::play::storm::Storm;
use crate::report::Report;
use crate::scenario::{Messages, Mode, Pace, Protocol, Scenario};
use crate::script::{Foreign, Form, Script};
use crate::snapshot::Snapshot;
use crate::worker::work;

/// Plays a scenario to its end. What goes wrong on the way is in the report.
///
/// # Errors
/// What is known to be wrong before it begins: see [`Run::start`].
pub fn run(scenario: &Scenario) -> Result<Report, Error> {
    Run::start(scenario.clone())?.report()
}

/// A run that goes on.
#[derive(Debug)]
pub struct Run {
    board: Arc<Board>,
    snapshot: Arc<Mutex<Snapshot>>,
    thread: Option<JoinHandle<Result<Report, Error>>>,
}

impl Run {
    /// Starts a run.
    ///
    /// # Errors
    /// The scenario contradicts itself, the host is unknown, a process cannot be watched, or there are too few
    /// descriptors or ports; nothing has been sent then.
    pub fn start(scenario: Scenario) -> Result<Run, Error> {
        scenario.check()?;
        let sockets = scenario.connections.saturating_mul(scenario.sockets_each());
        door::reserve_descriptors(sockets, scenario.threads)?;
        let meter = Meter::watch(&scenario.server_pids)?;
        let address = scenario.target.resolve()?;
        door::check_ports(sockets, &scenario.sources, address)?;
        let epoch = Instant::now();
        let crowds = (0..scenario.threads)
            .map(|_| crowd(&scenario, Door::new(&scenario, address, scenario.threads)?, epoch))
            .collect::<Result<Vec<Crowd>, Error>>()?;
        let wakers = crowds.iter().map(Crowd::waker).collect::<Result<_, Error>>()?;
        let senders = match scenario.mode {
            Mode::Broadcast { senders, .. } => senders,
            _ => 0,
        };
        let board = Arc::new(Board::new(epoch, wakers, senders));
        let snapshot = Arc::new(Mutex::new(Snapshot::new(scenario.connections)));
        let conducted = (board.clone(), snapshot.clone());
        let conduct = move || conduct(&scenario, crowds, &conducted.0, meter.as_ref(), &conducted.1);
        let thread = std::thread::Builder::new().name("load".to_owned()).spawn(conduct);
        let thread = thread.map_err(Error::system("cannot start a thread"))?;
        Ok(Run { board, snapshot, thread: Some(thread) })
    }

    /// How far it has come.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        snapshot.open = self.board.open();
        snapshot.gathered = self.board.airwaves.heard.load(Ordering::Relaxed);
        snapshot.stage_seconds = snapshot.entered.elapsed().as_secs_f64();
        snapshot
    }

    /// Ends it before its time; there is a report all the same.
    pub fn stop(&self) {
        self.board.stop();
    }

    /// Whether the report is there.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// A bug of the generator.
    pub fn report(mut self) -> Result<Report, Error> {
        self.join().unwrap_or(Err(Error::Bug))
    }

    fn join(&mut self) -> Option<Result<Report, Error>> {
        self.thread.take().map(|thread| thread.join().unwrap_or(Err(Error::Bug)))
    }
}

impl Drop for Run {
    /// A run that nobody wants to hear of ends.
    fn drop(&mut self) {
        self.stop();
        drop(self.join());
    }
}

/// The connections of one thread, before they are opened.
fn crowd(scenario: &Scenario, door: Door, epoch: Instant) -> Result<Crowd, Error> {
    let messages = scenario.mode.messages().unwrap_or(Messages { size: 0, binary: false });
    let pace = scenario.mode.pace();
    let batch = match pace {
        Some(Pace::InFlight(count)) => count,
        Some(Pace::Rate(_)) | None => 1,
    };
    let stamped = matches!(scenario.mode, Mode::Broadcast { .. });
    let event = match scenario.protocol {
        Protocol::SocketIo(_) if stamped => Some("broadcast"),
        Protocol::SocketIo(_) => Some("echo"),
        Protocol::WebSocket => None,
    };
    let foreign = match scenario.mode {
        Mode::Echo { .. } | Mode::Broadcast { .. } => Foreign::None,
        Mode::Idle { .. } | Mode::Connect { .. } => Foreign::Unasked,
        Mode::Listen { .. } => Foreign::Wanted,
    };
    let mut script = Script::new(messages, batch, Form { stamped, deflate: scenario.asked.deflate, event, foreign });
    if let Mode::Listen { field: Some(name), .. } = &scenario.mode {
        script.field = Some(Field::new(name, epoch));
    }
    Crowd::new(door, script, epoch, scenario.spin, matches!(pace, Some(Pace::Rate(_))))
}

/// Starts the threads, conducts them, and makes the report.
fn conduct(
    scenario: &Scenario,
    crowds: Vec<Crowd>,
    board: &Board,
    meter: Option<&Meter>,
    snapshot: &Mutex<Snapshot>,
) -> Result<Report, Error> {
    let conductor = Conductor::new(scenario, board, meter, snapshot)?;
    let (record, error) = std::thread::scope(|scope| {
        let threads = crowds.len();
        for (index, crowd) in crowds.into_iter().enumerate() {
            let play = move || {
                // What goes wrong here is told to the conductor, who ends the run.
                match catch_unwind(AssertUnwindSafe(|| play(scenario, board, (index, threads), crowd))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => board.fail(error),
                    Err(_) => board.fail(Error::Bug),
                }
                board.leave(index);
            };
            let thread = std::thread::Builder::new().name(format!("load-{index}"));
            if let Err(source) = thread.spawn_scoped(scope, play) {
                board.fail(Error::system("cannot start a thread")(source));
                board.leave(index);
            }
        }
        conductor.conduct()
    });
    Ok(Report::new(scenario, record, error))
}

/// What one thread does.
fn play(scenario: &Scenario, board: &Board, (index, threads): (usize, usize), crowd: Crowd) -> Result<(), Error> {
    let all = scenario.connections;
    let share = all / threads + usize::from(index < all % threads);
    let patience = scenario.patience;
    match &scenario.mode {
        Mode::Echo { pace, .. } => {
            work(board, index, share, patience, crowd, Echo::new(*pace, share as f64 / all as f64))
        }
        Mode::Broadcast { pace, senders, .. } => {
            let play = Broadcast::new(*pace, *senders, all, (index, threads), share, scenario.asked.deflate);
            work(board, index, share, patience, crowd, play)
        }
        Mode::Idle { .. } => work(board, index, share, patience, crowd, Idle),
        Mode::Listen { .. } => work(board, index, share, patience, crowd, Listen::new(share)),
        Mode::Connect { storm: false, .. } => work(board, index, share, patience, crowd, Connect::default()),
        Mode::Connect { storm: true, .. } => work(board, index, share, patience, crowd, Storm::default()),
    }
}

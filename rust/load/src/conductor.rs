//! Takes a run through its stages, and gathers what the threads count: for the series, the snapshots and the report.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::board::{Board, Stage};
use crate::distribution::Latency;
use crate::error::Error;
use crate::meter::Meter;
use crate::record::{Point, Record, Resident};
use crate::scenario::{Mode, Pace, Scenario};
use crate::snapshot::Snapshot;
use crate::tally::Tally;

/// What ends a run before its time.
enum Cut {
    Stopped,
    Failed(Error),
}

pub(crate) struct Conductor<'c> {
    pub(crate) scenario: &'c Scenario,
    pub(crate) board: &'c Board,
    pub(crate) meter: Option<&'c Meter>,
    pub(crate) snapshot: &'c Mutex<Snapshot>,
    pub(crate) record: Record,
    stage: Stage,
    entered: Instant,
    ticked: Instant,
    /// CPU time of each thread and of the server when it last ticked.
    threads_cpu: Vec<Duration>,
    server_cpu: Option<Duration>,
    /// When the load began.
    load_began: Option<Instant>,
    interval: Duration,
}

/// Points of a series that are enough to see what happened.
const POINTS: f64 = 60.0;
const MAX_POINTS: f64 = 3600.0;
/// How long the threads may take to obey.
const OBEYING: Duration = Duration::from_secs(2);
/// Between two storms.
const REST: Duration = Duration::from_millis(500);
/// Points that a snapshot shows.
const RECENT: usize = 120;

impl<'c> Conductor<'c> {
    pub(crate) fn new(
        scenario: &'c Scenario,
        board: &'c Board,
        meter: Option<&'c Meter>,
        snapshot: &'c Mutex<Snapshot>,
    ) -> Result<Conductor<'c>, Error> {
        let seconds = scenario.mode.timing().duration.as_secs_f64();
        let interval = Duration::from_secs_f64((seconds / POINTS).clamp(0.1, 1.0).max(seconds / MAX_POINTS));
        let second = scenario.mode.has_second();
        let threads = board.gauges.len();
        let record = Record {
            series: Vec::new(),
            window: Tally::new(second)?,
            total: Tally::new(second)?,
            lasted: Duration::ZERO,
            server_cpu: None,
            threads_cpu: vec![Duration::ZERO; threads],
            resident: None,
            connected: 0,
            connecting: 0.0,
            storms: Vec::new(),
            stopped: false,
        };
        let now = Instant::now();
        Ok(Conductor {
            scenario,
            board,
            meter,
            snapshot,
            record,
            stage: Stage::Connecting,
            entered: now,
            ticked: now,
            threads_cpu: vec![Duration::ZERO; threads],
            server_cpu: meter.and_then(|meter| meter.cpu().ok()),
            load_began: None,
            interval,
        })
    }

    /// Conducts the run to its end, which may come early.
    pub(crate) fn conduct(mut self) -> (Record, Option<Error>) {
        let before = self.meter.and_then(|meter| meter.resident().ok());
        let cut = self.play(before).err();
        self.record.connected = self.record.connected.max(self.board.open());
        // Those that end in the middle of the window have measured some of it.
        if self.stage == Stage::Measuring {
            self.close_window(before);
        }
        self.enter(Stage::Over);
        let error = match cut {
            Some(Cut::Failed(error)) => Some(error),
            Some(Cut::Stopped) => {
                self.record.stopped = true;
                None
            }
            None => self.board.take_error(),
        };
        (self.record, error)
    }

    fn play(&mut self, resident_before: Option<u64>) -> Result<(), Cut> {
        let members = self.scenario.connections;
        let board = self.board;
        let all_ready = |number| board.gauges.iter().all(|gauges| gauges.ready.load(Ordering::Acquire) >= number);
        self.wait_until(None, |_| all_ready(1))?;
        self.record.connected = board.open();
        self.record.connecting = self.entered.elapsed().as_secs_f64();
        if matches!(self.scenario.mode, Mode::Broadcast { .. }) {
            self.enter(Stage::Gathering);
            self.wait_until(None, |_| board.airwaves.heard.load(Ordering::Acquire) >= members)?;
        }
        let timing = self.scenario.mode.timing();
        self.load_began = Some(Instant::now());
        if !timing.warmup.is_zero() && !self.is_storm() {
            self.enter(Stage::WarmingUp);
            self.wait_until(Some(timing.warmup), Self::is_over_early)?;
            self.check_replies()?;
        }
        self.open_window();
        if self.is_storm() {
            self.storms(timing.duration)?;
        } else {
            self.wait_until(Some(timing.duration), Self::is_over_early)?;
            self.check_replies()?;
        }
        self.close_window(resident_before);
        self.enter(Stage::Draining);
        // Two ticks of patience: connect waits for its first handshake until it is given up by the thread itself.
        let patience = self.scenario.patience + Duration::from_millis(500);
        self.wait_until(Some(patience), |_| board.awaited() == 0)?;
        self.tick();
        if self.expects_replies() && self.record.total.messages == 0 {
            return Err(Cut::Failed(self.no_reply()));
        }
        Ok(())
    }

    fn is_storm(&self) -> bool {
        matches!(self.scenario.mode, Mode::Connect { storm: true, .. })
    }

    fn storms(&mut self, duration: Duration) -> Result<(), Cut> {
        let board = self.board;
        let began = Instant::now();
        for number in 1.. {
            let from = board.epoch.elapsed();
            board.storm.store(number, Ordering::Release);
            board.wake_all();
            let back = |_: &Self| board.gauges.iter().all(|gauges| gauges.ready.load(Ordering::Acquire) > number);
            self.wait_until(None, back)?;
            let last = board.gauges.iter().map(|gauges| gauges.ready_at.load(Ordering::Relaxed)).max();
            let taken = Duration::from_nanos(last.unwrap_or_default()).saturating_sub(from);
            self.record.storms.push(taken.as_secs_f64());
            if began.elapsed() + REST >= duration {
                break;
            }
            self.wait_until(Some(REST), |_| false)?;
        }
        Ok(())
    }

    /// The server has answered nothing for so long that it will not.
    fn is_over_early(&self) -> bool {
        let Some(began) = self.load_began else { return false };
        self.expects_replies() && self.record.total.messages == 0 && began.elapsed() > self.scenario.patience
    }

    fn check_replies(&mut self) -> Result<(), Cut> {
        if self.is_over_early() {
            self.tick();
            if self.record.total.messages == 0 {
                return Err(Cut::Failed(self.no_reply()));
            }
        }
        Ok(())
    }

    fn expects_replies(&self) -> bool {
        let sends = self.record.total.sent > 0;
        sends && self.scenario.mode.messages().is_some()
    }

    fn no_reply(&self) -> Error {
        Error::NoReply { waited: self.load_began.map_or(Duration::ZERO, |began| began.elapsed()) }
    }

    /// Ticks until the condition holds or the time is over.
    fn wait_until(&mut self, time: Option<Duration>, done: impl Fn(&Self) -> bool) -> Result<(), Cut> {
        let began = Instant::now();
        loop {
            if let Some(error) = self.board.take_error() {
                return Err(Cut::Failed(error));
            }
            if self.board.is_stopped() {
                return Err(Cut::Stopped);
            }
            if done(self) {
                return Ok(());
            }
            let left = time.map(|time| time.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            let tick = self.interval.saturating_sub(self.ticked.elapsed());
            if tick.is_zero() {
                self.tick();
                continue;
            }
            self.board.wait(left.unwrap_or(tick).min(tick));
        }
    }

    fn open_window(&mut self) {
        self.enter(Stage::Measuring);
        self.record.threads_cpu = self.threads_cpu.clone();
        self.record.server_cpu = self.server_cpu;
    }

    fn close_window(&mut self, resident_before: Option<u64>) {
        self.record.lasted = self.entered.elapsed();
        let resident = self.meter.and_then(|meter| meter.resident().ok());
        self.record.resident = resident_before.zip(resident).map(|(before, after)| Resident { before, after });
        self.enter(Stage::Draining);
        for (before, now) in self.record.threads_cpu.iter_mut().zip(&self.threads_cpu) {
            *before = now.saturating_sub(*before);
        }
        let before = self.record.server_cpu;
        self.record.server_cpu = self.server_cpu.zip(before).map(|(now, before)| now.saturating_sub(before));
    }

    /// Begins a stage; what was counted until now belongs to the one before.
    fn enter(&mut self, stage: Stage) {
        if stage == self.stage {
            return;
        }
        self.give(stage);
        self.stage = stage;
        self.entered = Instant::now();
        self.show(None);
    }

    fn tick(&mut self) {
        self.give(self.stage);
    }

    /// Gives an order, takes what the threads have counted, and makes a point of the series of it.
    fn give(&mut self, stage: Stage) {
        let server_cpu = self.meter.and_then(|meter| meter.cpu().ok());
        let tallies = self.board.command(stage, OBEYING);
        let now = Instant::now();
        let seconds = (now - self.ticked).as_secs_f64();
        self.ticked = now;
        let Ok(mut sum) = Tally::new(self.record.total.second.is_some()) else { return };
        let before = self.threads_cpu.clone();
        for (thread, stage, tally) in tallies {
            self.threads_cpu[thread] = tally.cpu;
            if stage == Stage::Measuring {
                self.record.window.add(&tally);
            } else if stage == Stage::Draining && matches!(self.scenario.mode.pace(), Some(Pace::Rate(_))) {
                // They were due in the window.
                self.record.window.add_latencies(&tally);
            }
            sum.add(&tally);
        }
        self.record.total.add(&sum);
        let per_second = |count: u64| count as f64 / seconds;
        let shares =
            self.threads_cpu.iter().zip(&before).map(|(now, then)| now.saturating_sub(*then).as_secs_f64() / seconds);
        let server =
            self.server_cpu.zip(server_cpu).map(|(then, now)| now.saturating_sub(then).as_secs_f64() / seconds);
        let point = Point {
            at: self.board.epoch.elapsed().as_secs_f64(),
            seconds,
            stage: self.stage,
            open: self.board.open(),
            received_per_second: per_second(sum.messages),
            sent_per_second: per_second(sum.sent),
            bytes_in_per_second: per_second(sum.bytes.read),
            bytes_out_per_second: per_second(sum.bytes.written),
            latency_us: Latency::of(&sum.latency),
            errors: sum.faults.total(),
            generator_cpu_share: shares.clone().sum(),
            generator_busiest_share: shares.fold(0.0, f64::max),
            server_cpu_share: server,
            server_resident: self.meter.and_then(|meter| meter.quick_resident().ok()),
        };
        self.server_cpu = server_cpu;
        // An order that follows another at once makes no point: its rates would be noise.
        if seconds >= self.interval.as_secs_f64() / 4.0 {
            self.show(Some(&point));
            self.record.series.push(point);
        }
    }

    /// Renews the snapshot.
    fn show(&self, point: Option<&Point>) {
        let timing = self.scenario.mode.timing();
        let planned = match self.stage {
            Stage::WarmingUp => Some(timing.warmup),
            Stage::Measuring => Some(timing.duration),
            Stage::Draining => Some(self.scenario.patience),
            Stage::Connecting | Stage::Gathering | Stage::Over => None,
        };
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.stage = self.stage;
        snapshot.planned_seconds = planned.map(|planned| planned.as_secs_f64());
        snapshot.entered = self.entered;
        snapshot.messages = self.record.window.messages;
        snapshot.latency_us = Latency::of(&self.record.window.latency);
        snapshot.errors = self.record.total.faults.by_kind();
        snapshot.storms = self.record.storms.clone();
        if let Some(point) = point {
            let recent = &mut snapshot.recent;
            recent.push(point.received_per_second);
            let surplus = recent.len().saturating_sub(RECENT);
            recent.drain(..surplus);
            snapshot.point = Some(point.clone());
        }
    }
}

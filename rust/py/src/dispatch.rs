//! Events to handlers: one pass over a batch, functions called straight from it, waiting tasks resumed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Closed, Link, Notice, Request, SessionId, Slowest, Traffic};
use pyo3::intern;
use pyo3::prelude::*;

use crate::buffers;
use crate::contexts::Contexts;
use crate::core::{Core, User, lock};
use crate::errors;
use crate::exchange::Exchange;
use crate::inbox::{Batch, Data, Event, Refusal};
use crate::opening::{Asked, Opening, Pending};
use crate::session::Session;
use crate::waiting::Waiter;

/// A pass is over after this long; the loop's other work gets its turn before the rest.
pub(crate) const PASS_TIME: Duration = Duration::from_millis(10);
/// The clock is looked at once in so many events.
const CLOCK_EVENTS: usize = 64;

/// A batch that is being worked through.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) batch: Batch,
    next: usize,
}

impl Progress {
    pub(crate) fn new(batch: Batch) -> Self {
        Progress { batch, next: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.batch.events.len()
    }

    /// Goes on through the batch until it is done or the pass's time is over. An error is fatal to the
    /// program (KeyboardInterrupt, SystemExit); the event that raised it counts as done.
    pub(crate) fn dispatch(&mut self, py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
        let Some(user) = core.user() else { return Ok(()) };
        let started = Instant::now();
        let mut pass = Pass { py, core, user: &user, run: None, clock: started, contexts: Contexts::new(py) };
        let before = self.next;
        let mut result = Ok(());
        while result.is_ok() && self.next < self.batch.events.len() {
            let event = std::mem::replace(&mut self.batch.events[self.next], Event::Stopped);
            self.next += 1;
            let batch = &mut self.batch;
            // A panic (in Rust that a handler has called into) ends that event, not the batch.
            result = catch_unwind(AssertUnwindSafe(|| pass.event(event, batch))).unwrap_or_else(|_| pass.panicked());
            if self.next.is_multiple_of(CLOCK_EVENTS) && started.elapsed() > PASS_TIME {
                break;
            }
        }
        let ended = result.and(pass.end_run()).and(pass.tell_spoken());
        if self.next > before {
            core.server.times().passed(started.elapsed());
        }
        ended
    }
}

struct Pass<'a, 'py> {
    py: Python<'py>,
    core: &'a Arc<Core>,
    user: &'a User,
    run: Option<Run>,
    /// When a handler was last seen to return.
    clock: Instant,
    contexts: Contexts<'py>,
}

/// Messages of one session that stand together in the batch: looked up, accounted for and woken once.
struct Run {
    session: Py<Session>,
    messages: u32,
    bytes: usize,
}

impl Pass<'_, '_> {
    fn event(&mut self, event: Event, batch: &mut Batch) -> PyResult<()> {
        if let Event::Message { id, kind, data } = event {
            return match data {
                Data::Arena(start, end) => {
                    let data = buffers::to_python(self.py, kind, &batch.arena[start..end]);
                    self.message(id, data, end - start)
                }
                Data::Object(data, len) => self.message(id, data, len),
                Data::Owned(bytes) => {
                    let (data, len) = (buffers::to_python(self.py, kind, &bytes), bytes.len());
                    batch.reuse(bytes);
                    self.message(id, data, len)
                }
            };
        }
        // Fatal as it may be what the tasks of the run have raised, the event that follows is not lost.
        let ended = self.end_run();
        let result = match event {
            Event::Message { .. } => Ok(()),
            Event::Request(link, request) => self.request(link, *request),
            Event::Refused(refusal) => self.refused(*refusal),
            Event::Exchange(link, request) => self.exchange(link, *request),
            Event::Content { id, data, last } => self.content(id, data, last, batch),
            Event::HungUp(id) => {
                let waiters = self.core.exchange(self.py, id).map(|exchange| exchange.get().hung_up());
                self.wake_all(waiters.into_iter().flatten())
            }
            Event::Open(link, request) => self.open(link, request),
            Event::Pong(id, payload) => self.pong(id, &payload),
            Event::Drained(id) => self.drained(id),
            Event::Closed(id, closed) => self.closed(id, closed),
            Event::Delivered(delivery) => {
                let waiting = lock(&self.core.deliveries).remove(&(Arc::as_ptr(&delivery) as usize));
                self.wake_all(waiting.into_iter().flat_map(|(_, mut waiters)| waiters.take()))
            }
            Event::Notice(notice) => self.notice(&notice),
            Event::Stopped => self.stopped(),
        };
        ended.and(result)
    }

    fn panicked(&mut self) -> PyResult<()> {
        self.notice(&Notice::Panicked("a handler met a panic; its session is closed".into()))?;
        if let Some(run) = &self.run {
            run.session.get().say_goodbye(self.py, CloseCode::INTERNAL_ERROR, "internal error");
        }
        Ok(())
    }

    // ---- messages

    fn message(&mut self, id: SessionId, data: Py<PyAny>, len: usize) -> PyResult<()> {
        if self.run.as_ref().is_none_or(|run| run.session.get().id() != id) {
            let ended = self.end_run();
            let Some(session) = self.core.session(self.py, id) else { return ended };
            if self.user.endpoints[session.get().endpoint()].on_message.is_some() {
                self.enter(session.get())?;
            }
            self.run = Some(Run { session, messages: 0, bytes: 0 });
            if ended.is_err() {
                return ended.and(self.message(id, data, len));
            }
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        let this = run.session.get();
        // What was received before our own Close frame was asked for has found nobody.
        if this.said_goodbye() {
            run.messages += 1;
            run.bytes += len;
            return Ok(());
        }
        match &self.user.endpoints[this.endpoint()].on_message {
            Some(on_message) => {
                run.messages += 1;
                run.bytes += len;
                match on_message.call1(self.py, (&run.session, data)) {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        let session = run.session.clone_ref(self.py);
                        self.failed(&session, error, "on_message")
                    }
                }
            }
            None => {
                this.waits().get_or_insert_default().queue.push_back((data, len));
                Ok(())
            }
        }
    }

    /// The messages of one session are over: settles their account, and resumes the task that waits for them.
    fn end_run(&mut self) -> PyResult<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let this = run.session.get();
        self.leave(this);
        if run.messages > 0 {
            this.consumed(self.py, run.messages, run.bytes);
        }
        let result = match self.user.endpoints[this.endpoint()].on_message {
            Some(_) => Ok(()),
            None => self.wake_receiver(this),
        };
        result.and(self.look_at_clock(this.endpoint(), "on_message"))
    }

    /// What is called next runs in the session's context.
    fn enter(&mut self, session: &Session) -> PyResult<()> {
        let entered = self.contexts.enter(session.context(self.py));
        self.survive(entered)
    }

    fn leave(&mut self, session: &Session) {
        if let Some(context) = self.contexts.leave() {
            session.keep_context(context);
        }
    }

    /// Tells when the handlers of one session have kept the loop busy for too long.
    /// PERF: once for the messages of one session in the batch, not once for each.
    fn look_at_clock(&mut self, endpoint: usize, handler: &'static str) -> PyResult<()> {
        let before = std::mem::replace(&mut self.clock, Instant::now());
        let took = self.clock - before;
        let times = self.core.server.times();
        times.ran(Slowest { took, endpoint, handler });
        match self.user.hooks.slow_handler {
            Some(limit) if took > limit => {
                times.was_slow();
                let told = self.user.hooks.slow.call1(self.py, (endpoint, handler, took.as_secs_f64()));
                self.survive(told.map(drop))
            }
            _ => Ok(()),
        }
    }

    fn wake_receiver(&self, this: &Session) -> PyResult<()> {
        let receiver = this.waits().as_ref().and_then(|waits| Some(waits.receiver.as_ref()?.clone_ref(self.py)));
        self.wake_all(receiver)
    }

    // ---- sessions come and go

    fn request(&mut self, link: Arc<Link>, request: Request) -> PyResult<()> {
        let Some(decide) = &self.user.endpoints[request.endpoint as usize].decide else { return Ok(()) };
        let request = Arc::new(request);
        let asked = Asked { request: request.clone(), object: None, lost: None, context: None };
        let before = lock(&self.core.asked).insert(link.id(), asked);
        drop(before);
        let id = link.id();
        let pending = Pending::new(self.core.clone(), link, request);
        let entered = self.contexts.enter(None);
        self.survive(entered)?;
        let decided = decide.call1(self.py, (pending,)).map(drop);
        if let Some(context) = self.contexts.leave() {
            // The session has it from the beginning, if there will be one.
            let mut place = Some(context);
            if let Some(asked) = lock(&self.core.asked).get_mut(&id) {
                std::mem::swap(&mut asked.context, &mut place);
            }
            drop(place);
        }
        self.survive(decided)
    }

    fn refused(&mut self, refusal: Refusal) -> PyResult<()> {
        let Refusal { link, request, code, message, .. } = refusal;
        let endpoint = request.endpoint as usize;
        let Some(refused) = &self.user.endpoints[endpoint].refused else { return Ok(()) };
        let opening = Opening::new(link, Arc::new(request));
        self.survive(refused.call1(self.py, (opening, code, message)).map(drop))
    }

    fn exchange(&mut self, link: Arc<Link>, request: Request) -> PyResult<()> {
        let Some(serve) = &self.user.endpoints[request.endpoint as usize].serve else { return Ok(()) };
        let (endpoint, id) = (request.endpoint as usize, link.id());
        let exchange = Py::new(self.py, Exchange::new(self.core.clone(), link, Arc::new(request)))?;
        self.core.enter_exchange(id, exchange.clone_ref(self.py));
        let begun = self.survive(serve.call1(self.py, (exchange,)).map(drop));
        begun.and(self.look_at_clock(endpoint, "app"))
    }

    fn content(&mut self, id: SessionId, data: Data, last: bool, batch: &mut Batch) -> PyResult<()> {
        let (data, len) = match data {
            Data::Arena(start, end) => {
                (buffers::to_python(self.py, Kind::Binary, &batch.arena[start..end]), end - start)
            }
            Data::Object(data, len) => (data, len),
            Data::Owned(bytes) => (buffers::to_python(self.py, Kind::Binary, &bytes), bytes.len()),
        };
        let Some(exchange) = self.core.exchange(self.py, id) else { return Ok(()) };
        self.wake_all(exchange.get().content((len > 0).then_some(data), len, last))
    }

    fn open(&mut self, link: Arc<Link>, request: Option<Box<Request>>) -> PyResult<()> {
        let (request, object, context) = match request {
            Some(request) => (Arc::from(request), None, None),
            None => {
                let asked = lock(&self.core.asked).remove(&link.id());
                let Some(asked) = asked else { return Ok(()) };
                (asked.request, asked.object, asked.context)
            }
        };
        let id = link.id();
        let session_type = &self.user.endpoints[request.endpoint as usize].session_type;
        let session = Session::make(self.py, self.core, session_type, link, request, object)?;
        self.core.enter(self.py, id, &session);
        let this = session.get();
        if let Some(context) = context {
            this.keep_context(context);
        }
        if self.core.leaving.load(Ordering::SeqCst) {
            this.take_leave(self.py);
        }
        let callbacks = &self.user.endpoints[this.endpoint()];
        if let Some(access) = &self.user.hooks.access {
            self.survive(access.call_method1(self.py, intern!(self.py, "opened"), (&session,)).map(drop))?;
        }
        // A coroutine says itself when it is called.
        if callbacks.start.is_none() {
            self.core.arrive(self.py, id);
        }
        let Some(begin) = callbacks.start.as_ref().or(callbacks.on_connection.as_ref()) else { return Ok(()) };
        self.enter(this)?;
        let begun = begin.call1(self.py, (&session,));
        self.leave(this);
        let begun = match begun {
            Ok(_) => Ok(()),
            Err(error) => self.failed(&session, error, "on_connection"),
        };
        begun.and(self.look_at_clock(this.endpoint(), "on_connection"))
    }

    fn closed(&mut self, id: SessionId, closed: Box<Closed>) -> PyResult<()> {
        let asked = lock(&self.core.asked).remove(&id);
        if let Some(lost) = asked.and_then(|asked| asked.lost) {
            return self.survive(lost.call1(self.py, (closed.is_undecided(),)).map(drop));
        }
        let Some(session) = self.core.remove(id) else {
            let waiters = self.core.end_exchange(id).map(|exchange| exchange.get().lost());
            return self.wake_all(waiters.into_iter().flatten());
        };
        let this = session.get();
        if let Some(access) = &self.user.hooks.access {
            self.survive(self.log_end(access, &session, &closed))?;
        }
        this.set_end(closed);
        self.wake_everyone(this)?;
        self.tell_end(&session)?;
        if self.core.leaving.load(Ordering::SeqCst) && self.core.session_count() == 0 {
            return self.survive(self.user.hooks.emptied.call0(self.py).map(drop));
        }
        Ok(())
    }

    fn log_end(&self, access: &Py<PyAny>, session: &Py<Session>, closed: &Closed) -> PyResult<()> {
        let Traffic { messages_in, bytes_in, messages_out, bytes_out } = closed.traffic;
        let traffic = (messages_in, bytes_in, messages_out, bytes_out);
        let told = (session, closed.code().0, closed.cause.as_deref(), closed.lasted.as_secs_f64(), traffic);
        access.call_method1(self.py, intern!(self.py, "closed"), told).map(drop)
    }

    fn tell_end(&mut self, session: &Py<Session>) -> PyResult<()> {
        let this = session.get();
        let callbacks = &self.user.endpoints[this.endpoint()];
        if let Some(ended) = &callbacks.ended {
            return self.survive(ended.call1(self.py, (session,)).map(drop));
        }
        let (Some(on_close), Some(closed)) = (&callbacks.on_close, this.end()) else { return Ok(()) };
        self.enter(this)?;
        let told = on_close.call1(self.py, (session, closed.code().0, errors::reason(closed)));
        self.leave(this);
        let told = match told {
            Ok(_) => Ok(()),
            Err(error) => self.failed(session, error, "on_close"),
        };
        told.and(self.look_at_clock(this.endpoint(), "on_close"))
    }

    fn wake_everyone(&self, this: &Session) -> PyResult<()> {
        let (mut waiters, pings, next) = match this.waits().as_mut() {
            None => return Ok(()),
            Some(waits) => {
                let mut waiters = waits.draining.take();
                waiters.append(&mut waits.closing.take());
                waiters.extend(waits.receiver.take());
                // The iterator and the session hold each other; nobody needs it for the next message now.
                (waiters, waits.take_pings(), waits.next.take())
            }
        };
        drop(next);
        waiters.extend(pings.iter().filter_map(|ping| ping.waiter.take()));
        self.wake_all(waiters)
    }

    // ---- the rest

    fn pong(&self, id: SessionId, payload: &[u8]) -> PyResult<()> {
        let Some(session) = self.core.session(self.py, id) else { return Ok(()) };
        let answered = match session.get().waits().as_mut() {
            None => return Ok(()),
            Some(waits) => waits.answered(payload),
        };
        let mut waiters = Vec::new();
        for ping in answered {
            let round_trip = ping.sent.elapsed();
            *lock(&ping.latency) = Some(round_trip.as_secs_f64());
            session.get().link().set_latency(u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX));
            waiters.extend(ping.waiter.take());
        }
        self.wake_all(waiters)
    }

    fn drained(&self, id: SessionId) -> PyResult<()> {
        let Some(session) = self.core.session(self.py, id) else {
            let waiters = self.core.exchange(self.py, id).map(|exchange| exchange.get().drained());
            return self.wake_all(waiters.into_iter().flatten());
        };
        let waiters = match session.get().waits().as_mut() {
            None => return Ok(()),
            Some(waits) => waits.draining.take(),
        };
        self.wake_all(waiters)
    }

    fn notice(&self, notice: &Notice) -> PyResult<()> {
        let hooks = &self.user.hooks;
        let told = match notice {
            Notice::Answered { peer, request_line, status, why, took } => match &hooks.access {
                None => return Ok(()),
                Some(access) => {
                    let peer = peer.map(|peer| peer.to_string());
                    let told = (peer, request_line, *status, &**why, took.as_secs_f64());
                    access.call_method1(self.py, intern!(self.py, "answered"), told)
                }
            },
            Notice::TlsFailed { peer, reason } | Notice::Refused { peer, reason } => match &hooks.access {
                Some(access) => {
                    let peer = peer.map(|peer| peer.to_string());
                    access.call_method1(self.py, intern!(self.py, "refused"), (peer, reason))
                }
                None => return Ok(()),
            },
            Notice::TlsFailuresLeftOut(count) => match &hooks.access {
                Some(access) => {
                    let told = ("-", format!("TLS: {count} more within a second"));
                    access.call_method1(self.py, intern!(self.py, "refused"), told)
                }
                None => return Ok(()),
            },
            Notice::OutOfDescriptors => hooks.notice.call1(self.py, ("descriptors", "")),
            Notice::SessionsFull => hooks.notice.call1(self.py, ("full", "")),
            Notice::AcceptFailed(text) => hooks.notice.call1(self.py, ("accept", text)),
            Notice::WrongLength(text) => hooks.notice.call1(self.py, ("length", text)),
            Notice::FileFailed(text) => hooks.notice.call1(self.py, ("file", text)),
            Notice::Advice(text) => hooks.notice.call1(self.py, ("advice", text)),
            Notice::Panicked(text) => hooks.notice.call1(self.py, ("panic", text)),
        };
        self.survive(told.map(drop))
    }

    fn stopped(&self) -> PyResult<()> {
        self.core.stopped_shards.fetch_add(1, Ordering::SeqCst);
        if self.core.all_stopped() { self.survive(self.user.hooks.stopped.call0(self.py).map(drop)) } else { Ok(()) }
    }

    /// Tells `on_broadcast` of the broadcasts since the last time.
    fn tell_spoken(&self) -> PyResult<()> {
        tell_spoken(self.py, self.core)
    }

    fn failed(&self, session: &Py<Session>, error: PyErr, handler: &str) -> PyResult<()> {
        if errors::is_fatal(self.py, &error) {
            return Err(error);
        }
        self.survive(self.user.hooks.failed.call1(self.py, (session, error.into_value(self.py), handler)).map(drop))
    }

    /// Resumes tasks. Whatever one of them raises is its own affair, unless it is fatal.
    fn wake_all(&self, waiters: impl IntoIterator<Item = Py<Waiter>>) -> PyResult<()> {
        let mut result = Ok(());
        for waiter in waiters {
            result = result.and(self.survive(Waiter::wake(&waiter, self.py)));
        }
        result
    }

    fn survive(&self, result: PyResult<()>) -> PyResult<()> {
        survive(self.py, result)
    }
}

/// Tells `on_broadcast` of the broadcasts since the last time. What it broadcasts itself waits for the next.
pub(crate) fn tell_spoken(py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
    if !core.hears_broadcasts {
        return Ok(());
    }
    let Some(user) = core.user() else { return Ok(()) };
    let Some(hook) = &user.hooks.spoken else { return Ok(()) };
    let spoken = std::mem::take(&mut *lock(&core.spoken));
    let mut result = Ok(());
    for one in spoken {
        let told = hook.call1(py, (one.room, one.data, one.sender)).map(drop);
        result = result.and(survive(py, told));
    }
    result
}

/// Lets through what is fatal to the program; anything else that gets here is reported, and the pass goes on.
pub(crate) fn survive(py: Python<'_>, result: PyResult<()>) -> PyResult<()> {
    match result {
        Err(error) if errors::is_fatal(py, &error) => Err(error),
        Err(error) => {
            error.write_unraisable(py, None);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

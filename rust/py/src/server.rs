//! A running server: started, driven and stopped by `hubbub.hub`.

mod driving;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::IntoRawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hubbub_net::proto::close::CloseCode;
use hubbub_net::{Address, Broadcast, Command, Exposition, Form, Policy, Shard, Space, Target, Tls};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString, PyWeakrefReference};

use self::driving::{Timer, Unfinished, cancel};
use crate::core::{Callbacks, Core, Hooks, Runtime, Spoken, User, lock};
use crate::delivery::Delivery;
use crate::dispatch::tell_spoken;
use crate::home::{self, Way};
use crate::inbox::{Batch, Inbox, inbox};
use crate::session::{Session, room_name};
use crate::{buffers, errors, events, figures, settings};

/// How often the loop's lag is measured.
const BEAT: Duration = Duration::from_secs(1);

/// One running server.
#[pyclass(frozen, module = "hubbub._core")]
pub struct Server {
    core: Arc<Core>,
    /// The shards until they are started.
    shards: Mutex<Vec<Shard>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    inbox: Mutex<Option<Inbox>>,
    io_threads: usize,
    fd: Mutex<i32>,
    /// The batch that the last pass did not finish.
    unfinished: Mutex<Option<Unfinished>>,
    /// The loop's timer that will call `tick`.
    timer: Mutex<Option<Timer>>,
    /// The loop's timer that will call `beat`; it has `cancel()`.
    beating: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl Server {
    /// Opens the listeners. `hooks` and `endpoints` are read once, here.
    #[new]
    #[pyo3(signature = (hub, limits, endpoints, hooks, binds, io_threads, tls = None, proxies = None))]
    #[allow(clippy::too_many_arguments, reason = "one caller, in Python, names them")]
    fn new(
        hub: &Bound<'_, PyAny>,
        limits: &Bound<'_, PyAny>,
        endpoints: Vec<Bound<'_, PyAny>>,
        hooks: &Bound<'_, PyAny>,
        binds: Vec<Bound<'_, PyAny>>,
        io_threads: usize,
        tls: Option<Bound<'_, PyAny>>,
        proxies: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let paths = endpoints.iter().map(settings::endpoint).collect::<PyResult<_>>()?;
        let mut settings = settings::settings(limits, paths, io_threads.max(1))?;
        settings.server_field = hooks.getattr("server_field")?.extract()?;
        settings.access_log = !hooks.getattr("access")?.is_none();
        if let Some(tls) = tls {
            let (tls, warnings) = Tls::load(settings::tls(&tls)?).map_err(|error| errors::tls(&error))?;
            settings.tls = Some(Arc::new(tls));
            for warning in warnings {
                hooks.call_method1("notice", ("certificate", warning))?;
            }
        }
        if let Some(proxies) = proxies {
            settings.proxies = settings::proxies(&proxies)?;
        }
        let binds = binds.iter().map(settings::bind).collect::<PyResult<_>>()?;
        let (server, shards) = hubbub_net::Server::bind(settings, binds).map_err(errors::os)?;
        let callbacks = endpoints.iter().map(callbacks).collect::<PyResult<_>>()?;
        Ok(Server {
            core: Arc::new(Core::new(
                server,
                PyWeakrefReference::new(hub)?.unbind(),
                User { endpoints: callbacks, hooks: read_hooks(hooks, limits)? },
            )),
            shards: Mutex::new(shards),
            threads: Mutex::default(),
            inbox: Mutex::default(),
            io_threads,
            fd: Mutex::new(-1),
            unfinished: Mutex::default(),
            timer: Mutex::default(),
            beating: Mutex::default(),
        })
    }

    /// Makes the calling thread the home of the server and starts the shards.
    fn start(
        slf: &Bound<'_, Self>,
        event_loop: Py<PyAny>,
        call_soon: Py<PyAny>,
        call_later: Py<PyAny>,
        park: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let this = slf.get();
        let bound = |name: &str| slf.getattr(name).map(Bound::unbind);
        let (turn, tick, beat, flush) = (bound("turn")?, bound("tick")?, bound("beat")?, bound("flush")?);
        if !this.core.set_runtime(Runtime { event_loop, call_soon, call_later, park, turn, tick, beat, flush }) {
            return Err(errors::wrong_setting("the server has been started before".into()));
        }
        this.beat(slf.py())?;
        keep_freed_memory();
        let mut shards = std::mem::take(&mut *lock(&this.shards));
        if this.io_threads == 0 {
            if let Some(shard) = shards.pop() {
                *lock(&this.fd) = std::os::fd::AsRawFd::as_raw_fd(&shard);
                let way = Way::Inline { shard: Box::new(shard), events: Batch::attached() };
                home::settle(this.core.key(), way);
            }
            return Ok(());
        }
        let (inbox, batchers) = inbox(shards.len()).map_err(errors::os)?;
        *lock(&this.fd) = inbox.fd();
        *lock(&this.inbox) = Some(inbox);
        for (shard, mut batcher) in shards.into_iter().zip(batchers) {
            let name = format!("hubbub-{}", shard.number());
            let thread = std::thread::Builder::new().name(name).spawn(move || shard.run(&mut batcher));
            lock(&this.threads).push(thread.map_err(errors::os)?);
        }
        home::settle(this.core.key(), Way::Remote);
        Ok(())
    }

    /// Lets in a client that another server has accepted: gives the descriptor of a stream socket, the caller's, that
    /// speaks for it. `client` is `(host, port)`; a host that is no address is left out.
    fn connect_embedded(&self, client: Option<(String, u16)>, secure: bool) -> PyResult<i32> {
        let address = client.and_then(|(host, port)| {
            // Not what follows a scope's `%`: it means something to the host's sockets only.
            let host: IpAddr = host.split('%').next()?.parse().ok()?;
            Some(SocketAddr::new(host, port))
        });
        self.core.server.connect_embedded(address, secure).map(IntoRawFd::into_raw_fd).map_err(errors::os)
    }

    /// The descriptor that is readable when `turn` has something to do.
    fn fileno(&self) -> i32 {
        *lock(&self.fd)
    }

    /// Works through what has happened, calls the handlers, and writes what they send.
    fn turn(&self, py: Python<'_>) -> PyResult<()> {
        if self.core.frozen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let turned = if self.io_threads == 0 { self.turn_inline(py) } else { self.turn_remote(py) };
        // What is fatal to the program leaves through here; until it has ended, the network goes on.
        let come_back = self.come_back(py, turned.as_ref().map_or(Some(Duration::ZERO), |wait| *wait));
        turned.and(come_back)
    }

    /// The loop's timer has run.
    fn tick(&self, py: Python<'_>) -> PyResult<()> {
        let timer = lock(&self.timer).take();
        drop(timer);
        self.turn(py)
    }

    /// Sees how late the loop's timer is, once per second.
    fn beat(&self, py: Python<'_>) -> PyResult<()> {
        let Some(runtime) = self.core.runtime_to_call() else { return Ok(()) };
        self.core.server.times().lag.beat(Some(BEAT));
        let handle = runtime.call_later.call1(py, (BEAT.as_secs_f64(), &runtime.beat))?;
        let before = lock(&self.beating).replace(handle);
        drop(before);
        Ok(())
    }

    /// Writes what was sent since the last turn.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        if self.core.frozen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let spoken = tell_spoken(py, &self.core);
        let wait = self.flush_home();
        self.wake_flushed(py)?;
        spoken?;
        self.come_back(py, wait)
    }

    /// Writes, or hands to the shards, what this thread has said so far. On another thread than the loop's: hands on what was
    /// collected; what the loop's own thread has to write itself stays there.
    fn flush_now(&self, py: Python<'_>) -> PyResult<()> {
        if home::is_here(self.core.key()) {
            let wait = self.flush_handler();
            return self.come_back(py, wait);
        }
        self.core.post_collected();
        Ok(())
    }

    // ---- the end

    /// The process ends: from now on nothing calls Python. Before 3.14, Python unwinds its threads when they want the GIL
    /// again, and that must not meet a frame of Rust's.
    fn freeze(&self) {
        self.core.frozen.store(true, Ordering::Relaxed);
    }

    /// Takes no further connections, and closes each session with 1001 as soon as its handler is idle.
    fn leave(&self, py: Python<'_>) {
        self.core.leaving.store(true, Ordering::SeqCst);
        for shard in 0..self.core.server.handles().len() {
            self.core.post(py, shard, Command::StopAccepting);
        }
        for session in self.core.sessions(py) {
            session.get().take_leave(py);
        }
    }

    /// Closes what is left; after `grace` seconds the connections are dropped. Then `hooks.stopped` is called.
    fn stop(&self, py: Python<'_>, grace: f64) {
        let grace = Duration::try_from_secs_f64(grace).unwrap_or_default();
        for shard in 0..self.core.server.handles().len() {
            self.core.post(py, shard, Command::Stop(CloseCode::GOING_AWAY, String::new(), grace));
        }
    }

    /// Gives everything back; the shards have stopped, or are dropped now.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        drop(home::leave(self.core.key()));
        self.core.post_collected();
        if !self.core.all_stopped() {
            for handle in self.core.server.handles() {
                handle.post(Command::Stop(CloseCode::GOING_AWAY, String::new(), Duration::ZERO));
            }
        }
        let shards = std::mem::take(&mut *lock(&self.shards));
        drop(shards);
        let threads = std::mem::take(&mut *lock(&self.threads));
        py.detach(|| {
            for thread in threads {
                // A shard that panicked has told so already.
                let _ = thread.join();
            }
        });
        *lock(&self.inbox) = None;
        self.core.let_go();
        self.core.server.times().lag.beat(None);
        let (timer, beating) = (lock(&self.timer).take(), lock(&self.beating).take());
        cancel(py, timer.map(|timer| timer.handle)).and(cancel(py, beating))
    }

    #[getter]
    fn stopped(&self) -> bool {
        self.core.all_stopped()
    }

    // ---- rooms and sessions

    #[pyo3(signature = (rooms, data, skip, sender = None, compress = true, event = None))]
    #[allow(clippy::too_many_arguments, reason = "what Python says of a broadcast")]
    fn broadcast(
        &self,
        py: Python<'_>,
        rooms: Option<Vec<Bound<'_, PyAny>>>,
        data: &Bound<'_, PyAny>,
        skip: Vec<Py<Session>>,
        sender: Option<Py<Session>>,
        compress: bool,
        event: Option<String>,
    ) -> PyResult<Delivery> {
        let event = event.map(events::checked_type).transpose()?;
        let name = |room: &Bound<'_, PyAny>| PyResult::Ok(room_name(room)?.to_str()?.into());
        let names = rooms.as_ref().map(|rooms| rooms.iter().map(name).collect::<PyResult<_>>()).transpose()?;
        let mut broadcast = self.encode(Space::Hub, names, data, &skip, compress)?;
        broadcast.event = event;
        if self.core.hears_broadcasts {
            for room in rooms.into_iter().flatten() {
                let sender = sender.as_ref().map(|sender| sender.clone_ref(py));
                let spoken = Spoken { room: room.extract()?, data: data.clone().unbind(), sender };
                lock(&self.core.spoken).push(spoken);
            }
        }
        Ok(self.hand_out(py, broadcast, true))
    }

    /// Hands a text and the attachments that belong to it to the members of rooms of a protocol's. `on_broadcast` does not hear of it, and no
    /// history has it.
    #[allow(clippy::too_many_arguments, reason = "what Python says of a packet for many")]
    fn emit(
        &self,
        py: Python<'_>,
        rooms: Vec<PyBackedStr>,
        messages: Vec<Bound<'_, PyAny>>,
        skip: Vec<Py<Session>>,
        except_: Vec<PyBackedStr>,
        compress: bool,
        volatile: bool,
    ) -> PyResult<Delivery> {
        let Some((text, attachments)) = messages.split_first() else { return Err(errors::no_message()) };
        let names = rooms.iter().map(|room| (**room).into()).collect();
        let mut broadcast = self.encode(Space::Protocol, Some(names), text, &skip, compress)?;
        if !attachments.is_empty() {
            let shared = |bytes| Ok(buffers::shared(&buffers::to_bytes(bytes)?));
            broadcast = broadcast.attach(attachments.iter().map(shared).collect::<PyResult<_>>()?);
        }
        broadcast.except = except_.iter().map(|room| (**room).into()).collect();
        broadcast.volatile = volatile;
        Ok(self.hand_out(py, broadcast, false))
    }

    fn sessions(&self, py: Python<'_>) -> Vec<Py<Session>> {
        self.core.sessions(py)
    }

    fn session_count(&self) -> usize {
        self.core.session_count()
    }

    fn room_names(&self) -> Vec<String> {
        self.core.server.directory().names().iter().map(|name| name.to_string()).collect()
    }

    fn room_count(&self) -> usize {
        self.core.server.directory().len()
    }

    fn room_size(&self, room: &Bound<'_, PyAny>) -> PyResult<usize> {
        Ok(self.core.server.directory().count(room_name(room)?.to_str()?))
    }

    fn room_members(&self, py: Python<'_>, room: &Bound<'_, PyAny>) -> PyResult<Vec<Py<Session>>> {
        let members = self.core.server.directory().members(room_name(room)?.to_str()?);
        Ok(members.into_iter().filter_map(|id| self.core.session(py, id)).collect())
    }

    fn room_has(&self, room: &Bound<'_, PyAny>, session: Py<Session>) -> PyResult<bool> {
        Ok(self.core.server.directory().contains(room_name(room)?.to_str()?, session.get().id()))
    }

    fn room_position(&self, room: &Bound<'_, PyAny>) -> PyResult<Option<(u64, u64)>> {
        let position = self.core.server.directory().position(room_name(room)?.to_str()?);
        Ok(position.map(|position| (position.epoch, position.offset)))
    }

    fn room_dropped(&self, room: &Bound<'_, PyAny>) -> PyResult<u64> {
        Ok(self.core.server.directory().dropped(room_name(room)?.to_str()?))
    }

    fn room_policy(&self, room: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
        Ok(self.core.server.directory().policy(room_name(room)?.to_str()?).map(Policy::name))
    }

    fn set_room_policy(&self, room: &Bound<'_, PyAny>, policy: Option<&str>) -> PyResult<()> {
        let policy = policy.map(settings::policy).transpose()?;
        self.core.server.directory().set_policy(room_name(room)?.to_str()?, policy);
        Ok(())
    }

    fn room_history(&self, room: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        Ok(self.core.server.directory().keep(room_name(room)?.to_str()?))
    }

    fn set_room_history(&self, room: &Bound<'_, PyAny>, messages: Option<usize>) -> PyResult<()> {
        self.core.server.directory().set_keep(room_name(room)?.to_str()?, messages);
        Ok(())
    }

    /// Reads certificates and keys again, for the connections to come. Gives warnings about them.
    fn reload_certificates(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        match &self.core.server.settings().tls {
            Some(tls) => py.detach(|| tls.reload()).map_err(|error| errors::tls(&error)),
            None => Ok(Vec::new()),
        }
    }

    // ---- what there is to know

    /// `("tcp", host, port)` or `("unix", path)` for each listener.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let address = |address: &Address| match address {
            Address::Tcp(address) => ("tcp", address.ip().to_string(), address.port()).into_bound_py_any(py),
            Address::Unix(path) => {
                let path = path.as_ref().map(|path| path.to_string_lossy().into_owned());
                ("unix", PyString::new(py, &path.unwrap_or_default())).into_bound_py_any(py)
            }
        };
        self.core.server.addresses().iter().map(address).collect()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        figures::stats(py, &self.core)
    }

    /// The figures as text: Prometheus' format 0.0.4, or OpenMetrics 1.0.
    fn metrics_text(&self, openmetrics: bool) -> String {
        let exposition = if openmetrics { Exposition::OpenMetrics } else { Exposition::Prometheus };
        self.core.server.metrics(exposition)
    }
}

/// Lets the allocator keep up to 16 MiB that were freed at the end of its heap, for the next messages.
///
/// PERF: glibc gives them back to the kernel from 128 KiB on, and faults every page in again: 16 KiB echo cost half as much
/// again or not, from run to run. Its bound is twice the largest mapped block that it has seen freed (mallopt(3), "dynamic
/// mmap threshold"), so it is shown one. Where the allocator is another one, this does nothing.
fn keep_freed_memory() {
    const BLOCK: usize = 8 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}

impl Server {
    /// A message for the members of these rooms, each of which has one more broadcast then, or for everyone.
    fn encode(
        &self,
        space: Space,
        rooms: Option<Vec<Arc<str>>>,
        data: &Bound<'_, PyAny>,
        skip: &[Py<Session>],
        compress: bool,
    ) -> PyResult<Broadcast> {
        let server = &self.core.server;
        let publish = |policy: Option<Policy>, room: &Arc<str>| policy.or(server.rooms(space).publish(room));
        let policy = rooms.iter().flatten().fold(None, publish).unwrap_or(server.settings().limits.outbox_policy);
        let target = rooms.map_or(Target::All, Target::Rooms);
        let skip = skip.iter().map(|session| session.get().id()).collect();
        buffers::with_message(data, |message| {
            let form = Form { kind: message.kind(), compress };
            let shards = server.handles().len();
            let mut broadcast = Broadcast::new(target, skip, policy, form, message.as_slice(), shards);
            broadcast.space = space;
            broadcast
        })
    }

    fn hand_out(&self, py: Python<'_>, broadcast: Broadcast, memorable: bool) -> Delivery {
        let delivery = broadcast.delivery.clone();
        let congested = self.core.broadcast(py, broadcast, memorable);
        Delivery::new(self.core.clone(), delivery, congested)
    }
}

fn callbacks(endpoint: &Bound<'_, PyAny>) -> PyResult<Callbacks> {
    let read = |name: &str| optional(endpoint, name);
    Ok(Callbacks {
        session_type: endpoint.getattr("session_type")?.unbind(),
        on_connection: read("on_connection")?,
        on_message: read("on_message")?,
        on_close: read("on_close")?,
        start: read("start")?,
        ended: read("ended")?,
        noticed: read("noticed")?,
        decide: read("decide")?,
        refused: match endpoint.getattr("engineio")? {
            engineio if engineio.is_none() => None,
            engineio => optional(&engineio, "refused")?,
        },
        serve: read("serve")?,
    })
}

fn read_hooks(hooks: &Bound<'_, PyAny>, limits: &Bound<'_, PyAny>) -> PyResult<Hooks> {
    let read = |name: &str| hooks.getattr(name).map(Bound::unbind);
    Ok(Hooks {
        failed: read("failed")?,
        slow: read("slow")?,
        slow_handler: settings::seconds(limits, "slow_handler")?,
        name_of: read("name_of")?,
        notice: read("notice")?,
        emptied: read("emptied")?,
        stopped: read("stopped")?,
        access: optional(hooks, "access")?,
        spoken: optional(hooks, "spoken")?,
    })
}

fn optional(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Py<PyAny>>> {
    let value = object.getattr(name)?;
    Ok((!value.is_none()).then(|| value.unbind()))
}

//! What every session of a shard needs beside itself.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hubbub_proto::head::HeadLimits;
use hubbub_proto::message;

use crate::config::settings::Limits;
use crate::effect::{Effect, Effects};
use crate::handler::Notice;
use crate::http::date::Date;
use crate::http::files::Folders;
use crate::io::outbox::Pool;
use crate::log_limit::LogLimit;
use crate::metrics::ShardFigures;
use crate::metrics::counters::Counts;
use crate::pubsub::held::Held;
use crate::pubsub::history::Histories;
use crate::server::Server;
use crate::session::Session;
use crate::session::compression::Codecs;
use crate::timers::{Millis, Wheel};
use crate::tls_handshakes::TlsHandshakes;

pub(crate) struct Context {
    pub(crate) number: u8,
    pub(crate) server: Arc<Server>,
    pub(crate) limits: Limits,
    pub(crate) message_limits: message::Limits,
    pub(crate) head_limits: HeadLimits,
    pub(crate) timers: Wheel,
    /// Sessions to be written, each once.
    pub(crate) dirty: Vec<u32>,
    /// Sessions to be read, each once.
    pub(crate) ready: Vec<u32>,
    /// Of these, the ones that are in their TLS handshake.
    pub(crate) tls_handshakes: TlsHandshakes,
    /// For the log: TLS that failed.
    pub(crate) tls_lines: LogLimit,
    pub(crate) pool: Pool,
    /// Buffers of large messages that the user has done with.
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) codecs: Codecs,
    pub(crate) date: Date,
    pub(crate) folders: Folders,
    /// What the request that is being opened suggests; for the log.
    pub(crate) advice: Option<String>,
    /// What was told already.
    pub(crate) told_advice: Vec<String>,
    /// Content of several chunks of one read.
    pub(crate) gathered: Vec<u8>,
    /// The server takes no further connections, and ends those that are kept.
    pub(crate) draining: bool,
    /// The number of this turn. What was seen of the file system holds for one.
    pub(crate) turn: u64,
    /// Some endpoint compresses.
    pub(crate) compresses: bool,
    /// There is an access log.
    pub(crate) logs_access: bool,
    pub(crate) counts: Counts,
    published: Counts,
    started: Instant,
    /// The moment of the last look at the clock, since the shard started.
    pub(crate) now: Millis,
    pub(crate) micros: u64,
    pub(crate) histories: Histories,
    /// Sessions that the user is getting to know, by slot.
    pub(crate) arriving: HashMap<u32, Held>,
    /// This broadcast's number, for `Session::mark`.
    pub(crate) mark: u32,
    /// What the user is to be told.
    pub(crate) effects: Effects,
}

impl Context {
    pub(crate) fn new(number: u8, server: Arc<Server>) -> Self {
        let limits = server.settings().limits.clone();
        Context {
            number,
            message_limits: message::Limits {
                max_message_bytes: limits.max_message_bytes,
                max_empty_fragments: limits.max_empty_fragments,
            },
            head_limits: HeadLimits {
                max_bytes: server.settings().max_head_bytes,
                max_fields: server.settings().max_head_fields,
            },
            limits,
            codecs: Codecs::default(),
            date: Date::new(),
            folders: Folders::new(server.settings()),
            advice: None,
            gathered: Vec::new(),
            draining: false,
            turn: 1,
            compresses: server.settings().endpoints.iter().any(|endpoint| endpoint.compression.is_some()),
            logs_access: server.settings().access_log,
            server,
            timers: Wheel::new(),
            dirty: Vec::new(),
            ready: Vec::new(),
            tls_handshakes: TlsHandshakes::default(),
            tls_lines: LogLimit::default(),
            told_advice: Vec::new(),
            pool: Pool::default(),
            spare: Vec::new(),
            counts: Counts::default(),
            published: Counts::default(),
            started: Instant::now(),
            now: 0,
            micros: 0,
            histories: Histories::default(),
            arriving: HashMap::new(),
            mark: 0,
            effects: Effects::new(),
        }
    }

    /// Looks at the clock. A turn does so once; what is asked of the shard between two turns may come long after.
    pub(crate) fn look_at_clock(&mut self) {
        self.micros = self.elapsed();
        self.now = self.micros / 1000;
    }

    /// Microseconds since the shard started.
    pub(crate) fn elapsed(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    pub(crate) fn mark_dirty(&mut self, session: &mut Session) {
        if !session.dirty {
            session.dirty = true;
            self.dirty.push(session.slot());
        }
    }

    pub(crate) fn mark_ready(&mut self, session: &mut Session) {
        if !session.in_ready {
            session.in_ready = true;
            if session.pending && session.connection.stream.is_handshaking() {
                self.tls_handshakes.push(session.slot());
            } else {
                self.ready.push(session.slot());
            }
        }
    }

    /// Sees to it that the session is looked at by `at`, if it is not anyway.
    pub(crate) fn arm(&mut self, session: &mut Session, at: Millis) {
        if session.timer == 0 || at < session.timer {
            session.timer = at.max(1);
            self.timers.insert(session.slot(), session.timer);
        }
    }

    /// The same, for the session's own deadline, if it has one.
    pub(crate) fn arm_until(&mut self, session: &mut Session) {
        if session.until != 0 {
            let until = session.until;
            self.arm(session, until);
        }
    }

    /// When a head whose first byte may come now must be complete; 0: never.
    pub(crate) fn head_deadline(&self) -> Millis {
        self.limits.handshake_timeout.map_or(0, |timeout| self.now + millis(timeout))
    }

    /// When the user must have decided about a request that it is asked about now; 0: never.
    pub(crate) fn decision_deadline(&self) -> Millis {
        self.limits.request_timeout.map_or(0, |timeout| self.now + millis(timeout))
    }

    pub(crate) fn report_panic(&mut self, panic: &(dyn Any + Send)) {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        self.counts.panics += 1;
        self.notice(Notice::Panicked(text.unwrap_or_else(|| "unknown".into())));
    }

    /// Says something for the log.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notice(notice));
    }

    /// What this shard tells of itself, beside its counts.
    pub(crate) fn figures(&self) -> &ShardFigures {
        &self.server.shard_figures()[usize::from(self.number)]
    }

    /// The kernel takes no more from this session, or it does again.
    pub(crate) fn set_blocked(&self, session: &mut Session, blocked: bool) {
        if std::mem::replace(&mut session.connection.blocked, blocked) != blocked
            && let Some(link) = &session.link
        {
            link.set_blocked(blocked);
            match blocked {
                true => self.figures().backlog.enter(link),
                false => self.figures().backlog.leave(session.slot()),
            }
        }
    }

    pub(crate) fn publish(&mut self) {
        if self.counts != self.published {
            self.published = self.counts;
            self.server.counters(self.number).publish(&self.counts);
        }
        self.figures().backlog.publish(self.pool.waiting());
    }
}

/// A duration in the shard's unit; at least one, so that 0 can mean "none".
pub(crate) fn millis(duration: std::time::Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4).max(1)
}

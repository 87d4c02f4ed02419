//! Why a run could not be made, or could not be finished.

use std::fmt;
use std::io;
use std::time::Duration;

/// The end of a run without a report. Its `Display` is one sentence for the person who started the run.
#[derive(Debug)]
pub enum Error {
    /// The URL is not one that can be used.
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The scenario contradicts itself.
    BadScenario(String),
    /// The host name has no address.
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No TCP connection could be made.
    Unreachable {
        /// Where to.
        address: String,
        /// How many connections were open by then.
        open: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered the handshake with something else than an upgrade.
    Refused {
        /// Why the answer is no agreement.
        why: String,
        /// How many connections were open by then.
        open: usize,
    },
    /// The server took the connection and left the handshake unanswered.
    SilentHandshake {
        /// What it did not send.
        what: &'static str,
        /// How many connections were open by then.
        open: usize,
        /// How long the generator waited.
        waited: Duration,
    },
    /// Not one reply came.
    NoReply {
        /// How long the generator waited.
        waited: Duration,
    },
    /// The connections were lost in mid-run.
    ServerGone {
        /// How long after the first message.
        after: Duration,
        /// What happened to the last connection.
        how: String,
    },
    /// A broadcast did not reach all members.
    NotAllReached {
        /// How many received it.
        reached: usize,
        /// How many there are.
        members: usize,
        /// How long the generator waited.
        waited: Duration,
    },
    /// The process may not open that many descriptors.
    TooFewDescriptors {
        /// How many the scenario needs.
        needed: u64,
        /// How many the process may have.
        limit: u64,
    },
    /// The source addresses have too few ports.
    TooFewPorts {
        /// How many the scenario needs.
        connections: usize,
        /// How many each source address has.
        ports: usize,
        /// How many source addresses there are.
        sources: usize,
    },
    /// A process of the server cannot be observed.
    NoProcess {
        /// Which.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
    /// A thread of the generator panicked.
    Bug,
    /// The system failed in another way.
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: a system failure while `doing` something.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::BadUrl { url, why } => write!(f, "cannot use the URL {url:?}: {why}"),
            Error::BadScenario(why) => f.write_str(why),
            Error::UnknownHost { host, source } => write!(f, "cannot find the host {host:?}: {source}"),
            Error::Unreachable { address, open: 0, source } => {
                write!(f, "cannot connect to {address}: {source}")
            }
            Error::Unreachable { address, open, source } => {
                write!(f, "cannot open more than {open} connections to {address}: {source}")
            }
            Error::Refused { why, open: 0 } => write!(f, "the server refused the handshake: {why}"),
            Error::Refused { why, open } => {
                write!(f, "the server refused a further handshake after {open} connections: {why}")
            }
            Error::SilentHandshake { what, open, waited } => write!(
                f,
                "the server left a handshake unanswered for {:.0} s, there was no {what} ({open} connections were open)",
                waited.as_secs_f64()
            ),
            Error::NoReply { waited } => {
                write!(f, "the server sent no reply within {:.1} s", waited.as_secs_f64())
            }
            Error::ServerGone { after, how } => {
                write!(f, "the connection was lost {:.1} s after the first message: {how}", after.as_secs_f64())
            }
            Error::NotAllReached { reached, members, waited } => {
                write!(f, "a broadcast reached {reached} of {members} connections within {:.0} s", waited.as_secs_f64())
            }
            Error::TooFewDescriptors { needed, limit } => write!(
                f,
                "this needs {needed} file descriptors and the limit is {limit}: raise it with `ulimit -n {needed}`"
            ),
            Error::TooFewPorts { connections, ports, sources } => write!(
                f,
                "{connections} connections need more ports than the {ports} that each source address has \
                 (/proc/sys/net/ipv4/ip_local_port_range, {sources} source address{}): add addresses with --source",
                if *sources == 1 { "" } else { "es" }
            ),
            Error::NoProcess { pid, source } => write!(f, "cannot observe process {pid}: {source}"),
            Error::Bug => f.write_str("a thread of the load generator panicked: please report it"),
            Error::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::UnknownHost { source, .. }
            | Error::Unreachable { source, .. }
            | Error::NoProcess { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::BadUrl { .. }
            | Error::BadScenario(_)
            | Error::Refused { .. }
            | Error::SilentHandshake { .. }
            | Error::NoReply { .. }
            | Error::ServerGone { .. }
            | Error::NotAllReached { .. }
            | Error::TooFewDescriptors { .. }
            | Error::TooFewPorts { .. }
            | Error::Bug => None,
        }
    }
}

//! What went wrong without ending the run, counted by kind.

use std::collections::BTreeMap;

/// A kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A reply of another length than its message.
    WrongLength,
    /// A reply with other content than its message.
    WrongContent,
    /// The peer broke the WebSocket protocol; the connection is given up.
    Protocol,
    /// The peer sent a close frame, or ended the Socket.IO session.
    ClosedByServer,
    /// The peer ended or reset the TCP connection.
    ConnectionLost,
    /// No reply by the end of the run.
    Unanswered,
    /// A handshake that failed in mid-run.
    Handshake,
    /// A broadcast that was not the next one of its sender: others were lost, or it came twice.
    OutOfOrder,
    /// A message that was due while too many were under way, and was left out.
    Unsent,
    /// A message that nobody has asked for: the server sends by itself. Socket.IO: an acknowledgement, too.
    Unexpected,
}

impl Fault {
    const ALL: [Fault; 10] = [
        Fault::WrongLength,
        Fault::WrongContent,
        Fault::Protocol,
        Fault::ClosedByServer,
        Fault::ConnectionLost,
        Fault::Unanswered,
        Fault::Handshake,
        Fault::OutOfOrder,
        Fault::Unsent,
        Fault::Unexpected,
    ];

    /// The name in reports.
    fn name(self) -> &'static str {
        match self {
            Fault::WrongLength => "wrong_length",
            Fault::WrongContent => "wrong_content",
            Fault::Protocol => "protocol",
            Fault::ClosedByServer => "closed_by_server",
            Fault::ConnectionLost => "connection_lost",
            Fault::Unanswered => "unanswered",
            Fault::Handshake => "handshake",
            Fault::OutOfOrder => "out_of_order",
            Fault::Unsent => "unsent",
            Fault::Unexpected => "unexpected",
        }
    }
}

/// How many there were of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults([u64; Fault::ALL.len()]);

impl Faults {
    pub(crate) fn count(&mut self, fault: Fault, times: u64) {
        self.0[fault as usize] += times;
    }

    pub(crate) fn add(&mut self, other: &Faults) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Of all kinds.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The kinds that occurred.
    pub(crate) fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        Fault::ALL
            .into_iter()
            .map(|fault| (fault.name(), self.0[fault as usize]))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

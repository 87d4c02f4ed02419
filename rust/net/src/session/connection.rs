//! One accepted socket: what has come of it, what waits to be written to it, and how it stands.

use std::io;

use hubbub_proto::Role;
use hubbub_proto::message::Reader;

use crate::io::outbox::Outbox;
use crate::io::stream::Stream;
use crate::session::compression::{Own, Packing};

/// The connection of a session or of a request. A session that has none just now has an [absent](Connection::absent) one.
/// Idle ones are many: what is rare is boxed.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) reader: Reader,
    pub(crate) outbox: Outbox,
    /// How messages may be compressed, if that was agreed on.
    pub(crate) packing: Option<Packing>,
    /// Streams of its own, and bytes held back; shared streams leave it empty.
    pub(crate) own: Option<Box<Own>>,
    /// The kernel has, or may have, bytes for us.
    pub(crate) readable: bool,
    /// The peer has sent FIN: after a short read there is still the end to be read.
    pub(crate) hung_up: bool,
    /// The kernel takes no more for now.
    pub(crate) blocked: bool,
    pub(crate) sending: Sending,
}

/// Our side of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Something may still be written.
    Open,
    /// FIN has been sent.
    Finished,
    /// Writing has failed: only what the peer has sent before is still of interest.
    Failed,
}

/// What one receive call has brought.
pub(crate) enum Received {
    /// Bytes, and perhaps there are more.
    Full(usize),
    /// Bytes, and no more for now.
    Short(usize),
    /// Nothing for now.
    Empty,
    /// The peer has finished.
    End,
    /// The connection is lost.
    Lost(io::Error),
}

impl Connection {
    /// One that was accepted just now.
    pub(crate) fn new(stream: Stream) -> Self {
        Connection {
            stream,
            reader: Reader::new(Role::Server),
            outbox: Outbox::default(),
            packing: None,
            own: None,
            readable: true,
            hung_up: false,
            blocked: false,
            sending: Sending::Open,
        }
    }

    /// None.
    pub(crate) fn absent() -> Self {
        Connection { readable: false, ..Connection::new(Stream::Away) }
    }

    /// There is none.
    pub(crate) fn is_absent(&self) -> bool {
        self.stream.is_away()
    }

    /// Writing has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.sending == Sending::Failed
    }

    /// Receives once; `receive` is given the stream, and `most` is what it could have given.
    pub(crate) fn receive(&mut self, most: usize, receive: impl FnOnce(&mut Stream) -> io::Result<usize>) -> Received {
        let received = Received::of(receive(&mut self.stream), most);
        self.note(&received);
        received
    }

    /// PERF: a short read has emptied the socket; asking again would only say so. The poll is
    /// edge-triggered, so what comes later is announced anew. Only the end of a stream that the poll
    /// has announced together with its last bytes must still be read.
    pub(crate) fn note(&mut self, received: &Received) {
        self.readable = match received {
            Received::Full(_) => true,
            Received::Short(_) => self.hung_up || self.stream.has_more(),
            Received::Empty => self.stream.has_more(),
            Received::End | Received::Lost(_) => false,
        };
    }

    /// TLS has answered by itself: a step of its handshake, an alert.
    pub(crate) fn has_answered(&self) -> bool {
        self.stream.wants_write() && !self.blocked && !self.has_failed()
    }

    /// Compresses from now on as was agreed; the field that says so joins those of the 101.
    pub(crate) fn compress(&mut self, packing: Option<(Packing, String)>, fields: &mut Vec<(String, String)>) {
        if let Some((packing, answer)) = packing {
            self.packing = Some(packing);
            self.reader.expect_deflate();
            fields.push(("Sec-WebSocket-Extensions".into(), answer));
        }
    }

    /// Takes out the bytes that were held back.
    pub(crate) fn take_held(&mut self) -> Option<Vec<u8>> {
        let held = self.own.as_mut().map(|own| std::mem::take(&mut own.held));
        self.own.take_if(|own| own.is_empty());
        held
    }

    /// Bytes were held back.
    pub(crate) fn holds(&self) -> bool {
        self.own.as_ref().is_some_and(|own| !own.held.is_empty())
    }

    /// Holds back bytes that were received, until the session's next turn to be read.
    pub(crate) fn hold(&mut self, bytes: Vec<u8>) {
        self.own.get_or_insert_default().held = bytes;
    }
}

impl Received {
    pub(crate) fn of(result: io::Result<usize>, most: usize) -> Received {
        match result {
            Ok(0) => Received::End,
            Ok(len) if len == most => Received::Full(len),
            Ok(len) => Received::Short(len),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Received::Empty,
                // Nothing is lost by asking again in the next turn.
                io::ErrorKind::Interrupted => Received::Full(0),
                _ => Received::Lost(error),
            },
        }
    }
}

//! TLS on one connection: ciphertext from and to the socket, plaintext from and to the session.
//!
//! It stands on rustls' unbuffered interface, for two reasons. An idle connection holds no buffers: input is decrypted
//! in the thread's own, output is encrypted there, and only what is unfinished stays with the connection. And every call
//! does a bounded piece of work: nothing here waits for the handshake, or for the peer, to go on.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{Error, ServerConfig};

use crate::io::outbox::Written;
use crate::io::socket::Socket;

/// Ciphertext taken from the kernel at a time.
const RECEIVE_BYTES: usize = 64 << 10;
/// A whole record fits: less could not be decrypted.
const LEAST_RECEIVE_BYTES: usize = 17 << 10;
/// A record's header: type, version, length (RFC 8446 §5.1).
const HEADER_BYTES: usize = 5;
/// What may wait for its rest: a handshake message of the largest size that rustls takes, and a record.
const INCOMING_BYTES: usize = 80 << 10;
/// Plaintext of one record (RFC 8446 §5.1).
const RECORD_BYTES: usize = 16 << 10;
/// Header, explicit nonce, content type and tag, in either version, and more.
const OVERHEAD_BYTES: usize = 64;
/// Records that are encrypted before the kernel is asked to take them. What it does not take stays with the connection,
/// so this bounds what a slow reader holds beside its outbox.
const RECORDS: usize = 4;
/// Output of TLS itself up to this size goes out in one write with the session's.
const SMALL_BYTES: usize = 8 << 10;

/// One TLS connection, as a server.
pub struct TlsStream {
    socket: Socket,
    tls: UnbufferedServerConnection,
    /// Ciphertext whose rest has not come. INVARIANT: at most `INCOMING_BYTES`.
    incoming: Vec<u8>,
    /// Plaintext that the last receive call had no room for, and how much of it has been handed on since.
    plain: Vec<u8>,
    plain_read: usize,
    /// Ciphertext that the kernel has not taken, and how much of it it has taken since.
    outgoing: Vec<u8>,
    outgoing_sent: usize,
    /// There is more to receive without a further word from the poll.
    more: bool,
    /// Nothing has come yet.
    fresh: bool,
    /// The peer has said close_notify, or sent FIN.
    ended: bool,
    /// The peer has broken the protocol, or has never spoken it. What it sends is discarded.
    failed: bool,
    /// Why, until that has been told: what came before it is handed on first.
    trouble: Option<io::Error>,
    /// Our close_notify is on its way.
    parted: bool,
}

/// Working memory of a shard's thread.
struct Scratch {
    /// The first `INCOMING_BYTES` are for the beginning of a record whose end is received behind them.
    input: Vec<u8>,
    gathered: Vec<u8>,
    output: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; INCOMING_BYTES + RECEIVE_BYTES],
        gathered: Vec::with_capacity(RECORD_BYTES),
        output: vec![0; SMALL_BYTES + RECORDS * (RECORD_BYTES + OVERHEAD_BYTES)],
    });
}

impl TlsStream {
    pub(crate) fn new(socket: Socket, config: Arc<ServerConfig>) -> Result<TlsStream, Error> {
        Ok(TlsStream {
            socket,
            tls: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            plain: Vec::new(),
            plain_read: 0,
            outgoing: Vec::new(),
            outgoing_sent: 0,
            more: false,
            fresh: true,
            ended: false,
            failed: false,
            trouble: None,
            parted: false,
        })
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The certificate that the client has shown, in DER.
    pub(crate) fn client_certificate(&self) -> Option<&[u8]> {
        self.tls.peer_certificates()?.first().map(|certificate| certificate.as_ref())
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Nothing can be received or sent any more, because of what the peer has sent.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    // ---- in

    /// Receives plaintext into the front of `room`, with one receive call to the kernel. 0: the peer has finished.
    /// `WouldBlock` also if something came, but no plaintext. [`Self::has_more`] says whether to ask again.
    pub(crate) fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.more = false;
        let filled = self.hand_over(room);
        if filled == room.len() || filled > 0 && self.failed {
            self.more = true;
            return Ok(filled);
        }
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        if self.failed {
            return self.discard();
        }
        if self.ended {
            // RFC 8446 §6.1: what follows a close_notify MUST be ignored.
            self.more = filled > 0;
            return Ok(filled);
        }
        let mut target = Target { room, filled, rest: std::mem::take(&mut self.plain) };
        let received = SCRATCH.with_borrow_mut(|scratch| self.receive_records(&mut scratch.input, &mut target));
        let filled = target.filled;
        self.plain = target.rest;
        self.more |= !self.plain.is_empty();
        match received {
            Err(error) if filled > 0 => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.more = true;
                    self.trouble = Some(error);
                }
                Ok(filled)
            }
            Err(error) => Err(error),
            Ok(()) if filled == 0 && !self.ended => {
                // What came was for TLS alone, or a part of a record; there may be more, or the end.
                self.more = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Ok(()) => {
                self.more |= self.ended && filled > 0;
                Ok(filled)
            }
        }
    }

    /// There is something to receive that the poll will not announce.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// Hands on plaintext that waits.
    fn hand_over(&mut self, room: &mut [u8]) -> usize {
        let waiting = &self.plain[self.plain_read..];
        let len = waiting.len().min(room.len());
        room[..len].copy_from_slice(&waiting[..len]);
        self.plain_read += len;
        if self.plain_read == self.plain.len() {
            self.plain = Vec::new();
            self.plain_read = 0;
        }
        len
    }

    fn receive_records(&mut self, input: &mut [u8], target: &mut Target<'_>) -> io::Result<()> {
        let most = (target.room.len() - target.filled).clamp(LEAST_RECEIVE_BYTES, RECEIVE_BYTES);
        let len = self.socket.receive(&mut input[INCOMING_BYTES..INCOMING_BYTES + most])?;
        if len == 0 {
            // A missing close_notify is no different from FIN: a WebSocket has its own Close frame (RFC 6455 §7.1.1), so
            // whoever cuts the connection short gains nothing.
            self.ended = true;
            return Ok(());
        }
        self.more = len == most;
        let received = INCOMING_BYTES..INCOMING_BYTES + len;
        if std::mem::take(&mut self.fresh) && input[received.start].is_ascii_alphabetic() {
            return Err(self.refuse_plain_http());
        }
        if self.tls.is_handshaking() || self.is_incomplete(len) {
            // Handshake messages are kept where they are, however small the pieces that they come in.
            self.incoming.extend_from_slice(&input[received]);
            if self.tls.is_handshaking() || !self.is_incomplete(0) {
                let mut bytes = std::mem::take(&mut self.incoming);
                let consumed = self.decrypt(&mut bytes, target)?;
                bytes.drain(..consumed);
                if !bytes.is_empty() {
                    self.incoming = bytes;
                }
            }
        } else {
            let start = INCOMING_BYTES - self.incoming.len();
            input[start..INCOMING_BYTES].copy_from_slice(&self.incoming);
            self.incoming = Vec::new();
            let bytes = &mut input[start..received.end];
            let consumed = self.decrypt(bytes, target)?;
            self.incoming = bytes[consumed..].to_vec();
        }
        if self.ended {
            self.incoming = Vec::new();
        }
        if self.incoming.len() > INCOMING_BYTES {
            self.failed = true;
            return Err(io::Error::other("a TLS handshake message is too long"));
        }
        Ok(())
    }

    /// The record that has begun to come will not be whole with `len` further bytes.
    fn is_incomplete(&self, len: usize) -> bool {
        match self.incoming.get(..HEADER_BYTES) {
            Some(header) => {
                let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
                self.incoming.len() + len < HEADER_BYTES + body
            }
            None => false,
        }
    }

    /// Takes in all records that are whole; gives how many bytes they were.
    fn decrypt(&mut self, bytes: &mut [u8], target: &mut Target<'_>) -> io::Result<usize> {
        let mut consumed = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut bytes[consumed..]);
            consumed += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        consumed += record.discard;
                        target.take(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing)?,
                // It leaves with the turn's flush.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                // No early data: it can be replayed (RFC 8446 §8), so none is ever agreed on. Other states do not exist
                // for a server without it.
                Ok(_) => return Ok(consumed),
                Err(error) => return Err(self.fail(&error)),
            }
        }
    }

    /// The peer has broken the protocol: an alert says so.
    fn fail(&mut self, error: &Error) -> io::Error {
        self.failed = true;
        while self.tls.wants_write() {
            let Ok(ConnectionState::EncodeTlsData(data)) = self.tls.process_tls_records(&mut []).state else { break };
            if encode(data, &mut self.outgoing).is_err() {
                break;
            }
        }
        io::Error::other(format!("TLS: {error}"))
    }

    /// Somebody speaks HTTP to a port that speaks TLS: said in words that he understands.
    fn refuse_plain_http(&mut self) -> io::Error {
        const TEXT: &str = "This port speaks TLS: use wss:// or https://.\n";
        self.failed = true;
        self.outgoing = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{TEXT}",
            TEXT.len()
        )
        .into_bytes();
        io::Error::other("TLS: a plain HTTP request came instead")
    }

    /// Reads what nobody wants, so that the peer can read our last words: unread bytes would turn our FIN into a reset.
    fn discard(&mut self) -> io::Result<usize> {
        let len = SCRATCH.with_borrow_mut(|scratch| self.socket.receive(&mut scratch.input))?;
        self.more = len > 0;
        if len == 0 { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    // ---- out

    /// Encrypts and writes the pieces, until the kernel takes no more. What is encrypted counts as written: the kernel's
    /// leavings, at most `RECORDS` records, are kept here and go out with [`Self::flush`].
    pub(crate) fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.failed {
            // Nobody can read it any more; the alert that says so is on its way.
            return Ok(pieces.iter().map(|piece| piece.len()).sum());
        }
        if self.outgoing.len() > SMALL_BYTES && self.flush()? == Written::Blocked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { gathered, output, .. } = scratch;
            let mut source = Source { pieces, piece: 0, at: 0 };
            let mut taken = 0;
            loop {
                let first = self.take_outgoing(output);
                let (plain, cipher) = self.encrypt(&mut source, gathered, output, first)?;
                taken += plain;
                if !self.write(&output[..cipher])? || source.is_done() {
                    return Ok(taken);
                }
            }
        })
    }

    /// Writes what TLS itself has to say, and what is encrypted already.
    pub(crate) fn flush(&mut self) -> io::Result<Written> {
        while self.wants_write() {
            match self.socket.send(&[IoSlice::new(&self.outgoing[self.outgoing_sent..])]) {
                Ok(len) => self.outgoing_sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        self.outgoing_sent = 0;
        Ok(Written::All)
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.outgoing_sent < self.outgoing.len()
    }

    /// Says close_notify, then FIN. `false`: the kernel takes no more for now; ask again.
    pub(crate) fn finish(&mut self) -> bool {
        if !self.parted && !self.failed && !self.tls.is_handshaking() {
            self.parted = true;
            let mut alert = [0; 256];
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                self.tls.process_tls_records(&mut self.incoming).state
                && let Ok(len) = traffic.queue_close_notify(&mut alert)
            {
                self.outgoing.extend_from_slice(&alert[..len]);
            }
        }
        // An error means that the peer has gone already.
        if let Ok(Written::Blocked) = self.flush() {
            return false;
        }
        self.socket.finish();
        true
    }

    /// Moves what waits to the front of `output`.
    fn take_outgoing(&mut self, output: &mut [u8]) -> usize {
        let waiting = &self.outgoing[self.outgoing_sent..];
        let len = waiting.len();
        output[..len].copy_from_slice(waiting);
        self.outgoing.clear();
        self.outgoing_sent = 0;
        len
    }

    /// Encrypts some records behind the first `cipher` bytes of `output`. Gives how much plaintext that was, and the
    /// length of the output.
    fn encrypt(
        &mut self,
        source: &mut Source<'_>,
        gathered: &mut Vec<u8>,
        output: &mut [u8],
        mut cipher: usize,
    ) -> io::Result<(usize, usize)> {
        let mut plain = 0;
        let state = self.tls.process_tls_records(&mut self.incoming).state;
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        while cipher + RECORD_BYTES + OVERHEAD_BYTES <= output.len() {
            let Some(record) = source.next_record(gathered) else { break };
            match traffic.encrypt(record, &mut output[cipher..]) {
                Ok(len) => cipher += len,
                Err(EncryptError::InsufficientSize(_)) => return Err(io::Error::other("TLS: a record grew too long")),
                Err(EncryptError::EncryptExhausted) => return Err(io::Error::other("TLS: the keys are worn out")),
            }
            plain += record.len();
        }
        Ok((plain, cipher))
    }

    /// Writes ciphertext; what the kernel does not take is kept. `false`: it took less.
    fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let len = loop {
            match self.socket.send(&[IoSlice::new(bytes)]) {
                Ok(len) => break len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if len < bytes.len() {
            self.outgoing = bytes[len..].to_vec();
        } else {
            self.outgoing = Vec::new();
        }
        Ok(len == bytes.len())
    }
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Where plaintext goes: into the caller's room, and what that cannot take, aside.
struct Target<'a> {
    room: &'a mut [u8],
    filled: usize,
    rest: Vec<u8>,
}

impl Target<'_> {
    fn take(&mut self, payload: &[u8]) {
        let (now, later) = payload.split_at(payload.len().min(self.room.len() - self.filled));
        self.room[self.filled..self.filled + now.len()].copy_from_slice(now);
        self.filled += now.len();
        self.rest.extend_from_slice(later);
    }
}

/// Pieces of plaintext, a record's worth at a time.
struct Source<'a> {
    pieces: &'a [IoSlice<'a>],
    piece: usize,
    at: usize,
}

impl<'a> Source<'a> {
    /// The next record's content: a part of a large piece as it lies, small pieces gathered.
    fn next_record<'b>(&mut self, gathered: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        let first = self.next_part(RECORD_BYTES)?;
        if first.len() == RECORD_BYTES || self.is_done() {
            return Some(first);
        }
        gathered.clear();
        gathered.extend_from_slice(first);
        while gathered.len() < RECORD_BYTES {
            let Some(part) = self.next_part(RECORD_BYTES - gathered.len()) else { break };
            gathered.extend_from_slice(part);
        }
        Some(gathered)
    }

    /// The rest of the current piece, or `most` bytes of it.
    fn next_part(&mut self, most: usize) -> Option<&'a [u8]> {
        loop {
            let piece: &'a [u8] = self.pieces.get(self.piece)?;
            let rest = &piece[self.at..];
            if rest.len() > most {
                self.at += most;
                return Some(&rest[..most]);
            }
            self.piece += 1;
            self.at = 0;
            if !rest.is_empty() {
                return Some(rest);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.piece >= self.pieces.len()
    }
}

/// Appends what TLS wants to say.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut Vec<u8>) -> io::Result<()> {
    let start = outgoing.len();
    let mut encoded = data.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(needed)) = encoded {
        outgoing.resize(start + needed.required_size, 0);
        encoded = data.encode(&mut outgoing[start..]);
    }
    encoded.map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_full_records_in_their_order() {
        let large = vec![1; 2 * RECORD_BYTES + 5];
        let pieces = [&b"ab"[..], b"", &large, b"cd", b"ef"].map(IoSlice::new);
        let whole = [&b"ab"[..], &large, b"cdef"].concat();
        let mut source = Source { pieces: &pieces, piece: 0, at: 0 };
        let (mut gathered, mut seen, mut lens) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(record) = source.next_record(&mut gathered) {
            lens.push(record.len());
            seen.extend_from_slice(record);
        }
        assert!(source.is_done());
        assert_eq!(lens, [RECORD_BYTES, RECORD_BYTES, 11]);
        assert!(seen == whole);
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let large = vec![1; RECORD_BYTES + 1];
        let pieces = [IoSlice::new(&large)];
        let mut source = Source { pieces: &pieces, piece: 0, at: 0 };
        let mut gathered = Vec::new();
        assert_eq!(source.next_record(&mut gathered).map(<[u8]>::as_ptr), Some(large.as_ptr()));
        assert_eq!(source.next_record(&mut gathered).map(<[u8]>::len), Some(1));
        assert_eq!(gathered.capacity(), 0);
    }

    #[test]
    fn plaintext_without_room_is_put_aside_in_order() {
        let mut room = [0; 4];
        let mut target = Target { room: &mut room, filled: 1, rest: Vec::new() };
        target.take(b"ab");
        target.take(b"cdef");
        target.take(b"g");
        assert_eq!((target.filled, target.rest.as_slice()), (4, &b"defg"[..]));
        assert_eq!(&room, b"\0abc");
    }
}

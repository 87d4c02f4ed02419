//! What a connection still has to send: a position in the ring of the script, and how many bytes are due.

use std::io::{self, IoSlice, Write};

use crate::script::Script;

/// The sending half of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// Where in the encoded ring the next byte is.
    position: usize,
    /// The message of the ring that becomes due next.
    next: usize,
    /// Bytes of the ring that are due.
    due: usize,
    /// Frames out of turn (pongs, roll calls, stamped messages), sent between two messages of the ring.
    pub(crate) control: Vec<u8>,
}

impl Outbound {
    /// Sends the messages of the ring in turn, from `first` on.
    pub(crate) fn new(first: usize, script: &Script) -> Outbound {
        Outbound { position: script.start(first), next: first, ..Outbound::default() }
    }

    /// Makes the next messages due.
    pub(crate) fn owe(&mut self, messages: u64, script: &Script) {
        self.due += script.bytes(self.next, messages);
        self.next = (self.next + (messages % script.ring() as u64) as usize) % script.ring();
    }

    /// Messages of the ring that are due and have not been written to their last byte.
    pub(crate) fn unwritten(&self, script: &Script) -> u64 {
        script.unfinished(self.next, self.due)
    }

    /// Bytes that are due.
    pub(crate) fn waiting(&self) -> usize {
        self.due + self.control.len()
    }

    /// Writes what is due until it is written or the socket is full; how many bytes went goes to `written`.
    pub(crate) fn flush(&mut self, socket: &mut impl Write, script: &Script, written: &mut u64) -> io::Result<()> {
        while self.due > 0 || !self.control.is_empty() {
            match self.write(socket, script) {
                Ok(bytes) => *written += bytes as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self, socket: &mut impl Write, script: &Script) -> io::Result<usize> {
        let mut due = self.due;
        if !self.control.is_empty() {
            let to_boundary = script.to_boundary(self.position);
            if to_boundary == 0 {
                let written = socket.write(&self.control)?;
                self.control.drain(..written);
                return Ok(written);
            }
            due = due.min(to_boundary);
        }
        let ring = script.frames();
        let ahead = ring.len() - self.position;
        let written = if due <= ahead {
            socket.write(&ring[self.position..][..due])?
        } else {
            let again = (due - ahead).min(ring.len());
            socket.write_vectored(&[IoSlice::new(&ring[self.position..]), IoSlice::new(&ring[..again])])?
        };
        self.due -= written;
        self.position = (self.position + written) % ring.len();
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Messages;
    use crate::script::Form;

    /// Takes a few bytes each time, and every third time none.
    struct Narrow {
        width: usize,
        turn: usize,
        taken: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turn += 1;
            if self.turn.is_multiple_of(3) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.width);
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn frames_come_out_whole_and_in_turn_however_little_the_socket_takes() {
        let script = Script::new(Messages { size: 20, binary: false }, 3, Form::default());
        for width in 1..100 {
            let mut socket = Narrow { width, turn: 0, taken: Vec::new() };
            let mut outbound = Outbound::new(5, &script);
            for _ in 0..4 {
                outbound.owe(3, &script);
                while outbound.due > 0 {
                    outbound.flush(&mut socket, &script, &mut 0).expect("it takes some");
                }
            }
            let expected: Vec<u8> = (5..17).flat_map(|index| script.frame(index % script.ring())).copied().collect();
            assert_eq!(socket.taken, expected, "{width}");
        }
    }

    #[test]
    fn a_pong_goes_between_two_frames_and_never_into_one() {
        let script = Script::new(Messages { size: 20, binary: false }, 3, Form::default());
        for sent_before in 0..2 * script.frame(0).len() {
            let mut socket = Narrow { width: sent_before.max(1), turn: 0, taken: Vec::new() };
            let mut outbound = Outbound::new(0, &script);
            outbound.owe(2, &script);
            if sent_before > 0 {
                outbound.write(&mut socket, &script).expect("it takes some");
            }
            outbound.control.extend_from_slice(b"PONG");
            socket.width = 7;
            while outbound.due > 0 || !outbound.control.is_empty() {
                outbound.flush(&mut socket, &script, &mut 0).expect("it takes some");
            }
            let at = sent_before.div_ceil(script.frame(0).len()) * script.frame(0).len();
            assert_eq!(&socket.taken[at..at + 4], b"PONG", "{sent_before}");
            socket.taken.drain(at..at + 4);
            assert_eq!(socket.taken, script.frames()[..2 * script.frame(0).len()]);
        }
    }
}

//! What waits to be written to one socket, and the writing of it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Small sends are gathered in one buffer up to here; then a further one is begun.
const GATHER_BYTES: usize = 32 << 10;
/// A buffer that has grown larger than this is not kept for the next session.
const KEEP_BYTES: usize = 16 << 10;
const KEEP_BUFFERS: usize = 256;
/// Pieces in one vectored write.
const PIECES: usize = 64;

/// Bytes in the order of sending: older pieces in `queue`, the newest small ones in `tail`.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Piece>,
    tail: Vec<u8>,
    /// How much of the first piece has been written.
    written: usize,
    bytes: usize,
}

enum Piece {
    /// Gathered small frames.
    Own(Vec<u8>),
    /// Part of one session's frame: never left out.
    Shared(Bytes),
    /// A whole broadcast frame, shared by the members: `DropOldest` may leave it out.
    Broadcast(Bytes),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) | Piece::Broadcast(bytes) => bytes,
        }
    }
}

/// What a write has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// Nothing is left.
    All,
    /// The kernel takes no more for now.
    Blocked,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Lets `write` append a small frame to the gathered bytes.
    pub(crate) fn gather(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.tail.capacity() == 0 {
            self.tail = pool.buffer();
        } else if self.tail.len() >= GATHER_BYTES {
            self.seal(pool);
            self.tail = pool.buffer();
        }
        let before = self.tail.len();
        write(&mut self.tail);
        self.bytes += self.tail.len() - before;
    }

    /// Appends bytes without copying them.
    pub(crate) fn push_shared(&mut self, pool: &mut Pool, bytes: Bytes) {
        self.push(pool, Piece::Shared(bytes));
    }

    /// Appends a broadcast's frame without copying it.
    pub(crate) fn push_broadcast(&mut self, pool: &mut Pool, frame: Bytes) {
        self.push(pool, Piece::Broadcast(frame));
    }

    /// Takes out the oldest broadcasts of which nothing is written yet, until `wanted` bytes are free
    /// of `limit`. Gives how many went.
    pub(crate) fn drop_oldest(&mut self, wanted: usize, limit: usize) -> usize {
        let mut dropped = 0;
        let mut at = usize::from(self.written > 0);
        while self.bytes > 0 && self.bytes + wanted > limit && at < self.queue.len() {
            if matches!(self.queue[at], Piece::Broadcast(_)) {
                if let Some(piece) = self.queue.remove(at) {
                    self.bytes -= piece.as_slice().len();
                    dropped += 1;
                }
            } else {
                at += 1;
            }
        }
        dropped
    }

    /// Writes as much as the kernel takes. `write` is given pieces and says how many bytes it took.
    pub(crate) fn write(
        &mut self,
        pool: &mut Pool,
        mut write: impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> std::io::Result<Written> {
        while self.bytes > 0 {
            let (result, offered) = self.offer(&mut write);
            match result {
                Ok(taken) => {
                    self.advance(taken, pool);
                    // PERF: a short write means a full socket; asking again would only say so.
                    if taken < offered {
                        return Ok(Written::Blocked);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Ok(Written::Blocked);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.give_back(pool);
        Ok(Written::All)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.queue.clear();
        self.tail.clear();
        self.written = 0;
        self.bytes = 0;
        self.give_back(pool);
    }

    fn offer(
        &self,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> (std::io::Result<usize>, usize) {
        if self.queue.is_empty() {
            let rest = &self.tail[self.written..];
            return (write(&[IoSlice::new(rest)]), rest.len());
        }
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        let mut offered = 0;
        let mut skip = self.written;
        let tail = std::iter::once(self.tail.as_slice()).filter(|tail| !tail.is_empty());
        for piece in self.queue.iter().map(Piece::as_slice).chain(tail).take(PIECES) {
            pieces[count] = IoSlice::new(&piece[skip..]);
            offered += piece.len() - skip;
            skip = 0;
            count += 1;
        }
        (write(&pieces[..count]), offered)
    }

    fn advance(&mut self, taken: usize, pool: &mut Pool) {
        self.bytes -= taken;
        self.written += taken;
        while let Some(first) = self.queue.front() {
            let len = first.as_slice().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            if let Some(Piece::Own(buffer)) = self.queue.pop_front() {
                pool.keep(buffer);
            }
        }
        if self.written == self.tail.len() {
            self.tail.clear();
            self.written = 0;
        }
    }

    fn push(&mut self, pool: &mut Pool, piece: Piece) {
        self.seal(pool);
        self.bytes += piece.as_slice().len();
        self.queue.push_back(piece);
    }

    /// Moves the gathered bytes to the queue, so that something may follow them.
    fn seal(&mut self, pool: &mut Pool) {
        if self.queue.capacity() == 0 {
            self.queue = pool.queues.pop().unwrap_or_default();
        }
        if !self.tail.is_empty() {
            self.queue.push_back(Piece::Own(std::mem::take(&mut self.tail)));
        }
    }

    /// An outbox with nothing to say holds no memory: idle sessions are many.
    fn give_back(&mut self, pool: &mut Pool) {
        if self.tail.capacity() > 0 {
            pool.keep(std::mem::take(&mut self.tail));
        }
        if self.queue.capacity() > 0 {
            let queue = std::mem::take(&mut self.queue);
            if pool.queues.len() < KEEP_BUFFERS && queue.capacity() <= PIECES {
                pool.queues.push(queue);
            }
        }
    }
}

/// Buffers between two uses.
#[derive(Default)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
    queues: Vec<VecDeque<Piece>>,
}

impl Pool {
    fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(512))
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < KEEP_BUFFERS && buffer.capacity() <= KEEP_BYTES {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(outbox: &mut Outbox, pool: &mut Pool, text: &str) {
        outbox.gather(pool, |out| out.extend_from_slice(text.as_bytes()));
    }

    /// Writes at most `room` bytes in all, `step` at a time.
    fn drain(outbox: &mut Outbox, pool: &mut Pool, mut room: usize, step: usize) -> (String, Written) {
        let mut seen = Vec::new();
        let written = outbox
            .write(pool, |pieces| {
                if room == 0 {
                    return Err(std::io::ErrorKind::WouldBlock.into());
                }
                let mut taken = 0;
                for piece in pieces {
                    let n = piece.len().min(step - taken).min(room - taken);
                    seen.extend_from_slice(&piece[..n]);
                    taken += n;
                }
                room -= taken;
                Ok(taken)
            })
            .unwrap();
        (String::from_utf8(seen).unwrap(), written)
    }

    #[test]
    fn pieces_leave_in_the_order_they_came_however_little_the_kernel_takes() {
        for step in 1..12 {
            let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
            small(&mut outbox, &mut pool, "ab");
            outbox.push_shared(&mut pool, Bytes::from_static(b"cdef"));
            small(&mut outbox, &mut pool, "gh");
            small(&mut outbox, &mut pool, "i");
            outbox.push_broadcast(&mut pool, Bytes::from_static(b"jkl"));
            let mut seen = String::new();
            while !outbox.is_empty() {
                seen += &drain(&mut outbox, &mut pool, step, step).0;
            }
            assert_eq!(seen, "abcdefghijkl");
        }
    }

    #[test]
    fn what_is_not_written_stays_counted() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        small(&mut outbox, &mut pool, "hello");
        assert_eq!(drain(&mut outbox, &mut pool, 2, 10), ("he".into(), Written::Blocked));
        assert_eq!(outbox.len(), 3);
        small(&mut outbox, &mut pool, "!");
        assert_eq!(drain(&mut outbox, &mut pool, 10, 10), ("llo!".into(), Written::All));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn the_oldest_broadcasts_go_first_and_nothing_else_goes() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        outbox.push_broadcast(&mut pool, Bytes::from_static(b"1111"));
        small(&mut outbox, &mut pool, "own");
        outbox.push_broadcast(&mut pool, Bytes::from_static(b"2222"));
        outbox.push_broadcast(&mut pool, Bytes::from_static(b"3333"));
        // A byte of the first one is out: it must be finished.
        assert_eq!(drain(&mut outbox, &mut pool, 1, 1).0, "1");
        assert_eq!(outbox.drop_oldest(4, 14), 1);
        assert_eq!(drain(&mut outbox, &mut pool, 99, 99).0, "111own3333");
    }

    #[test]
    fn an_empty_outbox_holds_no_memory() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        small(&mut outbox, &mut pool, "x");
        outbox.push_broadcast(&mut pool, Bytes::from_static(b"y"));
        drain(&mut outbox, &mut pool, 9, 9);
        assert_eq!((outbox.tail.capacity(), outbox.queue.capacity()), (0, 0));
        assert_eq!((pool.buffers.len(), pool.queues.len()), (1, 1));
    }

    #[test]
    fn more_pieces_than_one_write_takes_all_arrive() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        for _ in 0..200 {
            outbox.push_broadcast(&mut pool, Bytes::from_static(b"ab"));
        }
        assert_eq!(drain(&mut outbox, &mut pool, 1000, 1000).0, "ab".repeat(200));
    }
}

//! What waits to be written to one socket, and the writing of it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Small sends are gathered in one buffer up to here; then a further one is begun. With one of the largest small sends more
/// it has 32 KiB: it need not grow to the double.
const GATHER_BYTES: usize = 24 << 10;
/// The first buffer of somebody who has something to say.
const FIRST_BYTES: usize = 512;
/// Pieces in one vectored write.
const PIECES: usize = 64;
/// A buffer that has grown larger than this is not kept for the next use.
const KEEP_BUFFER_BYTES: usize = 16 << 10;
/// The most that is kept in all: as many as a broadcast needs at once, and their buffers' bytes.
const KEEP_BACKLOGS: usize = 1024;
const KEEP_BYTES: usize = 4 << 20;

/// What one socket has still to say; a pointer to nothing, most of the time: idle sessions are many.
#[derive(Default)]
pub(crate) struct Outbox(Option<Box<Backlog>>);

/// Bytes in the order of sending: older pieces in `queue`, the newest small ones in `tail`.
#[derive(Default)]
struct Backlog {
    queue: VecDeque<Piece>,
    tail: Vec<u8>,
    /// How much of the first piece has been written.
    written: usize,
    bytes: usize,
    /// What the pieces in the queue cost beside their bytes.
    overhead: usize,
}

enum Piece {
    /// Gathered small frames.
    Own(Vec<u8>),
    /// Part of one session's frame: never left out.
    Shared(Bytes),
    /// A whole frame of a broadcast that may be left out for a later one (`DropOldest`), shared by the members.
    Broadcast(Bytes),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) | Piece::Broadcast(bytes) => bytes,
        }
    }

    /// What it costs beside its bytes: its place, and what its buffer has allocated in vain.
    fn overhead(&self) -> usize {
        let spare = match self {
            Piece::Own(bytes) => bytes.capacity() - bytes.len(),
            Piece::Shared(_) | Piece::Broadcast(_) => 0,
        };
        size_of::<Self>() + spare
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
        self.0.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that it keeps in memory, more or less: what waits, and what each piece costs beside.
    pub(crate) fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |backlog| backlog.bytes + backlog.overhead)
    }

    /// Lets `write` append a small frame to the gathered bytes.
    pub(crate) fn gather(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) {
        let backlog = self.backlog(pool);
        if backlog.tail.len() >= GATHER_BYTES {
            backlog.seal();
        }
        if backlog.tail.capacity() == 0 {
            backlog.tail = pool.buffer();
        }
        let before = backlog.tail.len();
        write(&mut backlog.tail);
        let added = backlog.tail.len() - before;
        backlog.bytes += added;
        pool.waiting += added;
    }

    /// Appends bytes without copying them.
    pub(crate) fn push_shared(&mut self, pool: &mut Pool, bytes: Bytes) {
        pool.waiting += bytes.len();
        self.backlog(pool).push(Piece::Shared(bytes));
    }

    /// Appends a broadcast's frame, which `drop_oldest` may take out again, without copying it.
    pub(crate) fn push_broadcast(&mut self, pool: &mut Pool, frame: Bytes) {
        pool.waiting += frame.len();
        self.backlog(pool).push(Piece::Broadcast(frame));
    }

    /// Takes out the oldest broadcasts of which nothing is written yet, until `wanted` bytes are free
    /// of `limit`. Gives how many went.
    pub(crate) fn drop_oldest(&mut self, pool: &mut Pool, wanted: usize, limit: usize) -> usize {
        self.0.as_mut().map_or(0, |backlog| backlog.drop_oldest(pool, wanted, limit))
    }

    /// Writes as much as the kernel takes. `write` is given pieces and says how many bytes it took.
    pub(crate) fn write(
        &mut self,
        pool: &mut Pool,
        mut write: impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> std::io::Result<Written> {
        let Some(backlog) = &mut self.0 else { return Ok(Written::All) };
        while backlog.bytes > 0 {
            let (result, offered) = backlog.offer(&mut write);
            match result {
                Ok(taken) => {
                    backlog.advance(taken, pool);
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
        self.clear(pool);
        Ok(Written::All)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        if let Some(backlog) = self.0.take() {
            pool.keep(backlog);
        }
    }

    fn backlog(&mut self, pool: &mut Pool) -> &mut Backlog {
        self.0.get_or_insert_with(|| pool.backlog())
    }
}

impl Backlog {
    fn drop_oldest(&mut self, pool: &mut Pool, wanted: usize, limit: usize) -> usize {
        let mut dropped = 0;
        let mut at = usize::from(self.written > 0);
        while self.bytes > 0 && self.bytes + self.overhead + wanted > limit && at < self.queue.len() {
            if matches!(self.queue[at], Piece::Broadcast(_)) {
                if let Some(piece) = self.queue.remove(at) {
                    self.bytes -= piece.as_slice().len();
                    self.overhead -= piece.overhead();
                    pool.waiting -= piece.as_slice().len();
                    dropped += 1;
                }
            } else {
                at += 1;
            }
        }
        dropped
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
        pool.waiting -= taken;
        self.written += taken;
        while let Some(first) = self.queue.front() {
            let len = first.as_slice().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            let piece = self.queue.pop_front();
            self.overhead -= piece.as_ref().map_or(0, Piece::overhead);
            if let Some(Piece::Own(buffer)) = piece {
                pool.keep_buffer(buffer);
            }
        }
        if self.written == self.tail.len() {
            self.tail.clear();
            self.written = 0;
        }
    }

    fn push(&mut self, piece: Piece) {
        self.seal();
        self.bytes += piece.as_slice().len();
        self.overhead += piece.overhead();
        self.queue.push_back(piece);
    }

    /// Moves the gathered bytes to the queue, so that something may follow them.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let piece = Piece::Own(std::mem::take(&mut self.tail));
            self.overhead += piece.overhead();
            self.queue.push_back(piece);
        }
    }
}

/// What the outboxes of one shard share: memory between two uses, and the account of what waits.
#[derive(Default)]
pub(crate) struct Pool {
    /// INVARIANT: the sum of all outboxes' bytes. An outbox is cleared before its session is dropped.
    waiting: usize,
    // The boxes are what is kept: a session's outbox has room for a pointer only.
    #[allow(clippy::vec_box)]
    backlogs: Vec<Box<Backlog>>,
    buffers: Vec<Vec<u8>>,
    /// The capacities of all buffers here, those in `backlogs` among them.
    bytes: usize,
}

impl Pool {
    /// Bytes that wait in all outboxes.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    fn backlog(&mut self) -> Box<Backlog> {
        let backlog = self.backlogs.pop().unwrap_or_default();
        self.bytes -= backlog.tail.capacity();
        backlog
    }

    fn keep(&mut self, mut backlog: Box<Backlog>) {
        self.waiting -= backlog.bytes;
        if self.backlogs.len() >= KEEP_BACKLOGS {
            return;
        }
        backlog.written = 0;
        backlog.bytes = 0;
        backlog.overhead = 0;
        backlog.queue.clear();
        if backlog.queue.capacity() > PIECES {
            backlog.queue = VecDeque::new();
        }
        backlog.tail.clear();
        if self.takes(&backlog.tail) {
            self.bytes += backlog.tail.capacity();
        } else {
            backlog.tail = Vec::new();
        }
        self.backlogs.push(backlog);
    }

    fn buffer(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        if buffer.capacity() == 0 { Vec::with_capacity(FIRST_BYTES) } else { buffer }
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.takes(&buffer) {
            buffer.clear();
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }

    fn takes(&self, buffer: &Vec<u8>) -> bool {
        buffer.capacity() <= KEEP_BUFFER_BYTES && self.bytes + buffer.capacity() <= KEEP_BYTES
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
        assert_eq!(outbox.drop_oldest(&mut pool, 4, 14 + 4 * size_of::<Piece>() + FIRST_BYTES), 1);
        assert_eq!(drain(&mut outbox, &mut pool, 99, 99).0, "111own3333");
    }

    #[test]
    fn the_pool_knows_what_waits_in_all_outboxes() {
        let (mut one, mut other, mut pool) = (Outbox::default(), Outbox::default(), Pool::default());
        small(&mut one, &mut pool, "hello");
        one.push_broadcast(&mut pool, Bytes::from_static(b"1111"));
        one.push_broadcast(&mut pool, Bytes::from_static(b"2222"));
        other.push_shared(&mut pool, Bytes::from_static(b"abc"));
        assert_eq!(pool.waiting(), 16);
        one.drop_oldest(&mut pool, 1, 13 + 2 * size_of::<Piece>() + FIRST_BYTES);
        assert_eq!(pool.waiting(), 12);
        drain(&mut one, &mut pool, 7, 7);
        assert_eq!((one.len(), pool.waiting()), (2, 5));
        one.clear(&mut pool);
        drain(&mut other, &mut pool, 9, 9);
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn what_a_piece_costs_beside_its_bytes_counts_while_it_waits() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        for _ in 0..100 {
            small(&mut outbox, &mut pool, "x");
            outbox.push_broadcast(&mut pool, Bytes::new());
            outbox.push_broadcast(&mut pool, Bytes::from_static(b"y"));
        }
        assert_eq!(outbox.len(), 200);
        assert!(outbox.weight() >= 300 * size_of::<Piece>(), "{}", outbox.weight());
        outbox.drop_oldest(&mut pool, 0, 0);
        let gathered = 100 * (size_of::<Piece>() + FIRST_BYTES);
        assert_eq!(outbox.weight(), gathered);
        drain(&mut outbox, &mut pool, 99, 9);
        assert_eq!((outbox.len(), outbox.weight()), (91, 91 * (size_of::<Piece>() + FIRST_BYTES)));
        drain(&mut outbox, &mut pool, 99, 99);
        assert_eq!((outbox.weight(), outbox.len()), (0, 0));
    }

    #[test]
    fn an_empty_outbox_holds_no_memory() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        small(&mut outbox, &mut pool, "x");
        outbox.push_broadcast(&mut pool, Bytes::from_static(b"y"));
        drain(&mut outbox, &mut pool, 9, 9);
        assert!(outbox.0.is_none());
        assert_eq!((pool.buffers.len(), pool.backlogs.len()), (1, 1));
        assert_eq!(pool.bytes, FIRST_BYTES);
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

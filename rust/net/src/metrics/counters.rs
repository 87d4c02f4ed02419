//! What a shard has seen and done, readable from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// One shard's counts, on its own thread.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[doc = $doc])+ pub $name: u64,)* }

        /// The same, published once per turn.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $($name: AtomicU64,)* }

        impl Counters {
            pub(crate) fn publish(&self, counts: &Counts) {
                $(self.$name.store(counts.$name, Ordering::Relaxed);)*
            }

            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Counts {
            /// The counts by name, in the order of their declaration.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// What is counted under each name, in the same order.
            pub(crate) fn explained() -> impl Iterator<Item = &'static str> {
                [$(concat!($($doc),+),)*].into_iter().map(str::trim)
            }

            /// Adds another shard's counts.
            pub fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Times that accept() failed.
    accept_errors,
    /// Sessions opened.
    opened,
    /// Sessions closed.
    closed,
    /// Connections lost or given up whose session waited for the next one.
    parted,
    /// Sessions that went on with another connection.
    resumed,
    /// Broadcasts that were given again to event streams whose client had been away.
    replayed,
    /// Broadcasts that rooms have forgotten, each once for each room, because all rooms together remembered too much.
    forgotten,
    /// Sessions that ended because their client did not come again in time.
    session_timeouts,
    /// HTTP requests handed to whoever serves them, polls and posts among them.
    requests,
    /// Requests answered with an error status.
    refused,
    /// Connections refused because their address had as many as it may.
    address_refused,
    /// Sessions on polls that had said nothing, and went because their address had as many as it may.
    polls_evicted,
    /// Connections closed because their PROXY header was missing or malformed or not a trusted proxy's, and requests
    /// refused because their forwarding fields contradict each other.
    proxy_refused,
    /// Times that accepting waited because connections came too fast.
    accept_pauses,
    /// Requests that were not complete in time.
    handshake_timeouts,
    /// Connections whose TLS failed, in the handshake or later; those that never spoke it are among them.
    tls_failures,
    /// Messages received.
    messages_in,
    /// Messages sent, a broadcast counting once per member.
    messages_out,
    /// Messages that came compressed.
    compressed_in,
    /// Bytes of messages that came compressed, as they came.
    compressed_bytes_in,
    /// Bytes of messages that came compressed, once inflated.
    inflated_bytes,
    /// Messages sent compressed, a broadcast counting once per member.
    compressed_out,
    /// Bytes of messages sent compressed, as they were sent, frame headers included.
    compressed_bytes_out,
    /// Times that a message was compressed; a broadcast is once for all members that share it.
    deflations,
    /// Bytes of messages before they were compressed.
    deflated_bytes,
    /// Bytes received.
    bytes_in,
    /// Bytes handed to the kernel.
    bytes_out,
    /// Broadcasts, each once however many shards hand it out.
    broadcasts,
    /// Outboxes that took a broadcast.
    deliveries,
    /// Broadcasts left out for a member by the policy "drop", or by "drop_oldest" for want of older ones, or because they
    /// are volatile.
    dropped,
    /// Those among them that were left out by "drop_oldest".
    dropped_newest,
    /// Broadcasts taken out of an outbox again by the policy "drop_oldest".
    dropped_oldest,
    /// What is volatile, left out for a session that took nothing just then; a broadcast counts once per member, and is
    /// among those left out as well.
    volatile_dropped,
    /// Sessions closed by the policy "close"; they are among those closed because they did not read.
    broadcast_closed,
    /// Sessions closed because they did not read (1013).
    slow_closed,
    /// Sends to sessions that had ended or were closing.
    late_sends,
    /// Sessions closed because they broke the protocol.
    violations,
    /// Sessions closed because they did not answer a ping.
    ping_timeouts,
    /// Unfinished messages given up for want of progress.
    message_timeouts,
    /// Close frames that were not answered in time.
    close_timeouts,
    /// Times that a session's reading paused because its inbox was full.
    inbox_pauses,
    /// Times that a session's reading paused because it sent too fast.
    rate_pauses,
    /// Sessions closed because they sent too fast.
    rate_closed,
    /// Connections dropped because the shard met a bug of its own.
    panics,
}

impl Counts {
    /// Broadcasts that a member did not get, whatever the policy.
    pub(crate) fn left_out(&self) -> u64 {
        self.dropped + self.dropped_oldest + self.broadcast_closed
    }
}

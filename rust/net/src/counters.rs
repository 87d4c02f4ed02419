//! What a shard has seen and done, readable from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One shard's counts, on its own thread.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

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
    /// Requests answered with an error status.
    refused,
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
    /// Their bytes as they came.
    compressed_bytes_in,
    /// Their bytes once inflated.
    inflated_bytes,
    /// Messages sent compressed, a broadcast counting once per member.
    compressed_out,
    /// Their bytes as they were sent, frame headers included.
    compressed_bytes_out,
    /// Times that a message was compressed; a broadcast is once for all members that share it.
    deflations,
    /// The bytes of these messages before.
    deflated_bytes,
    /// Bytes received.
    bytes_in,
    /// Bytes handed to the kernel.
    bytes_out,
    /// Broadcasts.
    broadcasts,
    /// Outboxes that took a broadcast.
    deliveries,
    /// Broadcasts left out for a member by the policy "drop".
    dropped,
    /// Broadcasts taken out of an outbox again by the policy "drop_oldest".
    dropped_oldest,
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
    /// Connections dropped because the shard met a bug of its own.
    panics,
}

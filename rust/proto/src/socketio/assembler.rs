//! Messages to packets: a text that announces attachments, and exactly so many binary messages after it.

use std::mem;

use super::Limits;
use super::error::PacketError;
use super::json::Build;
use super::packet::{Built, Packet};

/// Brings packets and their attachments together, for one connection. Idle, it takes 8 bytes and owns nothing. `A` is
/// what holds the bytes of an attachment.
///
/// An unfinished packet is kept as long as the caller likes: a time limit, and a look at whether its
/// [namespace](Packet::namespace) is one that the client is in, are for the caller to see to.
#[derive(Debug)]
pub struct Assembler<A = Vec<u8>> {
    /// INVARIANT: boxed only while attachments are due.
    pending: Option<Box<Pending<A>>>,
}

#[derive(Debug)]
struct Pending<A> {
    packet: Packet<'static>,
    attachments: Vec<A>,
    /// Of the text and of the attachments so far.
    bytes: usize,
}

/// What a text message was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress<'a> {
    /// A whole packet.
    Complete(Packet<'a>),
    /// A packet whose attachments are still to come: [`Assembler::pending`] shows it.
    Waiting,
}

/// A packet with its attachments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assembled<A = Vec<u8>> {
    /// The packet.
    pub packet: Packet<'static>,
    /// As many as it announced.
    pub attachments: Vec<A>,
}

impl<A> Default for Assembler<A> {
    fn default() -> Assembler<A> {
        Assembler { pending: None }
    }
}

impl<A: AsRef<[u8]>> Assembler<A> {
    /// An assembler that waits for nothing.
    pub fn new() -> Assembler<A> {
        Assembler::default()
    }

    /// Takes a text message.
    ///
    /// # Errors
    /// It is no packet, or attachments are due. What was kept is freed.
    #[inline]
    pub fn text<'a>(&mut self, text: &'a str, limits: &Limits) -> Result<Progress<'a>, PacketError> {
        Ok(match self.text_with(text, limits, &mut ())? {
            Some((packet, _)) => Progress::Complete(packet),
            None => Progress::Waiting,
        })
    }

    /// The same, for [`Packet::parse_with`]: the packet, if it is whole, and what is made of its data.
    ///
    /// # Errors
    /// As for [`text`](Assembler::text).
    pub fn text_with<'a, B: Build>(
        &mut self,
        text: &'a str,
        limits: &Limits,
        build: &mut B,
    ) -> Result<Option<Built<'a, B>>, PacketError> {
        if self.pending.is_some() {
            self.reset();
            return Err(PacketError::AttachmentExpected);
        }
        let (packet, value) = Packet::parse_with(text, limits, build)?;
        if packet.attachments() == 0 {
            return Ok(Some((packet, value)));
        }
        let (packet, bytes) = (packet.into_owned(), text.len());
        self.pending = Some(Box::new(Pending { packet, attachments: Vec::new(), bytes }));
        Ok(None)
    }

    /// Takes a binary message; the packet, if it was the last that was due.
    ///
    /// # Errors
    /// None is due, or all together are too large. What was kept is freed.
    pub fn binary(&mut self, bytes: A, limits: &Limits) -> Result<Option<Assembled<A>>, PacketError> {
        let Some(pending) = self.pending.as_deref_mut() else {
            return Err(PacketError::AttachmentUnexpected);
        };
        pending.bytes = pending.bytes.saturating_add(bytes.as_ref().len());
        if pending.bytes > limits.max_packet_bytes {
            self.reset();
            return Err(PacketError::TooBig);
        }
        pending.attachments.push(bytes);
        if pending.attachments.len() < pending.packet.attachments() as usize {
            return Ok(None);
        }
        let pending = mem::take(&mut self.pending);
        Ok(pending.map(|pending| Assembled { packet: pending.packet, attachments: pending.attachments }))
    }

    /// The packet whose attachments are due.
    pub fn pending(&self) -> Option<&Packet<'static>> {
        self.pending.as_deref().map(|pending| &pending.packet)
    }

    /// How many bytes are kept.
    pub fn kept_bytes(&self) -> usize {
        self.pending.as_deref().map_or(0, |pending| pending.bytes)
    }

    /// Forgets what is unfinished and frees it.
    pub fn reset(&mut self) {
        self.pending = None;
    }
}

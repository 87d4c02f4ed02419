//! Every way in which something is no packet.

use std::fmt;

/// Why something is no packet. It ends the connection: what follows cannot be trusted to mean what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PacketError {
    /// Not even a type.
    Empty,
    /// The first character is not a digit from 0 to 6.
    Type,
    /// A type with attachments, but not their number: one or more digits, at least 1, and a hyphen.
    Attachments,
    /// More attachments than the limit allows.
    TooManyAttachments,
    /// A longer namespace than the limit allows.
    NamespaceTooLong,
    /// The number of an acknowledgement does not fit into 64 bits, or has more than 20 digits.
    AckId,
    /// What follows is not JSON.
    Json,
    /// Arrays and objects nested too deep.
    JsonTooDeep,
    /// A number that is too long.
    JsonNumber,
    /// No JSON where the type asks for it, or JSON of another kind, or where there must be none.
    Data,
    /// The first element of an event is neither text nor a number.
    EventName,
    /// An event with a name that is reserved.
    ReservedEvent,
    /// More arguments than the limit allows.
    TooManyArguments,
    /// A placeholder that is not `{"_placeholder":true,"num":i}` with an attachment `i`.
    Placeholder,
    /// Text while attachments are due.
    AttachmentExpected,
    /// Bytes that no packet has announced.
    AttachmentUnexpected,
    /// More bytes, with all attachments, than the limit allows.
    TooBig,
    /// Not MessagePack, or more than one value, or something in it that JavaScript's parser does not write.
    MessagePack,
    /// No namespace, or not one that begins with a slash.
    Namespace,
}

impl fmt::Display for PacketError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PacketError::Empty => "a Socket.IO packet is empty",
            PacketError::Type => "a Socket.IO packet has a type other than 0 to 6",
            PacketError::Attachments => "the number of attachments is malformed",
            PacketError::TooManyAttachments => "a packet has too many attachments",
            PacketError::NamespaceTooLong => "a namespace is too long",
            PacketError::AckId => "the number of an acknowledgement is too large",
            PacketError::Json => "a packet's data is not JSON",
            PacketError::JsonTooDeep => "a packet's data is nested too deep",
            PacketError::JsonNumber => "a packet's data has a number that is too long",
            PacketError::Data => "a packet's data does not fit its type",
            PacketError::EventName => "an event's name is neither text nor a number",
            PacketError::ReservedEvent => "an event's name is reserved",
            PacketError::TooManyArguments => "a packet has too many arguments",
            PacketError::Placeholder => "a placeholder does not stand for an attachment",
            PacketError::AttachmentExpected => "text came while attachments were due",
            PacketError::AttachmentUnexpected => "bytes came that no packet had announced",
            PacketError::TooBig => "a packet is too big",
            PacketError::MessagePack => "a packet is not MessagePack",
            PacketError::Namespace => "a packet has no namespace",
        })
    }
}

impl std::error::Error for PacketError {}

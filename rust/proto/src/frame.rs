//! One frame: its header read and written, and a whole frame encoded (RFC 6455 §5.2).

use std::ops::Deref;

use crate::{Role, Violation, mask};

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the open message.
    Continuation = 0,
    /// Text, or the first fragment of it.
    Text = 1,
    /// Bytes, or the first fragment of them.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    /// The opcode with this number, unless it is reserved.
    #[inline]
    pub fn from_bits(bits: u8) -> Option<Opcode> {
        match bits {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// Close, ping and pong: never fragmented, at most 125 bytes, allowed between the fragments of a message.
    #[inline]
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The most bytes that a frame header has.
pub const MAX_HEADER_BYTES: usize = 14;

/// The most payload bytes that a control frame has.
pub const MAX_CONTROL_BYTES: usize = 125;

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Payload length in bytes.
    pub len: u64,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
}

impl Header {
    /// Reads the header at the front of `bytes`, as `role` receives it; gives the header and its size in bytes.
    ///
    /// `Ok(None)` means that more bytes are needed.
    ///
    /// # Errors
    /// Fails on the earliest byte that proves a violation, even if the header is not complete.
    #[inline]
    pub fn parse(bytes: &[u8], role: Role) -> Result<Option<(Header, usize)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode, _) = first_byte(first, false)?;
        let Some((len, key_at)) = length(bytes, opcode, role)? else {
            return Ok(None);
        };
        let Some((mask, size)) = masking_key(bytes, key_at, role) else {
            return Ok(None);
        };
        Ok(Some((Header { fin, opcode, len, mask }, size)))
    }

    /// The header as it goes on the wire.
    ///
    /// The length must be below 2^63, which every length in memory is.
    #[inline]
    pub fn encode(&self) -> EncodedHeader {
        debug_assert!(self.len <= i64::MAX as u64, "RFC 6455 §5.2: the most significant bit MUST be 0");
        let mut bytes = [0; MAX_HEADER_BYTES];
        let masked = if self.mask.is_some() { MASK } else { 0 };
        bytes[0] = self.opcode as u8 | if self.fin { FIN } else { 0 };
        // RFC 6455 §5.2: the minimal number of bytes MUST be used to encode the length.
        let mut size = match self.len {
            0..=125 => {
                bytes[1] = masked | self.len as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = masked | LENGTH_16;
                bytes[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = masked | LENGTH_64;
                bytes[2..10].copy_from_slice(&self.len.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.mask {
            bytes[size..size + 4].copy_from_slice(&key);
            size += 4;
        }
        EncodedHeader { bytes, size: size as u8 }
    }
}

/// A header as bytes, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; MAX_HEADER_BYTES],
    size: u8,
}

impl EncodedHeader {
    /// The header of a compressed message's only frame: RFC 7692 §6 marks the first frame with RSV1.
    #[inline]
    pub fn compressed(mut self) -> EncodedHeader {
        debug_assert!(matches!(self.bytes[0] & OPCODE, 1 | 2), "only messages are compressed");
        self.bytes[0] |= RSV1;
        self
    }
}

impl Deref for EncodedHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size).min(MAX_HEADER_BYTES)]
    }
}

/// Appends one whole unfragmented frame to `out`; the payload is copied, and the copy masked if `mask` is given.
///
/// A client must give a fresh random key for each frame (RFC 6455 §5.3), a server must give none.
#[inline]
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    debug_assert!(!opcode.is_control() || payload.len() <= MAX_CONTROL_BYTES, "a control frame is at most 125 bytes");
    let header = Header { fin: true, opcode, len: payload.len() as u64, mask }.encode();
    out.reserve(MAX_HEADER_BYTES + payload.len());
    // PERF: benches/reader.rs, "encode": a copy of fixed size and a cut are cheaper than a copy of two or more bytes.
    let start = out.len() + header.len();
    out.extend_from_slice(&header.bytes);
    out.truncate(start);
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(&mut out[start..], key, 0);
    }
}

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
const RSV1: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// FIN, opcode and, if `deflate` was agreed on, whether the frame begins a compressed message.
#[inline]
pub(crate) fn first_byte(byte: u8, deflate: bool) -> Result<(bool, Opcode, bool), Violation> {
    // RFC 6455 §5.2: the reserved bits MUST be 0 unless an extension defines them. RFC 7692 §6 defines RSV1, for the
    // first frame of a message only: it MUST NOT be set on control frames or on later fragments.
    let compressed = byte & RSV != 0;
    if compressed && !(deflate && byte & RSV == RSV1 && matches!(byte & OPCODE, 1 | 2)) {
        return Err(Violation::ReservedBits);
    }
    // RFC 6455 §5.2: an unknown opcode MUST fail the connection.
    let opcode = Opcode::from_bits(byte & OPCODE).ok_or(Violation::ReservedOpcode)?;
    let fin = byte & FIN != 0;
    // RFC 6455 §5.5: control frames MUST NOT be fragmented.
    if opcode.is_control() && !fin {
        return Err(Violation::FragmentedControl);
    }
    Ok((fin, opcode, compressed))
}

/// The payload length, and where the header goes on after it.
#[inline]
pub(crate) fn length(bytes: &[u8], opcode: Opcode, role: Role) -> Result<Option<(u64, usize)>, Violation> {
    let Some(&second) = bytes.get(1) else {
        return Ok(None);
    };
    match (role, second & MASK != 0) {
        // RFC 6455 §5.1: a server MUST close the connection on a frame that is not masked,
        (Role::Server, false) => return Err(Violation::Unmasked),
        // and a client on a frame that is.
        (Role::Client, true) => return Err(Violation::Masked),
        (Role::Server, true) | (Role::Client, false) => {}
    }
    let short = second & !MASK;
    if short < LENGTH_16 {
        return Ok(Some((u64::from(short), 2)));
    }
    // RFC 6455 §5.5: control frames MUST have a payload length of 125 bytes or less.
    if opcode.is_control() {
        return Err(Violation::ControlTooLong);
    }
    extended_length(&bytes[2..], short == LENGTH_64)
}

#[inline]
fn extended_length(bytes: &[u8], long: bool) -> Result<Option<(u64, usize)>, Violation> {
    if !long {
        let Some(&[high, low]) = bytes.first_chunk::<2>() else {
            return Ok(None);
        };
        let len = u16::from_be_bytes([high, low]);
        // RFC 6455 §5.2: the minimal number of bytes MUST be used.
        if len < u16::from(LENGTH_16) {
            return Err(Violation::NonMinimalLength);
        }
        return Ok(Some((u64::from(len), 4)));
    }
    // RFC 6455 §5.2: the most significant bit MUST be 0.
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(Violation::LengthOverflow);
    }
    // Six zeros, and the length fits into the other two bytes: that is proven before they arrive.
    if bytes.first_chunk::<6>() == Some(&[0; 6]) {
        return Err(Violation::NonMinimalLength);
    }
    Ok(bytes.first_chunk::<8>().map(|len| (u64::from_be_bytes(*len), 10)))
}

/// The masking key if this role receives one, and the size of the header.
#[inline]
pub(crate) fn masking_key(bytes: &[u8], key_at: usize, role: Role) -> Option<(Option<[u8; 4]>, usize)> {
    match role {
        Role::Client => Some((None, key_at)),
        Role::Server => bytes.get(key_at..)?.first_chunk::<4>().map(|key| (Some(*key), key_at + 4)),
    }
}

//! Packets as `socket.io-msgpack-parser` has them: each a binary message with one map, `{type, nsp, id, data}`, in
//! MessagePack. Bytes are values like others, so there are no attachments.
//!
//! What is beyond MessagePack's own types is as in notepack.io, which that parser uses: extension 0 is `undefined` (fixext
//! of one byte, 0), a `Date` (fixext of eight, milliseconds), or in Node an `ArrayBuffer` or what is a view of one (ext,
//! any length). Timestamps, MessagePack's extension -1, are moments too. Other extensions and keys that are not text are
//! refused, and so is text that is not UTF-8.

use std::str;

use rmp::Marker;
use rmp::encode::{write_map_len, write_sint, write_str, write_uint};

use super::Limits;
use super::error::PacketError;
use super::json::{Build, MAX_DEPTH, Values};
use super::packet::{Kind, RESERVED_EVENTS};

/// Seconds since 1970 in which the years 1 to 9999 begin and end.
const DATES: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The extensions that are read: notepack.io's, and MessagePack's timestamp.
const NOTEPACK: i8 = 0;
const TIMESTAMP: i8 = -1;

/// Makes values of MessagePack while it is read.
pub trait BuildPacked: Build {
    /// A whole number.
    fn int(&mut self, number: i64) -> Self::Value;
    /// One beyond `int`.
    fn large(&mut self, number: u64) -> Self::Value;
    /// Any other, not a number and infinities included.
    fn float(&mut self, number: f64) -> Self::Value;
    /// Bytes.
    fn bytes(&mut self, bytes: &[u8]) -> Self::Value;
    /// A moment in the years 1 to 9999: seconds since 1970, and microseconds from there on.
    fn date(&mut self, seconds: i64, microseconds: u32) -> Self::Value;
}

impl BuildPacked for () {
    fn int(&mut self, _: i64) {}
    fn large(&mut self, _: u64) {}
    fn float(&mut self, _: f64) {}
    fn bytes(&mut self, _: &[u8]) {}
    fn date(&mut self, _: i64, _: u32) {}
}

/// A packet, and what was made of its data.
#[derive(Clone, PartialEq, Debug)]
pub struct Packed<'a, V> {
    /// What it is for.
    pub kind: Kind,
    /// The namespace, with its query if it has one.
    pub namespace: &'a str,
    /// As [`Packet::ack`](super::Packet::ack).
    pub ack: Option<u64>,
    /// An array for events (the name first) and acknowledgements, an object or nothing for CONNECT, an object or text for
    /// CONNECT_ERROR.
    pub data: Option<V>,
}

/// Reads the bytes of an Engine.IO message.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse<'a, B: BuildPacked>(
    bytes: &'a [u8],
    limits: &Limits,
    build: &mut B,
) -> Result<Packed<'a, B::Value>, PacketError> {
    if bytes.is_empty() {
        return Err(PacketError::Empty);
    }
    if bytes.len() > limits.max_packet_bytes {
        return Err(PacketError::TooBig);
    }
    let mut walk = Walk { rest: bytes, max_depth: limits.max_depth.min(MAX_DEPTH), build };
    let (mut kind, mut namespace, mut ack, mut data, mut shape) = (None, None, None, None, Shape::Absent);
    for _ in 0..walk.fields()? {
        match walk.key()? {
            "type" => kind = Some(walk.kind()?),
            "nsp" => namespace = Some(walk.namespace(limits)?),
            "id" => ack = walk.ack()?,
            "data" => (shape, data) = walk.data()?,
            // The official client says there how the packet is to be sent.
            _ => walk.skip()?,
        }
    }
    if !walk.rest.is_empty() {
        return Err(PacketError::MessagePack);
    }
    let (kind, namespace) = (kind.ok_or(PacketError::Type)?, namespace.ok_or(PacketError::Namespace)?);
    check(kind, &shape, limits)?;
    Ok(Packed { kind, namespace, ack, data })
}

/// Appends a packet as far as its data, which, if it `has_data`, the caller appends as one value.
pub fn encode(out: &mut Vec<u8>, kind: Kind, namespace: &str, ack: Option<u64>, has_data: bool) {
    let fields = 2 + u32::from(ack.is_some()) + u32::from(has_data);
    let written = write_map_len(out, fields)
        .and_then(|_| write_str(out, "type"))
        .and_then(|()| write_sint(out, kind.number().into()))
        .and_then(|_| write_str(out, "nsp"))
        .and_then(|()| write_str(out, namespace))
        .and_then(|()| match ack {
            Some(ack) => write_str(out, "id").and_then(|()| write_uint(out, ack).map(drop)),
            None => Ok(()),
        })
        .and_then(|()| if has_data { write_str(out, "data") } else { Ok(()) });
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

/// What the data is, as far as the kind of the packet must agree with it.
enum Shape<'a> {
    Absent,
    Object,
    Text,
    /// So many elements, and the first.
    Array(usize, &'a [u8]),
    Other,
}

fn check(kind: Kind, shape: &Shape<'_>, limits: &Limits) -> Result<(), PacketError> {
    match (kind, shape) {
        (Kind::Connect, Shape::Absent | Shape::Object)
        | (Kind::Disconnect, Shape::Absent)
        | (Kind::ConnectError, Shape::Object | Shape::Text) => Ok(()),
        (Kind::Ack, Shape::Array(len, _)) if *len <= limits.max_arguments => Ok(()),
        (Kind::Event, Shape::Array(len, name)) if *len <= limits.max_arguments.saturating_add(1) => check_name(name),
        (Kind::Event | Kind::Ack, Shape::Array(..)) => Err(PacketError::TooManyArguments),
        _ => Err(PacketError::Data),
    }
}

/// Checks the name of an event, which is a valid value.
fn check_name(name: &[u8]) -> Result<(), PacketError> {
    let mut nothing = ();
    let mut walk = Walk { rest: name, max_depth: 0, build: &mut nothing };
    match walk.marker().map_err(|_| PacketError::EventName)? {
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            walk.rest = name;
            if RESERVED_EVENTS.contains(&walk.key()?) { Err(PacketError::ReservedEvent) } else { Ok(()) }
        }
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::F32 | Marker::F64 => Ok(()),
        Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => Ok(()),
        Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => Ok(()),
        _ => Err(PacketError::EventName),
    }
}

/// One pass through the bytes.
struct Walk<'a, 'b, B> {
    rest: &'a [u8],
    max_depth: u32,
    build: &'b mut B,
}

type Result<T, E = PacketError> = std::result::Result<T, E>;

impl<'a, B: BuildPacked> Walk<'a, '_, B> {
    // ---- the fields of a packet

    fn fields(&mut self) -> Result<usize> {
        let marker = self.marker()?;
        self.map_len(marker)?.ok_or(PacketError::MessagePack)
    }

    fn key(&mut self) -> Result<&'a str> {
        let marker = self.marker()?;
        let len = self.str_len(marker)?.ok_or(PacketError::MessagePack)?;
        self.str(len)
    }

    fn kind(&mut self) -> Result<Kind> {
        match self.marker()? {
            Marker::FixPos(number) => Kind::from_number(number).ok_or(PacketError::Type),
            _ => Err(PacketError::Type),
        }
    }

    fn namespace(&mut self, limits: &Limits) -> Result<&'a str> {
        let marker = self.marker()?;
        let len = self.str_len(marker)?.ok_or(PacketError::Namespace)?;
        if len > limits.max_namespace_bytes {
            return Err(PacketError::NamespaceTooLong);
        }
        Some(self.str(len)?).filter(|namespace| namespace.starts_with('/')).ok_or(PacketError::Namespace)
    }

    fn ack(&mut self) -> Result<Option<u64>> {
        if self.takes_nothing() {
            return Ok(None);
        }
        Ok(Some(match self.marker()? {
            Marker::FixPos(number) => number.into(),
            Marker::U8 => self.number::<1>()?[0].into(),
            Marker::U16 => u16::from_be_bytes(self.number()?).into(),
            Marker::U32 => u32::from_be_bytes(self.number()?).into(),
            Marker::U64 => u64::from_be_bytes(self.number()?),
            _ => return Err(PacketError::AckId),
        }))
    }

    fn data(&mut self) -> Result<(Shape<'a>, Option<B::Value>)> {
        if self.takes_nothing() {
            return Ok((Shape::Absent, None));
        }
        let marker = self.marker()?;
        if let Some(len) = self.array_len(marker)? {
            let start = self.rest;
            let mut values = Values::<B>::new();
            let mut first: &[u8] = &[];
            for index in 0..len {
                values.push(self.value(2)?);
                if index == 0 {
                    first = &start[..start.len() - self.rest.len()];
                }
            }
            return Ok((Shape::Array(len, first), Some(self.build.array(values.into_iter()))));
        }
        let shape = match marker {
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => Shape::Object,
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => Shape::Text,
            _ => Shape::Other,
        };
        self.marked(marker, 1).map(|value| (shape, Some(value)))
    }

    fn skip(&mut self) -> Result<()> {
        let mut nothing = ();
        let mut walk = Walk { rest: self.rest, max_depth: self.max_depth, build: &mut nothing };
        walk.value(1)?;
        self.rest = walk.rest;
        Ok(())
    }

    /// Takes nil or undefined, if that is what comes.
    fn takes_nothing(&mut self) -> bool {
        let rest = self.rest.strip_prefix(&[0xc0]).or_else(|| self.rest.strip_prefix(&[0xd4, 0, 0]));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    // ---- values

    /// `depth` is the value's own if it is an array or a map.
    fn value(&mut self, depth: u32) -> Result<B::Value> {
        let marker = self.marker()?;
        self.marked(marker, depth)
    }

    fn marked(&mut self, marker: Marker, depth: u32) -> Result<B::Value> {
        if let Some(len) = self.str_len(marker)? {
            let text = self.str(len)?;
            return Ok(self.build.text(text));
        }
        if let Some(len) = self.array_len(marker)? {
            self.check(depth)?;
            let mut values = Values::<B>::new();
            for _ in 0..len {
                values.push(self.value(depth + 1)?);
            }
            return Ok(self.build.array(values.into_iter()));
        }
        if let Some(len) = self.map_len(marker)? {
            self.check(depth)?;
            let mut object = self.build.object();
            for _ in 0..len {
                let key = self.key()?;
                let key = self.build.key(key);
                let value = self.value(depth + 1)?;
                self.build.member(&mut object, key, value);
            }
            return Ok(self.build.end(object));
        }
        Ok(match marker {
            Marker::Null => self.build.null(),
            Marker::True => self.build.bool(true),
            Marker::False => self.build.bool(false),
            Marker::FixPos(number) => self.build.int(number.into()),
            Marker::FixNeg(number) => self.build.int(number.into()),
            Marker::U8 => self.number::<1>().map(|bytes| self.build.int(bytes[0].into()))?,
            Marker::U16 => self.number().map(|bytes| self.build.int(u16::from_be_bytes(bytes).into()))?,
            Marker::U32 => self.number().map(|bytes| self.build.int(u32::from_be_bytes(bytes).into()))?,
            Marker::U64 => {
                let number = u64::from_be_bytes(self.number()?);
                match i64::try_from(number) {
                    Ok(number) => self.build.int(number),
                    Err(_) => self.build.large(number),
                }
            }
            Marker::I8 => self.number().map(|bytes| self.build.int(i8::from_be_bytes(bytes).into()))?,
            Marker::I16 => self.number().map(|bytes| self.build.int(i16::from_be_bytes(bytes).into()))?,
            Marker::I32 => self.number().map(|bytes| self.build.int(i32::from_be_bytes(bytes).into()))?,
            Marker::I64 => self.number().map(|bytes| self.build.int(i64::from_be_bytes(bytes)))?,
            Marker::F32 => self.number().map(|bytes| self.build.float(f32::from_be_bytes(bytes).into()))?,
            Marker::F64 => self.number().map(|bytes| self.build.float(f64::from_be_bytes(bytes)))?,
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let len = match marker {
                    Marker::Bin8 => self.number::<1>()?[0].into(),
                    Marker::Bin16 => u16::from_be_bytes(self.number()?).into(),
                    _ => u32::from_be_bytes(self.number()?) as usize,
                };
                let bytes = self.take(len)?;
                self.build.bytes(bytes)
            }
            Marker::FixExt1 if self.number::<2>()? == [0, 0] => self.build.null(),
            Marker::FixExt4 | Marker::FixExt8 | Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => {
                self.extension(marker)?
            }
            _ => return Err(PacketError::MessagePack),
        })
    }

    fn extension(&mut self, marker: Marker) -> Result<B::Value> {
        let len = match marker {
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::Ext8 => self.number::<1>()?[0].into(),
            Marker::Ext16 => u16::from_be_bytes(self.number()?).into(),
            _ => u32::from_be_bytes(self.number()?) as usize,
        };
        match (i8::from_be_bytes(self.number()?), marker, len) {
            (NOTEPACK, Marker::FixExt8, _) => {
                let milliseconds = i64::from_be_bytes(self.number()?);
                let rest = milliseconds.rem_euclid(1000) as u32;
                self.date(milliseconds.div_euclid(1000), rest * 1000)
            }
            (NOTEPACK, Marker::Ext8 | Marker::Ext16 | Marker::Ext32, _) => {
                let bytes = self.take(len)?;
                Ok(self.build.bytes(bytes))
            }
            (TIMESTAMP, _, 4) => {
                let seconds = u32::from_be_bytes(self.number()?);
                self.date(seconds.into(), 0)
            }
            (TIMESTAMP, _, 8) => {
                let both = u64::from_be_bytes(self.number()?);
                self.timestamp((both & ((1 << 34) - 1)) as i64, (both >> 34) as u32)
            }
            (TIMESTAMP, _, 12) => {
                let nanoseconds = u32::from_be_bytes(self.number()?);
                let seconds = i64::from_be_bytes(self.number()?);
                self.timestamp(seconds, nanoseconds)
            }
            _ => Err(PacketError::MessagePack),
        }
    }

    fn timestamp(&mut self, seconds: i64, nanoseconds: u32) -> Result<B::Value> {
        if nanoseconds > 999_999_999 {
            return Err(PacketError::MessagePack);
        }
        self.date(seconds, nanoseconds / 1000)
    }

    fn date(&mut self, seconds: i64, microseconds: u32) -> Result<B::Value> {
        if !DATES.contains(&seconds) {
            return Err(PacketError::MessagePack);
        }
        Ok(self.build.date(seconds, microseconds))
    }

    fn check(&self, depth: u32) -> Result<()> {
        if depth > self.max_depth { Err(PacketError::JsonTooDeep) } else { Ok(()) }
    }

    // ---- what they are made of

    fn marker(&mut self) -> Result<Marker> {
        Ok(Marker::from_u8(self.number::<1>()?[0]))
    }

    fn str_len(&mut self, marker: Marker) -> Result<Option<usize>> {
        Ok(Some(match marker {
            Marker::FixStr(len) => len.into(),
            Marker::Str8 => self.number::<1>()?[0].into(),
            Marker::Str16 => u16::from_be_bytes(self.number()?).into(),
            Marker::Str32 => u32::from_be_bytes(self.number()?) as usize,
            _ => return Ok(None),
        }))
    }

    fn array_len(&mut self, marker: Marker) -> Result<Option<usize>> {
        Ok(Some(match marker {
            Marker::FixArray(len) => len.into(),
            Marker::Array16 => u16::from_be_bytes(self.number()?).into(),
            Marker::Array32 => u32::from_be_bytes(self.number()?) as usize,
            _ => return Ok(None),
        }))
    }

    fn map_len(&mut self, marker: Marker) -> Result<Option<usize>> {
        Ok(Some(match marker {
            Marker::FixMap(len) => len.into(),
            Marker::Map16 => u16::from_be_bytes(self.number()?).into(),
            Marker::Map32 => u32::from_be_bytes(self.number()?) as usize,
            _ => return Ok(None),
        }))
    }

    fn str(&mut self, len: usize) -> Result<&'a str> {
        str::from_utf8(self.take(len)?).map_err(|_| PacketError::MessagePack)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(PacketError::MessagePack)?;
        self.rest = rest;
        Ok(*number)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(PacketError::MessagePack)?;
        self.rest = rest;
        Ok(taken)
    }
}

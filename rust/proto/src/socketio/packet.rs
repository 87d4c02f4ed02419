//! One packet: parsed where it lies, and encoded.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use jiter::{Jiter, Peek};

use super::Limits;
use super::error::PacketError;
use super::json::{Build, MAX_DEPTH, Placeholder, Span, Spans, Walk, well_formed};

/// Names that the clients' and the server's own events have. A peer cannot send them.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// What a packet is for. Events and acknowledgements with attachments have digits of their own on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// `0`: the client wants into a namespace, or the server lets it in. An object, or nothing.
    Connect,
    /// `1`: out of the namespace. No data.
    Disconnect,
    /// `2` or `5`: an array of a name and arguments.
    Event,
    /// `3` or `6`: an array of arguments.
    Ack,
    /// `4`, from the server: not into this namespace. An object or a string.
    ConnectError,
}

impl Kind {
    /// The digit, and whether a number of attachments follows it.
    fn from_digit(digit: u8) -> Option<(Kind, bool)> {
        Some(match digit {
            b'0' => (Kind::Connect, false),
            b'1' => (Kind::Disconnect, false),
            b'2' => (Kind::Event, false),
            b'3' => (Kind::Ack, false),
            b'4' => (Kind::ConnectError, false),
            b'5' => (Kind::Event, true),
            b'6' => (Kind::Ack, true),
            _ => return None,
        })
    }

    /// The number of the type, attachments or not: 0 to 4.
    pub fn number(self) -> u8 {
        self.digit(false) - b'0'
    }

    /// The type that has this number.
    pub fn from_number(number: u8) -> Option<Kind> {
        number
            .checked_add(b'0')
            .and_then(Kind::from_digit)
            .filter(|(_, attachments)| !attachments)
            .map(|(kind, _)| kind)
    }

    fn digit(self, has_attachments: bool) -> u8 {
        match (self, has_attachments) {
            (Kind::Connect, _) => b'0',
            (Kind::Disconnect, _) => b'1',
            (Kind::Event, false) => b'2',
            (Kind::Ack, false) => b'3',
            (Kind::ConnectError, _) => b'4',
            (Kind::Event, true) => b'5',
            (Kind::Ack, true) => b'6',
        }
    }
}

/// The name of an event.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Name<'a> {
    /// Text, with its escapes resolved.
    Text(Cow<'a, str>),
    /// A number as it was written: JavaScript's clients may send one.
    Number(&'a str),
}

/// One packet. Its attachments are not part of it: an [`Assembler`](super::Assembler) brings both together.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    text: Cow<'a, str>,
    kind: Kind,
    attachments: u32,
    ack: Option<u64>,
    /// `None` for the namespace that is not written.
    namespace: Option<Span>,
    json: Span,
    /// The elements of the array, the name first if it is an event. They count from the beginning of the JSON.
    elements: Spans,
    placeholders: Vec<Placeholder>,
}

/// A packet and what was made of its data, if anything was.
pub type Built<'a, B> = (Packet<'a>, Option<<B as Build>::Value>);

impl<'a> Packet<'a> {
    /// Reads the text of an Engine.IO message.
    ///
    /// # Errors
    /// The first thing that is wrong.
    #[inline]
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Packet<'a>, PacketError> {
        Packet::parse_with(text, limits, &mut ()).map(|(packet, _)| packet)
    }

    /// The same, and what is made of its data on the way: nothing if there is none, or if attachments belong into it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse_with<B: Build>(text: &'a str, limits: &Limits, build: &mut B) -> Result<Built<'a, B>, PacketError> {
        match Packet::read(text, limits, build) {
            // PERF: only what cannot be read is looked through.
            Err(PacketError::Json) => match well_formed(text) {
                Some(text) => Packet::read(&text, limits, build).map(|(packet, value)| (packet.into_owned(), value)),
                None => Err(PacketError::Json),
            },
            read => read,
        }
    }

    fn read<B: Build>(text: &'a str, limits: &Limits, build: &mut B) -> Result<Built<'a, B>, PacketError> {
        if text.len() > limits.max_packet_bytes.min(u32::MAX as usize) {
            return Err(PacketError::TooBig);
        }
        let (&digit, mut rest) = text.as_bytes().split_first().ok_or(PacketError::Empty)?;
        let (kind, has_attachments) = Kind::from_digit(digit).ok_or(PacketError::Type)?;
        let attachments = if has_attachments { attachments(&mut rest, limits)? } else { 0 };
        let namespace = namespace(text, &mut rest, limits)?;
        let ack = ack(&mut rest)?;
        let json = text.len() - rest.len()..text.len();
        let (data, value) = if attachments == 0 {
            data(kind, attachments, &text[json.clone()], limits, build)?
        } else {
            let (data, _) = data(kind, attachments, &text[json.clone()], limits, &mut ())?;
            (data, None)
        };
        let (text, json, Data { elements, placeholders }) = (Cow::Borrowed(text), Span::new(json), data);
        Ok((Packet { text, kind, attachments, ack, namespace, json, elements, placeholders }, value))
    }

    /// What it is for.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many binary messages follow it; 0 unless it is an event or acknowledgement.
    #[inline]
    pub fn attachments(&self) -> u32 {
        self.attachments
    }

    /// The namespace, with its query if it has one: `/` if none is written.
    #[inline]
    pub fn namespace(&self) -> &str {
        self.namespace.map_or("/", |namespace| namespace.of(&self.text))
    }

    /// The number by which an event asks for an acknowledgement, or that of the event which this one acknowledges. An
    /// acknowledgement without it acknowledges nothing.
    #[inline]
    pub fn ack(&self) -> Option<u64> {
        self.ack
    }

    /// The JSON; empty if there is none.
    #[inline]
    pub fn json(&self) -> &str {
        self.json.of(&self.text)
    }

    /// The name of an event; `None` for any other packet.
    pub fn name(&self) -> Option<Name<'_>> {
        if self.kind != Kind::Event {
            return None;
        }
        let raw = self.elements.first()?.of(self.json());
        Some(match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
            None => Name::Number(raw),
            Some(text) if !text.contains('\\') => Name::Text(Cow::Borrowed(text)),
            Some(_) => Name::Text(Cow::Owned(Jiter::new(raw.as_bytes()).next_str().unwrap_or_default().to_owned())),
        })
    }

    /// The arguments of an event or acknowledgement, each a JSON text.
    #[inline]
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &str> {
        let json = self.json();
        let name = usize::from(self.kind == Kind::Event && !self.elements.is_empty());
        self.elements[name..].iter().map(move |span| span.of(json))
    }

    /// Where in [`json`](Packet::json) the attachments belong, in order.
    #[inline]
    pub fn placeholders(&self) -> &[Placeholder] {
        &self.placeholders
    }

    /// What is made of its data: nothing if there is none.
    pub fn build<B: Build>(&self, build: &mut B) -> Option<B::Value> {
        let mut walk = Walk::new(self.json(), self.attachments, MAX_DEPTH, build);
        // It has been checked: what is wrong here can only be that there is none.
        let peek = walk.peek().ok()?;
        walk.value(peek, 1).ok()
    }

    /// The same packet with a text of its own.
    pub fn into_owned(self) -> Packet<'static> {
        Packet { text: Cow::Owned(self.text.into_owned()), ..self }
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Packet")
            .field("kind", &self.kind)
            .field("attachments", &self.attachments)
            .field("namespace", &self.namespace())
            .field("ack", &self.ack)
            .field("json", &self.json())
            .finish()
    }
}

/// What stands before the JSON of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// What the packet is for.
    pub kind: Kind,
    /// How many binary messages will follow; only for events and acknowledgements.
    pub attachments: u32,
    /// A slash and anything but commas.
    pub namespace: &'a str,
    /// The number to acknowledge it by, or that it acknowledges.
    pub ack: Option<u64>,
}

/// Appends a packet. `json` is compact, fits the kind, and is empty for none; the caller sees to that.
pub fn encode(out: &mut Vec<u8>, header: &Header<'_>, json: &str) {
    let Header { kind, attachments, namespace, ack } = *header;
    debug_assert!(attachments == 0 || matches!(kind, Kind::Event | Kind::Ack), "{kind:?} has no attachments");
    debug_assert!(namespace.starts_with('/') && !namespace.contains(','), "not a namespace: {namespace:?}");
    out.reserve(1 + 11 + namespace.len() + 1 + 20 + json.len());
    out.push(kind.digit(attachments > 0));
    if attachments > 0 {
        decimal(out, attachments.into());
        out.push(b'-');
    }
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(ack) = ack {
        decimal(out, ack);
    }
    out.extend_from_slice(json.as_bytes());
}

/// Appends what stands in JSON for the attachment of this number, from 0.
pub fn encode_placeholder(out: &mut Vec<u8>, num: u32) {
    out.extend_from_slice(br#"{"_placeholder":true,"num":"#);
    decimal(out, num.into());
    out.push(b'}');
}

/// Takes the number of attachments and its hyphen.
fn attachments(rest: &mut &[u8], limits: &Limits) -> Result<u32, PacketError> {
    let digits = take_digits(rest);
    if digits.is_empty() || rest.first() != Some(&b'-') {
        return Err(PacketError::Attachments);
    }
    *rest = &rest[1..];
    match number(digits) {
        Some(0) => Err(PacketError::Attachments),
        Some(number) if number <= limits.max_attachments.into() => Ok(number as u32),
        _ => Err(PacketError::TooManyAttachments),
    }
}

/// Takes the namespace and its comma, which may be missing where nothing follows.
fn namespace(text: &str, rest: &mut &[u8], limits: &Limits) -> Result<Option<Span>, PacketError> {
    if rest.first() != Some(&b'/') {
        return Ok(None);
    }
    let start = text.len() - rest.len();
    let len = memchr::memchr(b',', rest).unwrap_or(rest.len());
    if len > limits.max_namespace_bytes {
        return Err(PacketError::NamespaceTooLong);
    }
    *rest = rest.get(len + 1..).unwrap_or_default();
    Ok(Some(Span::new(start..start + len)))
}

/// Takes the number of an acknowledgement.
fn ack(rest: &mut &[u8]) -> Result<Option<u64>, PacketError> {
    let digits = take_digits(rest);
    if digits.is_empty() {
        return Ok(None);
    }
    number(digits).map(Some).ok_or(PacketError::AckId)
}

/// What is found in the JSON of a packet.
#[derive(Default)]
struct Data {
    elements: Spans,
    placeholders: Vec<Placeholder>,
}

/// Checks the JSON against what the packet is for.
fn data<B: Build>(
    kind: Kind,
    attachments: u32,
    json: &str,
    limits: &Limits,
    build: &mut B,
) -> Result<(Data, Option<B::Value>), PacketError> {
    if json.is_empty() {
        let may_be_absent = matches!(kind, Kind::Connect | Kind::Disconnect);
        return if may_be_absent { Ok((Data::default(), None)) } else { Err(PacketError::Data) };
    }
    // JSON may begin with spaces, but the reference takes one here for the number of an acknowledgement.
    if json.starts_with([' ', '\t', '\n', '\r']) {
        return Err(PacketError::Json);
    }
    let mut walk = Walk::new(json, attachments, limits.max_depth, build);
    let peek = walk.peek()?;
    let (elements, value) = match (kind, peek) {
        (Kind::Event | Kind::Ack, Peek::Array) => {
            // The name is not an argument.
            walk.elements(limits.max_arguments.saturating_add(usize::from(kind == Kind::Event)))?
        }
        (Kind::Connect | Kind::ConnectError, Peek::Object) | (Kind::ConnectError, Peek::String) => {
            (Spans::new(), walk.value(peek, 1)?)
        }
        _ => return Err(PacketError::Data),
    };
    let placeholders = walk.finish()?;
    if kind == Kind::Event {
        let name = elements.first().ok_or(PacketError::EventName)?;
        check_name(name.of(json))?;
    }
    Ok((Data { elements, placeholders }, Some(value)))
}

/// Checks the name of an event, which is valid JSON.
fn check_name(raw: &str) -> Result<(), PacketError> {
    match raw.as_bytes() {
        [b'-' | b'0'..=b'9', ..] => Ok(()),
        [b'"', text @ .., b'"'] => {
            let is_reserved = if text.contains(&b'\\') {
                let mut json = Jiter::new(raw.as_bytes());
                json.next_str().is_ok_and(|name| RESERVED_EVENTS.contains(&name))
            } else {
                RESERVED_EVENTS.iter().any(|name| name.as_bytes() == text)
            };
            if is_reserved { Err(PacketError::ReservedEvent) } else { Ok(()) }
        }
        _ => Err(PacketError::EventName),
    }
}

fn take_digits<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = rest.split_at(len);
    *rest = after;
    digits
}

/// The value of 1 to 20 digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.len() > 20 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add((digit - b'0').into()))
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

//! The JSON of a packet, read once from end to end: checked, and made into values by whoever wants some.
//!
//! Refused is what others would not read, or not all alike: more arrays and objects in one another than the limit,
//! numbers of more than [`MAX_NUMBER_BYTES`], NaN and Infinity, control characters in strings. Escaped surrogates that are
//! no pair are what JavaScript writes of a text that was cut in the middle of a character: they are U+FFFD.

use std::ops::Range;

use jiter::{Jiter, Peek};
use smallvec::SmallVec;

use super::error::PacketError;

/// How many arrays and objects may be nested if nothing else is said, the outermost counted.
pub const DEFAULT_DEPTH: u32 = 64;

/// The most that may be asked for: what reads JSON here and elsewhere calls itself once for each.
pub const MAX_DEPTH: u32 = 200;

/// The longest number, in characters. What a JavaScript program writes has 25 at most.
pub const MAX_NUMBER_BYTES: usize = 1024;

/// Where a piece of text stands: half the size of a `Range<usize>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// A part of a text that is known to be shorter than 4 GiB.
    #[inline]
    pub(super) fn new(range: Range<usize>) -> Span {
        debug_assert!(u32::try_from(range.end).is_ok(), "a longer text than parse() takes");
        Span { start: range.start as u32, end: range.end as u32 }
    }

    #[inline]
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    #[inline]
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.range()]
    }
}

pub(super) type Spans = SmallVec<[Span; 4]>;

pub(super) type Values<B> = SmallVec<[<B as Build>::Value; 4]>;

/// Where bytes belong: the object `{"_placeholder":true,"num":i}` in a packet's JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placeholder {
    /// Where the object stands in the JSON, in bytes.
    pub range: Range<usize>,
    /// Which attachment it stands for, from 0.
    pub num: u32,
}

/// Makes values of JSON while it is read. `()` makes none.
///
/// What is wrong with the JSON may be found after values have been made; they are dropped then.
pub trait Build {
    /// Any value.
    type Value;
    /// An object whose members are not all read.
    type Object;
    /// A member's name.
    type Key;

    /// `null`.
    fn null(&mut self) -> Self::Value;
    /// `true` or `false`.
    fn bool(&mut self, is: bool) -> Self::Value;
    /// A number as it stands there, and whether it has neither a point nor an exponent. It may be beyond a double.
    fn number(&mut self, number: &str, is_int: bool) -> Self::Value;
    /// Text, its escapes resolved.
    fn text(&mut self, text: &str) -> Self::Value;
    /// An array of these elements.
    fn array(&mut self, elements: impl ExactSizeIterator<Item = Self::Value>) -> Self::Value;
    /// An object begins.
    fn object(&mut self) -> Self::Object;
    /// A member's name, its escapes resolved.
    fn key(&mut self, key: &str) -> Self::Key;
    /// A member. The same name may come twice.
    fn member(&mut self, object: &mut Self::Object, key: Self::Key, value: Self::Value);
    /// An object ends.
    fn end(&mut self, object: Self::Object) -> Self::Value;
    /// An object ends that stands for this attachment.
    fn placeholder(&mut self, object: Self::Object, num: u32) -> Self::Value;
}

impl Build for () {
    type Value = ();
    type Object = ();
    type Key = ();

    fn null(&mut self) {}
    fn bool(&mut self, _: bool) {}
    fn number(&mut self, _: &str, _: bool) {}
    fn text(&mut self, _: &str) {}
    fn array(&mut self, _: impl ExactSizeIterator<Item = ()>) {}
    fn object(&mut self) {}
    fn key(&mut self, _: &str) {}
    fn member(&mut self, _: &mut (), _: (), _: ()) {}
    fn end(&mut self, _: ()) {}
    fn placeholder(&mut self, _: (), _: u32) {}
}

/// One pass through a JSON text.
pub(super) struct Walk<'j, 'b, B> {
    text: &'j str,
    json: Jiter<'j>,
    attachments: u32,
    max_depth: u32,
    placeholders: Vec<Placeholder>,
    build: &'b mut B,
}

impl<'j, 'b, B: Build> Walk<'j, 'b, B> {
    /// Placeholders are looked for if there are attachments.
    pub(super) fn new(text: &'j str, attachments: u32, max_depth: u32, build: &'b mut B) -> Walk<'j, 'b, B> {
        let (json, max_depth) = (Jiter::new(text.as_bytes()), max_depth.min(MAX_DEPTH));
        Walk { text, json, attachments, max_depth, placeholders: Vec::new(), build }
    }

    /// What comes next.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<Peek, PacketError> {
        self.json.peek().map_err(syntax)
    }

    /// The array that comes next, of at most `max` elements, and where they are.
    pub(super) fn elements(&mut self, max: usize) -> Result<(Spans, B::Value), PacketError> {
        let (mut spans, mut values) = (Spans::new(), Values::<B>::new());
        let mut next = self.json.known_array().map_err(syntax)?;
        while let Some(peek) = next {
            if spans.len() == max {
                return Err(PacketError::TooManyArguments);
            }
            let start = self.json.current_index();
            values.push(self.value(peek, 2)?);
            spans.push(Span::new(start..self.json.current_index()));
            next = self.json.array_step().map_err(syntax)?;
        }
        Ok((spans, self.build.array(values.into_iter())))
    }

    /// The value that comes next; `depth` is its own if it is an array or object.
    pub(super) fn value(&mut self, peek: Peek, depth: u32) -> Result<B::Value, PacketError> {
        match peek {
            Peek::String => self.json.known_str().map(|text| self.build.text(text)).map_err(syntax),
            Peek::True | Peek::False => self.json.known_bool(peek).map(|is| self.build.bool(is)).map_err(syntax),
            Peek::Null => self.json.known_null().map(|()| self.build.null()).map_err(syntax),
            Peek::Array | Peek::Object if depth > self.max_depth => Err(PacketError::JsonTooDeep),
            Peek::Array => self.array(depth),
            Peek::Object => self.object(depth),
            _ => self.number(peek).map(|(number, is_int)| self.build.number(number, is_int)),
        }
    }

    /// That nothing follows; the placeholders that were found.
    pub(super) fn finish(mut self) -> Result<Vec<Placeholder>, PacketError> {
        self.json.finish().map_err(syntax)?;
        Ok(self.placeholders)
    }

    fn array(&mut self, depth: u32) -> Result<B::Value, PacketError> {
        let mut values = Values::<B>::new();
        let mut next = self.json.known_array().map_err(syntax)?;
        while let Some(peek) = next {
            values.push(self.value(peek, depth + 1)?);
            next = self.json.array_step().map_err(syntax)?;
        }
        Ok(self.build.array(values.into_iter()))
    }

    fn object(&mut self, depth: u32) -> Result<B::Value, PacketError> {
        let start = self.json.current_index();
        let mut object = self.build.object();
        let (mut keys, mut is_marked, mut num) = (0_u32, false, None);
        let looks = self.attachments > 0;
        let mut key = self.json.known_object().map_err(syntax)?;
        while let Some(name) = key {
            let is = if looks { Key::of(name) } else { Key::Other };
            let name = self.build.key(name);
            keys += 1;
            let peek = self.peek()?;
            let value = if is == Key::Num && peek.is_num() {
                let (number, is_int) = self.number(peek)?;
                num = self.attachment(number);
                self.build.number(number, is_int)
            } else {
                is_marked |= is == Key::Placeholder && peek == Peek::True;
                self.value(peek, depth + 1)?
            };
            self.build.member(&mut object, name, value);
            key = self.json.next_key().map_err(syntax)?;
        }
        match (is_marked, num) {
            (false, _) => Ok(self.build.end(object)),
            (true, Some(num)) if keys == 2 => {
                self.placeholders.push(Placeholder { range: start..self.json.current_index(), num });
                Ok(self.build.placeholder(object, num))
            }
            (true, _) => Err(PacketError::Placeholder),
        }
    }

    /// The attachment that has this number, if one has.
    fn attachment(&self, digits: &str) -> Option<u32> {
        // Neither -0 nor 1.0 nor 1e0: what others make of those is their affair.
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|num| is_plain && *num < self.attachments)
    }

    fn number(&mut self, peek: Peek) -> Result<(&'j str, bool), PacketError> {
        let start = self.json.current_index();
        if self.json.known_number_bytes(peek).is_err() {
            // jiter gives up on a long run of digits before this could count them.
            let digits = self.text[start..].trim_start_matches('-').bytes().take_while(u8::is_ascii_digit);
            return Err(if digits.count() > MAX_NUMBER_BYTES { PacketError::JsonNumber } else { PacketError::Json });
        }
        let number = &self.text[start..self.json.current_index()];
        if number.len() > MAX_NUMBER_BYTES {
            return Err(PacketError::JsonNumber);
        }
        let is_int = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        Ok((number, is_int))
    }
}

/// What a key may be to a placeholder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Placeholder,
    Num,
    Other,
}

impl Key {
    fn of(key: &str) -> Key {
        match key {
            "_placeholder" => Key::Placeholder,
            "num" => Key::Num,
            _ => Key::Other,
        }
    }
}

/// The text with U+FFFD for each escaped surrogate that is no half of a pair; `None`: there is none. What is written
/// takes as many bytes as it did.
pub(super) fn well_formed(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut fixed: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let unit = escaped_unit(&bytes[at..]);
        let is_pair = matches!(unit, Some(0xd800..=0xdbff))
            && matches!(bytes.get(at + 6..).and_then(escaped_unit), Some(0xdc00..=0xdfff));
        at += match unit {
            Some(_) if is_pair => 12,
            Some(0xd800..=0xdfff) => {
                fixed.get_or_insert_with(|| bytes.to_vec())[at..at + 6].copy_from_slice(br"\ufffd");
                6
            }
            // A backslash behind a backslash begins nothing.
            _ => 2.min(bytes.len() - at),
        };
    }
    fixed.and_then(|fixed| String::from_utf8(fixed).ok())
}

/// The UTF-16 code unit that an escape stands for, if one begins here.
fn escaped_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().all(u8::is_ascii_hexdigit).then(|| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

fn syntax(_: impl Sized) -> PacketError {
    PacketError::Json
}

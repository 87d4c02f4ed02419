//! The Range field (RFC 9110 §14): one part of the content, or all of it.

use std::ops::Range;

use crate::head::list;

/// So many ranges are looked at; a field with more is ignored.
pub const MAX_RANGES: usize = 16;

/// What a Range field comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ranges {
    /// All of the content, answered with 200.
    Whole,
    /// This part of it, answered with 206.
    Part(Range<u64>),
    /// Nothing of it: answered with 416.
    Unsatisfiable,
}

/// Reads a Range field for content of `len` bytes.
///
/// RFC 9110 §14.2 allows a server to ignore the field, and here it is ignored unless what it asks for is one piece once
/// overlapping and adjacent ranges are put together: several pieces would be a multipart answer that browsers do not ask
/// for, and a way to ask for the same bytes over and over.
pub fn ranges(value: &[u8], len: u64) -> Ranges {
    let Some((unit, set)) = split_once(value, b'=') else { return Ranges::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Ranges::Whole;
    }
    let mut wanted: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    for spec in list(set) {
        count += 1;
        if count > MAX_RANGES {
            return Ranges::Whole;
        }
        match range(spec, len) {
            Some(range) if range.is_empty() => {}
            Some(range) => wanted.push(range),
            // RFC 9110 §14.1.1: an invalid ranges-specifier is to be ignored as a whole.
            None => return Ranges::Whole,
        }
    }
    wanted.sort_by_key(|range| range.start);
    let mut wanted = wanted.into_iter();
    let Some(mut piece) = wanted.next() else {
        return if count == 0 { Ranges::Whole } else { Ranges::Unsatisfiable };
    };
    for next in wanted {
        if next.start > piece.end {
            return Ranges::Whole;
        }
        piece.end = piece.end.max(next.end);
    }
    Ranges::Part(piece)
}

/// One range, cut at the end of the content; empty if it lies beyond. `None`: it is no range.
fn range(spec: &[u8], len: u64) -> Option<Range<u64>> {
    let (first, last) = split_once(spec, b'-')?;
    if first.is_empty() {
        let suffix = position(last)?;
        return Some(len.saturating_sub(suffix)..len);
    }
    let start = position(first)?;
    if last.is_empty() {
        return Some(start.min(len)..len);
    }
    let last = position(last)?;
    if last < start {
        return None;
    }
    Some(start.min(len)..last.saturating_add(1).min(len))
}

/// Digits to a number. One that is too large for any file is as large as a number can be.
fn position(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |number: u64, byte: &u8| number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(text.iter().fold(0, digit))
}

fn split_once(text: &[u8], by: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(by, text)?;
    Some((&text[..at], &text[at + 1..]))
}

//! Conditional requests (RFC 9110 §13): whether the client's copy is still good.

use std::time::SystemTime;

use crate::head::{Fields, list};

/// What tells one state of the content from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validators<'a> {
    /// The entity tag with its quotes. A strong one: the same tag, the same bytes. A weak one (`W/"..."`) says that the
    /// content may have changed without a trace, so it and the date allow no parts.
    pub etag: &'a str,
    /// When the content was changed last; parts of a second do not count.
    pub modified: Option<SystemTime>,
}

/// What the conditions of a GET or HEAD request come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Answer as if there were none.
    Go,
    /// The client has it: 304.
    NotModified,
    /// The client wants another state of it: 412.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD request in the order of RFC 9110 §13.2.2.
pub fn evaluate(fields: &Fields<'_>, now: &Validators<'_>) -> Condition {
    match tags(fields, "if-match") {
        Some(mut wanted) => {
            if !wanted.any(|tag| tag == b"*" || is_same(tag, now)) {
                return Condition::Failed;
            }
        }
        None => {
            // RFC 9110 §13.1.4: only looked at where there is no If-Match; ignored if it is no date.
            if date(fields, "if-unmodified-since").zip(now.modified).is_some_and(|(than, at)| is_later(at, than)) {
                return Condition::Failed;
            }
        }
    }
    match tags(fields, "if-none-match") {
        Some(mut known) => {
            if known.any(|tag| tag == b"*" || weak(tag) == weak(now.etag.as_bytes())) {
                return Condition::NotModified;
            }
        }
        None => {
            if date(fields, "if-modified-since").zip(now.modified).is_some_and(|(than, at)| !is_later(at, than)) {
                return Condition::NotModified;
            }
        }
    }
    Condition::Go
}

/// Whether If-Range, if there is one, allows a part: the client's other parts are of this very state (RFC 9110 §13.1.5).
pub fn may_be_partial(fields: &Fields<'_>, now: &Validators<'_>) -> bool {
    match fields.one("if-range") {
        Ok(None) => true,
        Ok(Some(tag)) if tag.ends_with(b"\"") => is_same(tag, now),
        // A date stands for the same bytes only if it is exactly ours.
        Ok(Some(_)) => {
            let same =
                date(fields, "if-range").zip(now.modified).is_some_and(|(than, at)| seconds(than) == seconds(at));
            same && !now.is_weak()
        }
        Err(_) => false,
    }
}

/// The entity tags in the fields of this name; `None`: there is no such field.
fn tags<'b>(fields: &Fields<'b>, name: &str) -> Option<impl Iterator<Item = &'b [u8]>> {
    let mut values = fields.all(name).peekable();
    values.peek()?;
    // A tag may have a comma in it (RFC 9110 §8.8.3); ours have none, so a list that is cut there matches nothing more.
    Some(values.collect::<Vec<_>>().into_iter().flat_map(list))
}

impl Validators<'_> {
    fn is_weak(&self) -> bool {
        self.etag.starts_with("W/")
    }
}

/// RFC 9110 §8.8.3.2, strong comparison: a weak tag is like no other, not even itself.
fn is_same(tag: &[u8], now: &Validators<'_>) -> bool {
    !now.is_weak() && tag == now.etag.as_bytes()
}

fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn date(fields: &Fields<'_>, name: &str) -> Option<SystemTime> {
    let value = fields.one(name).ok()??;
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

fn is_later(at: SystemTime, than: SystemTime) -> bool {
    seconds(at) > seconds(than)
}

/// Seconds since 1970: HTTP's dates know no parts of them.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! Event streams as the HTML standard defines them ("Server-sent events"): fields to lines, so that no text can be
//! taken for a field of its own.

use std::fmt;

/// One event. Fields that are `None` are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Event<'a> {
    /// The type that listeners are added for; without it, `message`.
    pub event: Option<&'a str>,
    /// What the client sends back as Last-Event-ID when it comes again; empty: nothing.
    pub id: Option<&'a str>,
    /// Milliseconds that the client waits before it comes again.
    pub retry: Option<u64>,
    /// The text. An event without it is not handed to listeners; its id and retry count all the same.
    pub data: Option<&'a str>,
}

/// A field that would not arrive as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventError {
    /// The type has a line break.
    Event,
    /// The id has a line break, or a NUL, for which clients ignore it.
    Id,
}

impl fmt::Display for EventError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            EventError::Event => "an event's type has no line breaks",
            EventError::Id => "an event's id has no line breaks and no NUL",
        })
    }
}

impl std::error::Error for EventError {}

/// The place behind a broadcast, as clients say it: `Last-Event-ID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Since {
    /// The life of the server that has numbered it.
    pub epoch: u32,
    /// The broadcast's number in that life.
    pub offset: u64,
}

impl Since {
    /// Reads what [`Since::text`] has written. `None`: it is something else, which is a client's right.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once('-')?;
        // Numbers of Rust's may have a sign.
        if epoch.len() != 8 || epoch.starts_with('+') || offset.starts_with('+') {
            return None;
        }
        Some(Since { epoch: u32::from_str_radix(epoch, 16).ok()?, offset: offset.parse().ok()? })
    }

    /// Eight hexadecimal digits, a hyphen, and a number.
    pub fn text(self) -> String {
        format!("{:08x}-{}", self.epoch, self.offset)
    }
}

/// Appends the event's block.
///
/// # Errors
/// A field cannot be sent; nothing has been appended then.
pub fn encode(out: &mut Vec<u8>, event: &Event<'_>) -> Result<(), EventError> {
    if event.event.is_some_and(has_break) {
        return Err(EventError::Event);
    }
    if event.id.is_some_and(|id| has_break(id) || id.contains('\0')) {
        return Err(EventError::Id);
    }
    if let Some(name) = event.event {
        line(out, "event", name);
    }
    if let Some(id) = event.id {
        line(out, "id", id);
    }
    if let Some(millis) = event.retry {
        line(out, "retry", &millis.to_string());
    }
    if let Some(data) = event.data {
        lines(data).for_each(|text| line(out, "data", text));
    }
    out.push(b'\n');
    Ok(())
}

/// Appends a comment: clients ignore it, but it keeps what is between them and us awake.
pub fn comment(out: &mut Vec<u8>, text: &str) {
    lines(text).for_each(|text| line(out, "", text));
    out.push(b'\n');
}

fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    // Clients take away one space, and only one: a value that begins with a space keeps it.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

fn has_break(text: &str) -> bool {
    text.contains(['\r', '\n'])
}

/// The lines of a text, as clients see them: ended by CRLF, by CR or by LF. There is always one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let after = &text[at..];
        rest = Some(after.strip_prefix("\r\n").unwrap_or(&after[1..]));
        Some(&text[..at])
    })
}

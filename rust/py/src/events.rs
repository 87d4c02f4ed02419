//! Events for event streams, from Python's arguments to their lines.

use hubbub_net::proto::event_stream::{self, Event};
use hubbub_net::proto::message::Kind;
use pyo3::prelude::*;

use crate::buffers::Message;
use crate::errors;

/// The type of an event, if it can be one.
pub(crate) fn checked_type(name: String) -> PyResult<Box<str>> {
    let mut nowhere = Vec::new();
    let event = Event { event: Some(&name), ..Event::default() };
    event_stream::encode(&mut nowhere, &event).map_err(|error| errors::wrong_setting(error.to_string()))?;
    Ok(name.into())
}

/// An event's lines. Bytes become base64, with the type `binary` if no other is given.
pub(crate) fn encode(
    data: Option<&Message<'_>>,
    event: Option<&str>,
    id: Option<&str>,
    retry: Option<u64>,
) -> PyResult<Vec<u8>> {
    let mut out = Vec::new();
    let binary = data.is_some_and(|message| message.kind() == Kind::Binary);
    let text = data.map(|message| match binary {
        true => {
            let mut text = Vec::new();
            hubbub_net::proto::comet::base64(&mut text, message.as_slice());
            String::from_utf8_lossy(&text).into_owned()
        }
        false => String::from_utf8_lossy(message.as_slice()).into_owned(),
    });
    let event = Event { event: event.or(binary.then_some("binary")), id, retry, data: text.as_deref() };
    event_stream::encode(&mut out, &event).map_err(|error| errors::wrong_setting(error.to_string()))?;
    Ok(out)
}

/// A comment's lines.
pub(crate) fn comment(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    event_stream::comment(&mut out, text);
    out
}

//! The client's half of the opening handshake: one request for all connections, and the check of each answer.

use hubbub_proto::deflate::Params;
use hubbub_proto::handshake::client::{Disagreement, Request, key};
use hubbub_proto::handshake::deflate::Offer;
use hubbub_proto::head::{HeadLimits, ResponseHead, Scanner};

use crate::error::Error;
use crate::scenario::Asked;
use crate::target::Target;

/// What every connection asks, and what it makes of the answer.
#[derive(Debug)]
pub(crate) struct Handshake {
    host: String,
    resource: String,
    key: String,
    subprotocols: Vec<String>,
    fields: Vec<(String, String)>,
    deflate: bool,
    /// The request's bytes.
    pub(crate) request: Vec<u8>,
}

/// What the client wants: its messages never refer back, so that they can be deflated before the run. The server may do
/// as it likes.
const OFFER: Offer = Offer {
    server_no_context_takeover: false,
    client_no_context_takeover: true,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

/// What has come of an answer.
pub(crate) enum Answered {
    /// More of it must come.
    NotYet,
    /// The head takes this many bytes and agrees.
    Yes { end: usize, deflate: Option<Params> },
}

impl Handshake {
    pub(crate) fn new(target: &Target, asked: &Asked) -> Result<Handshake, Error> {
        let mut fields = asked.headers.clone();
        if let Some(origin) = &asked.origin {
            fields.push(("Origin".to_owned(), origin.clone()));
        }
        if asked.deflate {
            fields.push(("Sec-WebSocket-Extensions".to_owned(), OFFER.to_string()));
        }
        // RFC 6455 §4.1: the key MUST be chosen at random for each connection, against caches on the way. A load test
        // wants the same bytes in every run, and its servers cannot tell.
        let mut handshake = Handshake {
            host: target.authority(),
            resource: target.resource.clone(),
            key: key(*b"the same in runs"),
            subprotocols: asked.subprotocols.clone(),
            fields,
            deflate: asked.deflate,
            request: Vec::new(),
        };
        let mut request = Vec::new();
        handshake
            .with_request(|asked| asked.write(&mut request))
            .map_err(|error| Error::BadScenario(format!("cannot ask for {target}: {error}")))?;
        handshake.request = request;
        Ok(handshake)
    }

    /// Judges the answer so far; `ended`: nothing more will come.
    ///
    /// # Errors
    /// In words, why it is no agreement.
    pub(crate) fn answered(&self, bytes: &[u8], scanner: &mut Scanner, ended: bool) -> Result<Answered, String> {
        let limits = HeadLimits::default();
        let bad = |error| format!("its answer is not HTTP: {error}");
        let Some(end) = scanner.end(bytes, &limits).map_err(bad)? else { return Ok(Answered::NotYet) };
        let head = ResponseHead::parse(&bytes[..end], &limits).map_err(bad)?;
        let checked = self.with_request(|asked| {
            if self.deflate {
                asked.check_offer(&head, &OFFER).map(|(_, params)| params)
            } else {
                asked.check(&head).map(|_| None)
            }
        });
        match checked {
            Ok(None) if self.deflate => Err("it declined permessage-deflate: leave --deflate out".to_owned()),
            Ok(deflate) => Ok(Answered::Yes { end, deflate }),
            Err(Disagreement::Status(status)) => match first_line(&head, &bytes[end..], ended) {
                Some(line) if line.is_empty() => Err(Disagreement::Status(status).to_string()),
                Some(line) => Err(format!("{}: {line}", Disagreement::Status(status))),
                None => Ok(Answered::NotYet),
            },
            Err(disagreement) => Err(disagreement.to_string()),
        }
    }

    fn with_request<T>(&self, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let subprotocols: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let fields: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        then(&Request {
            host: &self.host,
            target: &self.resource,
            key: &self.key,
            subprotocols: &subprotocols,
            fields: &fields,
        })
    }
}

/// Bytes of a refusal's body that are looked at.
const MAX_BODY: usize = 4096;
/// Characters of it that are shown.
const MAX_LINE: usize = 200;

/// The first line of the body of a refusal; None if it has not come yet.
fn first_line(head: &ResponseHead<'_>, body: &[u8], ended: bool) -> Option<String> {
    let length = head.fields.one("content-length").ok().flatten();
    let length: Option<usize> = length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
    let whole = ended || body.len() >= length.unwrap_or(MAX_BODY).min(MAX_BODY);
    let body = &body[..body.len().min(length.unwrap_or(MAX_BODY)).min(MAX_BODY)];
    // A chunked body begins with the length of its first chunk.
    let skipped = usize::from(head.fields.has_token("transfer-encoding", "chunked"));
    let complete = body.iter().filter(|byte| **byte == b'\n').count();
    let line = body.split(|byte| *byte == b'\n').nth(skipped).unwrap_or_default();
    if !whole && complete <= skipped {
        return None;
    }
    let line = String::from_utf8_lossy(line);
    Some(line.trim().chars().filter(|character| !character.is_control()).take(MAX_LINE).collect())
}

//! What a request asks of an endpoint whose sessions are not opened by WebSocket handshakes alone.

use hubbub_proto::comet::{Query, QueryError, Transport};
use hubbub_proto::engineio::{self, ErrorCode, Secret};
use hubbub_proto::head::Head;
use hubbub_proto::session::Dialect;

use crate::command::Answer;
use crate::config::settings::{Cors, Endpoint, EngineIo, Open, Service, Transports};
use crate::http::exchange::Fields;
use crate::http::origins::{is_same_host, may_connect};
use crate::id::SessionId;
use crate::metrics::Reason;
use crate::pubsub::position::Since;
use crate::session::Plan;
use crate::session::carrier::Carrier;
use crate::session::resumable::read_sid;

pub(crate) const NO_ORIGIN: &str = "This origin may not connect.";

/// What is asked for.
pub(crate) enum Wish {
    /// A new session.
    Open,
    /// A session that is there to go on with this connection.
    Resume(Named),
    /// What there is for a session.
    Poll {
        named: Named,
        /// An answer at once, even if there is nothing.
        at_once: bool,
    },
    /// To send something to a session.
    Post(Named),
    /// What a request of Engine.IO's means depends on where its session stands.
    EngineIo { query: engineio::Query, named: Option<Named>, method: String },
    /// Whether a page from another origin may ask; the plan has the fields that say so.
    Preflight,
    /// What Engine.IO refuses.
    Refused(Reason, ErrorCode),
}

/// A session, as a client names it.
pub(crate) struct Named {
    pub(crate) id: SessionId,
    pub(crate) secret: Secret,
    /// The messages that the client has.
    pub(crate) cursor: Option<u64>,
    /// If it is not there any more, another one will do.
    pub(crate) or_new: bool,
}

/// Why it cannot be had.
pub(crate) type Refusal = (Reason, Answer);

impl Wish {
    /// The session that it is about.
    pub(crate) fn named(&self) -> Option<&Named> {
        match self {
            Wish::Resume(named) | Wish::Poll { named, .. } | Wish::Post(named) => Some(named),
            Wish::EngineIo { named, .. } => named.as_ref(),
            Wish::Open | Wish::Preflight | Wish::Refused(..) => None,
        }
    }
}

/// Reads a request to such an endpoint; gives what it asks for and how a session would open.
pub(crate) fn read(head: &Head<'_>, upgrade: bool, endpoint: &Endpoint) -> Result<(Wish, Plan), Refusal> {
    let engineio = match &endpoint.service {
        Service::EngineIo(settings) => Some(&**settings),
        _ => None,
    };
    let mut fields = match cross_origin(head, endpoint, engineio) {
        Err(_) if engineio.is_some() => {
            return Ok((Wish::Refused(Reason::Origin, ErrorCode::Forbidden), Plan::default()));
        }
        fields => fields?,
    };
    if head.method == "OPTIONS" && !upgrade {
        allow(&mut fields, head, engineio.map(|settings| &settings.cors));
        return Ok((Wish::Preflight, Plan { fields, ..Plan::default() }));
    }
    if head.has_body() && head.method != "POST" {
        return refuse(413, "No request body is taken here.");
    }
    let read = match &endpoint.service {
        Service::Comet(transports) => read_comet(head, upgrade, *transports, fields.clone()),
        Service::EngineIo(settings) => return Ok(read_engineio(head, settings, fields)),
        _ => read_events(head, upgrade, fields.clone()),
    };
    // A page from another origin is to know why.
    read.map_err(|(reason, mut answer)| {
        answer.fields.extend(fields);
        (reason, answer)
    })
}

fn read_events(head: &Head<'_>, upgrade: bool, fields: Fields) -> Result<(Wish, Plan), Refusal> {
    if upgrade {
        return refuse(400, "This is an event stream, not a WebSocket endpoint: ask for it with a plain GET.");
    }
    if head.method != "GET" {
        return refuse_method("GET");
    }
    Ok((Wish::Open, Plan { carrier: Carrier::Events, since: place(head), fields, ..Plan::default() }))
}

fn read_comet(head: &Head<'_>, upgrade: bool, transports: Transports, fields: Fields) -> Result<(Wish, Plan), Refusal> {
    let query = match Query::parse(head.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(QueryError::Sid) => return Err(unknown()),
        Err(error) => return refuse(400, &format!("Bad request: {error}.")),
    };
    let named = match query.sid.map(|sid| read_sid(&sid)) {
        None => None,
        Some(Some((id, secret))) => Some(Named { id, secret, cursor: query.cursor, or_new: query.or_new }),
        Some(None) if query.or_new => None,
        Some(None) => return Err(unknown()),
    };
    if head.method == "POST" && !upgrade {
        return match named {
            Some(named) => Ok((Wish::Post(named), Plan { fields, ..Plan::default() })),
            None => refuse(400, "Bad request: a POST is for the session that sid names."),
        };
    }
    if head.method != "GET" {
        return refuse_method("GET, POST");
    }
    let accepts_events = || head.fields.has_token("accept", "text/event-stream");
    let (carrier, lasts) = match query.transport {
        None if upgrade => (Carrier::WebSocket, false),
        None if accepts_events() => (Carrier::Events, false),
        None => {
            return refuse(
                400,
                "Say how to carry the session: transport=websocket, eventsource, iframe or polling, or connect \
                 with a WebSocket or an EventSource.",
            );
        }
        Some(Transport::WebSocket) if upgrade => (Carrier::Packets, true),
        Some(Transport::WebSocket) => {
            return refuse(400, "Bad request: transport=websocket needs a WebSocket handshake.");
        }
        Some(_) if upgrade => return refuse(400, "Bad request: a WebSocket handshake needs transport=websocket."),
        Some(Transport::EventSource) => (Carrier::EventPackets, true),
        Some(Transport::Iframe) => (Carrier::Iframe, true),
        Some(Transport::Polling) => (Carrier::Polling, true),
    };
    let taken = match carrier {
        Carrier::WebSocket | Carrier::Packets => transports.websocket,
        Carrier::Events | Carrier::EventPackets => transports.eventsource,
        Carrier::Iframe => transports.iframe,
        Carrier::Polling => transports.polling,
    };
    if !taken {
        return refuse(400, &format!("The transport {} is not offered here.", carrier.name()));
    }
    let since = place(head).filter(|_| carrier == Carrier::Events);
    let plan = Plan { carrier, dialect: lasts.then_some(Dialect::Comet), since, fields, ..Plan::default() };
    match named {
        Some(named) if carrier == Carrier::Polling => Ok((Wish::Poll { named, at_once: query.at_once }, plan)),
        Some(named) if lasts => Ok((Wish::Resume(named), plan)),
        _ => Ok((Wish::Open, plan)),
    }
}

fn read_engineio(head: &Head<'_>, settings: &EngineIo, fields: Fields) -> (Wish, Plan) {
    let mut plan = Plan { dialect: Some(Dialect::EngineIo), fields, ..Plan::default() };
    let refuse = |code| Wish::Refused(Reason::Handshake, code);
    let query = match engineio::Query::parse(head.query().unwrap_or_default()) {
        Ok(query) if query.jsonp.is_some() => return (refuse(ErrorCode::BadRequest), plan),
        Ok(query) => query,
        Err(code) => return (refuse(code), plan),
    };
    let (carrier, taken) = match query.transport {
        engineio::Transport::WebSocket => (Carrier::Packets, settings.websocket),
        engineio::Transport::Polling => (Carrier::Polling, settings.polling),
    };
    if !taken {
        return (refuse(ErrorCode::TransportUnknown), plan);
    }
    plan.carrier = carrier;
    let named = match query.sid.map(|sid| read_sid(&sid)) {
        None => None,
        Some(Some((id, secret))) => Some(Named { id, secret, cursor: None, or_new: false }),
        Some(None) => return (refuse(ErrorCode::SessionIdUnknown), plan),
    };
    (Wish::EngineIo { query, named, method: head.method.to_owned() }, plan)
}

/// The reference answers requests with JSON and handshakes in words.
pub(crate) fn refuse_engineio((code, message): (ErrorCode, &str), upgrade: bool, fields: &Fields) -> Answer {
    let mut answer = match upgrade {
        true => Answer::plain(code.status(), message),
        false => Answer {
            status: code.status(),
            fields: vec![("Content-Type".into(), "application/json".into())],
            body: match message == code.message() {
                true => bytes::Bytes::from_static(code.body().as_bytes()),
                false => format!(r#"{{"code":{},"message":"{message}"}}"#, code as u8).into(),
            },
        },
    };
    answer.fields.extend(fields.iter().cloned());
    answer
}

/// What the client of an event stream has seen before. An id that is not ours stands for a place that nobody knows.
fn place(head: &Head<'_>) -> Option<Since> {
    let last = head.one("last-event-id").ok().flatten().filter(|last| !last.is_empty())?;
    let since = std::str::from_utf8(last).ok().and_then(Since::parse);
    Some(since.unwrap_or(Since { epoch: 0, offset: 0 }))
}

/// What the response says to a page from another origin; or that it may not ask.
fn cross_origin(head: &Head<'_>, endpoint: &Endpoint, engineio: Option<&EngineIo>) -> Result<Fields, Refusal> {
    let cors = engineio.map(|settings| &settings.cors);
    let mut fields = engineio.map(|settings| settings.fields.clone()).unwrap_or_default();
    let mut say = |name: &str, value: &str| fields.push((name.into(), value.into()));
    let open = cors.map_or(Open::Unsaid, |cors| cors.open);
    match (&endpoint.origins, open) {
        // What browsers do without our leave, a page of any origin may do; it cannot read the answer.
        (None, Open::Unsaid) => return Ok(fields),
        (None, Open::Everyone) => say("Access-Control-Allow-Origin", "*"),
        (allowed, _) => {
            let refusal = || (Reason::Origin, Answer::plain(403, NO_ORIGIN));
            say("Vary", "Origin");
            // Two of them are no browser's, and nobody knows which one counts.
            let Some(origin) = head.one("origin").map_err(|_| refusal())? else { return Ok(fields) };
            let origin = std::str::from_utf8(origin).map_err(|_| refusal())?;
            let host = head.host().unwrap_or_default();
            if allowed.as_ref().is_some_and(|allowed| !may_connect(allowed, origin, host)) {
                return Err(refusal());
            }
            if is_same_host(origin, host) {
                return Ok(fields);
            }
            say("Access-Control-Allow-Origin", origin);
            if cors.is_none_or(|cors| cors.credentials) {
                say("Access-Control-Allow-Credentials", "true");
            }
        }
    }
    if let Some(exposed) = cors.and_then(|cors| cors.exposed.as_ref()) {
        say("Access-Control-Expose-Headers", exposed);
    }
    Ok(fields)
}

/// What the answer to a preflight says, where the origin may ask.
fn allow(fields: &mut Fields, head: &Head<'_>, cors: Option<&Cors>) {
    let mut say = |name: &str, value: &str| fields.push((name.into(), value.into()));
    say("Access-Control-Allow-Methods", "GET, POST");
    match cors {
        None => say("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID, Cache-Control"),
        Some(Cors { headers: Some(headers), .. }) => say("Access-Control-Allow-Headers", headers),
        Some(Cors { headers: None, .. }) => {
            say("Vary", "Access-Control-Request-Headers");
            // It is a field's value, and so it can be one.
            if let Some(asked) = head.one("access-control-request-headers").ok().flatten()
                && let Ok(asked) = std::str::from_utf8(asked)
            {
                say("Access-Control-Allow-Headers", asked);
            }
        }
    }
    say("Access-Control-Max-Age", &cors.map_or(600, |cors| cors.max_age).to_string());
}

/// The answer to a preflight.
pub(crate) fn preflight(fields: Fields) -> Answer {
    Answer { status: 204, fields, body: bytes::Bytes::new() }
}

/// What is said where there is no such session.
pub(crate) const UNKNOWN: &str = "No session has this sid, or none with this cursor: it has ended, or was never there.";

/// There is no such session.
pub(crate) fn unknown() -> Refusal {
    (Reason::NotFound, Answer::plain(404, UNKNOWN))
}

pub(crate) fn refuse<T>(status: u16, text: &str) -> Result<T, Refusal> {
    Err((Reason::Handshake, Answer::plain(status, text)))
}

fn refuse_method<T>(allowed: &str) -> Result<T, Refusal> {
    let mut answer = Answer::plain(405, &format!("Only {allowed} can be asked here."));
    answer.fields.push(("Allow".into(), format!("{allowed}, OPTIONS")));
    Err((Reason::Handshake, answer))
}

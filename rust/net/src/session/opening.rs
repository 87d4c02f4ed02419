//! What a request head asks for, and the first words of a session.

use std::sync::Arc;

use hubbub_proto::handshake::server as handshake;
use hubbub_proto::head::{Body, Head, HeadError};

use crate::command::Answer;
use crate::config::routes::Matched;
use crate::config::settings::{Endpoint, Service};
use crate::context::Context;
use crate::effect::Effect;
use crate::handler::{Request, Traffic};
use crate::http::body::TOO_LARGE;
use crate::http::exchange::Exchange;
use crate::http::files::FileAnswer;
use crate::http::origins::may_connect;
use crate::http::request_line::RequestLine;
use crate::http::sending::Route;
use crate::io::peer::Peer;
use crate::metrics::Reason;
use crate::session::carrier::Carrier;
use crate::session::compression::Packing;
use crate::session::link::Link;
use crate::session::pending::{Agreed, Call, New};
use crate::session::request::{self, NO_ORIGIN, Wish};
use crate::session::resumable::Resumable;
use crate::session::resumable::Terms;
use crate::session::{Phase, Plan, Session, Tally};

const NO_BODY: &str = "No request body is taken here.";

/// What becomes of a request head.
pub(crate) enum Opening {
    /// Somebody asks for a session.
    Call(Box<Call>),
    /// The user serves HTTP there.
    Serve { request: Request, exchange: Box<Exchange> },
    /// A folder has it.
    Send { answer: Box<FileAnswer>, exchange: Box<Exchange> },
    /// Answer and close.
    Refuse { answer: Answer, reason: Reason, request_line: RequestLine },
}

impl Opening {
    /// For what its body would be.
    fn refuse((answer, request_line): (Answer, RequestLine)) -> Opening {
        Opening::Refuse { answer, reason: Reason::Body, request_line }
    }

    fn is_refused_for_its_origin(&self) -> bool {
        match self {
            Opening::Refuse { reason, .. } => *reason == Reason::Origin,
            Opening::Call(call) => matches!(call.wish, Wish::Refused(Reason::Origin, _)),
            Opening::Serve { .. } | Opening::Send { .. } => false,
        }
    }
}

/// What a request is answered with that cannot be served, and its line in the log.
type Unserved = Box<(Answer, RequestLine)>;

impl Session {
    pub(crate) fn describe_transport(&self, request: &mut Request) {
        request.secure = self.origin().and_then(Peer::secure).unwrap_or(self.connection.stream.is_secure());
        request.client_certificate = self.connection.stream.client_certificate().map(Into::into);
    }
}

impl Context {
    /// Reads a whole head and finds out what it asks for.
    pub(crate) fn open(&mut self, session: &mut Session, head: Box<[u8]>) -> Opening {
        let mut line = RequestLine::read(&head, self.micros);
        let parsed = match Head::parse(&head, &self.head_limits) {
            Ok(parsed) => parsed,
            Err(error) => return refuse(&error, line),
        };
        if let Err((reason, answer)) = self.identify(session, &parsed) {
            return Opening::Refuse { answer, reason, request_line: line };
        }
        let upgrade = handshake::is_upgrade(&parsed);
        if !upgrade {
            self.advise_on_upgrade(&parsed);
        }
        if self.logs_access {
            line.describe(&parsed, upgrade);
        }
        let (number, path_params, missed) = match self.route(&parsed, upgrade) {
            Route::Endpoint { number, path_params, missed } => (number, path_params, missed),
            Route::File(answer) => return self.open_file(answer, &parsed, line),
            Route::Nobody { answer, reason } => {
                if self.advice.is_none() {
                    self.advise(reason, &parsed);
                }
                return Opening::Refuse { answer, reason, request_line: line };
            }
        };
        let endpoint = &self.server.settings().endpoints[number];
        if let Service::Figures(readers) = &endpoint.service {
            let (reason, answer) = match self.server.answer_figures(&parsed, readers, session.peer()) {
                Ok(answer) => (Reason::Handler, answer),
                Err(refusal) => refusal,
            };
            return Opening::Refuse { answer, reason, request_line: line };
        }
        if endpoint.service.opens_by_http() {
            let opening = self.call(&parsed, (number, path_params), upgrade, line, &head);
            if opening.is_refused_for_its_origin() {
                self.advise(Reason::Origin, &parsed);
            }
            return opening;
        }
        if !upgrade && matches!(endpoint.service, Service::Http) {
            return match self.exchange(&parsed, line, self.limits.max_body_bytes) {
                Ok((request, exchange)) => {
                    Opening::Serve { request: Request { head, endpoint: number as u32, ..request }, exchange }
                }
                Err(refused) => Opening::refuse(*refused),
            };
        }
        if !upgrade && !endpoint.asks {
            return Opening::Refuse { answer: upgrade_required(), reason: Reason::NotWebSocket, request_line: line };
        }
        let mut request = Request {
            head: Box::default(),
            endpoint: number as u32,
            path_params: path_params.into(),
            subprotocol: None,
            upgrade,
            ..Request::default()
        };
        let mut agreement = None;
        let mut exchange = None;
        if upgrade {
            match agree(&parsed, endpoint) {
                Ok((agreed, subprotocol)) => {
                    (agreement, request.subprotocol) = (Some(agreed), subprotocol.map(String::into_boxed_str));
                }
                Err((reason, answer)) => {
                    self.advise(reason, &parsed);
                    return Opening::Refuse { answer, reason, request_line: line };
                }
            }
        } else if parsed.has_body() {
            return Opening::Refuse { answer: Answer::plain(413, NO_BODY), reason: Reason::Body, request_line: line };
        } else {
            exchange = Some(Box::new(Exchange::new(&parsed, RequestLine::default())));
        }
        request.head = head;
        let asks = endpoint.asks || agreement.is_none();
        let plan = Plan { endpoint: number as u32, ..Plan::default() };
        let opening = New { agreed: agreement, plan, request, request_line: line, exchange, asks, missed };
        Opening::Call(Box::new(Call { wish: Wish::Open, opening }))
    }

    /// A request to an endpoint whose sessions are not opened by WebSocket handshakes alone.
    fn call(&self, parsed: &Head<'_>, at: Matched, upgrade: bool, request_line: RequestLine, head: &[u8]) -> Opening {
        let (number, path_params) = at;
        let endpoint = &self.server.settings().endpoints[number];
        let (wish, plan) = match request::read(parsed, upgrade, endpoint) {
            Ok(read) => read,
            Err((reason, answer)) => return Opening::Refuse { answer, reason, request_line },
        };
        let mut request = Request::default();
        let (mut agreed, mut exchange) = (None, None);
        if matches!(wish, Wish::Refused(..)) {
            // Nothing more has to be found out.
        } else if upgrade {
            match agree(parsed, endpoint) {
                Ok((agreement, subprotocol)) => {
                    // What is compressed for one connection cannot go on in the next.
                    let packing = agreement.packing.filter(|_| plan.dialect.is_none());
                    agreed = Some(Agreed { packing, ..agreement });
                    request.subprotocol = subprotocol.map(String::into_boxed_str);
                }
                Err((reason, answer)) => return Opening::Refuse { answer, reason, request_line },
            }
        } else {
            match self.exchange(parsed, RequestLine::default(), self.limits.max_post_bytes()) {
                Ok((described, begun)) => (request, exchange) = (described, Some(begun)),
                Err(refused) => return Opening::refuse((refused.0, request_line)),
            }
        }
        request =
            Request { head: head.into(), endpoint: number as u32, path_params: path_params.into(), upgrade, ..request };
        let plan = Plan { endpoint: number as u32, ..plan };
        let opening = New { agreed, plan, request, request_line, exchange, asks: endpoint.asks, missed: false };
        Opening::Call(Box::new(Call { wish, opening }))
    }

    /// A request that a folder answers; or what to answer instead.
    fn open_file(&self, answer: Box<FileAnswer>, head: &Head<'_>, request_line: RequestLine) -> Opening {
        if head.has_body() {
            return Opening::Refuse { answer: Answer::plain(413, NO_BODY), reason: Reason::Body, request_line };
        }
        match self.exchange(head, request_line, self.limits.max_body_bytes) {
            Ok((_, exchange)) => Opening::Send { answer, exchange },
            Err(refused) => Opening::refuse(*refused),
        }
    }

    /// A request for somebody who serves HTTP; or what to answer at once.
    fn exchange(
        &self,
        head: &Head<'_>,
        request_line: RequestLine,
        max_body_bytes: Option<u64>,
    ) -> Result<(Request, Box<Exchange>), Unserved> {
        let refuse = |status, text, request_line| Err(Box::new((Answer::plain(status, text), request_line)));
        let mut exchange = Box::new(Exchange::new(head, request_line));
        if let (Body::Length(length), Some(max)) = (head.body, max_body_bytes)
            && length > max
        {
            return refuse(413, TOO_LARGE, exchange.request_line);
        }
        // RFC 9110 §10.1.1: an expectation of an HTTP/1.0 client MUST be ignored; one that is not known may get 417.
        for value in head.all("expect").filter(|_| exchange.modern) {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return refuse(417, "Only 100-continue can be expected here.", exchange.request_line);
            }
            exchange.expects = head.has_body();
        }
        let request = Request { has_body: head.has_body(), expects_continue: exchange.expects, ..Request::default() };
        Ok((request, exchange))
    }

    /// Sends the 101, or the head of what is no WebSocket; from here on the session is open.
    #[allow(clippy::too_many_arguments, reason = "all that a session begins with")]
    pub(crate) fn accept(
        &mut self,
        session: &mut Session,
        plan: Plan,
        key: &str,
        subprotocol: Option<&str>,
        mut fields: Vec<(String, String)>,
        request: Option<Request>,
    ) {
        fields.extend_from_slice(&plan.fields);
        let endpoint = request.as_ref().map_or(plan.endpoint, |request| request.endpoint);
        if let Some(dialect) = plan.dialect
            && session.resumable().is_none()
        {
            session.rare.get_or_insert_default().resumable =
                Resumable::new(dialect, self.terms(endpoint)).map(Box::new);
        }
        let service = self.server.settings().endpoints.get(endpoint as usize).map(|endpoint| &endpoint.service);
        let engineio = match service {
            Some(Service::EngineIo(settings)) => Some(settings),
            _ => None,
        };
        if let Some((name, attributes)) = engineio.and_then(|settings| settings.cookie.as_ref())
            && let Some(resumable) = session.resumable()
        {
            fields.push(("Set-Cookie".into(), format!("{name}={}{attributes}", resumable.sid(session.id).as_str())));
        }
        let may_upgrade = engineio.is_some_and(|settings| settings.upgrades && settings.websocket)
            && plan.carrier == Carrier::Polling;
        self.write_opening(session, &plan, key, subprotocol, &fields);
        let link = match &session.link {
            Some(link) => link.clone(),
            None => session.link.insert(Arc::new(Link::new(session.id, session.whence()))).clone(),
        };
        session.phase = Phase::Open;
        session.carrier = plan.carrier;
        link.set_carrier(plan.carrier);
        if plan.dialect.is_some() {
            self.announce(session, false, may_upgrade);
            if let Some(resumable) = session.resumable_mut()
                && plan.carrier == Carrier::Packets
            {
                resumable.requests.begin_on_websocket();
            }
        } else if plan.carrier == Carrier::Events {
            match plan.since {
                None => self.write_place(session),
                Some(since) => {
                    let rare = session.rare.get_or_insert_default();
                    rare.told = if since.epoch == self.server.epoch() { since.offset } else { 0 };
                    rare.since = Some(since);
                }
            }
        }
        session.until = 0;
        session.last_received = self.now;
        let (opened, traffic) = (self.now, Traffic::default());
        session.tally = self.logs_access.then(|| Box::new(Tally { opened, traffic }));
        self.handshake_over(session);
        self.mark_dirty(session);
        self.counts.opened += 1;
        self.figures().tables.session_opened(plan.carrier.into());
        session.ping_micros = if plan.carrier == Carrier::WebSocket { 0 } else { self.micros };
        if let Some(interval) = self.heartbeat(session).0 {
            self.arm(session, self.now + interval);
        }
        session.known = !self.server.settings().introduces;
        self.effects.push_back(Effect::Open(link, request));
    }

    pub(crate) fn handshake_over(&mut self, session: &mut Session) {
        if std::mem::take(&mut session.pending) {
            self.server.handshake_ends();
        }
    }
}

/// Checks the upgrade; gives what it agrees on and the subprotocol in common.
fn agree(head: &Head<'_>, endpoint: &Endpoint) -> Result<(Agreed, Option<String>), (Reason, Answer)> {
    let upgrade = handshake::parse(head).map_err(|refusal| {
        let fields = refusal.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut answer = Answer::plain(refusal.status, &refusal.to_string());
        answer.fields.extend(fields);
        (Reason::Handshake, answer)
    })?;
    if let (Some(allowed), Some(origin)) = (&endpoint.origins, upgrade.origin)
        && !may_connect(allowed, origin, head.host().unwrap_or_default())
    {
        return Err((Reason::Origin, Answer::plain(403, NO_ORIGIN)));
    }
    let spoken = match endpoint.service {
        // As the reference's: a client that names some fails if none is answered.
        Service::EngineIo(_) => upgrade.subprotocols.first().map(|name| (*name).to_owned()),
        _ => endpoint.subprotocols.iter().find(|name| upgrade.subprotocols.contains(&name.as_str())).cloned(),
    };
    let packing = endpoint.compression.as_ref().and_then(|how| Packing::agree(how, &upgrade.extensions));
    Ok((Agreed { key: upgrade.key.to_owned(), packing }, spoken))
}

pub(crate) fn refuse(error: &HeadError, mut request_line: RequestLine) -> Opening {
    // What a ClientHello has in its first line tells nobody anything.
    if *error == HeadError::Tls {
        request_line.text = "a TLS handshake".into();
    }
    let too_large = matches!(error.status(), 414 | 431);
    let reason = if too_large { Reason::TooLarge } else { Reason::Malformed };
    Opening::Refuse { answer: Answer::plain(error.status(), &format!("{error}.")), reason, request_line }
}

pub(crate) fn upgrade_required() -> Answer {
    // RFC 9110 §15.5.22: a 426 names the protocol that is required.
    let mut answer = Answer::plain(426, "This is a WebSocket endpoint: connect with a WebSocket client.");
    answer.fields.push(("Upgrade".into(), "websocket".into()));
    answer
}

impl Context {
    /// What sessions of this endpoint can rely on, and must keep to, if they outlive their connections.
    pub(crate) fn terms(&self, endpoint: u32) -> Terms {
        let max = self.limits.max_message_bytes.unwrap_or(usize::MAX);
        let max_body = self.limits.max_body_bytes.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let settings = self.server.settings();
        match settings.endpoints.get(endpoint as usize).map(|endpoint| &endpoint.service) {
            Some(Service::EngineIo(settings)) => Terms {
                ping_interval: Some(settings.ping_interval),
                ping_timeout: Some(settings.ping_timeout),
                max_payload: settings.max_payload.min(max).min(max_body),
            },
            _ => Terms {
                ping_interval: self.limits.ping_interval,
                ping_timeout: self.limits.ping_timeout,
                max_payload: usize::try_from(self.limits.max_payload()).unwrap_or(usize::MAX),
            },
        }
    }

    /// From here on the connection is in the middle of an exchange that is no user's.
    pub(crate) fn begin_exchange(&mut self, session: &mut Session, mut exchange: Box<Exchange>) {
        exchange.progress = self.now;
        exchange.peer = Some(session.whence());
        exchange.request_line.cut_query();
        session.until = 0;
        // The user is told neither the beginning nor the end.
        session.told = true;
        session.phase = Phase::Exchange(exchange);
        self.handshake_over(session);
        self.counts.requests += 1;
    }
}

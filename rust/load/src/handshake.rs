//! The client's half of the opening handshake: one request for all connections, and the check of each answer.

use hubbub_proto::handshake::client::{Request, key};
use hubbub_proto::head::{HeadLimits, ResponseHead, Scanner};

use crate::error::Error;
use crate::target::Target;

/// What every connection asks, and what it makes of the answer.
#[derive(Debug)]
pub(crate) struct Handshake {
    host: String,
    resource: String,
    key: String,
    /// The request's bytes.
    pub(crate) request: Vec<u8>,
}

impl Handshake {
    pub(crate) fn new(target: &Target) -> Result<Handshake, Error> {
        // RFC 6455 §4.1: the key MUST be chosen at random for each connection, against caches on the way. A load test
        // wants the same bytes in every run, and its servers cannot tell.
        let mut handshake = Handshake {
            host: target.authority(),
            resource: target.resource.clone(),
            key: key(*b"the same in runs"),
            request: Vec::new(),
        };
        let mut request = Vec::new();
        handshake
            .asked()
            .write(&mut request)
            .map_err(|error| Error::BadScenario(format!("cannot ask for {target}: {error}")))?;
        handshake.request = request;
        Ok(handshake)
    }

    /// The length of the answer's head once it has come whole and agrees.
    pub(crate) fn answered(&self, bytes: &[u8], scanner: &mut Scanner) -> Result<Option<usize>, String> {
        let limits = HeadLimits::default();
        let bad = |error| format!("its answer is not HTTP: {error}");
        let Some(end) = scanner.end(bytes, &limits).map_err(bad)? else { return Ok(None) };
        let head = ResponseHead::parse(&bytes[..end], &limits).map_err(bad)?;
        self.asked().check(&head).map_err(|error| error.to_string())?;
        Ok(Some(end))
    }

    fn asked(&self) -> Request<'_> {
        Request { host: &self.host, target: &self.resource, key: &self.key, subprotocols: &[], fields: &[] }
    }
}

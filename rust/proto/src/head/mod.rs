//! The head of an HTTP/1.1 message (RFC 9112), strictly: what two programs could read differently is refused.
//!
//! ```
//! use hubbub_proto::head::{Head, HeadLimits, Scanner};
//!
//! let bytes = b"GET /chat?room=a HTTP/1.1\r\nHost: example.com\r\n\r\nwhat follows";
//! let limits = HeadLimits::default();
//! let end = Scanner::new().end(bytes, &limits)?.expect("the blank line is there");
//! let head = Head::parse(&bytes[..end], &limits)?;
//! assert_eq!((head.path(), head.query()), ("/chat", Some("room=a")));
//! assert_eq!(head.one("host")?, Some(&b"example.com"[..]));
//! # Ok::<(), hubbub_proto::head::HeadError>(())
//! ```

mod body;
mod error;
mod fields;
mod host;
mod response;
mod scanner;
mod syntax;

use std::borrow::Cow;

pub use body::Body;
pub use error::HeadError;
pub use fields::{Field, Fields};
pub use response::ResponseHead;
pub use scanner::Scanner;
pub use syntax::{is_field_value, is_token, list};

pub(crate) use host::is_authority;
pub(crate) use syntax::{is_target_text, trim};

/// How large a head may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// The whole head in bytes, its blank line included; 16 KiB by default.
    pub max_bytes: usize,
    /// The number of field lines; 100 by default.
    pub max_fields: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { max_bytes: 16 * 1024, max_fields: 100 }
    }
}

/// The head of a request. That it exists means that its line, its fields, its Host and its length are in order.
#[derive(Clone, Debug)]
pub struct Head<'b> {
    /// The method, a token; methods are case-sensitive.
    pub method: &'b str,
    /// The request target as it was sent: a path with a query, an absolute URL, or `*` of an OPTIONS.
    pub target: &'b str,
    /// The minor version: 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub version: u8,
    /// The field lines, in order.
    pub fields: Fields<'b>,
    /// How long the body is that follows.
    pub body: Body,
    /// INVARIANT: valid by `is_authority`; there unless the request is HTTP/1.0.
    host: Option<&'b str>,
}

impl<'b> Head<'b> {
    /// Reads the head at the front of `buf`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, [`HeadError::Truncated`] if its blank line is missing.
    pub fn parse(buf: &'b [u8], limits: &HeadLimits) -> Result<Head<'b>, HeadError> {
        let end = Scanner::new().end(buf, limits)?.ok_or(HeadError::Truncated)?;
        let buf = &buf[..end];
        let mut storage = Vec::with_capacity(limits.max_fields);
        let mut request = httparse::Request::new(&mut []);
        let status = request
            .parse_with_uninit_headers(buf, &mut storage.spare_capacity_mut()[..limits.max_fields])
            .map_err(|error| refine(HeadError::from(error), buf))?;
        let httparse::Request { method: Some(method), path: Some(target), version: Some(version), headers } = request
        else {
            return Err(HeadError::Truncated);
        };
        if status.is_partial() {
            return Err(HeadError::Truncated);
        }
        // httparse is more tolerant than RFC 9110 §5.6.2 about what a method is.
        if !is_token(method) {
            return Err(HeadError::Method);
        }
        let authority = target_authority(method, target)?;
        let fields = Fields::from(&*headers);
        let host = host::host(&fields, version, authority)?;
        let body = body::body(&fields, version)?;
        Ok(Head { method, target, version, fields, body, host })
    }

    /// The values of all fields with this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields.all(name)
    }

    /// The value of the only field with this name, if there is one.
    ///
    /// # Errors
    /// There is more than one.
    pub fn one(&self, name: &str) -> Result<Option<&'b [u8]>, HeadError> {
        self.fields.one(name)
    }

    /// The path of the target, not decoded; it begins with `/` unless the target is `*`.
    pub fn path(&self) -> &'b str {
        let whole = path_and_query(self.target);
        match whole.split_once('?').map_or(whole, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the first `?` of the target, not decoded.
    pub fn query(&self) -> Option<&'b str> {
        path_and_query(self.target).split_once('?').map(|(_, query)| query)
    }

    /// The host, and the port if one is given, that the client wants: that of an absolute target, else that of the Host
    /// field.
    ///
    /// Never to be trusted further than the client is.
    pub fn host(&self) -> Option<&'b str> {
        self.host
    }

    /// The field lines as a program is to see them, in order: the host that counts ([`Head::host`]) in the Host field, and
    /// the cookies of several Cookie fields in the first of them.
    pub fn fields_to_show(&self) -> impl Iterator<Item = (&'b str, Cow<'b, [u8]>)> {
        let is_host = |field: &Field<'_>| field.name.eq_ignore_ascii_case("host");
        let is_cookie = |field: &Field<'_>| field.name.eq_ignore_ascii_case("cookie");
        // HTTP/1.0 may say the host in its target alone.
        let host = self.host.filter(|_| !self.fields.iter().any(is_host)).map(|host| ("Host", host.as_bytes().into()));
        let first = self.fields.iter().position(is_cookie);
        let shown = self.fields.iter().enumerate().filter_map(move |(at, field)| {
            let value = match self.host {
                Some(host) if is_host(field) => host.as_bytes().into(),
                // RFC 9113 §8.2.3: what HTTP/2 has split is put together with "; ", not with a comma.
                _ if is_cookie(field) && first == Some(at) => self.fields.joined("cookie", b"; "),
                _ if is_cookie(field) => return None,
                _ => field.value.into(),
            };
            Some((field.name, value))
        });
        host.into_iter().chain(shown)
    }

    /// Whether a body follows.
    pub fn has_body(&self) -> bool {
        !matches!(self.body, Body::None | Body::Length(0))
    }
}

/// Checks the target (RFC 9112 §3.2); gives the authority of an absolute one.
fn target_authority<'b>(method: &str, target: &'b str) -> Result<Option<&'b str>, HeadError> {
    if !is_target_text(target) {
        return Err(HeadError::Target);
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(None);
    }
    let (_, rest) = split_scheme(target).ok_or(HeadError::Target)?;
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    // RFC 9110 §4.2.4: userinfo in a target is an error, and a way to disguise a host.
    if is_authority(authority.as_bytes()) { Ok(Some(authority)) } else { Err(HeadError::Target) }
}

/// The target without the scheme and the authority that an absolute one begins with.
fn path_and_query(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    match split_scheme(target) {
        Some((_, rest)) => rest.find(['/', '?']).map_or("", |at| &rest[at..]),
        None => target,
    }
}

/// Splits an absolute URL after its scheme, if that is one that this server speaks.
fn split_scheme(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known.then_some((scheme, rest))
}

/// Tells a version that is not supported from a line that is no request line at all.
fn refine(error: HeadError, buf: &[u8]) -> HeadError {
    if error != HeadError::Version {
        return error;
    }
    let line = buf.split(|byte| *byte == b'\r').map(<[u8]>::trim_ascii_start).find(|line| !line.is_empty());
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HeadError::Version
        }
        _ => HeadError::RequestLine,
    }
}

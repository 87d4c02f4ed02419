//! The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1), read in one pass.

use std::fmt;

use crate::head::{is_token, trim};

/// One extension that is offered or agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extension<'b> {
    /// Its registered name.
    pub name: &'b str,
    /// Its parameters in order, each with its value if it has one; the quotes of a quoted value are taken off.
    pub params: Vec<(&'b str, Option<&'b str>)>,
}

/// Reads one field value.
///
/// # Errors
/// It is not `token *( ";" token [ "=" ( token | quoted token ) ] )`, or a list of such.
pub fn parse(value: &[u8]) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut extensions = Vec::new();
    // A quoted value must be a token once it is unquoted (RFC 6455 §9.1), so no comma, semicolon or equals sign is ever
    // quoted, and splitting at them is right.
    for element in value.split(|byte| *byte == b',').map(trim) {
        // RFC 9110 §5.6.1.2: a recipient MUST ignore empty elements.
        if element.is_empty() {
            continue;
        }
        let mut parts = element.split(|byte| *byte == b';').map(trim);
        let name = token(parts.next().unwrap_or_default())?;
        let params = parts.map(param).collect::<Result<_, _>>()?;
        extensions.push(Extension { name, params });
    }
    if extensions.is_empty() { Err(Malformed) } else { Ok(extensions) }
}

/// An extension list that is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Sec-WebSocket-Extensions is malformed")
    }
}

impl std::error::Error for Malformed {}

fn param(text: &[u8]) -> Result<(&str, Option<&str>), Malformed> {
    let Some(at) = text.iter().position(|byte| *byte == b'=') else {
        return Ok((token(text)?, None));
    };
    let (name, value) = (trim(&text[..at]), trim(&text[at + 1..]));
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    };
    Ok((token(name)?, Some(token(value)?)))
}

fn token(text: &[u8]) -> Result<&str, Malformed> {
    if is_token(text) { std::str::from_utf8(text).map_err(|_| Malformed) } else { Err(Malformed) }
}

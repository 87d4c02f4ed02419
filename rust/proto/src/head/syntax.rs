//! The small words of the grammar: tokens, values, lists (RFC 9110 §5.5, §5.6).

/// Whether `text` is a token: one or more letters, digits and a few signs, as field names, methods and subprotocols
/// are.
pub fn is_token(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Whether `text` may be sent as a field value: no control characters, so no line breaks, and no white space around it.
pub fn is_field_value(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    // RFC 9110 §5.5: CR, LF and NUL are dangerous, other control characters invalid.
    trim(text).len() == text.len() && text.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..))
}

/// Whether `text` may be a request target: visible ASCII, no fragment.
pub(crate) fn is_target_text(text: &str) -> bool {
    // RFC 9112 §3.2: no white space is allowed in a target; RFC 9110 §7.1: a fragment is no part of it.
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#')
}

/// The elements of a comma-separated list without the white space around them; empty elements are skipped.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    // RFC 9110 §5.6.1.2: a recipient MUST parse and ignore a reasonable number of empty elements.
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// `text` without the spaces and tabs around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

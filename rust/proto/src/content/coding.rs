//! The Accept-Encoding field (RFC 9110 §12.5.3).

use crate::head::{Fields, list, trim};

/// The coding that the client likes best of those that there are, listed in the server's own order of preference;
/// `None`: the content as it is, which is always there and taken unless something else is wished for.
pub fn preferred<'a>(fields: &Fields<'_>, available: &[&'a str]) -> Option<&'a str> {
    let wishes: Vec<(&[u8], u16)> = fields.all("accept-encoding").flat_map(list).filter_map(wish).collect();
    let named =
        |coding: &[u8]| wishes.iter().find(|(name, _)| name.eq_ignore_ascii_case(coding)).map(|(_, weight)| *weight);
    let weight = |coding: &str| {
        let any = || wishes.iter().find(|(name, _)| *name == b"*").map(|(_, weight)| *weight);
        named(coding.as_bytes()).or_else(any).unwrap_or(0)
    };
    // RFC 9110 §12.5.3: it is acceptable without being named; named, it has its place among the others.
    let mut best = (None, named(b"identity").map_or(0, |weight| weight.saturating_sub(1)));
    for coding in available {
        let weight = weight(coding);
        if weight > best.1 {
            best = (Some(*coding), weight);
        }
    }
    best.0
}

/// A coding and its weight in thousandths; `None`: malformed, and so not wished for.
fn wish(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element.split(|byte| *byte == b';').map(trim);
    let name = parts.next()?;
    let Some(parameter) = parts.next() else { return Some((name, 1000)) };
    let (b"q=" | b"Q=", number) = parameter.split_at_checked(2)? else { return None };
    Some((name, weight(number)?))
}

/// RFC 9110 §12.4.2: `0`, `1`, or either with up to three decimals.
fn weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, place) in decimals.iter().zip([100, 10, 1]) {
        thousandths += u16::from(digit - b'0') * place;
    }
    (thousandths <= 1000).then_some(thousandths)
}

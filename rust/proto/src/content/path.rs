//! Which file a request path names. What it cannot name is decided here, before any file system is asked.

use std::borrow::Cow;

/// A file or folder below the folder that is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilePath<'a> {
    /// `css/site.css`, decoded; empty for the folder itself.
    ///
    /// INVARIANT: names joined by `/`. None of them is empty, `.` or `..`, or has a `/`, a `\` or a control character.
    pub path: Cow<'a, [u8]>,
    /// The request path ends with `/`: a folder is meant.
    pub folder: bool,
}

/// Reads a request path, or what is left of it behind a prefix. `None`: no file has this name here.
///
/// Paths are not normalized: a browser has done that before it asks, and what is still `..` or `//` in a request is
/// somebody's attempt. Names are decoded once, so `%252e` is the name `%2e`. Names that begin with a dot are refused
/// unless `dotfiles`, but for the folder `.well-known` (RFC 8615).
pub fn file_path(path: &str, dotfiles: bool) -> Option<FilePath<'_>> {
    if path.is_empty() || path == "/" {
        return Some(FilePath { path: Cow::Borrowed(b""), folder: !path.is_empty() });
    }
    let names = path.strip_prefix('/')?;
    let folder = names.ends_with('/');
    let path = decode(names.strip_suffix('/').unwrap_or(names))?;
    let plain = |name: &[u8]| !name.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control());
    let allowed = |(at, name): (usize, &[u8])| match name {
        b"" | b"." | b".." => false,
        [b'.', ..] => plain(name) && (dotfiles || (at == 0 && name == b".well-known")),
        _ => plain(name),
    };
    path.split(|byte| *byte == b'/').enumerate().all(allowed).then_some(FilePath { path, folder })
}

/// Percent-decoding (RFC 3986 §2.1). `None`: malformed, or a `/` that would not have been one to whoever looked before.
fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    let Some(first) = memchr::memchr(b'%', bytes) else { return Some(Cow::Borrowed(bytes)) };
    let mut decoded = bytes[..first].to_vec();
    let mut rest = &bytes[first..];
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else { return None };
        let byte = (digit(*high)? << 4) | digit(*low)?;
        if byte == b'/' {
            return None;
        }
        decoded.push(byte);
        rest = after;
    }
    Some(Cow::Owned(decoded))
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

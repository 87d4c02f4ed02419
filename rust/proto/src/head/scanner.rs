//! Finds the end of a head that arrives in pieces, looking at each byte once.

use memchr::{memchr, memchr3};

use super::{HeadError, HeadLimits};

/// How TLS begins: a record with a handshake message, and the first half of its version (RFC 8446 §5.1). The length that
/// follows, or the message's own, has a NUL in it.
const CLIENT_HELLO: [u8; 2] = [22, 3];

/// Remembers how far a head has been looked through.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scanner {
    /// INVARIANT: no line break lies across this position.
    scanned: usize,
}

impl Scanner {
    /// A scanner at the beginning of a head.
    pub fn new() -> Scanner {
        Scanner::default()
    }

    /// Looks at what is new in `buf`, which holds all bytes of the head so far: `Some(n)` if the head is `buf[..n]`,
    /// its blank line included.
    ///
    /// # Errors
    /// A line break that is not CRLF, a NUL, or more bytes than `limits` allow, as soon as it is there. The verdict
    /// does not depend on how the bytes were cut.
    pub fn end(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        let window = &buf[..buf.len().min(limits.max_bytes)];
        while let Some(found) = memchr3(b'\r', b'\n', 0, window.get(self.scanned..).unwrap_or_default()) {
            let at = self.scanned + found;
            // RFC 9112 §2.2: a recipient may take LF alone for a line break. We do not: others do not either, and that
            // is how requests are smuggled.
            match (window[at], window.get(at + 1)) {
                (0, _) if window.starts_with(&CLIENT_HELLO) => return Err(HeadError::Tls),
                (0, _) => return Err(HeadError::Nul),
                (b'\n', _) => return Err(HeadError::BareLf),
                (_, Some(b'\n')) => self.scanned = at + 2,
                (_, Some(_)) => return Err(HeadError::BareCr),
                (_, None) => {
                    self.scanned = at;
                    return no_end(buf, limits);
                }
            }
            if ends_blank_line(window, at)? {
                return Ok(Some(at + 2));
            }
        }
        self.scanned = window.len();
        no_end(buf, limits)
    }
}

/// Whether the line break at `at` ends the blank line after the fields.
fn ends_blank_line(window: &[u8], at: usize) -> Result<bool, HeadError> {
    match at {
        // RFC 9112 §2.2: a server SHOULD ignore at least one empty line before the request line. We ignore one.
        0 => Ok(false),
        2 if window.starts_with(b"\r\n") => Err(HeadError::RequestLine),
        _ => Ok(window[..at].ends_with(b"\r\n")),
    }
}

/// There is no blank line within the limit: more may come only while there is room for it.
fn no_end(buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
    if buf.len() < limits.max_bytes {
        return Ok(None);
    }
    // One look back, at most once for a connection.
    let one_line = memchr(b'\n', &buf[..limits.max_bytes]).is_none();
    Err(if one_line { HeadError::RequestLineTooLong } else { HeadError::TooLarge })
}

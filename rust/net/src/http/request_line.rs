//! What the access log says of a request.

use std::borrow::Cow;

use hubbub_proto::head::Head;

use crate::metrics::Reason;

/// The most bytes of something that a client has sent in a line of the log.
const MAX_BYTES: usize = 200;
/// A proxy that is not told to hand on Upgrade leaves it out, since it is for one hop only (RFC 9110 §7.8); the handshake's
/// other fields are handed on.
const WITHOUT_UPGRADE: &str = "a WebSocket handshake without Upgrade: does a proxy leave it out?";

/// Method and target of a request, and what else the log is to tell of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLine {
    /// Safe to be logged: without the `sid` of its query. Whoever has that of a session can speak for its client, and a
    /// session may outlive a request that is refused.
    pub(crate) text: String,
    /// When its head was read, in the shard's microseconds.
    pub(crate) began: u64,
    /// Why it was refused, or would be; empty if nothing is known of that.
    pub(crate) why: Cow<'static, str>,
    /// The page's origin and the host that it asks.
    origin: Option<Box<str>>,
}

impl RequestLine {
    /// The first line: at most 200 bytes, everything unprintable percent-encoded.
    pub(crate) fn read(head: &[u8], began: u64) -> Self {
        let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let line = line.strip_suffix(b" HTTP/1.1").unwrap_or(line);
        let mut text = String::new();
        let mut hidden = false;
        for (at, &byte) in line.iter().enumerate().take(MAX_BYTES) {
            if matches!(byte, b'&' | b' ') {
                hidden = false;
            }
            if hidden {
                continue;
            }
            push_printable(&mut text, byte);
            if line[..=at].ends_with(b"?sid=") || line[..=at].ends_with(b"&sid=") {
                text.push_str("...");
                hidden = true;
            }
        }
        RequestLine { text, began, ..RequestLine::default() }
    }

    /// Notes what the head has that explains a refusal. A handshake is called what it is.
    pub(crate) fn describe(&mut self, head: &Head<'_>, upgrade: bool) {
        if upgrade && head.method == "GET" {
            self.text.replace_range(.."GET".len(), "WebSocket");
        } else if !upgrade && head.all("sec-websocket-key").next().is_some() {
            self.why = WITHOUT_UPGRADE.into();
        }
        if let Some(origin) = head.all("origin").next() {
            let host = printable(head.host().unwrap_or("-").as_bytes());
            let text = format!("the origin {} is not allowed (the host is {host})", printable(origin));
            self.origin = Some(text.into());
        }
    }

    /// It is refused for this reason, which the client is told with these words. What is known already says more.
    pub(crate) fn explain(&mut self, reason: Reason, words: &[u8]) {
        if !self.why.is_empty() {
            return;
        }
        self.why = match self.origin.take() {
            Some(origin) if reason == Reason::Origin => String::from(origin).into(),
            _ => {
                let words = String::from_utf8_lossy(words);
                words.trim_end().trim_end_matches('.').to_owned().into()
            }
        };
    }

    /// The id of a session is a secret: no log has it.
    pub(crate) fn cut_query(&mut self) {
        self.text.truncate(self.text.find('?').unwrap_or(self.text.len()));
    }
}

/// The beginning of what a client has sent, as it may be logged.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    bytes.iter().take(MAX_BYTES).for_each(|&byte| push_printable(&mut text, byte));
    text
}

fn push_printable(text: &mut String, byte: u8) {
    if byte.is_ascii_graphic() || byte == b' ' {
        text.push(char::from(byte));
    } else {
        text.push_str(&format!("%{byte:02X}"));
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::head::HeadLimits;

    use super::*;

    fn request_line(head: &[u8]) -> String {
        RequestLine::read(head, 0).text
    }

    #[test]
    fn a_request_line_is_safe_to_be_logged() {
        assert_eq!(request_line(b"GET /a\x1b[2Jb\xff HTTP/1.1\r\nHost: x"), "GET /a%1B[2Jb%FF");
        assert!(request_line(&[b'x'; 5000]).len() <= 200);
    }

    /// Row 41.
    #[test]
    fn the_id_of_a_session_is_not_logged() {
        for (line, logged) in [
            ("GET /x?sid=secret HTTP/1.1", "GET /x?sid=..."),
            ("GET /x?EIO=4&sid=secret&t=1 HTTP/1.1", "GET /x?EIO=4&sid=...&t=1"),
            ("GET /x?sid=a&sid=b HTTP/1.0", "GET /x?sid=...&sid=... HTTP/1.0"),
            ("GET /x?sid=&a=b", "GET /x?sid=...&a=b"),
            ("GET /sid=1?aside=2", "GET /sid=1?aside=2"),
        ] {
            assert_eq!(request_line(line.as_bytes()), logged);
        }
    }

    #[test]
    fn what_the_head_shows_says_why_it_is_refused() {
        for (fields, reason, upgrade, text, why) in [
            ("", Reason::NotFound, true, "WebSocket /x", "Nothing is here"),
            ("Sec-WebSocket-Key: x\r\n", Reason::NotFound, false, "GET /x", WITHOUT_UPGRADE),
            ("Origin: http://b\x1b\r\n", Reason::NotFound, false, "GET /x", "Nothing is here"),
            (
                "Origin: http://b\r\n",
                Reason::Origin,
                true,
                "WebSocket /x",
                "the origin http://b is not allowed (the host is a:1)",
            ),
        ] {
            let head = format!("GET /x HTTP/1.1\r\nHost: a:1\r\n{fields}\r\n").replace('\x1b', "%1B");
            let limits = HeadLimits { max_bytes: 1000, max_fields: 10 };
            let parsed = Head::parse(head.as_bytes(), &limits).expect("a head");
            let mut line = RequestLine::read(head.as_bytes(), 0);
            line.describe(&parsed, upgrade);
            line.explain(reason, b"Nothing is here.\n");
            assert_eq!((line.text.as_str(), &*line.why), (text, why));
        }
    }
}

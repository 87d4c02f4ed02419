//! The value of the Date field, made once in a second.

use std::time::{SystemTime, UNIX_EPOCH};

const LEN: usize = 29;

pub(crate) struct Date {
    second: u64,
    text: [u8; LEN],
}

impl Date {
    pub(crate) fn new() -> Self {
        Date { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// As RFC 9110 §5.6.7 wants it.
    pub(crate) fn now(&mut self) -> [u8; LEN] {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second {
            self.second = second;
            let text = httpdate::fmt_http_date(now);
            if let Ok(text) = text.as_bytes().try_into() {
                self.text = text;
            }
        }
        self.text
    }
}

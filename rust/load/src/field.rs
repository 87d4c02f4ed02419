//! The time that a server writes into what it sends by itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The times begin so many nanoseconds before the run: a day. What a server sends may be older than the run is.
pub(crate) const BEFORE: u64 = 86_400_000_000_000;

/// A name under which messages have the time at which they were sent, as a number since 1970.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// In quotes, as JSON has it.
    name: Vec<u8>,
    /// When the run began, in nanoseconds since 1970.
    epoch: i128,
}

impl Field {
    pub(crate) fn new(name: &str, epoch: Instant) -> Field {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let began = since_1970.as_nanos() as i128 - epoch.elapsed().as_nanos() as i128;
        Field { name: serde_json::Value::from(name).to_string().into_bytes(), epoch: began }
    }

    /// The time in a message, in nanoseconds since a day before the run began; what is older counts as just that old.
    pub(crate) fn read(&self, message: &[u8]) -> Option<u64> {
        let at = message.windows(self.name.len()).position(|window| window == self.name)?;
        let rest = message[at + self.name.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let len = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let number = std::str::from_utf8(&rest[..len.unwrap_or(rest.len())]).ok()?;
        let since = nanoseconds(number)? - self.epoch + i128::from(BEFORE);
        Some(u64::try_from(since.max(0)).unwrap_or(u64::MAX))
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970: which of them a number is, its size says.
fn nanoseconds(number: &str) -> Option<i128> {
    let value: f64 = number.parse().ok().filter(|value| *value > 0.0)?;
    let scale = match value {
        ..1e11 => 1_000_000_000,
        ..1e14 => 1_000_000,
        ..1e17 => 1_000,
        _ => 1,
    };
    // With all their digits: a float has not as many as nanoseconds since 1970 need.
    Some(
        number.parse::<i64>().map_or((value * f64::from(scale)) as i128, |exact| i128::from(exact) * i128::from(scale)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_run_has_its_age() {
        let field = Field { name: b"\"at\"".to_vec(), epoch: 1_733_000_000_000_000_000 };
        assert_eq!(field.read(br#"{"at":1732999999}"#), Some(BEFORE - 1_000_000_000));
        assert_eq!(field.read(br#"{"at":1600000000}"#), Some(0));
    }

    #[test]
    fn a_time_is_read_in_every_unit() {
        let field = Field { name: b"\"at\"".to_vec(), epoch: 1_733_000_000_000_000_000 };
        for (message, expected) in [
            (r#"{"at":1733000001}"#, Some(1_000_000_000)),
            (r#"{"at" : 1733000001.5, "x": 1}"#, Some(1_500_000_000)),
            (r#"42["tick",{"x":{"at":1733000000250}}]"#, Some(250_000_000)),
            (r#"{"at":"1733000000000250"}"#, Some(250_000)),
            (r#"{"at":1733000000000000250}"#, Some(250)),
            (r#"{"late":1733000001}"#, None),
            (r#"{"at":null}"#, None),
            (r#"{"at":-5}"#, None),
            (r#"{"at""#, None),
            ("", None),
        ] {
            assert_eq!(field.read(message.as_bytes()), expected.map(|since| since + BEFORE), "{message}");
        }
    }
}

//! From when until when a certificate is valid: the two dates, read out of its DER (RFC 5280 §4.1.2.5).
//!
//! The verifier of the TLS library reads them too, but keeps them to itself, and our own certificate it never verifies.

/// Seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, which holds the version.
const VERSION: u8 = 0xa0;

/// `None`: not a certificate as RFC 5280 describes it.
pub(super) fn read(certificate: &[u8]) -> Option<Validity> {
    let mut certificate = Elements(certificate).next(SEQUENCE)?;
    let mut signed = certificate.next(SEQUENCE)?;
    if signed.0.first() == Some(&VERSION) {
        signed.next(VERSION)?;
    }
    signed.next(INTEGER)?; // serial number
    signed.next(SEQUENCE)?; // signature algorithm
    signed.next(SEQUENCE)?; // issuer
    let mut validity = signed.next(SEQUENCE)?;
    Some(Validity { not_before: validity.time()?, not_after: validity.time()? })
}

/// `2026-11-23`.
pub(super) fn date(seconds: i64) -> String {
    // The inverse of `days`, by the same author.
    let shifted = seconds.div_euclid(86_400) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// DER elements that follow one another (X.690 §8.1, §10.1).
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next element, which has this tag.
    fn next(&mut self, tag: u8) -> Option<Elements<'a>> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut len = usize::from(first);
        if first & 0x80 != 0 {
            let digits = rest.get(..usize::from(first & 0x7f))?;
            rest = &rest[digits.len()..];
            len =
                digits.iter().try_fold(0_usize, |len, digit| len.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        }
        let content = rest.get(..len)?;
        self.0 = &rest[len..];
        (found == tag).then_some(Elements(content))
    }

    /// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<i64> {
        let tag = *self.0.first()?;
        let text = self.next(tag)?.0;
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = number(text, 2)?;
                // RFC 5280 §4.1.2.5.1: two digits from 50 on are of the last century.
                (year + if year < 50 { 2000 } else { 1900 }, rest)
            }
            GENERALIZED_TIME => number(text, 4)?,
            _ => return None,
        };
        let (month, rest) = number(rest, 2)?;
        let (day, rest) = number(rest, 2)?;
        let (hour, rest) = number(rest, 2)?;
        let (minute, rest) = number(rest, 2)?;
        let (second, rest) = number(rest, 2)?;
        let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && rest == b"Z";
        valid.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
    }
}

fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((number.parse().ok()?, rest))
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_other_s_inverse() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(253_402_300_799), "9999-12-31");
        for day in (-20_000..60_000).map(|day| day * 86_400) {
            let text = date(day);
            let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            assert_eq!(days(part(0..4), part(5..7), part(8..10)) * 86_400, day, "{text}");
        }
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let time = |tag: u8, text: &str| {
            let mut der = vec![tag, text.len() as u8];
            der.extend_from_slice(text.as_bytes());
            Elements(&der).time()
        };
        assert_eq!(time(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for wrong in ["", "7001010000Z", "701301000000Z", "70010100000aZ", "700101000000", "700101000000Z0"] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_cut_short_is_no_certificate() {
        for wrong in [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0x82, 1], &[0x30, 2, 0x30, 0x80], &[0x30, 0xff]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}

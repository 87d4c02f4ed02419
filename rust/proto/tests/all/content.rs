//! Conditions, ranges and codings: row 46 of the list of attacks, and the tables of RFC 9110.

use std::time::Duration;

use hubbub_proto::content::{Condition, Ranges, Validators, evaluate, file_path, may_be_partial, preferred, ranges};
use hubbub_proto::head::{Head, HeadLimits};
use proptest::prelude::*;

/// Gives the fields of a request with these lines.
fn with<R>(lines: &[&str], read: impl FnOnce(&Head<'_>) -> R) -> R {
    let bytes = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        lines.iter().map(|line| format!("{line}\r\n")).collect::<String>()
    );
    read(&Head::parse(bytes.as_bytes(), &HeadLimits::default()).expect("a head in order"))
}

#[test]
fn ranges_of_a_file_of_ten_bytes() {
    for (value, expected) in [
        ("bytes=0-3", Ranges::Part(0..4)),
        ("bytes=0-", Ranges::Part(0..10)),
        ("bytes=4-4", Ranges::Part(4..5)),
        ("bytes=-3", Ranges::Part(7..10)),
        ("bytes=-99", Ranges::Part(0..10)),
        ("bytes=8-99", Ranges::Part(8..10)),
        ("BYTES=0-1", Ranges::Part(0..2)),
        ("bytes= 0-1 , 2-3", Ranges::Part(0..4)),
        ("bytes=5-6,0-5", Ranges::Part(0..7)),
        ("bytes=0-1,50-60", Ranges::Part(0..2)),
        ("bytes=0-1,4-5", Ranges::Whole),
        ("bytes=10-", Ranges::Unsatisfiable),
        ("bytes=-0", Ranges::Unsatisfiable),
        ("bytes=18446744073709551616-", Ranges::Unsatisfiable),
        ("bytes=0-18446744073709551616", Ranges::Part(0..10)),
        ("bytes=0-18446744073709551615", Ranges::Part(0..10)),
        ("bytes=3-1", Ranges::Whole),
        ("bytes=", Ranges::Whole),
        ("bytes=-", Ranges::Whole),
        ("bytes=a-b", Ranges::Whole),
        ("bytes=+1-2", Ranges::Whole),
        ("bytes=1", Ranges::Whole),
        ("lines=0-3", Ranges::Whole),
        ("0-3", Ranges::Whole),
        ("", Ranges::Whole),
    ] {
        assert_eq!(ranges(value.as_bytes(), 10), expected, "{value}");
    }
    assert_eq!(ranges(b"bytes=0-", 0), Ranges::Unsatisfiable);
}

/// Row 46.
#[test]
fn row_46_many_ranges_are_not_looked_at() {
    let many = format!("bytes={}", "0-,".repeat(2700));
    assert_eq!(ranges(many.as_bytes(), 10), Ranges::Whole);
    let allowed = format!("bytes={}", "0-,".repeat(16));
    assert_eq!(ranges(allowed.as_bytes(), 10), Ranges::Part(0..10));
}

proptest! {
    #[test]
    fn a_part_lies_within_the_content(value in "bytes=[0-9,\\- ]{0,40}", len in 0..100_u64) {
        if let Ranges::Part(part) = ranges(value.as_bytes(), len) {
            prop_assert!(part.start < part.end && part.end <= len);
        }
    }
}

#[test]
fn conditions_in_the_order_of_the_rfc() {
    let modified =
        Some(httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap() + Duration::from_millis(700));
    let now = Validators { etag: "\"abc\"", modified };
    let (same, before, after) =
        ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
    let none_match = |tag: &str| format!("If-None-Match: {tag}");
    let line = |name: &str, value: &str| format!("{name}: {value}");
    for (lines, expected) in [
        (vec![], Condition::Go),
        (vec![none_match("\"abc\"")], Condition::NotModified),
        (vec![none_match("W/\"abc\"")], Condition::NotModified),
        (vec![none_match("\"x\", \"abc\"")], Condition::NotModified),
        (vec![none_match("*")], Condition::NotModified),
        (vec![none_match("\"x\"")], Condition::Go),
        (vec![none_match("abc")], Condition::Go),
        (vec![line("If-Modified-Since", same)], Condition::NotModified),
        (vec![line("If-Modified-Since", after)], Condition::NotModified),
        (vec![line("If-Modified-Since", before)], Condition::Go),
        (vec![line("If-Modified-Since", "yesterday")], Condition::Go),
        // If-None-Match counts, the date beside it does not.
        (vec![none_match("\"x\""), line("If-Modified-Since", after)], Condition::Go),
        (vec![line("If-Match", "\"abc\"")], Condition::Go),
        (vec![line("If-Match", "*")], Condition::Go),
        (vec![line("If-Match", "W/\"abc\"")], Condition::Failed),
        (vec![line("If-Match", "\"x\"")], Condition::Failed),
        (vec![line("If-Unmodified-Since", same)], Condition::Go),
        (vec![line("If-Unmodified-Since", before)], Condition::Failed),
        (vec![line("If-Match", "\"abc\""), line("If-Unmodified-Since", before)], Condition::Go),
        (vec![line("If-Match", "\"x\""), none_match("\"abc\"")], Condition::Failed),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(with(&lines, |head| evaluate(&head.fields, &now)), expected, "{lines:?}");
    }
    for (lines, expected) in [
        (vec![], true),
        (vec![line("If-Range", "\"abc\"")], true),
        (vec![line("If-Range", "W/\"abc\"")], false),
        (vec![line("If-Range", "\"x\"")], false),
        (vec![line("If-Range", same)], true),
        (vec![line("If-Range", after)], false),
        (vec![line("If-Range", "soon")], false),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(with(&lines, |head| may_be_partial(&head.fields, &now)), expected, "{lines:?}");
    }
    let fresh = Validators { etag: "W/\"abc\"", modified };
    for (line, condition, partial) in [
        ("If-None-Match: \"abc\"".to_owned(), Condition::NotModified, true),
        ("If-None-Match: W/\"abc\"".to_owned(), Condition::NotModified, true),
        ("If-Match: W/\"abc\"".to_owned(), Condition::Failed, true),
        ("If-Match: \"abc\"".to_owned(), Condition::Failed, true),
        ("If-Range: W/\"abc\"".to_owned(), Condition::Go, false),
        (line("If-Range", same), Condition::Go, false),
    ] {
        let found = with(&[&line], |head| (evaluate(&head.fields, &fresh), may_be_partial(&head.fields, &fresh)));
        assert_eq!(found, (condition, partial), "{line}: what may change without a trace is never the same bytes");
    }
    let ageless = Validators { etag: "\"abc\"", modified: None };
    assert_eq!(with(&[&line("If-Modified-Since", after)], |head| evaluate(&head.fields, &ageless)), Condition::Go);
}

#[test]
fn codings_by_weight_then_by_our_preference() {
    for (field, expected) in [
        ("gzip, br", Some("br")),
        ("gzip", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("*", Some("br")),
        ("*;q=0, gzip", Some("gzip")),
        ("br;q=0.5, gzip;q=0.8", Some("gzip")),
        ("br;q=0", None),
        ("br;q=0, *", Some("gzip")),
        ("br;q=1.001", None),
        ("br;q=x", None),
        ("br;level=9", None),
        ("br ; q=0.1", Some("br")),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", Some("gzip")),
        ("identity, gzip", Some("gzip")),
        ("identity;q=1, *;q=0", None),
        ("deflate", None),
        ("", None),
    ] {
        let line = format!("Accept-Encoding: {field}");
        assert_eq!(with(&[&line], |head| preferred(&head.fields, &["br", "gzip"])), expected, "{field}");
    }
    assert_eq!(with(&[], |head| preferred(&head.fields, &["br"])), None);
    assert_eq!(with(&["Accept-Encoding: br"], |head| preferred(&head.fields, &[])), None);
}

/// Row 45.
#[test]
fn row_45_a_path_names_a_file_below_the_folder_or_none() {
    for (path, dotfiles, expected) in [
        ("", false, Some((&b""[..], false))),
        ("/", false, Some((b"", true))),
        ("/a", false, Some((b"a", false))),
        ("/a/", false, Some((b"a", true))),
        ("/css/site.css", false, Some((b"css/site.css", false))),
        ("/a%20b/%C3%A4", false, Some((b"a b/\xc3\xa4", false))),
        ("/%ff", false, Some((b"\xff", false))),
        ("/a...b", false, Some((b"a...b", false))),
        // Decoded once: this is a name with a percent sign.
        ("/%252e%252e/x", false, Some((b"%2e%2e/x", false))),
        ("/.well-known/acme", false, Some((b".well-known/acme", false))),
        ("/a/.well-known", false, None),
        ("/.env", false, None),
        ("/.env", true, Some((b".env", false))),
        ("/.git/config", false, None),
        ("/a/.git/config", true, Some((b"a/.git/config", false))),
        ("/%2egit/config", false, None),
        ("a", false, None),
        ("*", false, None),
        ("//", true, None),
        ("//a", true, None),
        ("/a//b", true, None),
        ("/a//", true, None),
        ("/.", true, None),
        ("/..", true, None),
        ("/../", true, None),
        ("/a/../b", true, None),
        ("/a/%2e%2E/b", true, None),
        ("/.%2e/b", true, None),
        ("/..%2fb", true, None),
        ("/a%2Fb", true, None),
        ("/a%5cb", true, None),
        ("/a\\b", true, None),
        ("/..\\b", true, None),
        ("/a%00", true, None),
        ("/.a%00", true, None),
        ("/a%0ab", true, None),
        ("/a%7f", true, None),
        ("/a%", true, None),
        ("/a%2", true, None),
        ("/a%zz", true, None),
        ("/%+1", true, None),
        ("/\u{e4}", true, Some(("\u{e4}".as_bytes(), false))),
    ] {
        let found = file_path(path, dotfiles);
        let found = found.as_ref().map(|found| (&*found.path, found.folder));
        assert_eq!(found, expected, "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_leads_out_of_the_folder(path in "/([a.%25efEF\\\\/]|%2e|%2f|%5c|%00|\\.\\./){0,12}", dotfiles: bool) {
        if let Some(found) = file_path(&path, dotfiles) {
            let names: Vec<&[u8]> = found.path.split(|byte| *byte == b'/').collect();
            prop_assert!(names == [b""] || names.iter().all(|name| !matches!(*name, b"" | b"." | b"..")));
            prop_assert!(!found.path.contains(&0) && !found.path.contains(&b'\\'));
            prop_assert!(dotfiles || names.iter().all(|name| !name.starts_with(b".")));
        }
    }
}

//! Request heads for files, and the ids of sessions and events: what is accepted keeps its promises, and is read the same
//! when it is written again. The first line is a path, an id or a Range field; the others are fields.

#![no_main]

use std::time::{Duration, SystemTime};

use hubbub_proto::content::{Condition, Ranges, Validators, evaluate, file_path, may_be_partial, preferred, ranges};
use hubbub_proto::engineio::Sid;
use hubbub_proto::event_stream::Since;
use hubbub_proto::head::{Fields, Head, HeadLimits};
use libfuzzer_sys::fuzz_target;

const LENGTHS: [u64; 4] = [0, 1, 100, u64::MAX];

fuzz_target!(|data: &[u8]| {
    let (first, fields) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    if let Ok(text) = std::str::from_utf8(first) {
        path(text);
        ids(text);
    }
    LENGTHS.iter().for_each(|len| range(first, *len));
    let fields = fields.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = fields.flat_map(|line| [line, b"\r\n"].concat());
    let head: Vec<u8> = b"GET / HTTP/1.1\r\nHost: a\r\n".iter().copied().chain(lines).chain(*b"\r\n").collect();
    if let Ok(head) = Head::parse(&head, &HeadLimits::default()) {
        conditions(&head.fields);
        coding(&head.fields);
    }
});

fn path(text: &str) {
    let (all, visible) = (file_path(text, true), file_path(text, false));
    assert!(visible.is_none() || visible == all, "dotfiles only add names");
    let Some(file) = all else { return };
    let is_name = |name: &[u8]| {
        let plain = |byte: &u8| !matches!(byte, b'/' | b'\\') && !byte.is_ascii_control();
        !matches!(name, b"" | b"." | b"..") && name.iter().all(plain)
    };
    assert!(file.path.is_empty() || file.path.split(|byte| *byte == b'/').all(is_name));
    let encode = |byte: &u8| if *byte == b'/' { "/".into() } else { format!("%{byte:02x}") };
    let encoded: String = file.path.iter().map(encode).collect();
    let again = match (file.path.is_empty(), file.folder) {
        (true, false) => String::new(),
        (true, true) => "/".into(),
        (false, folder) => format!("/{encoded}{}", if folder { "/" } else { "" }),
    };
    assert_eq!(file_path(&again, true).as_ref(), Some(&file));
}

fn ids(text: &str) {
    if let Some(sid) = Sid::new(text) {
        assert_eq!(sid.as_str(), text);
        assert!(sid.read().is_none_or(|(number, secret)| Sid::of(number, &secret) == sid));
    }
    assert!(Since::parse(text).is_none_or(|since| Since::parse(&since.text()) == Some(since)));
}

fn range(value: &[u8], len: u64) {
    let read = ranges(value, len);
    let more = ranges(&[value, b",0-"].concat(), len);
    match &read {
        Ranges::Whole => {}
        Ranges::Part(part) => {
            assert!(part.start < part.end && part.end <= len);
            let again = format!("bytes={}-{}", part.start, part.end - 1);
            assert_eq!(ranges(again.as_bytes(), len), read);
            // All of it, or one range more than are looked at.
            assert!(more == Ranges::Part(0..len) || more == Ranges::Whole);
        }
        Ranges::Unsatisfiable => {
            let all = if len == 0 { Ranges::Unsatisfiable } else { Ranges::Part(0..len) };
            assert!(more == all || more == Ranges::Whole);
        }
    }
}

fn conditions(fields: &Fields<'_>) {
    let has = |names: [&str; 2]| names.iter().any(|name| fields.all(name).next().is_some());
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    for (etag, modified) in [(r#""a""#, modified), (r#"W/"a""#, modified), (r#""a""#, None)] {
        let now = Validators { etag, modified };
        match evaluate(fields, &now) {
            Condition::Go => {}
            Condition::NotModified => assert!(has(["if-none-match", "if-modified-since"])),
            Condition::Failed => assert!(has(["if-match", "if-unmodified-since"])),
        }
        let wants = has(["if-range"; 2]);
        assert!(wants || may_be_partial(fields, &now));
        assert!(!(wants && etag.starts_with('W') && may_be_partial(fields, &now)), "a weak tag allows no parts");
    }
}

fn coding(fields: &Fields<'_>) {
    let available = ["br", "gzip"];
    let chosen = preferred(fields, &available);
    assert!(chosen.is_none() || fields.all("accept-encoding").next().is_some());
    assert!(chosen.is_none_or(|coding| available.contains(&coding) && preferred(fields, &[coding]) == chosen));
    assert!(chosen.is_some() || available.iter().all(|coding| preferred(fields, &[coding]).is_none()));
}

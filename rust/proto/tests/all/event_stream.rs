//! Event streams, read back as the HTML standard tells browsers to: row 47 of the list of attacks.

use hubbub_proto::event_stream::{Event, EventError, Since, comment, encode};
use proptest::prelude::*;

/// What a browser makes of an event stream: (type, data, last event id) of each event that it hands out.
fn read(stream: &str) -> Vec<(String, String, String)> {
    let (mut events, mut name, mut data, mut id) = (Vec::new(), String::new(), String::new(), String::new());
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    for line in stream.split('\n') {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                let kind = if name.is_empty() { "message".to_owned() } else { name.clone() };
                events.push((kind, std::mem::take(&mut data), id.clone()));
            }
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.to_owned(),
            "data" => data += &format!("{value}\n"),
            "id" if !value.contains('\0') => id = value.to_owned(),
            _ => {}
        }
    }
    events
}

fn written(event: &Event<'_>) -> Result<String, EventError> {
    let mut out = Vec::new();
    encode(&mut out, event)?;
    Ok(String::from_utf8(out).expect("text"))
}

#[test]
fn each_field_has_its_line() {
    let event = Event { event: Some("tick"), id: Some("7-42"), retry: Some(1500), data: Some("a\nb") };
    assert_eq!(written(&event).unwrap(), "event: tick\nid: 7-42\nretry: 1500\ndata: a\ndata: b\n\n");
}

/// Row 47.
#[test]
fn row_47_no_text_becomes_a_field() {
    for (data, block) in [
        ("", "data: \n\n"),
        ("plain", "data: plain\n\n"),
        (" space", "data:  space\n\n"),
        ("a\nb", "data: a\ndata: b\n\n"),
        ("a\rb", "data: a\ndata: b\n\n"),
        ("a\r\nb", "data: a\ndata: b\n\n"),
        ("a\n\nb", "data: a\ndata: \ndata: b\n\n"),
        ("a\r\rb", "data: a\ndata: \ndata: b\n\n"),
        ("a\n\rb", "data: a\ndata: \ndata: b\n\n"),
        ("a\r\n\r\nb", "data: a\ndata: \ndata: b\n\n"),
        ("a\n", "data: a\ndata: \n\n"),
        ("\r", "data: \ndata: \n\n"),
        ("\n\nevent: evil", "data: \ndata: \ndata: event: evil\n\n"),
        ("\rid: 9", "data: \ndata: id: 9\n\n"),
        ("x\r\n\r\ndata: y", "data: x\ndata: \ndata: data: y\n\n"),
        (": no comment", "data: : no comment\n\n"),
        ("retry: 1", "data: retry: 1\n\n"),
        ("\u{2028}\u{85}\u{b}", "data: \u{2028}\u{85}\u{b}\n\n"),
        ("\u{feff}", "data: \u{feff}\n\n"),
        ("\0", "data: \0\n\n"),
    ] {
        assert_eq!(written(&Event { data: Some(data), ..Event::default() }).unwrap(), block, "{data:?}");
    }
    for text in ["a\nb", "a\rb", "\r\n", "\n"] {
        assert_eq!(written(&Event { event: Some(text), ..Event::default() }), Err(EventError::Event));
        assert_eq!(written(&Event { id: Some(text), ..Event::default() }), Err(EventError::Id));
    }
    assert_eq!(written(&Event { id: Some("\0"), ..Event::default() }), Err(EventError::Id));
}

#[test]
fn what_cannot_be_sent_appends_nothing() {
    let mut out = b"before".to_vec();
    assert!(encode(&mut out, &Event { event: Some("fine"), id: Some("\n"), ..Event::default() }).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn a_comment_is_no_event() {
    let mut out = Vec::new();
    comment(&mut out, "ping\ndata: x\rdata: y");
    let stream = String::from_utf8(out).unwrap();
    assert_eq!(stream, ": ping\n: data: x\n: data: y\n\n");
    assert_eq!(read(&stream), []);
}

proptest! {
    #[test]
    fn a_browser_reads_what_was_sent(
        name in "[a-zA-Z0-9 :é]{0,8}", id in "[ -~]{0,8}", data in "[a-z\r\n: \u{0}\u{2028}]{0,24}",
    ) {
        let first = written(&Event { event: Some(&name), id: Some(&id), data: Some(&data), retry: None }).unwrap();
        let stream = first + &written(&Event { data: Some("after"), ..Event::default() }).unwrap();
        let kind = if name.is_empty() { "message" } else { &name };
        let text = data.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(read(&stream), [
            (kind.to_owned(), text, id.clone()),
            ("message".to_owned(), "after".to_owned(), id),
        ]);
    }
}

#[test]
fn a_place_is_read_as_it_was_written_and_nothing_else_is() {
    let since = Since { epoch: 0xdead_beef, offset: 12 };
    assert_eq!(Since::parse(&since.text()), Some(since));
    for garbage in [
        "",
        "-",
        "deadbeef-",
        "deadbeef--1",
        "deadbeef-+1",
        "+eadbeef-1",
        "xyz-1",
        "1-1",
        "deadbeef-99999999999999999999",
    ] {
        assert_eq!(Since::parse(garbage), None, "{garbage}");
    }
}

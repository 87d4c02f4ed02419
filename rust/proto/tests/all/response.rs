//! Response heads: row 11 of the list of attacks, and who says how the message is framed.

use hubbub_proto::head::{HeadLimits, ResponseHead};
use hubbub_proto::response::{Connection, FieldError, FieldLines, Framing, ResponseLine};

const LINE: ResponseLine<'static> = ResponseLine {
    status: 200,
    framing: Framing::Length(5),
    connection: Connection::Keep,
    date: Some(b"Sun, 06 Nov 1994 08:49:37 GMT"),
    server: Some("hubbub"),
};

fn lines(fields: &[(&str, &str)]) -> FieldLines {
    let mut lines = FieldLines::new();
    for (name, value) in fields {
        lines.push(name.as_bytes(), value.as_bytes()).expect("a field in order");
    }
    lines
}

fn written(fields: &[(&str, &str)], line: &ResponseLine<'_>) -> String {
    let mut out = Vec::new();
    lines(fields).write(&mut out, line);
    ResponseHead::parse(&out, &HeadLimits::default()).expect("what is written can be read");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_head_is_written_with_its_framing() {
    let head = written(&[("content-type", "text/plain"), ("x", "")], &LINE);
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: hubbub\r\ncontent-type: text/plain\r\n\
         x: \r\nContent-Length: 5\r\n\r\n"
    );
    let chunked = ResponseLine { framing: Framing::Chunked, connection: Connection::Close, ..LINE };
    assert!(written(&[], &chunked).ends_with("Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"));
    let old = ResponseLine { status: 599, framing: Framing::Silent, connection: Connection::KeepAlive, ..LINE };
    let head = written(&[], &old);
    assert!(head.starts_with("HTTP/1.1 599 Status\r\n") && head.ends_with("Connection: keep-alive\r\n\r\n"), "{head}");
}

#[test]
fn the_users_own_date_and_server_stand_once() {
    let head = written(&[("date", "today"), ("SERVER", "mine")], &LINE);
    assert!(!head.contains("1994") && !head.contains("hubbub"), "{head}");
    let bare = ResponseLine { date: None, server: None, ..LINE };
    assert_eq!(written(&[], &bare), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
}

#[test]
fn what_frames_the_message_is_taken_out_of_the_fields() {
    let fields = [("Content-Length", "7"), ("Transfer-Encoding", "gzip"), ("Connection", "Close, x"), ("a", "b")];
    let taken = lines(&fields);
    assert_eq!((taken.length(), taken.close()), (Some(7), true));
    assert!(!lines(&[("connection", "keep-alive")]).close());
    let head = written(&fields, &LINE).to_lowercase();
    assert_eq!(head.matches("content-length").count(), 1);
    assert!(!head.contains("gzip") && !head.contains("close"), "{head}");
    let upgrade = ResponseLine { connection: Connection::Close, ..LINE };
    assert!(written(&[("Upgrade", "websocket")], &upgrade).contains("\r\nConnection: Upgrade, close\r\n"));
}

#[test]
fn row_11_fields_that_would_split_the_response_are_refused() {
    for value in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "a\x1b[31m", "\x7f"] {
        assert_eq!(FieldLines::new().push(b"x", value.as_bytes()), Err(FieldError::Value), "{value:?}");
        assert_eq!(FieldLines::new().push(value.as_bytes(), b"x"), Err(FieldError::Name), "{value:?}");
    }
    for name in ["", " a", "a ", "a:", "\u{e4}", "a\r\n"] {
        assert_eq!(FieldLines::new().push(name.as_bytes(), b"x"), Err(FieldError::Name), "{name:?}");
    }
    for length in ["", "+5", "-1", "5,5", "0x5", "18446744073709551616"] {
        assert_eq!(FieldLines::new().push(b"content-length", length.as_bytes()), Err(FieldError::Length), "{length:?}");
    }
    let mut twice = lines(&[("content-length", "5")]);
    assert_eq!(twice.push(b"Content-Length", b"5"), Ok(()));
    assert_eq!(twice.push(b"Content-Length", b"6"), Err(FieldError::Length));
}

#[test]
fn white_space_around_a_value_is_left_out() {
    assert!(written(&[("a", " \tb c\t ")], &LINE).contains("\r\na: b c\r\n"));
}

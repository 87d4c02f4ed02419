//! The client's end: requests written, answers read, however they are cut.

use hubbub_proto::Role;
use hubbub_proto::body::BodyError;
use hubbub_proto::client::{Arrival, Fault, InvalidRequest, Reader, write_request};
use hubbub_proto::close::{self, CloseCode};
use hubbub_proto::frame::{self, Opcode};
use hubbub_proto::head::Body;
use hubbub_proto::message::{Event, Kind};

/// What a server's answer is read as, in pieces of so many bytes.
fn read(method: &str, answer: &[u8], size: usize) -> Result<(Vec<String>, bool), Fault> {
    let mut reader = Reader::new(method);
    let mut told: Vec<String> = Vec::new();
    for piece in answer.chunks(size) {
        reader.read(&mut piece.to_vec(), &mut |arrival| match arrival {
            Arrival::Continue => told.push("continue".into()),
            Arrival::Head(head) => told.push(format!("{} ({})", head.status, head.fields.len())),
            Arrival::Frame(event) => told.push(match event {
                Event::Message { kind: Kind::Text, payload } => {
                    String::from_utf8(payload.into_vec()).unwrap_or_default()
                }
                Event::Close { code, reason } => format!("{code:?} {reason}"),
                other => format!("{other:?}"),
            }),
            Arrival::Content(piece) => {
                let piece = String::from_utf8_lossy(piece);
                match told.last_mut().filter(|last| last.starts_with('=')) {
                    Some(last) => last.push_str(&piece),
                    None => told.push(format!("={piece}")),
                }
            }
        })?;
    }
    Ok((told, reader.is_complete()))
}

fn reads(method: &str, answer: &[u8], expected: &[&str], complete: bool) {
    for size in [1, 2, 7, answer.len()] {
        let (told, whole) = read(method, answer, size).expect("the answer is in order");
        assert_eq!(told, expected, "in pieces of {size}");
        assert_eq!(whole, complete, "in pieces of {size}");
    }
}

#[test]
fn a_response_ends_as_its_head_says() {
    reads("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &["200 (1)", "=hello"], true);
    reads("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", &["200 (1)", "=hello"], false);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    reads("GET", chunked, &["200 (1)", "=hello"], true);
    reads("GET", &chunked[..chunked.len() - 5], &["200 (1)", "=hello"], false);
    reads("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &["200 (1)"], true);
    reads("GET", b"HTTP/1.1 200 OK\r\n\r\nhello", &["200 (0)", "=hello"], false);
    reads("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", &["304 (1)"], true);
    reads("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &["200 (1)"], true);
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
    reads("PUT", answer, &["continue", "204 (0)"], true);
}

#[test]
fn frames_follow_a_101() {
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
    frame::encode(&mut answer, Opcode::Text, b"hello", None);
    frame::encode(&mut answer, Opcode::Ping, b"?", None);
    let closing = close::encode(&mut answer, Role::Server, Some(CloseCode(4000)), "enough", None);
    assert_eq!(closing, Ok(()));
    let (told, complete) = read("GET", &answer, answer.len()).expect("the answer is in order");
    assert_eq!(told[..2], ["101 (1)", "hello"]);
    assert!(told[2].starts_with("Ping"));
    assert_eq!(told[3], "Some(CloseCode(4000)) enough");
    assert!(!complete);
    assert_eq!(read("GET", &answer, 1).map(|(told, _)| told.len()), Ok(4));
}

#[test]
fn what_a_server_does_wrong_is_a_fault() {
    let fault = |answer: &[u8]| read("GET", answer, answer.len()).err();
    assert!(matches!(fault(b"HTTP/1.1 huh\r\n\r\n"), Some(Fault::Head(_))));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    assert_eq!(fault(chunked), Some(Fault::Body(BodyError::ChunkSize)));
    let masked = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x80";
    assert!(matches!(fault(masked), Some(Fault::Frame(_))));
}

#[test]
fn a_request_says_its_framing_once() {
    let mut out = Vec::new();
    let fields: [(&[u8], &[u8]); 3] = [(b"host", b"a"), (b"content-length", b"7"), (b"Transfer-Encoding", b"x")];
    write_request(&mut out, "POST", b"/a?b", fields, Body::Length(2)).expect("it can be sent");
    assert_eq!(out, b"POST /a?b HTTP/1.1\r\nhost: a\r\nContent-Length: 2\r\n\r\n");
    out.clear();
    write_request(&mut out, "POST", b"/", [], Body::Chunked).expect("it can be sent");
    assert_eq!(out, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn nothing_gets_into_a_request_that_would_be_read_as_more() {
    let mut out = b"before".to_vec();
    let none: [(&[u8], &[u8]); 0] = [];
    for (method, target, error) in [
        ("GET /", &b"/"[..], InvalidRequest::Method),
        ("", b"/", InvalidRequest::Method),
        ("GET", b"/ HTTP/1.1\r\nx: y", InvalidRequest::Target),
        ("GET", b"", InvalidRequest::Target),
        ("GET", b"/\xff", InvalidRequest::Target),
    ] {
        assert_eq!(write_request(&mut out, method, target, none, Body::None), Err(error));
    }
    for field in [(&b"x"[..], &b"a\r\nb: c"[..]), (b"x: y", b""), (b"", b""), (b"x", b"\0")] {
        assert_eq!(write_request(&mut out, "GET", b"/", [field], Body::None), Err(InvalidRequest::Field));
    }
    assert_eq!(out, b"before");
}

//! Heads that are not in order: rows 1, 2, 6 and 7 of the list of attacks, and its faults F15 to F17.

use hubbub_proto::head::{Body, Head, HeadError, HeadLimits, ResponseHead, Scanner};

fn parse(bytes: &[u8]) -> Result<Head<'_>, HeadError> {
    Head::parse(bytes, &HeadLimits::default())
}

/// The verdict on a request with these lines after `GET / HTTP/1.1` and `Host: a`.
fn with_lines(lines: &str) -> Result<Body, HeadError> {
    parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes()).map(|head| head.body)
}

/// The verdict on a request with this request line.
fn with_line(line: &str) -> Result<(), HeadError> {
    parse(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).map(|_| ())
}

#[test]
fn a_head_in_order() {
    let bytes = b"GET /a%20b?c=d?e HTTP/1.1\r\nHOST: example.com:80\r\nA: 1\r\nb:\t2 \r\na:3\r\nEmpty:\r\n\r\nrest";
    let head = parse(bytes).unwrap();
    assert_eq!((head.method, head.target, head.version), ("GET", "/a%20b?c=d?e", 1));
    assert_eq!((head.path(), head.query()), ("/a%20b", Some("c=d?e")));
    assert_eq!(head.host(), Some("example.com:80"));
    assert_eq!(head.all("a").collect::<Vec<_>>(), [b"1", b"3"]);
    assert_eq!(head.one("B"), Ok(Some(&b"2"[..])));
    assert_eq!(head.one("empty"), Ok(Some(&b""[..])));
    assert_eq!(head.one("none"), Ok(None));
    assert_eq!(head.one("A"), Err(HeadError::RepeatedField));
    assert_eq!(head.fields.len(), 5);
    assert!(!head.has_body());
}

#[test]
fn row_7_lines_that_others_might_read_differently() {
    let table: &[(&str, HeadError)] = &[
        ("A: 1\n", HeadError::BareLf),
        ("A: 1\rB: 2\r\n", HeadError::BareCr),
        ("A: 1\r\r\n", HeadError::BareCr),
        ("A: \0\r\n", HeadError::Nul),
        ("A\0: 1\r\n", HeadError::Nul),
        ("A: \x01\r\n", HeadError::FieldValue),
        ("A: \x7f\r\n", HeadError::FieldValue),
        ("A: \x1b[31m\r\n", HeadError::FieldValue),
        ("A : 1\r\n", HeadError::FieldName),
        ("A\t: 1\r\n", HeadError::FieldName),
        (" A: 1\r\n", HeadError::FieldName),
        ("A: 1\r\n 2\r\n", HeadError::FieldName),
        ("A: 1\r\n\t2\r\n", HeadError::FieldName),
        ("A\r\n", HeadError::FieldName),
        (": 1\r\n", HeadError::FieldName),
        ("A(: 1\r\n", HeadError::FieldName),
        ("A B: 1\r\n", HeadError::FieldName),
        ("\u{e4}: 1\r\n", HeadError::FieldName),
        ("\"A\": 1\r\n", HeadError::FieldName),
    ];
    for (lines, error) in table {
        assert_eq!(with_lines(lines), Err(*error), "{lines:?}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn row_7_lengths_that_others_might_read_differently() {
    let table: &[(&str, Result<Body, HeadError>)] = &[
        ("Content-Length: 0\r\n", Ok(Body::Length(0))),
        ("content-length: 12 \r\n", Ok(Body::Length(12))),
        ("Content-Length: 18446744073709551615\r\n", Ok(Body::Length(u64::MAX))),
        ("Content-Length: 18446744073709551616\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: +5\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: -1\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 5, 5\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 5,\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 5 5\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 0x5\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 5_0\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 1e1\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: abc\r\n", Err(HeadError::ContentLength)),
        ("Content-Length:\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: \u{665}\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(HeadError::ContentLength)),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(HeadError::ContentLength)),
        ("Transfer-Encoding: chunked\r\n", Ok(Body::Chunked)),
        ("Transfer-Encoding: Chunked\r\n", Ok(Body::Chunked)),
        ("Transfer-Encoding: ,chunked\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked,\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(HeadError::TwoLengths)),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::TwoLengths)),
        ("Transfer-Encoding: identity\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: xchunked\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked;a=b\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: \"chunked\"\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: \x0bchunked\r\n", Err(HeadError::FieldValue)),
        ("Transfer-Encoding:\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked, identity\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", Err(HeadError::TransferEncoding)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(HeadError::UnknownTransferCoding)),
    ];
    for (lines, verdict) in table {
        assert_eq!(with_lines(lines), *verdict, "{lines:?}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(old).unwrap_err(), HeadError::TransferEncoding);
}

#[test]
fn row_6_hosts() {
    let table: &[(&str, Result<&str, HeadError>)] = &[
        ("Host: example.com\r\n", Ok("example.com")),
        ("Host: EXAMPLE.com:8888 \r\n", Ok("EXAMPLE.com:8888")),
        ("Host: 127.0.0.1:80\r\n", Ok("127.0.0.1:80")),
        ("Host: [::1]:80\r\n", Ok("[::1]:80")),
        ("Host: a_b-c.d~e\r\n", Ok("a_b-c.d~e")),
        ("Host: a%2Fb\r\n", Ok("a%2Fb")),
        ("Host: example.com:\r\n", Ok("example.com:")),
        ("", Err(HeadError::HostMissing)),
        ("X-Host: a\r\n", Err(HeadError::HostMissing)),
        ("Host: a\r\nHost: a\r\n", Err(HeadError::HostRepeated)),
        ("Host: a\r\nhost: b\r\n", Err(HeadError::HostRepeated)),
        ("Host:\r\n", Err(HeadError::Host)),
        ("Host: :80\r\n", Err(HeadError::Host)),
        ("Host: a/b\r\n", Err(HeadError::Host)),
        ("Host: a?b\r\n", Err(HeadError::Host)),
        ("Host: a#b\r\n", Err(HeadError::Host)),
        ("Host: user@a\r\n", Err(HeadError::Host)),
        ("Host: a\\b\r\n", Err(HeadError::Host)),
        ("Host: a b\r\n", Err(HeadError::Host)),
        ("Host: a:80:80\r\n", Err(HeadError::Host)),
        ("Host: a:+80\r\n", Err(HeadError::Host)),
        ("Host: a:65536\r\n", Err(HeadError::Host)),
        ("Host: a:http\r\n", Err(HeadError::Host)),
        ("Host: [::1\r\n", Err(HeadError::Host)),
        ("Host: [::1]80\r\n", Err(HeadError::Host)),
        ("Host: [example.com]\r\n", Err(HeadError::Host)),
        ("Host: ::1\r\n", Err(HeadError::Host)),
        ("Host: a%2\r\n", Err(HeadError::Host)),
        ("Host: a%zz\r\n", Err(HeadError::Host)),
        ("Host: \u{e4}.com\r\n", Err(HeadError::Host)),
        ("Host: a\"b\r\n", Err(HeadError::Host)),
        ("Host: <a>\r\n", Err(HeadError::Host)),
    ];
    for (lines, verdict) in table {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let host = parse(bytes.as_bytes()).map(|head| head.host().unwrap().to_owned());
        assert_eq!(host, verdict.map(str::to_owned), "{lines:?}");
        // With an absolute target, the Host field is not used, but must be in order all the same.
        let bytes = format!("GET http://other:1/ HTTP/1.1\r\n{lines}\r\n");
        let host = parse(bytes.as_bytes()).map(|head| head.host().unwrap().to_owned());
        assert_eq!(host, verdict.map(|_| "other:1".to_owned()), "{lines:?}");
    }
    // HTTP/1.0 may do without.
    assert_eq!(parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().host(), None);
}

#[test]
fn f17_request_lines() {
    let table: &[(&str, Result<(), HeadError>)] = &[
        ("GET / HTTP/1.1", Ok(())),
        ("GET / HTTP/1.0", Ok(())),
        ("get / HTTP/1.1", Ok(())),
        ("OPTIONS * HTTP/1.1", Ok(())),
        ("GET * HTTP/1.1", Err(HeadError::Target)),
        ("GET http://a HTTP/1.1", Ok(())),
        ("GET WSS://a:1/b?c HTTP/1.1", Ok(())),
        ("GET http:// HTTP/1.1", Err(HeadError::Target)),
        ("GET http:///a HTTP/1.1", Err(HeadError::Target)),
        ("GET http://u@a/ HTTP/1.1", Err(HeadError::Target)),
        ("GET file://a/ HTTP/1.1", Err(HeadError::Target)),
        ("GET a HTTP/1.1", Err(HeadError::Target)),
        ("CONNECT a:80 HTTP/1.1", Err(HeadError::Target)),
        ("GET /a#b HTTP/1.1", Err(HeadError::Target)),
        ("GET /\u{e4} HTTP/1.1", Err(HeadError::Target)),
        ("GET /a b HTTP/1.1", Err(HeadError::RequestLine)),
        ("GET  / HTTP/1.1", Err(HeadError::RequestLine)),
        ("GET /  HTTP/1.1", Err(HeadError::RequestLine)),
        ("GET / HTTP/1.1 ", Err(HeadError::RequestLine)),
        (" GET / HTTP/1.1", Err(HeadError::RequestLine)),
        ("GET\t/ HTTP/1.1", Err(HeadError::RequestLine)),
        ("G(T / HTTP/1.1", Err(HeadError::RequestLine)),
        ("GET /", Err(HeadError::RequestLine)),
        ("GET", Err(HeadError::RequestLine)),
        ("GET / HTTP/2.0", Err(HeadError::Version)),
        ("GET / HTTP/3.0", Err(HeadError::Version)),
        ("GET / HTTP/0.9", Err(HeadError::Version)),
        ("GET / HTTP/1.2", Err(HeadError::Version)),
        ("PRI * HTTP/2.0", Err(HeadError::Version)),
        ("GET / HTTP/11", Err(HeadError::RequestLine)),
        ("GET / HTTP/1.1x", Err(HeadError::RequestLine)),
        ("GET / http/1.1", Err(HeadError::RequestLine)),
        ("GET / XTTP/1.1", Err(HeadError::RequestLine)),
        ("GET / HTTX/2.0", Err(HeadError::RequestLine)),
        ("GET / b HTTP/2.0", Err(HeadError::RequestLine)),
    ];
    for (line, verdict) in table {
        // What counts is the status: which rule of the line was broken first is httparse's affair.
        let status = with_line(line).map_err(|error| error.status());
        assert_eq!(status, verdict.map_err(|error| error.status()), "{line:?}");
    }
}

#[test]
fn targets_come_apart() {
    let table: &[(&str, &str, Option<&str>)] = &[
        ("/", "/", None),
        ("/?", "/", Some("")),
        ("//a/b", "//a/b", None),
        ("/a?b?c", "/a", Some("b?c")),
        ("http://h", "/", None),
        ("http://h?q", "/", Some("q")),
        ("http://h/a/b?q", "/a/b", Some("q")),
        ("http://h/a?http://i/j", "/a", Some("http://i/j")),
        ("/a://b/c", "/a://b/c", None),
    ];
    for (target, path, query) in table {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = parse(bytes.as_bytes()).unwrap();
        assert_eq!((head.path(), head.query()), (*path, *query), "{target}");
    }
    let star = parse(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!((star.path(), star.query()), ("*", None));
}

#[test]
fn row_2_too_many_fields_are_refused_and_none_is_dropped() {
    for (count, expected) in
        [(99, Ok(100)), (100, Err(HeadError::TooManyFields)), (1000, Err(HeadError::TooManyFields))]
    {
        let result = {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count));
            parse(bytes.as_bytes()).map(|head| head.fields.len())
        };
        assert_eq!(result, expected, "{count} more fields");
    }
    assert_eq!(HeadError::TooManyFields.status(), 431);
    let flood = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(10_000));
    assert_eq!(Scanner::new().end(flood.as_bytes(), &HeadLimits::default()), Err(HeadError::TooLarge));
}

#[test]
fn f15_a_head_may_be_exactly_as_large_as_the_limit() {
    let limits = HeadLimits::default();
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nB: \r\n\r\n".len();
    let head = |len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nB: {}\r\n\r\n", "x".repeat(len - frame));
    assert_eq!(every_way(head(16384).as_bytes(), &limits), Ok(Some(16384)));
    assert_eq!(every_way(head(16385).as_bytes(), &limits), Err(HeadError::TooLarge));
    assert!(parse(head(16384).as_bytes()).is_ok());
    assert_eq!(parse(head(16385).as_bytes()).unwrap_err(), HeadError::TooLarge);
    // As early as it is certain: the last byte that could have ended it has come and has not.
    let endless = head(20_000);
    assert_eq!(Scanner::new().end(&endless.as_bytes()[..16383], &limits), Ok(None));
    assert_eq!(Scanner::new().end(&endless.as_bytes()[..16384], &limits), Err(HeadError::TooLarge));
}

#[test]
fn f15_an_endless_request_line_is_414() {
    let line = format!("GET /{}", "x".repeat(64 * 1024));
    assert_eq!(every_way(line.as_bytes(), &HeadLimits::default()), Err(HeadError::RequestLineTooLong));
    assert_eq!(HeadError::RequestLineTooLong.status(), 414);
    assert_eq!(HeadError::TooLarge.status(), 431);
}

/// What the scanner says when the bytes come whole, and sees to it that it says the same when they come one by one.
fn every_way(bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
    let whole = Scanner::new().end(bytes, limits);
    let mut scanner = Scanner::new();
    let steps = (0..=bytes.len()).map(|len| scanner.end(&bytes[..len], limits));
    assert_eq!(steps.into_iter().find(|step| *step != Ok(None)).unwrap_or(Ok(None)), whole);
    whole
}

#[test]
fn the_end_of_a_head_is_found_at_every_cut() {
    let limits = HeadLimits::default();
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\n\0"[..], Ok(Some(27))),
        (b"GET / HTTP/1.1\r\n\r\n", Ok(Some(18))),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(20))),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", Err(HeadError::RequestLine)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", Ok(None)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", Ok(None)),
        (b"GET / HTTP/1.1\n\n", Err(HeadError::BareLf)),
        (b"\n", Err(HeadError::BareLf)),
        (b"GET / HTTP/1.1\r\nA: b\r\rC", Err(HeadError::BareCr)),
        (b"GET / HTTP/1.1\r\n\0", Err(HeadError::Nul)),
        (b"\x16\x03\x01\x00\xa5", Err(HeadError::Tls)),
        (b"\x16\x03\x01\x02\x01\x01\x00", Err(HeadError::Tls)),
        (b"\x16\x04\x00", Err(HeadError::Nul)),
    ] {
        assert_eq!(every_way(bytes, &limits), expected, "{:?}", String::from_utf8_lossy(bytes));
        for at in 0..=bytes.len() {
            let mut scanner = Scanner::new();
            let first = scanner.end(&bytes[..at], &limits);
            let both = if first == Ok(None) { scanner.end(bytes, &limits) } else { first };
            assert_eq!(both, expected, "{:?}, cut at {at}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn row_1_no_byte_is_scanned_twice() {
    // A scanner that went back would meet the zeros that the bytes it has seen are replaced by.
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(2000));
    let limits = HeadLimits { max_bytes: 1 << 20, max_fields: 100 };
    let mut scanner = Scanner::new();
    let mut bytes = Vec::new();
    for (i, byte) in head.bytes().enumerate() {
        bytes.push(byte);
        let expected = if i + 1 == head.len() { Some(head.len()) } else { None };
        assert_eq!(scanner.end(&bytes, &limits), Ok(expected));
        // It may look at the line break before this one, to see whether the line is blank.
        if let Some(seen) = bytes.len().checked_sub(5) {
            bytes[seen] = 0;
        }
    }
}

#[test]
fn heads_that_end_too_early_are_truncated() {
    let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for len in 0..whole.len() {
        assert_eq!(parse(&whole[..len]).unwrap_err(), HeadError::Truncated, "{len}");
    }
    assert!(parse(whole).is_ok());
}

#[test]
fn responses() {
    let limits = HeadLimits::default();
    let parse = |bytes: &'static [u8]| ResponseHead::parse(bytes, &limits);
    let head = parse(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert_eq!((head.status, head.version, head.fields.len()), (101, 1, 1));
    assert_eq!(parse(b"HTTP/1.0 404\r\n\r\n").unwrap().status, 404);
    let table = [
        (&b"HTTP/1.1 1x1 A\r\n\r\n"[..], HeadError::RequestLine),
        (b"HTTP/1.1 10 A\r\n\r\n", HeadError::RequestLine),
        (b"HTTP/2.0 200 OK\r\n\r\n", HeadError::Version),
        (b"SSH-2.0-x\r\n\r\n", HeadError::Version),
        (b"HTTP/1.1 200 OK\n\n", HeadError::BareLf),
        (b"HTTP/1.1 200 OK\r\n", HeadError::Truncated),
    ];
    for (bytes, error) in table {
        assert_eq!(parse(bytes).unwrap_err(), error, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn fields_are_shown_with_the_targets_host_and_one_cookie_field() {
    let table: &[(&str, &[(&str, &str)])] = &[
        (
            "GET / HTTP/1.1\r\nhost: a\r\nCookie: a=1\r\nX: y\r\ncookie: b=2\r\nX: z\r\n\r\n",
            &[("host", "a"), ("Cookie", "a=1; b=2"), ("X", "y"), ("X", "z")],
        ),
        ("GET http://c:8/x HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n", &[("X", "y"), ("Host", "c:8")]),
        ("GET http://c HTTP/1.0\r\nX: y\r\n\r\n", &[("Host", "c"), ("X", "y")]),
        ("GET / HTTP/1.0\r\nX: y\r\n\r\n", &[("X", "y")]),
    ];
    for (bytes, expected) in table {
        let head = Head::parse(bytes.as_bytes(), &HeadLimits::default()).unwrap();
        let shown: Vec<_> = head.fields_to_show().map(|(name, value)| (name, value.into_owned())).collect();
        let expected: Vec<_> = expected.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
        assert_eq!(shown, expected, "{bytes}");
    }
}

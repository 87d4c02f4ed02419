//! Opening handshakes: rows 4, 5, 8, 11 and 12 of the list of attacks, F17, and the client's half against the server's.

use std::time::{Duration, Instant};

use hubbub_proto::handshake::client::{Disagreement, InvalidRequest, Request, key};
use hubbub_proto::handshake::deflate::Offer;
use hubbub_proto::handshake::{self, Refusal, extensions};
use hubbub_proto::head::{Head, HeadLimits, ResponseHead, Scanner, is_field_value, is_token};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The status that answers these bytes.
fn status(bytes: &str) -> u16 {
    match Head::parse(bytes.as_bytes(), &HeadLimits::default()) {
        Ok(head) => handshake::parse(&head).map_or_else(|refusal| refusal.status, |_| 101),
        Err(error) => error.status(),
    }
}

/// A good request in which one line is replaced by others.
fn with(line: &str, by: &str) -> String {
    assert!(GOOD.contains(line));
    GOOD.replace(line, by)
}

/// A good request with further lines.
fn and(lines: &str) -> String {
    GOOD.replace("Host: a\r\n", &format!("Host: a\r\n{lines}"))
}

fn refusal(bytes: &str) -> Refusal {
    let head = Head::parse(bytes.as_bytes(), &HeadLimits::default()).expect("a head in order");
    handshake::parse(&head).expect_err("a bad handshake")
}

#[test]
fn the_example_of_the_rfc() {
    // RFC 6455 §1.2 and §1.3.
    let bytes = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
                 Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let head = Head::parse(bytes.as_bytes(), &HeadLimits::default()).unwrap();
    let upgrade = handshake::parse(&head).unwrap();
    assert_eq!(upgrade.subprotocols, ["chat", "superchat"]);
    assert_eq!(upgrade.origin, Some("http://example.com"));
    let mut out = Vec::new();
    handshake::write_response(&mut out, upgrade.key, Some("chat"), &[("Set-Cookie".into(), "a=b".into())]);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
                    Set-Cookie: a=b\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn row_4_a_handshake_has_no_body() {
    assert_eq!(status(&and("Content-Length: 0\r\n")), 101);
    assert_eq!(status(&and("Content-Length: 1\r\n")), 400);
    assert_eq!(status(&and("Transfer-Encoding: chunked\r\n")), 400);
    assert_eq!(status(&and("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")), 400);
}

#[test]
fn row_5_upgrade_and_connection_are_lists_of_tokens() {
    for (value, expected) in [
        ("Upgrade", 101),
        ("upgrade", 101),
        ("keep-alive, Upgrade", 101),
        ("keep-alive,,\tUPGRADE ,", 101),
        ("keep-alive\r\nConnection: Upgrade", 101),
        ("notupgrade", 426),
        ("upgradex", 426),
        ("keep-alive", 426),
        ("keep-alive Upgrade", 426),
        ("Upgrade;q=1", 426),
        ("", 426),
    ] {
        assert_eq!(status(&with("Connection: Upgrade", &format!("Connection: {value}"))), expected, "{value:?}");
    }
    for (value, expected) in [
        ("websocket", 101),
        ("WebSocket", 101),
        ("h2c, websocket", 101),
        ("websockets", 426),
        ("xwebsocket", 426),
        ("web socket", 426),
        ("h2c", 426),
    ] {
        assert_eq!(status(&with("Upgrade: websocket", &format!("Upgrade: {value}"))), expected, "{value:?}");
    }
}

#[test]
fn f17_each_must_of_the_request() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let key_is = |value: &str| with(key, &format!("Sec-WebSocket-Key: {value}"));
    let version = "Sec-WebSocket-Version: 13";
    let version_is = |value: &str| with(version, &format!("Sec-WebSocket-Version: {value}"));
    let table = [
        (GOOD.to_owned(), 101),
        (with("GET", "POST"), 405),
        (with("GET", "get"), 405),
        (with("HTTP/1.1", "HTTP/1.0"), 400),
        (with("HTTP/1.1", "HTTP/2.0"), 505),
        (with("Host: a\r\n", ""), 400),
        (with("Host: a", "Host: a\r\nHost: a"), 400),
        (with("/chat", "http://a/chat"), 101),
        (with("/chat", "chat"), 400),
        (GOOD.replace("\r\n", "\n"), 400),
        (and("A: \0\r\n"), 400),
        (with(&format!("{key}\r\n"), ""), 400),
        (with(key, &format!("{key}\r\n{key}")), 400),
        (key_is(""), 400),
        (key_is("dGhlIHNhbXBsZSBub25jZQ"), 400),
        (key_is("dGhlIHNhbXBsZSBub25jZQ=="), 101),
        (key_is("dGhlIHNhbXBsZSBub25jZQ=A"), 400),
        (key_is("dGhlIHNhbXBsZSBub25jZR=="), 400),
        (key_is("dGhlIHNhbXBsZSBub25jZQA="), 400),
        (key_is("dGhlIHNhbXBsZSBub25jZQAA"), 400),
        (key_is("dGhlIHNhbXBsZSBub25j"), 400),
        (key_is("!!!!!!!!!!!!!!!!!!!!!!=="), 400),
        (key_is("\u{e4}GhlIHNhbXBsZSBub25jZ=="), 400),
        (with(&format!("{version}\r\n"), ""), 426),
        (with(version, &format!("{version}\r\n{version}")), 400),
        (version_is("8"), 426),
        (version_is("013"), 426),
        (version_is("13.0"), 426),
        (version_is("13, 8"), 426),
        (version_is(""), 426),
        (and("Origin: null\r\n"), 101),
        (and("Origin: http://a\r\nOrigin: http://b\r\n"), 400),
        (and("Origin: http://\u{e4}\r\n"), 400),
    ];
    for (bytes, expected) in table {
        assert_eq!(status(&bytes), expected, "{bytes}");
    }
}

#[test]
fn f17_a_refused_version_names_the_one_that_is_spoken() {
    let refusal = refusal(&with("Version: 13", "Version: 8"));
    assert!(refusal.fields.contains(&("Sec-WebSocket-Version", "13".to_owned())));
    let mut out = Vec::new();
    refusal.write_response(&mut out);
    let head = ResponseHead::parse(&out, &HeadLimits::default()).unwrap();
    assert_eq!(head.status, 426);
    assert_eq!(head.fields.one("sec-websocket-version"), Ok(Some(&b"13"[..])));
    assert!(head.fields.has_token("connection", "close") && head.fields.has_token("upgrade", "websocket"));
    let length = head.fields.one("content-length").unwrap().unwrap();
    assert_eq!(length, refusal.body.len().to_string().as_bytes());
    assert!(out.ends_with(refusal.body.as_bytes()));
}

#[test]
fn asking_for_websocket_is_told_from_asking_well() {
    let asks = |bytes: &str| handshake::is_upgrade(&Head::parse(bytes.as_bytes(), &HeadLimits::default()).unwrap());
    assert!(asks(GOOD));
    assert!(asks(&with("Version: 13", "Version: 8")));
    assert!(!asks(&with("Upgrade: websocket", "Upgrade: h2c")));
    assert!(!asks(&with("Connection: Upgrade", "Connection: close")));
}

#[test]
fn row_8_subprotocols_are_tokens() {
    let offered = |value: &str| {
        let bytes = and(&format!("Sec-WebSocket-Protocol: {value}\r\n"));
        let head = Head::parse(bytes.as_bytes(), &HeadLimits::default()).unwrap();
        handshake::parse(&head).map(|upgrade| upgrade.subprotocols.join("|")).map_err(|refusal| refusal.status)
    };
    for (value, expected) in [
        ("a", Ok("a")),
        ("a,b , c", Ok("a|b|c")),
        ("a,,b,", Ok("a|b")),
        ("a\r\nSec-WebSocket-Protocol: b", Ok("a|b")),
        ("__proto__, constructor", Ok("__proto__|constructor")),
        ("v1.chat+json", Ok("v1.chat+json")),
        ("", Err(400)),
        (",", Err(400)),
        ("a b", Err(400)),
        ("a;b", Err(400)),
        ("a=b", Err(400)),
        ("\"a\"", Err(400)),
        ("a/b", Err(400)),
        ("\u{e4}", Err(400)),
    ] {
        assert_eq!(offered(value).as_deref(), expected.as_ref().copied(), "{value:?}");
    }
    for junk in [",", " ,", "\",", ";", "=", "\""] {
        assert_eq!(offered(&junk.repeat(8192 / junk.len())), Err(400), "{junk:?} many times");
    }
}

#[test]
fn row_8_extensions_are_read_by_their_grammar() {
    let parsed = |value: &str| {
        let extensions = extensions::parse(value.as_bytes()).map_err(|_| ())?;
        let show = |extension: &extensions::Extension<'_>| {
            let params = extension.params.iter().map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            });
            extension.name.to_owned() + &params.collect::<String>()
        };
        Ok(extensions.iter().map(show).collect::<Vec<_>>().join("|"))
    };
    for (value, expected) in [
        ("permessage-deflate", Ok("permessage-deflate")),
        ("a; b; c=1 ; d = \"2\", e", Ok("a;b;c=1;d=2|e")),
        ("a,,b", Ok("a|b")),
        ("__proto__; constructor=toString", Ok("__proto__;constructor=toString")),
        ("", Err(())),
        (",", Err(())),
        ("a;", Err(())),
        ("a;;b", Err(())),
        (";a", Err(())),
        ("a; b=", Err(())),
        ("a; b=\"\"", Err(())),
        ("a; b=\"", Err(())),
        ("a; b=\"c", Err(())),
        ("a; b=\"c d\"", Err(())),
        ("a; b=c=d", Err(())),
        ("a b", Err(())),
        ("a=b", Err(())),
        ("\u{e4}", Err(())),
    ] {
        assert_eq!(parsed(value).as_deref(), expected.as_ref().copied(), "{value:?}");
        let request = and(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
        assert_eq!(status(&request), if expected.is_ok() { 101 } else { 400 }, "{value:?}");
    }
    for junk in [", ", " \"", ";", "=", "\\\"", "a;", "a=\""] {
        assert_eq!(parsed(&junk.repeat(8192 / junk.len())), Err(()), "{junk:?} many times");
    }
}

#[test]
fn row_11_what_must_not_be_sent_is_found() {
    for value in ["a\r\nb", "a\nb", "a\rb", "a\0b", "\x1b[0m", "\x7f", " a", "a ", "\ta"] {
        assert!(!is_field_value(value), "{value:?}");
    }
    for value in ["", "a", "a b\tc", "\u{e4}", "text/html; charset=utf-8"] {
        assert!(is_field_value(value), "{value:?}");
    }
    for name in ["", "a b", "a:", "a\r\n", "(a)", "\u{e4}", "a\0"] {
        assert!(!is_token(name), "{name:?}");
    }
    assert!(is_token("X-!#$%&'*+-.^_`|~09az"));
}

#[test]
fn both_halves_agree() {
    for (offered, chosen) in [(&[][..], None), (&["a", "b"][..], Some("b")), (&["a"][..], None)] {
        let key = key([1; 16]);
        let request = Request {
            host: "[::1]:8888",
            target: "/?q",
            key: &key,
            subprotocols: offered,
            fields: &[("Origin", "null")],
        };
        let mut bytes = Vec::new();
        request.write(&mut bytes).unwrap();
        let end = Scanner::new().end(&bytes, &HeadLimits::default()).unwrap();
        assert_eq!(end, Some(bytes.len()));
        let head = Head::parse(&bytes, &HeadLimits::default()).unwrap();
        let upgrade = handshake::parse(&head).unwrap();
        assert_eq!((&upgrade.subprotocols[..], upgrade.origin), (offered, Some("null")));
        assert_eq!((head.target, head.host()), ("/?q", Some("[::1]:8888")));

        let mut answer = Vec::new();
        handshake::write_response(&mut answer, upgrade.key, chosen, &[]);
        let head = ResponseHead::parse(&answer, &HeadLimits::default()).unwrap();
        assert_eq!(request.check(&head).unwrap().subprotocol, chosen);
    }
}

#[test]
fn the_client_accepts_only_what_it_asked_for() {
    let request = Request { host: "a", target: "/", key: KEY, subprotocols: &["chat"], fields: &[] };
    let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let and = |line: &str| good.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let table = [
        (good.to_owned(), Ok(None)),
        (and("Sec-WebSocket-Protocol: chat"), Ok(Some("chat"))),
        (good.replace("101", "200"), Err(Disagreement::Status(200))),
        (good.replace(": websocket", ": h2c"), Err(Disagreement::Upgrade)),
        (good.replace(": Upgrade", ": close"), Err(Disagreement::Connection)),
        (good.replace("s3pP", "S3pP"), Err(Disagreement::Accept)),
        (good.replace(&format!("{accept}\r\n"), ""), Err(Disagreement::Accept)),
        (and(accept), Err(Disagreement::Accept)),
        (and("Sec-WebSocket-Extensions: permessage-deflate"), Err(Disagreement::Extension)),
        (and("Sec-WebSocket-Protocol: Chat"), Err(Disagreement::Subprotocol)),
        (and("Sec-WebSocket-Protocol: chat, chat"), Err(Disagreement::Subprotocol)),
        (and("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat"), Err(Disagreement::Subprotocol)),
    ];
    for (bytes, expected) in table {
        let head = ResponseHead::parse(bytes.as_bytes(), &HeadLimits::default()).unwrap();
        assert_eq!(request.check(&head).map(|agreed| agreed.subprotocol), expected, "{bytes}");
    }
}

#[test]
fn the_client_sends_nothing_that_would_be_read_differently() {
    let good = Request { host: "a", target: "/", key: KEY, subprotocols: &["chat"], fields: &[("A", "b")] };
    let table = [
        (good, Ok(())),
        (Request { host: "a/b", ..good }, Err(InvalidRequest::Host)),
        (Request { host: "a\r\nB: c", ..good }, Err(InvalidRequest::Host)),
        (Request { target: "", ..good }, Err(InvalidRequest::Target)),
        (Request { target: "a", ..good }, Err(InvalidRequest::Target)),
        (Request { target: "/ HTTP/1.1\r\nA: b\r\n\r\n", ..good }, Err(InvalidRequest::Target)),
        (Request { key: "short", ..good }, Err(InvalidRequest::Key)),
        (Request { subprotocols: &["a,b"], ..good }, Err(InvalidRequest::Subprotocol)),
        (Request { fields: &[("A", "b\r\nC: d")], ..good }, Err(InvalidRequest::Field)),
        (Request { fields: &[("A:", "b")], ..good }, Err(InvalidRequest::Field)),
    ];
    for (request, expected) in table {
        let mut out = Vec::new();
        assert_eq!(request.write(&mut out), expected, "{request:?}");
        assert_eq!(out.is_empty(), expected.is_err());
    }
}

/// The least time that reading this head and its handshake takes, of many times.
fn least_time(bytes: &[u8], limits: &HeadLimits) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..300 {
        let begun = Instant::now();
        let mut scanner = Scanner::new();
        let end = scanner.end(bytes, limits);
        let head = Head::parse(bytes, limits);
        let upgrade = head.as_ref().map(|head| handshake::parse(head).is_ok());
        least = least.min(begun.elapsed());
        assert_eq!((end, upgrade), (Ok(Some(bytes.len())), Ok(true)));
    }
    least
}

#[test]
fn row_12_twice_as_much_of_the_same_takes_twice_the_time() {
    let limits = HeadLimits { max_bytes: 64 << 10, max_fields: 10_000 };
    let many = |name: &str, value: &str, bytes: usize| {
        format!("{name}: {value}\r\n").repeat(bytes / (name.len() + value.len() + 4))
    };
    let long = |name: &str, piece: &str, bytes: usize| format!("{name}: {}x\r\n", piece.repeat(bytes / piece.len()));
    type Lines<'a> = &'a dyn Fn(usize) -> String;
    let shapes: [(&str, Lines<'_>); 7] = [
        ("one field again and again", &|bytes| many("a", "b", bytes)),
        ("subprotocols in a field each", &|bytes| many("Sec-WebSocket-Protocol", "a", bytes)),
        ("subprotocols in one field", &|bytes| long("Sec-WebSocket-Protocol", "a,", bytes)),
        ("extensions in a field each", &|bytes| many("Sec-WebSocket-Extensions", "permessage-deflate", bytes)),
        ("extensions in one field", &|bytes| long("Sec-WebSocket-Extensions", "a; b=c, ", bytes)),
        ("tokens of Connection", &|bytes| long("Connection", "a, ", bytes)),
        ("cookies", &|bytes| long("Cookie", "a=b; ", bytes)),
    ];
    for (name, lines) in shapes {
        let head = |bytes| {
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{}Connection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                lines(bytes)
            )
        };
        let (once, twice) = (head(8 << 10), head(16 << 10));
        let (once, twice) = (least_time(once.as_bytes(), &limits), least_time(twice.as_bytes(), &limits));
        assert!(twice < once * 5 / 2 + Duration::from_micros(2), "{name}: {once:?}, then {twice:?}");
    }
}

#[test]
fn the_client_takes_compression_only_as_it_offered_it() {
    let offer = Offer { client_no_context_takeover: true, ..Offer::default() };
    let value = offer.to_string();
    let fields = [("Sec-WebSocket-Extensions", value.as_str())];
    let request = Request { host: "a", target: "/", key: KEY, subprotocols: &[], fields: &fields };
    let answer = |line: &str| {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{line}\r\n"
        )
    };
    for (line, expected) in [
        ("", Ok(None)),
        ("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n", Ok(Some(false))),
        ("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n", Ok(Some(true))),
        ("Sec-WebSocket-Extensions: permessage-bzip2\r\n", Err(Disagreement::Extension)),
        ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n", Err(Disagreement::Extension)),
    ] {
        let bytes = answer(line);
        let head = ResponseHead::parse(bytes.as_bytes(), &HeadLimits::default()).unwrap();
        let agreed = request.check_offer(&head, &offer).map(|(_, params)| params);
        assert_eq!(agreed.map(|params| params.map(|params| params.server_no_context_takeover)), expected, "{line}");
    }
}

//! Engine.IO: packets, payloads, queries and the way from polling to a WebSocket; rows 10, 35, 37, 38 and 41 of the
//! list of attacks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_proto::close::CloseCode;
use hubbub_proto::comet::{self, BodyError};
use hubbub_proto::engineio::packet;
use hubbub_proto::engineio::payload::{PayloadError, SEPARATOR};
use hubbub_proto::engineio::{ErrorCode, Packet, PacketError, PacketType, Query, Request, Sid, Transport, admit, open};
use hubbub_proto::message::Kind;
use proptest::prelude::*;
use serde_json::Value;

const SID: &str = "wZX3oN0bSVIhsaknAAAI";

fn sid() -> Sid {
    Sid::new(SID).expect("an id")
}

fn read(body: &[u8]) -> Result<Vec<Result<comet::Packet<'_>, BodyError>>, BodyError> {
    comet::packets(body, 4096).map(Iterator::collect)
}

/// What a packet means in the body of a POST.
fn meaning(packet: Packet<'_>) -> comet::Packet<'_> {
    match packet {
        Packet::Binary(bytes) => comet::Packet::Message(Kind::Binary, bytes),
        Packet::Text { kind, data } => match kind {
            PacketType::Message => comet::Packet::Message(Kind::Text, data.as_bytes().into()),
            PacketType::Close => comet::Packet::Close { code: CloseCode::NO_STATUS_RECEIVED, reason: String::new() },
            PacketType::Ping => comet::Packet::Ping,
            PacketType::Pong => comet::Packet::Pong,
            PacketType::Open | PacketType::Upgrade | PacketType::Noop => comet::Packet::Nothing,
        },
    }
}

/// Appends a packet to the body of a poll's answer, as the server does.
fn append(out: &mut Vec<u8>, packet: &Packet<'_>) {
    if !out.is_empty() {
        out.push(SEPARATOR);
    }
    match packet {
        Packet::Text { kind: PacketType::Message, data } => comet::text_packet(out, data),
        Packet::Text { kind, data } => packet::encode(out, *kind, data),
        Packet::Binary(bytes) => {
            out.push(b'b');
            comet::base64(out, bytes);
        }
    }
}

#[test]
fn each_digit_is_a_type_and_no_other_is() {
    let types = [
        ("0", PacketType::Open),
        ("1", PacketType::Close),
        ("2", PacketType::Ping),
        ("3", PacketType::Pong),
        ("4", PacketType::Message),
        ("5", PacketType::Upgrade),
        ("6", PacketType::Noop),
    ];
    for (digit, kind) in types {
        assert_eq!(Packet::parse(digit), Ok(Packet::text(kind, "")));
        let text = format!("{digit}grüße");
        assert_eq!(Packet::parse(&text), Ok(Packet::text(kind, "grüße")));
        let mut out = Vec::new();
        packet::encode(&mut out, kind, "grüße");
        assert_eq!(out, text.as_bytes());
    }
    assert_eq!(Packet::parse(""), Err(PacketError::Empty));
    // A client with forceBase64 sends bytes so.
    assert_eq!(Packet::parse("bAQID"), Ok(Packet::Binary(vec![1, 2, 3].into())));
    assert_eq!(Packet::parse("b"), Ok(Packet::Binary(Vec::new().into())));
    for text in ["bA", "bAQI", "b!!!!", "bAQID="] {
        assert_eq!(Packet::parse(text), Err(PacketError::Base64), "{text:?}");
    }
    for text in ["7", "9", "a", " 4", "\u{664}", "-1", "\0"] {
        assert_eq!(Packet::parse(text), Err(PacketError::Type), "{text:?}");
    }
    assert!(Packet::parse("2probe").unwrap().is_probe());
    assert!(!["2", "3probe", "2Probe", "2probe "].iter().any(|text| Packet::parse(text).unwrap().is_probe()));
}

#[test]
fn the_first_packet_has_five_keys_in_order() {
    let session = open::Open {
        sid: &sid(),
        may_upgrade: true,
        ping_interval: 25_000,
        ping_timeout: 20_000,
        max_payload: 1_000_000,
    };
    let mut out = Vec::new();
    open::encode(&mut out, &session);
    let expected = r#"0{"sid":"wZX3oN0bSVIhsaknAAAI","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    open::encode(&mut out, &open::Open { may_upgrade: false, ..session });
    assert_eq!(String::from_utf8(out).unwrap(), expected.replace(r#"["websocket"]"#, "[]"));
}

#[test]
fn a_refusal_has_a_number_a_message_and_a_status() {
    for (number, code) in ErrorCode::ALL.into_iter().enumerate() {
        let body: Value = serde_json::from_str(code.body()).unwrap();
        assert_eq!(body, serde_json::json!({ "code": number, "message": code.message() }));
        assert_eq!(code as usize, number);
        assert_eq!(code.status(), if number == 4 { 403 } else { 400 });
    }
    assert_eq!(ErrorCode::TransportUnknown.body(), r#"{"code":0,"message":"Transport unknown"}"#);
}

#[test]
fn queries() {
    let plain = Query { transport: Transport::Polling, is_version_4: true, sid: None, jsonp: None };
    let table: &[(&str, Query)] = &[
        ("EIO=4&transport=polling", plain),
        ("EIO=4&transport=polling&t=PVbGGyY", plain),
        ("transport=polling&EIO=4&token=a%20b&token=c", plain),
        ("EIO=4&transport=%70olling", plain),
        ("&&EIO=4&transport=polling&=&=a&b&", plain),
        ("EIO=4&transport=websocket", Query { transport: Transport::WebSocket, ..plain }),
        ("EIO=4&transport=polling&j=12", Query { jsonp: Some(12), ..plain }),
        ("EIO=3&transport=polling", Query { is_version_4: false, ..plain }),
        ("EIO=04&transport=polling", Query { is_version_4: false, ..plain }),
        ("transport=polling", Query { is_version_4: false, ..plain }),
    ];
    for (text, query) in table {
        assert_eq!(Query::parse(text), Ok(*query), "{text}");
    }
    let text = format!("EIO=4&transport=polling&sid={SID}");
    assert_eq!(Query::parse(&text), Ok(Query { sid: Some(sid()), ..plain }));
}

#[test]
fn row_10_odd_queries_are_refused_or_ignored() {
    use ErrorCode::{BadRequest, SessionIdUnknown, TransportUnknown};
    let long = format!("EIO=4&transport=polling&{}", "a=%41&".repeat(17_000));
    assert!(long.len() > 100_000 && Query::parse(&long).is_ok());
    let table = [
        ("", TransportUnknown),
        ("EIO=4", TransportUnknown),
        ("EIO=4&transport=", TransportUnknown),
        ("EIO=4&transport=webtransport", TransportUnknown),
        ("EIO=4&transport=Polling", TransportUnknown),
        ("EIO=4&transport[]=polling", TransportUnknown),
        ("EIO=4&transport%5B%5D=polling", TransportUnknown),
        ("EIO=4&transport[a]=polling", TransportUnknown),
        ("EIO=4&transport=__proto__", TransportUnknown),
        ("EIO=4&transport=%", TransportUnknown),
        ("EIO=4&transport=%ff", TransportUnknown),
        ("EIO=4&transport=polling%00", TransportUnknown),
        ("EIO=4&EIO=3&transport=polling", BadRequest),
        ("EIO=4&EIO=4&transport=polling", BadRequest),
        ("EIO=4&transport=polling&transport=websocket", BadRequest),
        ("EIO=4&transport=polling&sid=a&sid=b", BadRequest),
        ("EIO=4&transport=polling&j=", BadRequest),
        ("EIO=4&transport=polling&j=-1", BadRequest),
        ("EIO=4&transport=polling&j=%2B1", BadRequest),
        ("EIO=4&transport=polling&j=1)alert(1", BadRequest),
        ("EIO=4&transport=polling&j=4294967296", BadRequest),
        ("EIO=4&transport=polling&sid=%", SessionIdUnknown),
        ("EIO=4&transport=polling&sid=%ff%fe", SessionIdUnknown),
    ];
    for (text, error) in table {
        assert_eq!(Query::parse(text), Err(error), "{text}");
    }
}

#[test]
fn row_37_what_can_be_no_id_is_an_unknown_one() {
    let long = "a".repeat(10_000);
    for text in ["", "__proto__", "constructor", "grüßegrüßegrüßegrüße", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa=", &long]
    {
        assert_eq!(Sid::new(text), None, "{text}");
        let query = format!("EIO=4&transport=polling&sid={text}");
        assert_eq!(Query::parse(&query), Err(ErrorCode::SessionIdUnknown), "{text}");
    }
    for text in ["aaaaaaaaaaaaaaaa", "-_-_-_-_-_-_-_-_", SID, &"Z9".repeat(16)] {
        let sid = Sid::new(text).unwrap();
        assert_eq!(sid.as_str(), text);
        assert_eq!(sid, Sid::new(text).unwrap());
    }
    assert_ne!(Sid::new("aaaaaaaaaaaaaaaa"), Sid::new("aaaaaaaaaaaaaaaaa"));
    // As the reference does, but without making a session for one that was refused.
    let query = Query::parse(&format!("EIO=4&transport=polling&sid={SID}")).unwrap();
    assert_eq!(admit(&query, "GET", false, None), Err(ErrorCode::SessionIdUnknown));
}

#[test]
fn row_41_no_debug_output_has_the_id() {
    let query = Query::parse(&format!("EIO=4&transport=polling&sid={SID}")).unwrap();
    assert!(!format!("{:?} {query:?}", sid()).contains(&SID[..4]));
}

#[test]
fn requests() {
    use ErrorCode::{BadHandshakeMethod, BadRequest, SessionIdUnknown, UnsupportedProtocolVersion};
    use Transport::{Polling, WebSocket};
    let query =
        |transport, is_version_4, has_sid: bool| Query { transport, is_version_4, sid: has_sid.then(sid), jsonp: None };
    let opening = [
        (Polling, true, "GET", false, Ok(Request::Open(Polling))),
        (WebSocket, true, "GET", true, Ok(Request::Open(WebSocket))),
        (Polling, true, "POST", false, Err(BadHandshakeMethod)),
        (Polling, true, "PUT", false, Err(BadHandshakeMethod)),
        (Polling, true, "get", false, Err(BadHandshakeMethod)),
        (WebSocket, true, "GET", false, Err(BadRequest)),
        (Polling, true, "GET", true, Err(BadRequest)),
        (Polling, false, "GET", false, Err(UnsupportedProtocolVersion)),
        (WebSocket, false, "GET", true, Err(UnsupportedProtocolVersion)),
    ];
    for (transport, is_version_4, method, is_upgrade, expected) in opening {
        let seen = admit(&query(transport, is_version_4, false), method, is_upgrade, None);
        assert_eq!(seen, expected, "{transport:?} {is_version_4} {method} {is_upgrade}");
    }
    let in_session = [
        (Polling, true, "GET", false, Some(Polling), Ok(Request::Poll)),
        (Polling, true, "POST", false, Some(Polling), Ok(Request::Post)),
        (WebSocket, true, "GET", true, Some(Polling), Ok(Request::Upgrade)),
        // The stage of the session closes it.
        (WebSocket, true, "GET", true, Some(WebSocket), Ok(Request::Upgrade)),
        (Polling, true, "PUT", false, Some(Polling), Err(BadRequest)),
        (Polling, true, "DELETE", false, Some(Polling), Err(BadRequest)),
        (Polling, true, "GET", false, Some(WebSocket), Err(BadRequest)),
        (Polling, true, "POST", false, Some(WebSocket), Err(BadRequest)),
        (WebSocket, true, "GET", false, Some(Polling), Err(BadRequest)),
        (WebSocket, true, "GET", false, Some(WebSocket), Err(BadRequest)),
        (WebSocket, true, "POST", false, Some(WebSocket), Err(BadRequest)),
        (Polling, true, "GET", true, Some(Polling), Err(BadRequest)),
        (Polling, false, "GET", false, Some(Polling), Err(BadRequest)),
        (Polling, true, "GET", false, None, Err(SessionIdUnknown)),
        (WebSocket, false, "GET", true, None, Err(SessionIdUnknown)),
    ];
    for (transport, is_version_4, method, is_upgrade, session, expected) in in_session {
        let seen = admit(&query(transport, is_version_4, true), method, is_upgrade, session);
        assert_eq!(seen, expected, "{transport:?} {is_version_4} {method} {is_upgrade} {session:?}");
    }
}

#[test]
fn row_38_a_payload_is_held_to_limits_before_anything_is_read() {
    let refused = |error| Some(BodyError::Payload(error));
    let megabyte = vec![SEPARATOR; 1_000_000];
    assert_eq!(read(&megabyte).err(), refused(PayloadError::TooManyPackets));
    assert_eq!(read(&vec![b'4'; 1_000_000]).unwrap().len(), 1);
    assert_eq!(read(b"").err(), refused(PayloadError::Empty));
    assert_eq!(read(b"4\xff").err(), refused(PayloadError::Utf8));
    assert_eq!(comet::packets(b"4\x1e4", 2).unwrap().count(), 2);
    assert_eq!(comet::packets(b"4\x1e4\x1e4", 2).err(), refused(PayloadError::TooManyPackets));
}

#[test]
fn what_is_no_packet_is_an_error_in_its_place() {
    let text = |text: &'static str| Ok(comet::Packet::Message(Kind::Text, text.as_bytes().into()));
    let wrong = |error| Err(BodyError::Packet(error));
    let table = [
        ("4a\x1e\x1e4b", vec![text("a"), wrong(PacketError::Empty), text("b")]),
        ("4a\x1e7\x1e4b", vec![text("a"), wrong(PacketError::Type), text("b")]),
        ("4a\x1e", vec![text("a"), wrong(PacketError::Empty)]),
        ("b!\x1e4b", vec![wrong(PacketError::Base64), text("b")]),
        ("bAQIDBA", vec![wrong(PacketError::Base64)]),
        ("bAQIDBB==", vec![wrong(PacketError::Base64)]),
        ("bAQID BA==", vec![wrong(PacketError::Base64)]),
        ("b-_-_", vec![wrong(PacketError::Base64)]),
        ("bä", vec![wrong(PacketError::Base64)]),
    ];
    for (body, packets) in table {
        assert_eq!(read(body.as_bytes()).unwrap(), packets, "{body:?}");
    }
}

#[test]
fn payloads_are_read_and_written_as_by_the_reference() {
    let transcripts: Value = serde_json::from_str(include_str!("data/socketio.json")).unwrap();
    let kinds = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
    let packet = |value: &Value| -> Option<Packet<'static>> {
        let kind = kinds.iter().position(|kind| value["type"] == *kind)?;
        if let Some(base64) = value["data"]["$bytes"].as_str() {
            return Some(Packet::Binary(STANDARD.decode(base64).unwrap().into()));
        }
        let data = value["data"].as_str().unwrap_or_default().to_owned().leak();
        Some(Packet::text(PacketType::from_digit(b'0' + kind as u8)?, data))
    };
    for case in transcripts["encode_payload"].as_array().unwrap() {
        let mut out = Vec::new();
        for value in case["packets"].as_array().unwrap() {
            append(&mut out, &packet(value).unwrap());
        }
        assert_eq!(String::from_utf8(out).unwrap(), case["body"].as_str().unwrap());
    }
    // What Node's lenient decoder takes for base64, and this one does not.
    let stricter = ["bAQIDBA", "bAQID BA==", "b-_-_", "b!!!!", "bAQIDBB==", "b4", "b===="];
    for case in transcripts["decode_payload"].as_array().unwrap() {
        let body = case["body"].as_str().unwrap();
        let expected: Vec<_> = case["packets"].as_array().unwrap().iter().map(packet).collect();
        // The reference gives what it has read before an error; a body with an error in it is not taken here.
        let whole: Option<Vec<_>> = expected.into_iter().map(|packet| packet.map(meaning)).collect();
        let seen: Result<Vec<_>, _> = read(body.as_bytes()).and_then(|packets| packets.into_iter().collect());
        assert_eq!(seen.ok(), whole.filter(|_| !stricter.contains(&body)), "{body:?}");
    }
}

#[test]
fn an_id_of_this_servers_is_read_as_it_was_made_and_no_other_is() {
    let secret = *b"0123456789abcdef";
    let sid = Sid::of(77 << 40 | 5, &secret);
    assert_eq!((sid.read(), sid.as_str().len()), (Some((77 << 40 | 5, secret)), 32));
    assert_eq!(Sid::new(sid.as_str()), Some(sid));
    for other in ["abcdefghijklmnop", "abcdefghijklmnopqrstuvwxyz01234"] {
        assert_eq!(Sid::new(other).unwrap().read(), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_appended_is_read_again(
        packets in proptest::collection::vec(
            prop_oneof![
                (prop_oneof![Just(0_u8), 2..7_u8], "[^\u{1e}]{0,20}").prop_map(|(kind, data)| (Some(kind), data.into_bytes())),
                proptest::collection::vec(any::<u8>(), 0..50).prop_map(|bytes| (None, bytes)),
            ],
            1..20,
        ),
    ) {
        let packets: Vec<Packet<'_>> = packets
            .iter()
            .map(|(kind, data)| match kind.and_then(|kind| PacketType::from_digit(b'0' + kind)) {
                Some(kind) => Packet::text(kind, std::str::from_utf8(data).unwrap()),
                None => Packet::Binary(data.into()),
            })
            .collect();
        let mut out = Vec::new();
        packets.iter().for_each(|packet| append(&mut out, packet));
        let seen: Result<Vec<_>, _> = read(&out).unwrap().into_iter().collect();
        prop_assert_eq!(seen, Ok(packets.into_iter().map(meaning).collect::<Vec<_>>()));
    }

    #[test]
    fn any_query_gets_an_answer(query in "(EIO|transport|sid|j|[&=%a-z\\[\\]\u{e4}]|=4|=polling|=websocket){0,40}") {
        if let Ok(query) = Query::parse(&query) {
            let _ = admit(&query, "GET", false, Some(Transport::Polling));
        }
    }
}

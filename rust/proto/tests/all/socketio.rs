//! Packets of Socket.IO: the grammar, what is refused, rows 32, 33, 39 and 43 of the list of attacks, and the same
//! verdicts as the reference's parser.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_proto::socketio::json::{DEFAULT_DEPTH, MAX_DEPTH, MAX_NUMBER_BYTES};
use hubbub_proto::socketio::packet::{RESERVED_EVENTS, encode, encode_placeholder};
use hubbub_proto::socketio::{
    Assembled, Assembler, Header, Kind, Limits, Name, Packet, PacketError, Placeholder, Progress,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::values::Values;

fn parse(text: &str) -> Result<Packet<'_>, PacketError> {
    Packet::parse(text, &Limits::default())
}

fn error(text: &str) -> Option<PacketError> {
    parse(text).err()
}

fn text(name: &str) -> Option<Name<'_>> {
    Some(Name::Text(Cow::Borrowed(name)))
}

#[test]
fn each_part_of_a_packet() {
    type Parts<'a> = (Kind, u32, &'a str, Option<u64>, &'a str);
    let table: &[(&str, Parts<'_>)] = &[
        ("0", (Kind::Connect, 0, "/", None, "")),
        (r#"0{"token":"123"}"#, (Kind::Connect, 0, "/", None, r#"{"token":"123"}"#)),
        ("0/admin", (Kind::Connect, 0, "/admin", None, "")),
        ("0/admin,", (Kind::Connect, 0, "/admin", None, "")),
        (r#"0/admin,{"a":1}"#, (Kind::Connect, 0, "/admin", None, r#"{"a":1}"#)),
        // Without a comma, all that follows is the namespace.
        (r#"0/admin{"a":1}"#, (Kind::Connect, 0, r#"/admin{"a":1}"#, None, "")),
        ("0/mw?x=1,", (Kind::Connect, 0, "/mw?x=1", None, "")),
        ("0/,", (Kind::Connect, 0, "/", None, "")),
        ("1", (Kind::Disconnect, 0, "/", None, "")),
        ("1/admin,", (Kind::Disconnect, 0, "/admin", None, "")),
        (r#"2["a"]"#, (Kind::Event, 0, "/", None, r#"["a"]"#)),
        (r#"20["a"]"#, (Kind::Event, 0, "/", Some(0), r#"["a"]"#)),
        (r#"2/admin,12["a"]"#, (Kind::Event, 0, "/admin", Some(12), r#"["a"]"#)),
        (r#"218446744073709551615["a"]"#, (Kind::Event, 0, "/", Some(u64::MAX), r#"["a"]"#)),
        ("31[]", (Kind::Ack, 0, "/", Some(1), "[]")),
        ("3[]", (Kind::Ack, 0, "/", None, "[]")),
        (r#"4"no""#, (Kind::ConnectError, 0, "/", None, r#""no""#)),
        (r#"4/a,{"message":"no"}"#, (Kind::ConnectError, 0, "/a", None, r#"{"message":"no"}"#)),
        (r#"51-["a"]"#, (Kind::Event, 1, "/", None, r#"["a"]"#)),
        (r#"510-/a,3["a"]"#, (Kind::Event, 10, "/a", Some(3), r#"["a"]"#)),
        ("62-7[]", (Kind::Ack, 2, "/", Some(7), "[]")),
    ];
    for (text, parts) in table {
        let packet = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let seen = (packet.kind(), packet.attachments(), packet.namespace(), packet.ack(), packet.json());
        assert_eq!(seen, *parts, "{text}");
        let owned = packet.clone().into_owned();
        assert_eq!(packet, owned);
    }
}

#[test]
fn names_and_arguments_are_slices_of_the_text() {
    let event = parse(r#"2["say" , "x,]\"y",{"a":[1,{}]}, 1.50 ,null]"#).unwrap();
    assert_eq!(event.name(), text("say"));
    assert_eq!(event.arguments().collect::<Vec<_>>(), [r#""x,]\"y""#, r#"{"a":[1,{}]}"#, "1.50", "null"]);
    assert_eq!(event.arguments().len(), 4);
    assert_eq!(parse(r#"2["\u0061\"\ud83d\ude00"]"#).unwrap().name(), text("a\"\u{1f600}"));
    assert_eq!(parse(r#"2["gr\u00fc\u00dfe"]"#).unwrap().name(), text("grüße"));
    assert_eq!(parse(r#"2["grüße"]"#).unwrap().name(), text("grüße"));
    assert_eq!(parse(r#"2[""]"#).unwrap().name(), text(""));
    assert_eq!(parse(r#"2["\""]"#).unwrap().name(), text("\""));

    let ack = parse(r#"31["say",2]"#).unwrap();
    assert_eq!((ack.name(), ack.arguments().collect::<Vec<_>>()), (None, vec![r#""say""#, "2"]));
    let connect = parse(r#"0{"a":1}"#).unwrap();
    assert_eq!((connect.name(), connect.arguments().len()), (None, 0));
}

#[test]
fn what_is_no_packet() {
    use PacketError::*;
    let table: &[(&str, PacketError)] = &[
        ("", Empty),
        ("7", Type),
        ("abc", Type),
        (" 2", Type),
        ("\u{662}[]", Type),
        ("5", Attachments),
        ("5-[]", Attachments),
        ("50-[]", Attachments),
        ("5a-[]", Attachments),
        ("5-1-[]", Attachments),
        ("51.5-[]", Attachments),
        ("51", Attachments),
        (r#"5["a"]"#, Attachments),
        (r#"218446744073709551616["a"]"#, AckId),
        (r#"2000000000000000000001["a"]"#, AckId),
        (r#"2abc["a"]"#, Data),
        (r#"2-1["a"]"#, Data),
        ("2", Data),
        ("2{}", Data),
        (r#"2"a""#, Data),
        ("2null", Data),
        ("51-", Data),
        ("3", Data),
        ("31{}", Data),
        ("0[]", Data),
        (r#"0"a""#, Data),
        ("0null", Data),
        ("1{}", Data),
        ("1[]", Data),
        ("4", Data),
        ("4[]", Data),
        ("2[]", EventName),
        ("2[null]", EventName),
        ("2[true]", EventName),
        ("2[[]]", EventName),
        (r#"2[{"a":1}]"#, EventName),
        (r#"2["a""#, Json),
        (r#"2["a",]"#, Json),
        (r#"2["a"]]"#, Json),
        (r#"2["a"]x"#, Json),
        (r#"0{"a":1,}"#, Json),
        (r#"0{"a":1}{}"#, Json),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), Some(*expected), "{text}");
    }
}

#[test]
fn row_32_placeholders_with_another_number_than_an_attachments_are_refused() {
    for num in ["10", "1", "-1", r#""splice""#, "true", "1.0", "0.0", "-0", "0e0", "null", "[]", r#""0""#, "4294967296"]
    {
        let packet = format!(r#"51-["a",{{"_placeholder":true,"num":{num}}}]"#);
        assert_eq!(error(&packet), Some(PacketError::Placeholder), "{num}");
    }
    let others = [
        r#"{"_placeholder":true}"#,
        r#"{"_placeholder":true,"num":0,"a":1}"#,
        r#"{"_placeholder":true,"num":0,"num":0}"#,
        r#"{"_placeholder":true,"_placeholder":true,"num":0}"#,
        r#"{"_placeholder":true,"num":{"_placeholder":true,"num":0}}"#,
        r#"{"\u005fplaceholder":true,"num":9}"#,
    ];
    for json in others {
        assert_eq!(error(&format!(r#"51-["a",{json}]"#)), Some(PacketError::Placeholder), "{json}");
    }
}

#[test]
fn row_32_event_names_that_are_none_are_refused_and_numbers_are_names() {
    assert_eq!(error("2[]"), Some(PacketError::EventName));
    assert_eq!(error("2{}"), Some(PacketError::Data));
    assert_eq!(error(r#"2["connect"]"#), Some(PacketError::ReservedEvent));
    assert_eq!(error(r#"51-[{"_placeholder":true,"num":0}]"#), Some(PacketError::EventName));
    for number in ["1", "-1", "1.5", "1e3"] {
        let packet = format!("2[{number},2]");
        let packet = parse(&packet).unwrap();
        assert_eq!((packet.name(), packet.arguments().len()), (Some(Name::Number(number)), 1));
    }
}

#[test]
fn placeholders_are_found_wherever_they_stand() {
    let packet = parse(
        r#"53-["a",{"_placeholder":true,"num":2},{"b":[{"num" : 0 , "_placeholder" : true}]},{"_placeholder":true,"num":2}]"#,
    )
    .unwrap();
    let found: Vec<_> =
        packet.placeholders().iter().map(|each| (&packet.json()[each.range.clone()], each.num)).collect();
    let first = r#"{"_placeholder":true,"num":2}"#;
    assert_eq!(found, [(first, 2), (r#"{"num" : 0 , "_placeholder" : true}"#, 0), (first, 2)]);

    // Objects of the application, not placeholders.
    for json in [
        r#"{"_placeholder":false,"num":9}"#,
        r#"{"_placeholder":1}"#,
        r#"{"_placeholder":"true","num":9}"#,
        r#"{"num":9}"#,
        r#"{"_Placeholder":true,"num":9}"#,
        r#"{"_placeholder":{},"num":9}"#,
    ] {
        assert!(parse(&format!(r#"51-["a",{json}]"#)).unwrap().placeholders().is_empty(), "{json}");
    }
    let escaped = r#"{"\u005fplaceholder":true,"n\u0075m":0}"#;
    let packet = format!(r#"51-["a",{escaped}]"#);
    let packet = parse(&packet).unwrap();
    let found: Vec<_> = packet.placeholders().iter().map(|each| &packet.json()[each.range.clone()]).collect();
    assert_eq!(found, [escaped]);
    // In a packet without attachments nothing is one.
    assert!(parse(r#"2["a",{"_placeholder":true,"num":"x"}]"#).unwrap().placeholders().is_empty());
}

#[test]
fn row_33_attachments_are_counted_before_anything_is_kept() {
    use PacketError::{Attachments, TooManyAttachments};
    let table = [
        (r#"5999999999-["a"]"#, TooManyAttachments),
        (r#"599999999999999999999999-["a"]"#, TooManyAttachments),
        (r#"511-["a"]"#, TooManyAttachments),
        ("611-1[]", TooManyAttachments),
        (r#"550-["a"]"#, TooManyAttachments),
        (r#"50-["a"]"#, Attachments),
    ];
    for (text, expected) in table {
        let mut assembler = Assembler::<Vec<u8>>::new();
        assert_eq!(assembler.text(text, &Limits::default()), Err(expected), "{text}");
        assert!(assembler.pending().is_none());
    }
    let many = Limits { max_attachments: 50, ..Limits::default() };
    assert_eq!(Packet::parse(r#"550-["a"]"#, &many).unwrap().attachments(), 50);
    let none = Limits { max_attachments: 0, ..Limits::default() };
    assert_eq!(Packet::parse(r#"51-["a"]"#, &none), Err(TooManyAttachments));
}

#[test]
fn row_33_attachments_are_held_to_a_limit_of_bytes_and_freed() {
    let limits = Limits { max_packet_bytes: 100, ..Limits::default() };
    let text = r#"53-["a"]"#;
    let mut assembler = Assembler::new();
    for bytes in [100 - text.len() + 1, usize::MAX >> 40] {
        assert_eq!(assembler.text(text, &limits), Ok(Progress::Waiting));
        assert_eq!(assembler.pending().map(Packet::attachments), Some(3));
        assert_eq!(assembler.binary(vec![0; bytes], &limits), Err(PacketError::TooBig));
        assert_eq!((assembler.pending(), assembler.kept_bytes()), (None, 0));
    }
    assert_eq!(assembler.text(text, &limits), Ok(Progress::Waiting));
    assert_eq!(assembler.binary(vec![0; 46], &limits), Ok(None));
    assert_eq!(assembler.kept_bytes(), text.len() + 46);
    assert_eq!(assembler.binary(vec![0; 46], &limits), Ok(None));
    assert_eq!(assembler.binary(vec![0], &limits), Err(PacketError::TooBig));

    assert_eq!(assembler.text(text, &limits), Ok(Progress::Waiting));
    assembler.reset();
    assert_eq!((assembler.pending(), assembler.kept_bytes()), (None, 0));
    let long = format!(r#"2["a","{}"]"#, "b".repeat(100));
    assert_eq!(assembler.text(&long, &limits), Err(PacketError::TooBig));
    assert_eq!(size_of::<Assembler>(), 8);
}

#[test]
fn attachments_come_right_after_their_packet_and_no_others() {
    let limits = Limits::default();
    let mut assembler = Assembler::new();
    assert_eq!(assembler.binary(vec![1], &limits), Err(PacketError::AttachmentUnexpected));

    let announced = r#"52-/a,1["b",{"_placeholder":true,"num":0}]"#;
    assert_eq!(assembler.text(announced, &limits), Ok(Progress::Waiting));
    assert_eq!(assembler.pending().map(Packet::namespace), Some("/a"));
    assert_eq!(assembler.binary(vec![1, 2], &limits), Ok(None));
    let packet = parse(announced).unwrap().into_owned();
    let expected = Assembled { packet, attachments: vec![vec![1, 2], vec![]] };
    assert_eq!(assembler.binary(vec![], &limits), Ok(Some(expected)));
    assert_eq!(assembler.binary(vec![3], &limits), Err(PacketError::AttachmentUnexpected));

    assert_eq!(assembler.text(announced, &limits), Ok(Progress::Waiting));
    assert_eq!(assembler.text(r#"2["c"]"#, &limits), Err(PacketError::AttachmentExpected));
    assert!(assembler.pending().is_none());
    let Ok(Progress::Complete(event)) = assembler.text(r#"2["c"]"#, &limits) else { panic!("nothing is due") };
    assert_eq!(event.name(), text("c"));
}

#[test]
fn row_39_reserved_names_are_refused_and_all_others_are_only_text() {
    for name in RESERVED_EVENTS {
        assert_eq!(error(&format!(r#"2["{name}",1]"#)), Some(PacketError::ReservedEvent), "{name}");
        assert_eq!(error(&format!(r#"51-7["{name}"]"#)), Some(PacketError::ReservedEvent), "{name}");
        let escaped: String = name.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        assert_eq!(error(&format!(r#"2["{escaped}"]"#)), Some(PacketError::ReservedEvent), "{name}, escaped");
        assert_eq!(error(&format!(r#"31["{name}"]"#)), None, "{name} as an argument");
    }
    let long = "x".repeat(1 << 20);
    let limits = Limits { max_packet_bytes: 2 << 20, ..Limits::default() };
    for name in
        ["error", "__class__", "_x", "emit", "close", "__proto__", "constructor", "connection", "Connect", &long]
    {
        let packet = format!(r#"2["{name}"]"#);
        assert_eq!(Packet::parse(&packet, &limits).unwrap().name(), text(name));
    }
}

#[test]
fn an_escaped_surrogate_that_is_no_half_of_a_pair_is_the_replacement_character() {
    for (text, json) in [
        (r#"2["a","cut \ud83d"]"#, r#"["a","cut \ufffd"]"#),
        (r#"2["a","\uDC00\uD800"]"#, r#"["a","\ufffd\ufffd"]"#),
        (r#"2["a","\ud800\u0041\ud83d\ude00\ud83d"]"#, r#"["a","\ufffd\u0041\ud83d\ude00\ufffd"]"#),
        (r#"2["a",[{"\ud800":1}]]"#, r#"["a",[{"\ufffd":1}]]"#),
        (r#"2["\ud800"]"#, r#"["\ufffd"]"#),
        (r#"0{"token":"\ud800"}"#, r#"{"token":"\ufffd"}"#),
        (r#"51-["a",{"\ud800":{"_placeholder":true,"num":0}}]"#, r#"["a",{"\ufffd":{"_placeholder":true,"num":0}}]"#),
        (r#"2["a","\\ud800","\\\ud800"]"#, r#"["a","\\ud800","\\\ufffd"]"#),
        (r#"2["a","\\ud83d\ude00"]"#, r#"["a","\\ud83d\ufffd"]"#),
    ] {
        assert_eq!(Packet::parse(text, &Limits::default()).unwrap().json(), json, "{text}");
    }
    let packet = Packet::parse(r#"2["\udfff"]"#, &Limits::default()).unwrap();
    assert_eq!(packet.name(), Some(Name::Text("\u{fffd}".into())));
}

#[test]
fn row_43_json_that_others_would_not_read_alike_is_refused() {
    let nested = |depth: u32, open: &str, close: &str| {
        let depth = depth as usize;
        format!(r#"2["a",{}1{}]"#, open.repeat(depth), close.repeat(depth))
    };
    let digits = |n: usize| "1".repeat(n);
    use PacketError::{Json, JsonNumber, JsonTooDeep};
    let table = [
        (nested(100_000, "[", "]"), JsonTooDeep),
        (nested(100_000, r#"{"a":"#, "}"), JsonTooDeep),
        (nested(DEFAULT_DEPTH, "[", "]"), JsonTooDeep),
        (nested(DEFAULT_DEPTH, r#"{"a":"#, "}"), JsonTooDeep),
        (nested(DEFAULT_DEPTH / 2, r#"[{"a":"#, "}]"), JsonTooDeep),
        (format!(r#"2["a",{}]"#, "[".repeat(100_000)), JsonTooDeep),
        (format!(r#"2["a",{}]"#, digits(1_000_000)), JsonNumber),
        (format!(r#"2["a",-{}]"#, digits(1_000_000)), JsonNumber),
        (format!(r#"2["a",0.{}]"#, digits(1_000_000)), JsonNumber),
        (format!(r#"2["a",1e{}]"#, digits(1_000_000)), JsonNumber),
        (r#"2["a",NaN]"#.to_owned(), Json),
        (r#"2["a",Infinity]"#.to_owned(), Json),
        (r#"2["a",-Infinity]"#.to_owned(), Json),
        (r#"2["a","\ud800"#.to_owned(), Json),
        (r#"2["a","\ud80"]"#.to_owned(), Json),
        (r#"2["a",\ud800]"#.to_owned(), Json),
        ("2[\"a\",\"\0\"]".to_owned(), Json),
        (r#"2["a",01]"#.to_owned(), Json),
        (r#"2["a",1.]"#.to_owned(), Json),
        (r#"2["a",+1]"#.to_owned(), Json),
    ];
    let limits = Limits { max_packet_bytes: usize::MAX, ..Limits::default() };
    for (text, expected) in table {
        let seen = Packet::parse(&text, &limits);
        assert_eq!(seen.err(), Some(expected), "{}", &text[..text.len().min(60)]);
    }
    for fine in [
        nested(DEFAULT_DEPTH - 1, "[", "]"),
        nested(DEFAULT_DEPTH - 1, r#"{"a":"#, "}"),
        format!(r#"2["a",{}]"#, digits(309)),
        format!(r#"2["a",0.{}]"#, digits(MAX_NUMBER_BYTES - 2)),
        r#"2["a",1e308,1e-999,-0]"#.to_owned(),
        format!(r#"2["a",-{}]"#, digits(MAX_NUMBER_BYTES - 1)),
        r#"2["a",1e309,-1E+400]"#.to_owned(),
        r#"2["a","\ud83d\ude00"]"#.to_owned(),
    ] {
        assert_eq!(Packet::parse(&fine, &limits).err(), None, "{}", &fine[..fine.len().min(60)]);
    }
    for (asked, granted) in [(1, 1), (2, 2), (MAX_DEPTH, MAX_DEPTH), (u32::MAX, MAX_DEPTH)] {
        let limits = Limits { max_depth: asked, ..Limits::default() };
        assert_eq!(Packet::parse(&nested(granted - 1, "[", "]"), &limits).err(), None, "{asked}");
        assert_eq!(Packet::parse(&nested(granted, "[", "]"), &limits).err(), Some(JsonTooDeep), "{asked}");
    }
}

#[test]
fn many_arguments_and_long_namespaces_are_refused() {
    let arguments = |n: usize| format!(r#"2["a"{}]"#, ",0".repeat(n));
    assert_eq!(parse(&arguments(256)).unwrap().arguments().len(), 256);
    assert_eq!(error(&arguments(257)), Some(PacketError::TooManyArguments));
    let ack = |n: usize| format!("31[0{}]", ",0".repeat(n - 1));
    assert_eq!(parse(&ack(256)).unwrap().arguments().len(), 256);
    assert_eq!(error(&ack(257)), Some(PacketError::TooManyArguments));
    assert_eq!(error(&format!("0/{},", "a".repeat(4095))), None);
    assert_eq!(error(&format!("0/{},", "a".repeat(4096))), Some(PacketError::NamespaceTooLong));
}

// ---- beside the reference's parser: data/socketio.json, made by tests/clients/node/parser-transcripts.js

fn transcripts() -> Value {
    serde_json::from_str(include_str!("data/socketio.json")).expect("JSON")
}

/// Where this parser refuses what the reference lets pass. The other way round there is nothing.
fn is_stricter(text: &str) -> Option<&'static str> {
    let table: &[(&str, &[&str])] = &[
        ("a type is one digit", &["", " 2", "\u{662}[]"]),
        ("the number of an acknowledgement has no spaces", &["2\n[\"a\"]", "2\u{feff}[\"a\"]"]),
        (
            "a placeholder has two keys and a plain number",
            &[
                r#"{"_placeholder":true,"num":0.0}"#,
                r#"{"_placeholder":true,"num":-0}"#,
                r#"{"_placeholder":true,"num":0e0}"#,
                r#"{"_placeholder":true,"num":0,"a":1}"#,
                r#"{"_placeholder":true,"_placeholder":true,"num":0}"#,
                r#"{"_placeholder":true,"num":1,"num":0}"#,
            ],
        ),
    ];
    // What stands after a namespace without a comma is part of it.
    let has_data = text.split_once(',').map_or(!text.contains('/'), |_| true) && text.contains(['[', '{', '"']);
    if text.starts_with(['2', '3', '4', '5', '6']) && !has_data {
        return Some("an event has a name, an acknowledgement an array, a refusal a reason");
    }
    let inner = text.strip_prefix(r#"51-["a","#).and_then(|text| text.strip_suffix(']'));
    table
        .iter()
        .find(|(_, texts)| texts.contains(&text) || inner.is_some_and(|inner| texts.contains(&inner)))
        .map(|(why, _)| *why)
}

fn bytes_of(frame: &Value) -> Option<Vec<u8>> {
    frame.get("$bytes").map(|base64| STANDARD.decode(base64.as_str().expect("text")).expect("base64"))
}

/// A packet as the transcripts have it.
fn plain(packet: &Packet<'_>, attachments: &[Vec<u8>]) -> Value {
    let mut plain = json!({ "type": packet.kind() as u8, "nsp": packet.namespace() });
    if let Some(ack) = packet.ack() {
        plain["id"] = json!(ack);
    }
    if !packet.json().is_empty() {
        let (mut data, mut end) = (String::new(), 0);
        for Placeholder { range, num } in packet.placeholders() {
            data += &packet.json()[end..range.start];
            data += &json!({ "$bytes": STANDARD.encode(&attachments[*num as usize]) }).to_string();
            end = range.end;
        }
        data += &packet.json()[end..];
        plain["data"] = serde_json::from_str(&data).expect("JSON");
    }
    plain
}

/// JavaScript has one kind of number, and writes 1.0 as 1.
fn numbers_alike(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().expect("a double") + 0.0),
        Value::Array(array) => array.iter().map(numbers_alike).collect(),
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), numbers_alike(value))).collect(),
        other => other.clone(),
    }
}

/// The packets that come out of these frames, and whether it ended in an error.
fn decode(frames: &[Value]) -> (Vec<Value>, bool) {
    let (mut assembler, limits, mut packets) = (Assembler::new(), Limits::default(), Vec::new());
    for frame in frames {
        let step = match bytes_of(frame) {
            Some(bytes) => assembler.binary(bytes, &limits).map(|done| {
                packets.extend(done.map(|done| plain(&done.packet, &done.attachments)));
            }),
            None => assembler.text(frame.as_str().expect("text"), &limits).map(|progress| {
                if let Progress::Complete(packet) = progress {
                    packets.push(plain(&packet, &[]));
                }
            }),
        };
        if step.is_err() {
            return (packets, true);
        }
    }
    (packets, false)
}

#[test]
fn the_same_packets_are_read_as_by_the_reference() {
    let mut alike = 0;
    for case in transcripts()["decode"].as_array().unwrap() {
        let frames = case["frames"].as_array().unwrap();
        let (packets, failed) = decode(frames);
        let packets = numbers_alike(&packets.into());
        if let Some(why) = frames[0].as_str().and_then(is_stricter) {
            assert_eq!((packets, failed), (json!([]), true), "{frames:?}: {why}");
            continue;
        }
        assert_eq!((packets, json!(failed)), (numbers_alike(&case["packets"]), case["failed"].clone()), "{frames:?}");
        alike += 1;
    }
    assert!(alike > 300, "{alike}");
}

#[test]
fn what_the_reference_encodes_is_read_and_written_again() {
    for case in transcripts()["encode"].as_array().unwrap() {
        let frames = case["frames"].as_array().unwrap();
        let (packets, failed) = decode(frames);
        assert_eq!((numbers_alike(&packets.into()), failed), (json!([numbers_alike(&case["packet"])]), false));

        let text = frames[0].as_str().unwrap();
        let packet = parse(text).unwrap();
        assert_eq!(packet.attachments() as usize, frames.len() - 1);
        assert_eq!(encoded(&packet), text);
    }
}

fn encoded(packet: &Packet<'_>) -> String {
    let header = Header {
        kind: packet.kind(),
        attachments: packet.attachments(),
        namespace: packet.namespace(),
        ack: packet.ack(),
    };
    let mut out = Vec::new();
    encode(&mut out, &header, packet.json());
    String::from_utf8(out).expect("text")
}

// ---- at random

/// JSON as an application may send it, some of it with what looks like a placeholder.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        (0..3_u32).prop_map(|num| json!({ "_placeholder": true, "num": num })),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn values_are_made_in_the_pass_that_checks_and_attachments_take_their_places() {
    let limits = Limits::default();
    let built = |text| Packet::parse_with(text, &limits, &mut Values).unwrap().1;
    assert_eq!(built("0"), None);
    assert_eq!(built(r#"4"no""#), Some(json!("no")));
    assert_eq!(built(r#"0{"a":[1,{"b":null}],"a":2.5}"#), Some(json!({"a": 2.5})));
    assert_eq!(built(r#"2["\u0061\n",true,[[]],{}]"#), Some(json!(["a\n", true, [[]], {}])));
    // Where attachments are due nothing is made yet.
    let text = r#"52-["a",{"_placeholder":true,"num":1},[{"x":{"num":0,"_placeholder":true}}]]"#;
    assert_eq!(built(text), None);
    let packet = parse(text).unwrap();
    assert_eq!(packet.build(&mut Values), Some(json!(["a", "#1", [{"x": "#0"}]])));
    assert_eq!(parse("1").unwrap().build(&mut Values), None);
}

fn count_placeholders(value: &Value) -> usize {
    match value {
        Value::Array(array) => array.iter().map(count_placeholders).sum(),
        Value::Object(object) if object.get("_placeholder") == Some(&Value::Bool(true)) => 1,
        Value::Object(object) => object.values().map(count_placeholders).sum(),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_read_again(
        namespace in "(/|/[^,]{1,20})", ack in proptest::option::of(any::<u64>()), attachments in prop_oneof![Just(0), 3..10_u32],
        name in ".{0,20}", arguments in proptest::collection::vec(any_json(), 0..6), is_event: bool,
    ) {
        prop_assume!(!RESERVED_EVENTS.contains(&name.as_str()));
        let kind = if is_event { Kind::Event } else { Kind::Ack };
        let mut elements = arguments.clone();
        if is_event {
            elements.insert(0, name.clone().into());
        }
        let json = Value::from(elements).to_string();
        let mut out = Vec::new();
        encode(&mut out, &Header { kind, attachments, namespace: &namespace, ack }, &json);
        let text = String::from_utf8(out).unwrap();

        let packet = parse(&text).unwrap();
        prop_assert_eq!((packet.kind(), packet.attachments(), packet.ack()), (kind, attachments, ack));
        prop_assert_eq!((packet.namespace(), packet.json()), (&*namespace, &*json));
        prop_assert_eq!(packet.name(), is_event.then_some(Name::Text(name.into())));
        let seen: Vec<String> = packet.arguments().map(str::to_owned).collect();
        let expected: Vec<String> = arguments.iter().map(Value::to_string).collect();
        prop_assert_eq!(seen, expected);
        let expected = if attachments > 0 { arguments.iter().map(count_placeholders).sum() } else { 0 };
        prop_assert_eq!(packet.placeholders().len(), expected);
        for Placeholder { range, num } in packet.placeholders() {
            let mut out = Vec::new();
            encode_placeholder(&mut out, *num);
            prop_assert_eq!(packet.json()[range.clone()].as_bytes(), out);
        }
        prop_assert_eq!(encoded(&packet), &*text);
        if attachments == 0 {
            let (_, value) = Packet::parse_with(&text, &Limits::default(), &mut Values).unwrap();
            prop_assert_eq!(value, serde_json::from_str(&json).ok());
        }
    }

    #[test]
    fn json_is_what_serde_json_takes_for_json(text in r#"[\[\]{}",:0-9eE+.\-\\utrfalsn dD]{0,24}"#) {
        let data = format!(r#"["a",{text}]"#);
        let expected = serde_json::from_str::<Value>(&data).is_ok();
        prop_assert_eq!(parse(&format!("2{data}")).is_ok(), expected, "{}", text);
    }

    #[test]
    fn any_text_at_all_is_a_packet_or_none(text in r#"[0-9]{0,3}-?(/[a-z?]{0,3},)?[0-9]{0,2}[\[{"]?.{0,20}"#) {
        if let Ok(packet) = parse(&text) {
            prop_assert!(packet.namespace().starts_with('/') && !packet.namespace().contains(','));
            prop_assert!(packet.json().is_empty() || serde_json::from_str::<Value>(packet.json()).is_ok());
        }
    }
}

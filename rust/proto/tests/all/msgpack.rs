//! Packets in MessagePack: what the reference's parser writes is read alike, what it would not write is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_proto::socketio::json::DEFAULT_DEPTH;
use hubbub_proto::socketio::msgpack::{Packed, encode, parse};
use hubbub_proto::socketio::{Kind, Limits, PacketError};
use proptest::prelude::*;
use rmp::encode::{write_array_len, write_bin, write_map_len, write_sint, write_str};
use serde_json::{Value, json};

use crate::values::Values;

fn read(bytes: &[u8]) -> Result<Packed<'_, Value>, PacketError> {
    let made = parse(bytes, &Limits::default(), &mut Values);
    let checked = parse(bytes, &Limits::default(), &mut ());
    assert_eq!(made.as_ref().err(), checked.as_ref().err(), "whatever is made of it, it is right or wrong alike");
    made
}

fn error(bytes: &[u8]) -> Option<PacketError> {
    read(bytes).err()
}

/// A packet whose data is these bytes; none if there are none.
fn packet(kind: Kind, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, kind, "/", None, !data.is_empty());
    out.extend_from_slice(data);
    out
}

/// An event `a` whose only argument is these bytes.
fn event(argument: &[u8]) -> Vec<u8> {
    packet(Kind::Event, &[&[0x92, 0xa1, b'a'], argument].concat())
}

/// A map of these keys and values.
fn map(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    write_map_len(&mut out, fields.len() as u32).expect("room");
    for (key, value) in fields {
        write_str(&mut out, key).expect("room");
        out.extend_from_slice(value);
    }
    out
}

#[test]
fn the_references_packets_are_read_as_it_reads_them() {
    let transcripts: Value = serde_json::from_str(include_str!("data/socketio.json")).unwrap();
    let cases = transcripts["msgpack"].as_array().unwrap();
    for case in cases {
        let frame = STANDARD.decode(case["frame"]["$bytes"].as_str().unwrap()).unwrap();
        let packet = &case["packet"];
        let seen = read(&frame).unwrap_or_else(|error| panic!("{packet}: {error}"));
        assert_eq!(Value::from(seen.kind.number()), packet["type"]);
        assert_eq!(seen.namespace, packet["nsp"]);
        assert_eq!(seen.ack, packet.get("id").and_then(Value::as_u64), "{packet}");
        assert_eq!(seen.data.as_ref(), packet.get("data"), "{packet}");
        for end in 0..frame.len() {
            assert!(read(&frame[..end]).is_err(), "{packet} cut after {end}");
        }
    }
    assert!(cases.len() > 30);
}

#[test]
fn what_is_encoded_has_the_fields_that_there_are() {
    let head = |ack, has_data| {
        let mut out = Vec::new();
        encode(&mut out, Kind::Event, "/n", ack, has_data);
        out
    };
    assert_eq!(head(None, false), map(&[("type", &[2]), ("nsp", b"\xa2/n")]));
    assert_eq!(head(Some(300), false), map(&[("type", &[2]), ("nsp", b"\xa2/n"), ("id", &[0xcd, 1, 44])]));
    let whole = [head(Some(7), true), vec![0x91, 0xa1, b'a']].concat();
    let packed = Packed { kind: Kind::Event, namespace: "/n", ack: Some(7), data: Some(json!(["a"])) };
    assert_eq!(read(&whole), Ok(packed));
}

#[test]
fn fields_may_come_in_any_order_and_nothing_is_as_good_as_none() {
    let data: &[u8] = &[0x91, 0xa1, b'a'];
    let turned = map(&[("data", data), ("options", &[0x81, 0xa1, b'x', 0xc3]), ("nsp", b"\xa1/"), ("type", &[2])]);
    assert_eq!(read(&turned).unwrap().data, Some(json!(["a"])));
    for nothing in [&[0xc0_u8][..], &[0xd4, 0, 0]] {
        let empty = map(&[("type", &[0]), ("nsp", b"\xa1/"), ("id", nothing), ("data", nothing)]);
        assert_eq!(read(&empty), Ok(Packed { kind: Kind::Connect, namespace: "/", ack: None, data: None }));
    }
}

#[test]
fn the_data_fits_the_kind() {
    let (list, object, text, number): (&[u8], &[u8], &[u8], &[u8]) = (&[0x90], &[0x80], &[0xa0], &[1]);
    let table = [
        (Kind::Connect, vec![&[][..], object]),
        (Kind::Disconnect, vec![&[][..]]),
        (Kind::Ack, vec![list]),
        (Kind::ConnectError, vec![object, text]),
    ];
    for (kind, fine) in table {
        for data in [&[][..], list, object, text, number] {
            let expected = if fine.contains(&data) { None } else { Some(PacketError::Data) };
            assert_eq!(error(&packet(kind, data)), expected, "{kind:?} {data:?}");
        }
    }
    for data in [&[][..], object, text, number] {
        assert_eq!(error(&packet(Kind::Event, data)), Some(PacketError::Data), "{data:?}");
    }
}

#[test]
fn an_event_has_a_name_that_is_not_reserved() {
    let named = |name: &[u8]| error(&packet(Kind::Event, &[&[0x91], name].concat()));
    assert_eq!(error(&packet(Kind::Event, &[0x90])), Some(PacketError::EventName));
    for wrong in [&[0xc0_u8][..], &[0xc3], &[0x90], &[0x80], &[0xc4, 1, b'a'], &[0xd4, 0, 0]] {
        assert_eq!(named(wrong), Some(PacketError::EventName), "{wrong:?}");
    }
    for fine in [&[0xa0_u8][..], &[1], &[0xff], &[0xcc, 200], &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0], b"\xaaconnection"] {
        assert_eq!(named(fine), None, "{fine:?}");
    }
    for reserved in [&b"\xa7connect"[..], b"\xd9\x07connect", b"\xda\x00\x0adisconnect", b"\xaenewListener"] {
        let expected = if reserved[0] == 0xae { PacketError::MessagePack } else { PacketError::ReservedEvent };
        assert_eq!(named(reserved), Some(expected), "{reserved:?}");
    }
}

#[test]
fn what_the_reference_would_not_write_is_refused() {
    use PacketError::{
        AckId, Empty, JsonTooDeep, MessagePack, Namespace, NamespaceTooLong, TooBig, TooManyArguments, Type,
    };
    let fields =
        |kind: &[u8], nsp: &[u8], id: &[u8]| map(&[("type", kind), ("nsp", nsp), ("id", id), ("data", &[0x90])]);
    let mut table = vec![
        (vec![], Empty),
        (vec![0xc1], MessagePack),
        (vec![0x90], MessagePack),
        (b"\xa12".to_vec(), MessagePack),
        (map(&[]), Type),
        (map(&[("nsp", b"\xa1/")]), Type),
        (map(&[("type", &[3])]), Namespace),
        (fields(&[5], b"\xa1/", &[0]), Type),
        (fields(&[0xff], b"\xa1/", &[0]), Type),
        (fields(&[0xa1, b'3'], b"\xa1/", &[0]), Type),
        (fields(&[3], b"\xa1a", &[0]), Namespace),
        (fields(&[3], &[0xa0], &[0]), Namespace),
        (fields(&[3], &[0xc0], &[0]), Namespace),
        (fields(&[3], b"\xa2/\xff", &[0]), MessagePack),
        (fields(&[3], b"\xa1/", &[0xff]), AckId),
        (fields(&[3], b"\xa1/", &[0xa1, b'1']), AckId),
        (fields(&[3], b"\xa1/", &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0]), AckId),
        ([packet(Kind::Ack, &[0x90]), vec![0xc0]].concat(), MessagePack),
        ([&[0x81][..], &[1, 1]].concat(), MessagePack),
        (event(&[0x81, 1, 1]), MessagePack),
        (event(&[0xa2, 0xff, 0xfe]), MessagePack),
        (event(&[0xa3, 0xed, 0xa0, 0x80]), MessagePack),
        (event(&[0xc1]), MessagePack),
        (event(&[0xd4, 1, 0]), MessagePack),
        (event(&[0xd4, 0, 1]), MessagePack),
        (event(&[0xd4, 0xff, 0]), MessagePack),
        (event(&[0xd5, 0, 0, 0]), MessagePack),
        (event(&[0xd6, 0, 0, 0, 0, 0]), MessagePack),
        (event(&[0xd6, 1, 0, 0, 0, 0]), MessagePack),
        (event(&[0xd8; 18]), MessagePack),
        (event(&[0xc7, 2, 0, 0]), MessagePack),
        (event(&[0xc7, 1, 1, 0]), MessagePack),
        (event(&[0xc7, 5, 0xff, 0, 0, 0, 0, 0]), MessagePack),
        // A timestamp with more than a second of nanoseconds, and moments in the year 10000.
        (event(&[&[0xd7, 0xff], &(1_000_000_000_u64 << 34).to_be_bytes()[..]].concat()), MessagePack),
        (event(&[&[0xd7, 0xff], &[0xff; 8][..]].concat()), MessagePack),
        (event(&[&[0xc7, 12, 0xff, 0, 0, 0, 0], &253_402_300_800_i64.to_be_bytes()[..]].concat()), MessagePack),
        (event(&[&[0xd7, 0], &253_402_300_800_000_i64.to_be_bytes()[..]].concat()), MessagePack),
        (event(&[&[0xd7, 0], &i64::MIN.to_be_bytes()[..]].concat()), MessagePack),
        // Lengths without what they announce cost nothing.
        (event(&[0xdd, 0xff, 0xff, 0xff, 0xff]), MessagePack),
        (event(&[0xdf, 0xff, 0xff, 0xff, 0xff]), MessagePack),
        (event(&[0xdb, 0xff, 0xff, 0xff, 0xff]), MessagePack),
        (event(&[0xc6, 0xff, 0xff, 0xff, 0xff]), MessagePack),
        (event(&[0xc9, 0xff, 0xff, 0xff, 0xff, 0]), MessagePack),
        (event(&[0x91; 100_000]), JsonTooDeep),
        (event(&vec![0xc0; 1 << 20]), TooBig),
    ];
    let mut long = Vec::new();
    write_str(&mut long, &format!("/{}", "a".repeat(4096))).unwrap();
    table.push((fields(&[3], &long, &[0]), NamespaceTooLong));
    let mut many = Vec::new();
    write_array_len(&mut many, 257).unwrap();
    many.extend([0; 257]);
    table.push((packet(Kind::Ack, &many), TooManyArguments));
    // The name is not an argument.
    assert_eq!(error(&packet(Kind::Event, &many)), None);
    for (bytes, expected) in table {
        assert_eq!(error(&bytes), Some(expected), "{:?}", &bytes[..bytes.len().min(40)]);
    }
}

#[test]
fn nesting_is_bounded_as_in_json() {
    let nested = |depth: u32| {
        let depth = depth as usize;
        (event(&vec![0x91; depth][..depth - 1]), depth)
    };
    let closed = |depth| [nested(depth).0, vec![0x90]].concat();
    assert_eq!(error(&closed(DEFAULT_DEPTH - 1)), None);
    assert_eq!(error(&closed(DEFAULT_DEPTH)), Some(PacketError::JsonTooDeep));
    // A field that is not looked at is no way round it.
    let deep = [&vec![0x91; 100][..], &[0x90]].concat();
    let fields = map(&[("type", &[3]), ("nsp", b"\xa1/"), ("options", &deep), ("data", &[0x90])]);
    assert_eq!(error(&fields), Some(PacketError::JsonTooDeep));
}

#[test]
fn numbers_bytes_and_dates() {
    let one = |bytes: &[u8]| read(&event(bytes)).unwrap().data.unwrap()[1].clone();
    assert_eq!(one(&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]), json!(u64::MAX));
    assert_eq!(one(&[0xd3, 128, 0, 0, 0, 0, 0, 0, 0]), json!(i64::MIN));
    assert_eq!(one(&[0xca, 0x3f, 0, 0, 0]), json!(0.5));
    assert_eq!(one(&[&[0xcb], &f64::NAN.to_be_bytes()[..]].concat()), json!("NaN"));
    assert_eq!(one(&[&[0xcb], &f64::INFINITY.to_be_bytes()[..]].concat()), json!("inf"));
    assert_eq!(one(&[0xc4, 0]), json!({"$bytes": ""}));
    assert_eq!(one(&[0xd7, 0, 0, 0, 0, 0, 0, 0, 0, 1]), json!({"$date": 1}));
    assert_eq!(one(&[0xd7, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), json!({"$date": -1}));
    assert_eq!(one(&[0xd4, 0, 0]), Value::Null);
}

/// As Node writes an ArrayBuffer; a length of eight does not make it a date.
#[test]
fn an_array_buffer_is_bytes_whatever_its_length() {
    let one = |bytes: &[u8]| read(&event(bytes)).unwrap().data.unwrap()[1].clone();
    let bytes = |len| json!({"$bytes": STANDARD.encode(vec![7; len])});
    assert_eq!(one(&[0xc7, 0, 0]), bytes(0));
    for len in [1, 2, 4, 8, 16, 255] {
        assert_eq!(one(&[&[0xc7, len, 0], &vec![7; len.into()][..]].concat()), bytes(len.into()), "{len}");
    }
    assert_eq!(one(&[&[0xc8, 1, 0, 0], &[7; 256][..]].concat()), bytes(256));
    assert_eq!(one(&[&[0xc9, 0, 1, 0, 0, 0], &[7; 65_536][..]].concat()), bytes(65_536));
}

/// Extension -1, by the specification of MessagePack.
#[test]
fn a_timestamp_is_a_moment() {
    let one = |bytes: &[u8]| read(&event(bytes)).unwrap().data.unwrap()[1].clone();
    assert_eq!(one(&[0xd6, 0xff, 0, 0, 0, 2]), json!({"$date": 2000}));
    assert_eq!(one(&[0xd6, 0xff, 0xff, 0xff, 0xff, 0xff]), json!({"$date": 4_294_967_295_000_i64}));
    let eight = (1_002_999_u64 << 34) | (1 << 33);
    let date = json!({"$date": 8_589_934_592_001_i64, "us": 2});
    assert_eq!(one(&[&[0xd7, 0xff], &eight.to_be_bytes()[..]].concat()), date, "what is below a microsecond is cut");
    let below = [&[0xc7, 12, 0xff], &999_000_000_u32.to_be_bytes()[..], &(-1_i64).to_be_bytes()].concat();
    assert_eq!(one(&below), json!({"$date": -1}));
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(is) => out.push(if *is { 0xc3 } else { 0xc2 }),
        Value::Number(number) => drop(write_sint(out, number.as_i64().expect("64 bits")).expect("room")),
        Value::String(text) => write_str(out, text).expect("room"),
        Value::Array(elements) => {
            write_array_len(out, elements.len() as u32).expect("room");
            elements.iter().for_each(|each| write(out, each));
        }
        Value::Object(object) if object.contains_key("$bytes") => {
            write_bin(out, &STANDARD.decode(object["$bytes"].as_str().expect("room")).expect("room")).expect("room");
        }
        Value::Object(object) => {
            write_map_len(out, object.len() as u32).expect("room");
            for (key, value) in object {
                write_str(out, key).expect("room");
                write(out, value);
            }
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| json!({"$bytes": STANDARD.encode(bytes)})),
    ];
    leaf.prop_recursive(4, 60, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{0,6}", inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(
        namespace in "/.{0,40}", ack in proptest::option::of(any::<u64>()), arguments in proptest::collection::vec(any_value(), 0..20),
    ) {
        let mut out = Vec::new();
        encode(&mut out, Kind::Ack, &namespace, ack, true);
        let data = Value::from(arguments);
        write(&mut out, &data);
        prop_assert_eq!(read(&out), Ok(Packed { kind: Kind::Ack, namespace: &namespace, ack, data: Some(data) }));
    }

    #[test]
    fn any_bytes_at_all_are_a_packet_or_none(start in 0..5_usize, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let starts = [vec![], vec![0x82], event(&[]), packet(Kind::Ack, &[0x9f]), map(&[("type", &[3]), ("nsp", b"\xa1/")])];
        let _ = read(&[&starts[start][..], &bytes].concat());
    }
}

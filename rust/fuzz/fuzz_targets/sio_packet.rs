//! Packets of Socket.IO: what is accepted is JSON to another parser as well, keeps its promises, and comes out as it
//! came in. Lines are messages; those that begin with a tab are binary.

#![no_main]

use hubbub_proto::socketio::json::DEFAULT_DEPTH;
use hubbub_proto::socketio::packet::{RESERVED_EVENTS, encode};
use hubbub_proto::socketio::{Assembler, Header, Kind, Limits, Name, Packet, Progress};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const LIMITS: Limits = Limits {
    max_attachments: 3,
    max_packet_bytes: 500,
    max_arguments: 10,
    max_depth: DEFAULT_DEPTH,
    max_namespace_bytes: 50,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(packet) = Packet::parse(text, &LIMITS) {
        check(text, &packet);
    }
    let mut assembler = Assembler::new();
    for line in text.split('\n') {
        let (was_waiting, is_binary) = (assembler.pending().is_some(), line.starts_with('\t'));
        let is_ok = if is_binary {
            let done = assembler.binary(line.as_bytes().to_vec(), &LIMITS);
            if let Ok(Some(done)) = &done {
                assert_eq!(done.attachments.len(), done.packet.attachments() as usize);
                assert!(done.packet.placeholders().iter().all(|each| (each.num as usize) < done.attachments.len()));
            }
            done.is_ok()
        } else {
            let progress = assembler.text(line, &LIMITS);
            assert_eq!(progress == Ok(Progress::Waiting), assembler.pending().is_some());
            progress.is_ok()
        };
        assert!(!is_ok || is_binary == was_waiting);
        assert!(is_ok || assembler.pending().is_none(), "an error frees what was kept");
        assert!(assembler.kept_bytes() <= LIMITS.max_packet_bytes);
    }
});

fn check(text: &str, packet: &Packet<'_>) {
    let (kind, json) = (packet.kind(), packet.json());
    assert_eq!(packet.build(&mut ()).is_some(), !json.is_empty(), "what was checked can be read again");
    assert!(packet.namespace().starts_with('/') && !packet.namespace().contains(','));
    let data: Option<Value> = (!json.is_empty()).then(|| serde_json::from_str(json).expect("JSON to others, too"));
    match (kind, &data) {
        (Kind::Connect | Kind::ConnectError, Some(Value::Object(_)))
        | (Kind::Connect | Kind::Disconnect, None)
        | (Kind::ConnectError, Some(Value::String(_))) => assert_eq!(packet.arguments().len(), 0),
        (Kind::Event | Kind::Ack, Some(Value::Array(elements))) => {
            let arguments: Vec<Value> =
                packet.arguments().map(|each| serde_json::from_str(each).expect("JSON by itself")).collect();
            let (name, rest) = elements.split_at(usize::from(kind == Kind::Event));
            assert_eq!(arguments, rest);
            assert!(arguments.len() <= LIMITS.max_arguments);
            match (packet.name(), name.first()) {
                (None, None) => {}
                (Some(Name::Text(seen)), Some(Value::String(name))) => {
                    assert_eq!(seen, *name);
                    assert!(!RESERVED_EVENTS.contains(&&*seen));
                }
                (Some(Name::Number(_)), Some(Value::Number(_))) => {}
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
    for each in packet.placeholders() {
        assert!(each.num < packet.attachments());
        let placeholder: Value = serde_json::from_str(&json[each.range.clone()]).expect("JSON by itself");
        assert_eq!(placeholder, serde_json::json!({ "_placeholder": true, "num": each.num }));
    }

    let header = Header { kind, attachments: packet.attachments(), namespace: packet.namespace(), ack: packet.ack() };
    let mut out = Vec::new();
    encode(&mut out, &header, json);
    let out = String::from_utf8(out).expect("made of text");
    assert!(out.len() <= text.len() + 1, "a comma at most");
    let again = Packet::parse(&out, &LIMITS).map(|again| format!("{again:?}"));
    assert!(out.len() > LIMITS.max_packet_bytes || again == Ok(format!("{packet:?}")));
}

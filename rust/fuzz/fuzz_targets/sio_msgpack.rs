//! Packets of Socket.IO in MessagePack: whatever the bytes are, they are a packet or an error, and no time or memory goes
//! into lengths that are only announced.

#![no_main]

use hubbub_proto::socketio::msgpack::{encode, parse};
use hubbub_proto::socketio::{Kind, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { max_packet_bytes: 1000, max_arguments: 10, max_namespace_bytes: 50, ..Limits::default() };
    let Ok(packet) = parse(data, &limits, &mut ()) else { return };
    assert!(data.len() <= limits.max_packet_bytes);
    assert!(packet.namespace.starts_with('/') && packet.namespace.len() <= limits.max_namespace_bytes);
    match packet.kind {
        Kind::Connect => {}
        Kind::Disconnect => assert!(packet.data.is_none()),
        Kind::Event | Kind::Ack | Kind::ConnectError => assert!(packet.data.is_some()),
    }
    if packet.data.is_none() {
        let mut out = Vec::new();
        encode(&mut out, packet.kind, packet.namespace, packet.ack, false);
        assert!(out.len() > limits.max_packet_bytes || parse(&out, &limits, &mut ()) == Ok(packet));
    }
});

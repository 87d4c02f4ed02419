//! Packets of Socket.IO read and written: an event of 64 bytes, one with bytes, larger ones; a polling payload.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hubbub_proto::comet;
use hubbub_proto::engineio::PacketType;
use hubbub_proto::engineio::payload::SEPARATOR;
use hubbub_proto::socketio::{Header, Kind, Limits, Packet, packet};

const EVENT: &str = r#"2/chat,["say","hello everybody",{"room":"a","id":123456789012}]"#;
const BINARY: &str = r#"51-/chat,["file",{"name":"a.png","data":{"_placeholder":true,"num":0}}]"#;

fn parse(criterion: &mut Criterion) {
    assert_eq!(EVENT.len() + 1, 64, "with Engine.IO's digit");
    let objects = r#"{"id":123456789012,"text":"hello, everybody","tags":["a","b"]},"#.repeat(64);
    let objects = format!(r#"2["list",[{}]]"#, objects.trim_end_matches(','));
    let text = format!(r#"2["say","{}"]"#, "a".repeat(4096));
    let mut group = criterion.benchmark_group("socketio parse");
    for (name, packet) in [
        ("event 64 B", EVENT),
        ("binary event 72 B", BINARY),
        ("64 objects 4 KiB", &objects),
        ("text 4 KiB", &text),
        ("ack", "3/chat,17[true]"),
    ] {
        group.throughput(Throughput::Bytes(packet.len() as u64));
        group.bench_function(name, |bencher| {
            let limits = Limits::default();
            bencher.iter(|| {
                let packet = Packet::parse(black_box(packet), &limits).expect("a packet");
                packet.arguments().map(str::len).sum::<usize>()
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let json = &EVENT[EVENT.find('[').unwrap_or_default()..];
    let mut group = criterion.benchmark_group("socketio encode");
    for (name, ack) in [("event 64 B", None), ("event 64 B with ack", Some(17))] {
        let header = Header { kind: Kind::Event, attachments: 0, namespace: "/chat", ack };
        group.bench_function(name, |bencher| {
            let mut out = Vec::with_capacity(256);
            bencher.iter(|| {
                out.clear();
                out.push(PacketType::Message as u8);
                packet::encode(&mut out, black_box(&header), black_box(json));
                black_box(&out).len()
            });
        });
    }
}

fn payloads(criterion: &mut Criterion) {
    let mut body = Vec::new();
    for _ in 0..16 {
        if !body.is_empty() {
            body.push(SEPARATOR);
        }
        comet::text_packet(&mut body, EVENT);
    }
    let mut group = criterion.benchmark_group("engineio payload");
    group.throughput(Throughput::Elements(16));
    group.bench_function("16 x 64 B", |bencher| {
        bencher.iter(|| comet::packets(black_box(&body), 4096).map(Iterator::count));
    });
}

criterion_group!(benches, parse, encode, payloads);
criterion_main!(benches);

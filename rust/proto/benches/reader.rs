//! Frames read and written: the header alone, sixteen small messages in one input, large ones, and text.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hubbub_proto::frame::{self, Header, Opcode};
use hubbub_proto::head::{Head, HeadLimits};
use hubbub_proto::message::{Limits, Reader};
use hubbub_proto::{Role, handshake};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    for len in [64, 1024, 100_000] {
        let header = Header { fin: true, opcode: Opcode::Binary, len, mask: Some(KEY) };
        let bytes = header.encode();
        group.bench_function(format!("parse {len}"), |bencher| {
            bencher.iter(|| Header::parse(black_box(&bytes), Role::Server));
        });
        group.bench_function(format!("encode {len}"), |bencher| bencher.iter(|| black_box(header).encode().len()));
    }
}

/// Reads all messages of `wire`; each iteration gets a fresh copy, since reading unmasks in place.
fn read(criterion: &mut Criterion, name: &str, opcode: Opcode, payload: &[u8], count: usize) {
    let mut wire = Vec::new();
    for _ in 0..count {
        frame::encode(&mut wire, opcode, payload, Some(KEY));
    }
    let mut group = criterion.benchmark_group("reader");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(name, |bencher| {
        let (mut reader, limits) = (Reader::new(Role::Server), Limits::default());
        bencher.iter_batched_ref(
            || wire.clone(),
            |bytes| {
                let mut input = &mut bytes[..];
                let mut total = 0;
                while let Ok(Some(event)) = reader.next(&mut input, &limits) {
                    total += usize::from(matches!(black_box(event), hubbub_proto::message::Event::Message { .. }));
                }
                assert_eq!(total, count);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn readers(criterion: &mut Criterion) {
    read(criterion, "16 x 64 B binary", Opcode::Binary, &[7; 64], 16);
    read(criterion, "16 x 64 B text", Opcode::Text, &[b'a'; 64], 16);
    read(criterion, "16 x 64 B text beyond ASCII", Opcode::Text, "грüße и 世界 ".repeat(3).as_bytes(), 16);
    read(criterion, "1 x 64 KiB binary", Opcode::Binary, &[7; 65536], 1);
    read(criterion, "1 x 64 KiB text", Opcode::Text, &[b'a'; 65536], 1);
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, mask) in [("server", None), ("client", Some(KEY))] {
        for len in [64, 1024] {
            let payload = vec![7; len];
            group.bench_function(format!("{name} {len} B"), |bencher| {
                let mut out = Vec::with_capacity(2048);
                bencher.iter(|| {
                    out.clear();
                    frame::encode(&mut out, Opcode::Binary, black_box(&payload), mask);
                    black_box(&out).len()
                });
            });
        }
    }
}

fn handshakes(criterion: &mut Criterion) {
    let bytes = b"GET /chat HTTP/1.1\r\nHost: localhost:8888\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
        Accept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate\r\nSec-WebSocket-Version: 13\r\n\
        Origin: http://localhost:8888\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=b\r\n\
        Connection: keep-alive, Upgrade\r\nPragma: no-cache\r\nUpgrade: websocket\r\n\r\n";
    criterion.bench_function("handshake of a browser", |bencher| {
        let mut out = Vec::with_capacity(1024);
        bencher.iter(|| {
            out.clear();
            let head = Head::parse(black_box(bytes), &HeadLimits::default()).expect("in order");
            let upgrade = handshake::parse(&head).expect("in order");
            handshake::write_response(&mut out, upgrade.key, None, &[]);
            out.len()
        });
    });
}

criterion_group!(benches, headers, readers, encode, handshakes);
criterion_main!(benches);

//! Work of known size for valgrind to count the instructions of (`benches/instructions.py`).
//!
//!     instructions CASE      does the case once; what is counted is what happens in `measured`
//!     instructions --list    names the cases, and the masking kernel that is in use

use std::hint::black_box;
use std::process::ExitCode;

use hubbub_net::proto::frame::{self, Opcode};
use hubbub_net::proto::head::{Head, HeadLimits};
use hubbub_net::proto::message::{Event, Limits, Reader};
use hubbub_net::proto::{Role, handshake, mask};

mod crowd;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CASES: [(&str, fn()); 6] = [
    ("unmask 64 B, 1000 times", || unmask(64, 1000)),
    ("unmask 64 KiB, 10 times", || unmask(64 << 10, 10)),
    ("read 1000 frames of 64 B", read),
    ("encode 1000 frames of 64 B", encode),
    ("handshake of a browser, 100 times", handshakes),
    ("broadcast of 64 B to 1000 members", broadcast),
];

fn main() -> ExitCode {
    // Cargo adds --bench.
    let wanted = std::env::args().skip(1).find(|argument| argument != "--bench");
    match wanted.as_deref() {
        Some("--list") => {
            println!("{}", mask::kernel());
            CASES.iter().for_each(|(name, _)| println!("{name}"));
        }
        Some(wanted) => match CASES.iter().find(|(name, _)| *name == wanted) {
            Some((_, case)) => case(),
            None => {
                eprintln!("there is no case {wanted:?}");
                return ExitCode::from(2);
            }
        },
        None => CASES.iter().for_each(|(_, case)| case()),
    }
    ExitCode::SUCCESS
}

/// Valgrind counts between this function's entry and exit.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // What follows the call keeps it from becoming a jump, which would leave this function before the work is done.
    black_box(());
}

fn unmask(length: usize, times: usize) {
    // Payloads begin after a header of 6 bytes, so never aligned.
    let mut data = vec![7_u8; 6 + length];
    measured(&mut || {
        for _ in 0..times {
            mask::apply(black_box(&mut data[6..]), black_box(KEY), 0);
        }
    });
}

fn read() {
    let mut wire = Vec::new();
    for _ in 0..1000 {
        frame::encode(&mut wire, Opcode::Text, &[b'a'; 64], Some(KEY));
    }
    let (mut reader, limits, mut count) = (Reader::new(Role::Server), Limits::default(), 0);
    measured(&mut || {
        let mut input = &mut wire[..];
        while let Ok(Some(event)) = reader.next(&mut input, &limits) {
            count += usize::from(matches!(black_box(event), Event::Message { .. }));
        }
    });
    assert_eq!(count, 1000);
}

fn encode() {
    let mut out = Vec::with_capacity(1000 * 80);
    measured(&mut || {
        for _ in 0..1000 {
            frame::encode(&mut out, Opcode::Text, black_box(&[b'a'; 64]), None);
        }
    });
    assert_eq!(out.len(), 1000 * 66);
}

fn handshakes() {
    let bytes = b"GET /chat HTTP/1.1\r\nHost: localhost:8888\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
        Accept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate\r\nSec-WebSocket-Version: 13\r\n\
        Origin: http://localhost:8888\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=b\r\n\
        Connection: keep-alive, Upgrade\r\nPragma: no-cache\r\nUpgrade: websocket\r\n\r\n";
    let mut out = Vec::with_capacity(1024);
    measured(&mut || {
        for _ in 0..100 {
            out.clear();
            let head = Head::parse(black_box(bytes), &HeadLimits::default()).expect("in order");
            let upgrade = handshake::parse(&head).expect("in order");
            handshake::write_response(&mut out, upgrade.key, None, &[]);
        }
    });
    assert!(out.starts_with(b"HTTP/1.1 101 "));
}

fn broadcast() {
    let mut crowd = crowd::Crowd::gather(1000).expect("loopback sockets");
    // What grows with the first broadcast has grown.
    crowd.broadcast(&[b'a'; 64], 1);
    assert_eq!(crowd.read(), 66_000);
    measured(&mut || crowd.broadcast(&[b'a'; 64], 1));
    assert_eq!(crowd.read(), 66_000);
}

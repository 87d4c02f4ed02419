//! Polling payloads, queries and the way of a session: what is read can be written again, and nothing panics.

#![no_main]

use hubbub_proto::engineio::payload::{self, Limits, PayloadError, SEPARATOR};
use hubbub_proto::engineio::{Action, Input, Packet, PacketError, Query, Stage, Transport, admit};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_bytes: 2000, max_packets: 20 };

fuzz_target!(|data: &[u8]| {
    match payload::decode(data, &LIMITS) {
        Ok(packets) => {
            let packets: Vec<_> = packets.collect();
            assert!((1..=LIMITS.max_packets).contains(&packets.len()));
            assert!(packets[..packets.len() - 1].iter().all(Result::is_ok), "something was read after an error");
            again(data, &packets);
            walk(&packets);
        }
        Err(error) => assert_eq!(error == PayloadError::TooBig, data.len() > LIMITS.max_bytes),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(query) = Query::parse(text) {
        assert!(query.sid.is_none_or(|sid| sid.as_str().is_ascii()));
        for session in [None, Some(Transport::Polling), Some(Transport::WebSocket)] {
            for (method, is_upgrade) in [("GET", false), ("GET", true), ("POST", false)] {
                let _ = admit(&query, method, is_upgrade, session);
            }
        }
    }
});

/// What was read, written again: the same bytes as far as they were packets.
fn again(data: &[u8], packets: &[Result<Packet<'_>, PacketError>]) {
    let mut out = Vec::new();
    for packet in packets.iter().flatten() {
        payload::append(&mut out, packet).expect("what came between separators has none");
    }
    assert!(data.starts_with(&out));
    let is_whole = packets.iter().all(Result::is_ok);
    assert!(!is_whole || data == out, "all of it was packets");
    assert!(is_whole || out.is_empty() || data[out.len()] == SEPARATOR);
}

/// The packets as if they came on one transport, the other, or both in turn.
fn walk(packets: &[Result<Packet<'_>, PacketError>]) {
    for pattern in 0..4_usize {
        let (mut stage, _) = Stage::Polling.step(Input::CandidateOpened);
        for (i, packet) in packets.iter().enumerate() {
            let packet = packet.as_ref().map_err(|error| *error);
            let is_candidate = pattern >> (i % 2) & 1 != 0;
            let input = if is_candidate { Input::Candidate(packet) } else { Input::Packet(packet) };
            let (next, action) = stage.step(input);
            assert_eq!(action == Action::Switch, stage == Stage::Probing && next == Stage::WebSocket);
            assert_eq!(matches!(action, Action::End(_)), stage != Stage::Closed && next == Stage::Closed);
            assert!(!is_candidate || action != Action::Deliver, "a WebSocket speaks before it is the transport");
            assert!(stage != Stage::WebSocket || matches!(next, Stage::WebSocket | Stage::Closed));
            stage = next;
        }
    }
}

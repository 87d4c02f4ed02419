//! Bodies of POSTs, queries, and text frames of packets: what is read can be written again, and nothing panics.

#![no_main]

use hubbub_proto::comet::{self, BodyError};
use hubbub_proto::engineio::payload::{PayloadError, SEPARATOR};
use hubbub_proto::engineio::{Query, Transport, admit};
use hubbub_proto::message::{Kind, Payload};
use hubbub_proto::session::{Dialect, Meaning, PostError, read_post, read_text};
use libfuzzer_sys::fuzz_target;

const MAX_PACKETS: usize = 20;

fuzz_target!(|data: &[u8]| {
    let parts: Vec<_> = data.split(|byte| *byte == SEPARATOR).collect();
    match comet::packets(data, MAX_PACKETS) {
        Ok(packets) => {
            let packets: Vec<_> = packets.collect();
            assert_eq!(packets.len(), parts.len());
            assert!(packets.len() <= MAX_PACKETS);
            for (packet, part) in packets.iter().zip(&parts) {
                written(packet, part);
            }
        }
        Err(BodyError::Payload(error)) => match error {
            PayloadError::Empty => assert!(data.is_empty()),
            PayloadError::TooManyPackets => assert!(parts.len() > MAX_PACKETS),
            PayloadError::Utf8 => assert!(std::str::from_utf8(data).is_err()),
        },
        Err(error) => panic!("no error of a whole body: {error}"),
    }
    mean(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = comet::Query::parse(text);
    if let Ok(query) = Query::parse(text) {
        assert!(query.sid.is_none_or(|sid| sid.as_str().is_ascii()));
        for session in [None, Some(Transport::Polling), Some(Transport::WebSocket)] {
            for (method, is_upgrade) in [("GET", false), ("GET", true), ("POST", false)] {
                let _ = admit(&query, method, is_upgrade, session);
            }
        }
    }
});

/// A message that was read, written again: the same bytes. Other packets keep to their bounds.
fn written(packet: &Result<comet::Packet<'_>, BodyError>, part: &[u8]) {
    let mut out = Vec::new();
    match packet {
        Ok(comet::Packet::Message(Kind::Binary, bytes)) => {
            out.push(b'b');
            comet::base64(&mut out, bytes);
        }
        // Base64 is for texts with the separator in them, and may carry others.
        Ok(comet::Packet::Message(Kind::Text, bytes)) if part[0] == b't' => {
            assert!(std::str::from_utf8(bytes).is_ok());
            out.push(b't');
            comet::base64(&mut out, bytes);
        }
        Ok(comet::Packet::Message(Kind::Text, bytes)) => {
            comet::text_packet(&mut out, std::str::from_utf8(bytes).expect("a text"));
        }
        Ok(comet::Packet::Close { code, reason }) => {
            assert!(matches!(code.0, 1000 | 1001 | 1005 | 3000..=4999) && reason.len() <= 123);
            return;
        }
        Ok(comet::Packet::Ping | comet::Packet::Pong | comet::Packet::Nothing) => {
            assert!((b'0'..=b'6').contains(&part[0]));
            return;
        }
        Err(_) => return,
    }
    assert_eq!(out, part);
}

/// What a client's packets mean: nothing of a body is taken that one bad packet voids, and only Engine.IO forbids pings.
fn mean(data: &[u8]) {
    for (dialect, max_payload) in [(Dialect::Comet, 30), (Dialect::EngineIo, 30), (Dialect::EngineIo, usize::MAX)] {
        match read_post(dialect, data, max_payload) {
            Ok(packets) => {
                assert!(dialect == Dialect::Comet || data.len() <= max_payload);
                assert_eq!(packets.len(), data.split(|byte| *byte == SEPARATOR).count());
                for packet in packets {
                    assert!(!matches!(packet, Meaning::Message(_, payload) if payload.as_slice().len() > max_payload));
                }
            }
            Err(error) => assert_eq!(
                error.failure(dialect).is_some(),
                match error {
                    PostError::BodyTooBig => false,
                    PostError::Malformed(_) => dialect == Dialect::EngineIo,
                    PostError::MessageTooBig => true,
                }
            ),
        }
        let borrowed = read_text(dialect, Payload::Borrowed(data));
        match (&borrowed, read_text(dialect, Payload::Owned(data.to_vec()))) {
            (Meaning::Message(kind, a), Meaning::Message(other, b)) => {
                assert_eq!((*kind, a.as_slice()), (other, b.as_slice()));
            }
            (borrowed, owned) => assert_eq!(*borrowed, owned),
        }
        let wants = data.first().is_some_and(|byte| (b'0'..=b'6').contains(byte));
        let is_ping = dialect == Dialect::EngineIo && data.first() == Some(&b'2');
        assert!(!wants || matches!(borrowed, Meaning::Fail(_)) == is_ping);
    }
}

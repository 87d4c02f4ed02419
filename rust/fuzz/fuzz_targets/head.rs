//! Heads and handshakes: nothing panics, no cut matters, and what is accepted keeps its promises.

#![no_main]

use hubbub_proto::handshake::{self, extensions};
use hubbub_proto::head::{Head, HeadError, HeadLimits, ResponseHead, Scanner, is_field_value, is_token};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { max_bytes: 1000, max_fields: 10 };

fuzz_target!(|data: &[u8]| {
    let end = Scanner::new().end(data, &LIMITS);
    assert_eq!(byte_by_byte(data), end);
    let request = Head::parse(data, &LIMITS);
    let response = ResponseHead::parse(data, &LIMITS);
    match end {
        Ok(Some(end)) => {
            let alone = Head::parse(&data[..end], &LIMITS);
            assert_eq!(format!("{alone:?}"), format!("{request:?}"), "what follows a head is no part of it");
        }
        Ok(None) => {
            assert_eq!(request.as_ref().err(), Some(&HeadError::Truncated));
            assert_eq!(response.as_ref().err(), Some(&HeadError::Truncated));
        }
        Err(error) => assert_eq!(request.as_ref().err(), Some(&error)),
    }
    if let Ok(head) = &request {
        check_request(head);
    }
    let _ = extensions::parse(data);
});

fn byte_by_byte(data: &[u8]) -> Result<Option<usize>, HeadError> {
    let mut scanner = Scanner::new();
    let mut steps = (0..=data.len()).map(|len| scanner.end(&data[..len], &LIMITS));
    steps.find(|step| *step != Ok(None)).unwrap_or(Ok(None))
}

fn check_request(head: &Head<'_>) {
    assert!(is_token(head.method));
    assert!(head.fields.len() <= LIMITS.max_fields);
    assert!(head.fields.iter().all(|field| is_token(field.name) && is_field_value(field.value)));
    assert!(head.path().starts_with('/') || head.target == "*");
    assert!(!head.path().contains(['?', '#', ' ']));
    assert!(head.host().is_some_and(|host| !host.contains(['/', '?', '#', '@', ' '])) || head.version == 0);
    match handshake::parse(head) {
        Ok(upgrade) => {
            assert!(handshake::is_upgrade(head) && !head.has_body());
            assert!(upgrade.subprotocols.iter().all(is_token));
            assert!(upgrade.extensions.iter().all(|value| extensions::parse(value).is_ok()));
            assert_eq!(handshake::accept_key(upgrade.key).len(), 28);
        }
        Err(refusal) => {
            let mut out = Vec::new();
            refusal.write_response(&mut out);
            let answer = ResponseHead::parse(&out, &LIMITS).expect("a refusal is a response");
            assert_eq!(answer.status, refusal.status);
        }
    }
}

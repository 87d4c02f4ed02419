//! The client's half against the server's: what one writes, the other reads and agrees to.

#![no_main]

use hubbub_proto::handshake::client::{Request, key};
use hubbub_proto::handshake::{self, Upgrade};
use hubbub_proto::head::{Head, HeadLimits, ResponseHead};
use hubbub_proto::message::{Event, Limits, Reader};
use hubbub_proto::{Role, frame};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { max_bytes: 1 << 20, max_fields: 100 };

fuzz_target!(|data: &[u8]| {
    shake_hands(data);
    talk(data);
});

/// Four lines: host, target, subprotocols, the value of a further field.
fn shake_hands(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n').chain(std::iter::repeat(""));
    let mut line = || lines.next().unwrap_or_default();
    let (host, target, offered, value) = (line(), line(), line(), line());
    let subprotocols: Vec<&str> = offered.split(',').filter(|name| !name.is_empty()).collect();
    let key = key([data.len() as u8; 16]);
    let fields = [("X-Field", value)];
    let request = Request { host, target, key: &key, subprotocols: &subprotocols, fields: &fields };
    let mut bytes = Vec::new();
    if request.write(&mut bytes).is_err() || bytes.len() > LIMITS.max_bytes {
        return;
    }

    let head = Head::parse(&bytes, &LIMITS).expect("what the client writes is a head");
    assert_eq!((head.target, head.host()), (target, Some(host)));
    assert_eq!(head.one("x-field"), Ok(Some(value.as_bytes())));
    let upgrade: Upgrade<'_> = handshake::parse(&head).expect("what the client writes is a handshake");
    assert_eq!(upgrade.subprotocols, subprotocols);

    let mut answer = Vec::new();
    let chosen = upgrade.subprotocols.last().copied();
    handshake::write_response(&mut answer, upgrade.key, chosen, &[("X-Field".to_owned(), value.to_owned())]);
    let head = ResponseHead::parse(&answer, &LIMITS).expect("what the server writes is a head");
    assert_eq!(request.check(&head).map(|agreed| agreed.subprotocol), Ok(chosen));
}

/// A message to the server, and the same one back.
fn talk(data: &[u8]) {
    let mask = data.first_chunk::<4>().copied();
    for (role, mask) in [(Role::Server, Some(mask.unwrap_or_default())), (Role::Client, None)] {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, frame::Opcode::Binary, data, mask);
        let mut input = &mut bytes[..];
        let event = Reader::new(role).next(&mut input, &Limits::default());
        let Ok(Some(Event::Message { payload, .. })) = event else { panic!("{event:?}") };
        assert_eq!(payload.as_slice(), data);
    }
}

//! What carries a session's messages, and the bytes that it makes of them.

use bytes::Bytes;
use hubbub_proto::comet::{self, base64};
use hubbub_proto::engineio::PacketType;
use hubbub_proto::engineio::payload::SEPARATOR;
use hubbub_proto::event_stream::{self, Event};
use hubbub_proto::frame::{self, Opcode};
use hubbub_proto::message::Kind;
use hubbub_proto::script;

/// What carries a session's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Carrier {
    /// A WebSocket; a message is a message.
    #[default]
    WebSocket,
    /// A WebSocket; a text message is a packet of Engine.IO.
    Packets,
    /// An event stream.
    Events,
    /// A page of scripts that does not end.
    Iframe,
    /// Polls, each with what there is at that time; so are sessions that have no connection just now.
    Polling,
    /// An event stream; a message is a message, as it is on every other carrier.
    EventPackets,
}

/// Carriers beside [`Carrier::WebSocket`].
pub(crate) const OTHERS: usize = 5;

impl Carrier {
    /// What `transport` is in queries and to users.
    pub fn name(self) -> &'static str {
        match self {
            Carrier::WebSocket | Carrier::Packets => "websocket",
            Carrier::Events | Carrier::EventPackets => "eventsource",
            Carrier::Iframe => "iframe",
            Carrier::Polling => "polling",
        }
    }

    /// The carrier of this number; see [`Carrier::number`].
    pub(crate) fn numbered(number: u8) -> Self {
        match number {
            1 => Carrier::Packets,
            2 => Carrier::Events,
            3 => Carrier::Iframe,
            4 => Carrier::Polling,
            5 => Carrier::EventPackets,
            _ => Carrier::WebSocket,
        }
    }

    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// It speaks RFC 6455.
    pub fn is_websocket(self) -> bool {
        matches!(self, Carrier::WebSocket | Carrier::Packets)
    }

    /// It is a response that does not end.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Carrier::Events | Carrier::EventPackets | Carrier::Iframe)
    }

    /// Appends a message.
    pub(crate) fn write(self, out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
        match (self, kind) {
            (Carrier::WebSocket, _) | (Carrier::Packets, Kind::Binary) => {
                frame::encode(out, kind.into(), payload, None);
            }
            (Carrier::Packets, Kind::Text) => write_packet(out, PacketType::Message, payload),
            // Every line break of an event arrives as LF.
            (Carrier::EventPackets, Kind::Text) if payload.contains(&b'\r') => {
                write_event(out, Some("text"), &in_base64(payload));
            }
            (Carrier::Events | Carrier::EventPackets, Kind::Text) => write_event(out, None, &text(payload)),
            (Carrier::Events | Carrier::EventPackets, Kind::Binary) => {
                write_event(out, Some("binary"), &in_base64(payload));
            }
            (Carrier::Iframe, Kind::Text) => write_call(out, |out| script::string(out, &text(payload))),
            (Carrier::Iframe, Kind::Binary) => write_call(out, |out| {
                out.extend_from_slice(b"null,\"");
                base64(out, payload);
                out.push(b'"');
            }),
            (Carrier::Polling, Kind::Text) => comet::text_packet(out, &text(payload)),
            (Carrier::Polling, Kind::Binary) => {
                out.push(b'b');
                base64(out, payload);
            }
        }
    }

    /// Appends a sign of life.
    pub(crate) fn write_heartbeat(self, out: &mut Vec<u8>) {
        match self {
            Carrier::WebSocket => {}
            Carrier::Packets => write_packet(out, PacketType::Ping, b""),
            // The client's script is to see it.
            Carrier::EventPackets => out.extend_from_slice(b"event: ping\ndata:\n\n"),
            Carrier::Events => out.extend_from_slice(b":\n\n"),
            Carrier::Iframe => out.extend_from_slice(b"<!---->\n"),
            Carrier::Polling => out.push(PacketType::Noop as u8),
        }
    }

    /// Appends what the client is told of its session, in JSON.
    pub(crate) fn write_open(self, out: &mut Vec<u8>, json: &[u8]) {
        match self {
            Carrier::WebSocket => {}
            Carrier::Packets => write_packet(out, PacketType::Open, json),
            Carrier::Events | Carrier::EventPackets => write_event(out, Some("session"), &text(json)),
            Carrier::Iframe => write_told(out, "open", json),
            Carrier::Polling => write_text(out, PacketType::Open, json),
        }
    }

    /// Appends why the session ends, in JSON.
    pub(crate) fn write_close(self, out: &mut Vec<u8>, json: &[u8]) {
        match self {
            // A Close frame says it.
            Carrier::WebSocket | Carrier::Packets => {}
            Carrier::Events | Carrier::EventPackets => write_event(out, Some("close"), &text(json)),
            Carrier::Iframe => write_told(out, "close", json),
            Carrier::Polling => write_text(out, PacketType::Close, json),
        }
    }

    /// A message as every session with this carrier gets it.
    pub(crate) fn encode(self, kind: Kind, payload: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(payload.len() + 16);
        self.write(&mut out, kind, payload);
        out.into()
    }
}

/// A message as an event. INVARIANT: the fields have been checked.
pub(crate) fn event(name: Option<&str>, id: Option<&str>, kind: Kind, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 64);
    let (name, data) = match kind {
        Kind::Text => (name, text(payload)),
        Kind::Binary => (name.or(Some("binary")), in_base64(payload).into()),
    };
    let written = event_stream::encode(&mut out, &Event { event: name, id, data: Some(&data), retry: None });
    debug_assert!(written.is_ok());
    out.into()
}

/// Appends a packet to the body of a response.
pub(crate) fn join(body: &mut Vec<u8>, packet: &[u8]) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
    body.extend_from_slice(packet);
}

fn write_packet(out: &mut Vec<u8>, kind: PacketType, payload: &[u8]) {
    let header = frame::Header { fin: true, opcode: Opcode::Text, len: payload.len() as u64 + 1, mask: None }.encode();
    out.extend_from_slice(&header);
    write_text(out, kind, payload);
}

fn write_text(out: &mut Vec<u8>, kind: PacketType, payload: &[u8]) {
    out.push(kind as u8);
    out.extend_from_slice(payload);
}

fn write_event(out: &mut Vec<u8>, name: Option<&str>, data: &str) {
    // INVARIANT: the names are ours.
    let written = event_stream::encode(out, &Event { event: name, data: Some(data), ..Event::default() });
    debug_assert!(written.is_ok());
}

fn write_call(out: &mut Vec<u8>, arguments: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"<script>parent.hubbub(");
    arguments(out);
    out.extend_from_slice(b")</script>\n");
}

fn write_told(out: &mut Vec<u8>, what: &str, json: &[u8]) {
    out.extend_from_slice(format!("<script>parent.hubbub.{what}&&parent.hubbub.{what}(").as_bytes());
    out.extend_from_slice(json);
    out.extend_from_slice(b")</script>\n");
}

/// INVARIANT: the payload of a text message is UTF-8; whoever sends it has seen to that.
fn text(payload: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(payload)
}

fn in_base64(payload: &[u8]) -> String {
    let mut out = Vec::new();
    base64(&mut out, payload);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(carrier: Carrier, kind: Kind, payload: &[u8]) -> String {
        String::from_utf8(carrier.encode(kind, payload).to_vec()).unwrap()
    }

    #[test]
    fn each_carrier_has_its_own_form() {
        for (carrier, text, binary) in [
            (Carrier::WebSocket, "\u{81}\u{2}hi", None),
            (Carrier::Packets, "\u{81}\u{3}4hi", None),
            (Carrier::Events, "data: hi\n\n", Some("event: binary\ndata: AQI=\n\n")),
            (
                Carrier::Iframe,
                "<script>parent.hubbub(\"hi\")</script>\n",
                Some("<script>parent.hubbub(null,\"AQI=\")</script>\n"),
            ),
            (Carrier::Polling, "4hi", Some("bAQI=")),
            (Carrier::EventPackets, "data: hi\n\n", Some("event: binary\ndata: AQI=\n\n")),
        ] {
            let expected: Vec<u8> = text.chars().map(|c| c as u8).collect();
            assert_eq!(carrier.encode(Kind::Text, b"hi"), expected, "{carrier:?}");
            match binary {
                Some(binary) => assert_eq!(encoded(carrier, Kind::Binary, &[1, 2]), binary),
                None => assert_eq!(carrier.encode(Kind::Binary, &[1, 2])[..], [0x82, 2, 1, 2]),
            }
        }
    }

    #[test]
    fn only_a_plain_event_stream_changes_line_breaks() {
        assert_eq!(encoded(Carrier::Events, Kind::Text, b"a\r\nb"), "data: a\ndata: b\n\n");
        assert_eq!(encoded(Carrier::EventPackets, Kind::Text, b"a\r\nb"), "event: text\ndata: YQ0KYg==\n\n");
        assert_eq!(encoded(Carrier::EventPackets, Kind::Text, b"a\nb"), "data: a\ndata: b\n\n");
    }

    #[test]
    fn a_carrier_is_known_by_its_number() {
        for number in 0..=OTHERS as u8 {
            assert_eq!(Carrier::numbered(number).number(), number);
        }
    }
}

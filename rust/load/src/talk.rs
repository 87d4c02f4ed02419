//! A Socket.IO session as a client has it, whatever carries its packets: what each packet from the server means.
//!
//! Every packet is looked at as far as it takes to tell what it is. What comes as it was sent is compared where it lies; only
//! what differs is read as JSON, as a server may write the same event in another way.

use hubbub_proto::engineio::PacketType;
use hubbub_proto::socketio::{Kind, Limits, Name, Packet};
use serde::Deserialize;

use crate::arrived::{Arrived, Parting};
use crate::faults::{Fault, Faults};
use crate::script::{Foreign, Script};
use crate::stamp::{self, Stamp};

/// The client's half of one session.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    state: State,
    /// Which message of the ring comes back next.
    next: usize,
    /// Attachments of an event of somebody else's that are still to come.
    attachments: u32,
    /// What the server calls the session.
    pub(crate) sid: String,
    /// The longest body of a POST that it takes.
    pub(crate) max_payload: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The server has not said which session this is.
    #[default]
    Unopened,
    /// The client has asked for the namespace.
    Asking,
    /// It is in the namespace.
    Joined,
}

/// What the first packet says, as far as it matters here.
#[derive(Deserialize)]
struct Open {
    sid: String,
    #[serde(rename = "maxPayload")]
    max_payload: Option<usize>,
}

/// Asks for the namespace `/`.
const CONNECT: &[u8] = b"40";
const PONG: &[u8] = b"3";
/// Leaves the namespace.
pub(crate) const DISCONNECT: &[u8] = b"41";
/// Ends the session.
pub(crate) const CLOSE: &[u8] = b"1";
/// What servers take if they do not say.
const MAX_PAYLOAD: usize = 1_000_000;
/// Characters of a packet that are shown.
const SHOWN: usize = 60;

impl Talk {
    /// Expects the messages of the ring in turn, from `first` on.
    pub(crate) fn new(first: usize) -> Talk {
        Talk { next: first, ..Talk::default() }
    }

    /// The server has let it into the namespace.
    pub(crate) fn is_joined(&self) -> bool {
        self.state == State::Joined
    }

    /// What has to come next.
    pub(crate) fn awaits(&self) -> &'static str {
        match self.state {
            State::Unopened => "Engine.IO open packet: it may not speak Socket.IO here",
            State::Asking => "answer to the CONNECT packet",
            State::Joined => "packet",
        }
    }

    /// Takes a packet in text. Gives the one to answer with, if there is one.
    pub(crate) fn text(
        &mut self,
        packet: &[u8],
        script: &Script,
        faults: &mut Faults,
        stamps: &mut Vec<Stamp>,
        arrived: &mut Arrived,
    ) -> Result<Option<&'static [u8]>, Parting> {
        if self.state == State::Unopened {
            return self.open(packet).map(Some);
        }
        let nonsense = || Parting::Protocol(format!("{} is no packet of Engine.IO", shown(packet)));
        let (digit, rest) = packet.split_first().ok_or_else(nonsense)?;
        match PacketType::from_digit(*digit).ok_or_else(nonsense)? {
            PacketType::Message => self.message(packet, rest, script, faults, stamps, arrived),
            PacketType::Ping => Ok(Some(PONG)),
            PacketType::Noop => Ok(None),
            PacketType::Close => Err(Parting::Left("it closed the Engine.IO session".to_owned())),
            PacketType::Open | PacketType::Pong | PacketType::Upgrade => {
                Err(Parting::Protocol(format!("it sent {} in mid-session", shown(packet))))
            }
        }
    }

    /// Takes a packet in bytes: an attachment of an event that nobody has asked for, or nothing that makes sense.
    pub(crate) fn binary(&mut self) -> Result<(), Parting> {
        if self.state != State::Joined || self.attachments == 0 {
            return Err(Parting::Protocol("it sent bytes that belong to no event".to_owned()));
        }
        self.attachments -= 1;
        Ok(())
    }

    fn open(&mut self, packet: &[u8]) -> Result<&'static [u8], Parting> {
        let open: Option<Open> = packet.strip_prefix(b"0").and_then(|json| serde_json::from_slice(json).ok());
        let Some(Open { sid, max_payload }) = open else {
            let came = shown(packet);
            return Err(Parting::Protocol(format!(
                "it began with {came}, not with an Engine.IO open packet: it may not speak Socket.IO (EIO=4) here"
            )));
        };
        self.sid = sid;
        self.max_payload = max_payload.unwrap_or(MAX_PAYLOAD);
        self.state = State::Asking;
        Ok(CONNECT)
    }

    fn message(
        &mut self,
        whole: &[u8],
        packet: &[u8],
        script: &Script,
        faults: &mut Faults,
        stamps: &mut Vec<Stamp>,
        arrived: &mut Arrived,
    ) -> Result<Option<&'static [u8]>, Parting> {
        if self.state == State::Joined && script.foreign() == Foreign::None {
            if script.is_stamped() {
                if let Some(stamp) = script.read_stamp(whole) {
                    stamps.push(stamp);
                    arrived.messages += 1;
                    return Ok(None);
                }
            } else if whole == script.payload(self.next) {
                arrived.messages += 1;
                self.advance(script);
                return Ok(None);
            }
        }
        let limits = Limits { max_packet_bytes: usize::MAX, max_arguments: usize::MAX, ..Limits::default() };
        let text = std::str::from_utf8(packet).map_err(|error| Parting::Protocol(error.to_string()))?;
        let packet = Packet::parse(text, &limits)
            .map_err(|error| Parting::Protocol(format!("{} is no packet of Socket.IO: {error}", shown(whole))))?;
        match (packet.kind(), self.state) {
            (Kind::Connect, State::Asking) if packet.namespace() == "/" => self.state = State::Joined,
            (Kind::ConnectError, State::Asking) => {
                return Err(Parting::Left(format!("it does not let anyone into the namespace /: {}", packet.json())));
            }
            (Kind::Disconnect, _) => return Err(Parting::Left("it disconnected the socket".to_owned())),
            (Kind::Event, State::Joined) => {
                self.attachments += packet.attachments();
                match script.foreign() {
                    Foreign::None => self.event(&packet, script, faults, stamps, arrived),
                    Foreign::Unasked => faults.count(Fault::Unexpected, 1),
                    Foreign::Wanted => {
                        arrived.messages += 1;
                        let due = script.field.as_ref().and_then(|field| field.read(whole));
                        stamps.extend(due.map(|due| Stamp { sender: 0, sequence: 0, due }));
                    }
                }
            }
            (Kind::Ack, State::Joined) => {
                self.attachments += packet.attachments();
                faults.count(Fault::Unexpected, 1);
            }
            _ => return Err(Parting::Protocol(format!("{} does not belong here", shown(whole)))),
        }
        Ok(None)
    }

    /// An event that was not written as it would be here, or that is another one.
    fn event(
        &mut self,
        packet: &Packet<'_>,
        script: &Script,
        faults: &mut Faults,
        stamps: &mut Vec<Stamp>,
        arrived: &mut Arrived,
    ) {
        let is_ours = packet.namespace() == "/" && script.event().is_some_and(|event| is_named(packet, event));
        if !is_ours {
            return faults.count(Fault::Unexpected, 1);
        }
        let mut arguments = packet.arguments();
        let argument = match (arguments.next(), arguments.next()) {
            (Some(first), None) => serde_json::from_str::<String>(first).ok(),
            _ => None,
        };
        let argument = argument.as_deref().map(str::as_bytes);
        if argument == Some(script.roll_call_text()) {
            arrived.roll_calls += 1;
            return;
        }
        let expected = script.content(self.next);
        let right = match argument {
            Some(argument) if argument.len() != expected.len() => {
                faults.count(Fault::WrongLength, 1);
                true
            }
            Some(argument) if script.is_stamped() => argument[stamp::LEN..] == expected[stamp::LEN..],
            argument => argument == Some(expected),
        };
        faults.count(Fault::WrongContent, u64::from(!right));
        if script.is_stamped() {
            let front = argument.and_then(|argument| argument.first_chunk());
            let Some(stamp) = front.and_then(Stamp::read) else {
                return faults.count(Fault::WrongContent, u64::from(right));
            };
            stamps.push(stamp);
        }
        arrived.messages += 1;
        self.advance(script);
    }

    fn advance(&mut self, script: &Script) {
        self.next += 1;
        if self.next == script.ring() {
            self.next = 0;
        }
    }
}

fn is_named(packet: &Packet<'_>, event: &str) -> bool {
    matches!(packet.name(), Some(Name::Text(name)) if name == event)
}

/// The beginning of a packet, as a person can read it.
pub(crate) fn shown(packet: &[u8]) -> String {
    let text = String::from_utf8_lossy(packet);
    let mut beginning: String = text.chars().take(SHOWN).collect();
    if beginning.len() < text.len() {
        beginning.push('…');
    }
    format!("{beginning:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Messages;
    use crate::script::Form;

    const OPEN: &[u8] = br#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}"#;

    struct Heard {
        talk: Talk,
        script: Script,
        faults: Faults,
        stamps: Vec<Stamp>,
        arrived: Arrived,
    }

    impl Heard {
        fn new(event: &'static str, stamped: bool) -> Heard {
            let form = Form { stamped, event: Some(event), ..Form::default() };
            let script = Script::new(Messages { size: 20, binary: false }, 2, form);
            let (faults, stamps, arrived) = (Faults::default(), Vec::new(), Arrived::default());
            let mut heard = Heard { talk: Talk::new(0), script, faults, stamps, arrived };
            assert_eq!(heard.text(OPEN), Ok(Some(CONNECT)));
            assert!(!heard.talk.is_joined());
            assert_eq!(heard.text(br#"40{"sid":"def"}"#), Ok(None));
            assert!(heard.talk.is_joined());
            heard
        }

        fn text(&mut self, packet: &[u8]) -> Result<Option<&'static [u8]>, String> {
            let Heard { talk, script, faults, stamps, arrived } = self;
            talk.text(packet, script, faults, stamps, arrived).map_err(|parting| parting.to_string())
        }

        fn event(&mut self, event: &str, argument: &[u8]) {
            let argument = String::from_utf8_lossy(argument).into_owned();
            let packet = format!("42 [ {event:?} , {argument:?} ]").replacen(' ', "", 1);
            assert_eq!(self.text(packet.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn a_session_is_opened_and_pings_are_answered() {
        let mut heard = Heard::new("echo", false);
        assert_eq!((heard.talk.sid.as_str(), heard.talk.max_payload), ("abc", 1000));
        assert_eq!(heard.text(b"2"), Ok(Some(PONG)));
        assert_eq!(heard.text(b"6"), Ok(None));
        assert_eq!(heard.faults.total(), 0);
    }

    #[test]
    fn echoes_count_however_they_are_written() {
        let mut heard = Heard::new("echo", false);
        let first = heard.script.payload(0).to_vec();
        assert_eq!(heard.text(&first), Ok(None));
        for index in 1..heard.script.ring() {
            let content = heard.script.content(index).to_vec();
            heard.event("echo", &content);
        }
        assert_eq!(heard.text(&first), Ok(None));
        assert_eq!((heard.arrived.messages, heard.faults.total()), (heard.script.ring() as u64 + 1, 0));
    }

    #[test]
    fn what_is_no_echo_is_counted_by_kind() {
        let mut heard = Heard::new("echo", false);
        let second = heard.script.content(1).to_vec();
        heard.event("echo", &second);
        heard.event("echo", b"short");
        heard.event("ECHO", &second);
        assert_eq!(heard.text(b"430[]"), Ok(None));
        assert_eq!(heard.text(br#"451-["news",{"_placeholder":true,"num":0}]"#), Ok(None));
        assert!(heard.talk.binary().is_ok());
        assert!(heard.talk.binary().is_err());
        let kinds: Vec<_> = heard.faults.by_kind().into_iter().collect();
        assert_eq!(kinds, [("unexpected", 3), ("wrong_content", 1), ("wrong_length", 1)]);
        assert_eq!(heard.arrived.messages, 2);
    }

    #[test]
    fn broadcasts_are_known_by_their_stamps_however_they_are_written() {
        let mut heard = Heard::new("broadcast", true);
        let stamp = Stamp { sender: 3, sequence: 77, due: 123_456 };
        let payload = heard.script.stamped(stamp);
        assert_eq!(heard.text(&payload), Ok(None));
        let content = payload[br#"42["broadcast",""#.len()..][..20].to_vec();
        heard.event("broadcast", &content);
        assert_eq!(heard.stamps, [stamp, stamp]);
        let call = heard.script.roll_call_payload().to_vec();
        assert_eq!(heard.text(&call), Ok(None));
        assert_eq!((heard.arrived.messages, heard.arrived.roll_calls, heard.faults.total()), (2, 1, 0));
        heard.event("broadcast", b"!!!!!!!!!!!!!!!!!!!!");
        assert_eq!(heard.faults.by_kind()["wrong_content"], 1);
        assert_eq!(heard.arrived.messages, 2);
    }

    #[test]
    fn other_protocols_are_told_apart_by_what_came() {
        for (packet, told) in [
            (&b"hello"[..], r#"it began with "hello""#),
            (b"", r#"it began with """#),
            (b"0{}", r#"it began with "0{}""#),
            (b"<!DOCTYPE html>", r#"it began with "<!DOCTYPE html>""#),
        ] {
            let mut talk = Talk::new(0);
            let script = Script::new(Messages { size: 20, binary: false }, 2, Form::default());
            let (mut faults, mut stamps, mut arrived) = (Faults::default(), Vec::new(), Arrived::default());
            let parting = talk.text(packet, &script, &mut faults, &mut stamps, &mut arrived).expect_err("no packet");
            assert!(parting.to_string().contains(told), "{parting}");
        }
        for (packet, told) in [
            (&b"x"[..], "no packet of Engine.IO"),
            (b"4", "no packet of Socket.IO"),
            (b"4x", "no packet of Socket.IO"),
            (b"42[", "no packet of Socket.IO"),
            (b"40", "does not belong here"),
            (b"41", "it disconnected the socket"),
            (b"1", "it closed the Engine.IO session"),
            (b"0{}", "in mid-session"),
        ] {
            let why = Heard::new("echo", false).text(packet).expect_err("a bad packet");
            assert!(why.contains(told), "{why}");
        }
    }
}

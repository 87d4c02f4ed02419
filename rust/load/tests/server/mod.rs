//! Small servers, one thread for each connection, that behave well or badly as a test wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use hubbub_proto::Role;
use hubbub_proto::close::CloseCode;
use hubbub_proto::deflate::{Deflater, Inflater};
use hubbub_proto::frame::{self, Header, Opcode};
use hubbub_proto::handshake;
use hubbub_proto::head::{Head, HeadLimits};
use hubbub_proto::message::{Event, Kind, Limits, Reader};

/// How a server treats its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Sends back what it got.
    Echo,
    /// Sends back what it got, in fragments of three bytes with a ping between them, one byte for each write.
    Fragments,
    /// Sends a ping and does not go on before it is answered.
    Pings,
    /// Changes the last byte.
    WrongContent,
    /// Leaves the last byte out.
    WrongLength,
    /// Sends every message to everyone.
    Broadcast,
    /// Never replies.
    Mute,
    /// Replies twice and then closes with 1001.
    GoesAway,
    /// Closes the TCP connection after two replies.
    Hangs,
    /// Answers the handshake with 503.
    Refuses,
    /// Answers no handshake.
    SilentAtTheDoor,
    /// Sends the wrong Sec-WebSocket-Accept.
    WrongAccept,
    /// Echoes, and is asleep for 200 ms once.
    StallsOnce,
    /// Agrees on permessage-deflate and echoes deflated, each message by itself.
    Deflates,
    /// The same, and its messages refer back to earlier ones.
    DeflatesWithContext,
    /// Answers 503 to whoever does not ask for chat.v1, from example.org, with a token.
    Particular,
    /// Echoes to 127.0.0.7 and 127.0.0.8.
    FromElsewhere,
    /// Speaks no WebSocket and sends the same bytes back.
    Raw,
}

type Members = Arc<Mutex<Vec<TcpStream>>>;

/// Starts a server and returns its URL.
pub(crate) fn start(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("bound");
    let members = Members::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let members = Arc::clone(&members);
            let stream = stream.expect("a connection");
            // A client that leaves early is no failure of the test.
            thread::spawn(move || serve(stream, manner, &members));
        }
    });
    format!("ws://{address}/")
}

fn serve(mut stream: TcpStream, manner: Manner, members: &Members) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match manner {
        Manner::Raw => {
            std::io::copy(&mut stream.try_clone()?, &mut stream)?;
            return Ok(());
        }
        Manner::SilentAtTheDoor => {
            std::io::copy(&mut stream, &mut std::io::sink())?;
            return Ok(());
        }
        _ => {}
    }
    let head = read_head(&mut stream)?;
    let head = Head::parse(&head, &HeadLimits::default()).expect("a good request");
    let upgrade = handshake::parse(&head).expect("an upgrade");
    let mut answer = Vec::new();
    let extension = |value: &str| [("Sec-WebSocket-Extensions".to_owned(), value.to_owned())];
    match manner {
        Manner::Refuses => answer.extend_from_slice(REFUSAL),
        Manner::Particular if !is_welcome(&upgrade, &head) => answer.extend_from_slice(REFUSAL),
        Manner::Particular => handshake::write_response(&mut answer, upgrade.key, Some("chat.v1"), &[]),
        Manner::Deflates => {
            let agreed = extension("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
            handshake::write_response(&mut answer, upgrade.key, None, &agreed);
        }
        Manner::DeflatesWithContext => {
            let agreed = extension("permessage-deflate; client_no_context_takeover");
            handshake::write_response(&mut answer, upgrade.key, None, &agreed);
        }
        Manner::FromElsewhere => {
            let ip = stream.peer_addr()?.ip().to_string();
            assert!(["127.0.0.7", "127.0.0.8"].contains(&ip.as_str()), "{ip}");
            handshake::write_response(&mut answer, upgrade.key, None, &[]);
        }
        Manner::WrongAccept => {
            handshake::write_response(&mut answer, "AAAAAAAAAAAAAAAAAAAAAA==", None, &[]);
        }
        _ => handshake::write_response(&mut answer, upgrade.key, None, &[]),
    }
    if manner == Manner::Broadcast {
        members.lock().expect("no panic before").push(stream.try_clone()?);
    }
    stream.write_all(&answer)?;
    talk(stream, manner, members)
}

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n\
    12\r\nthe house is full\n\r\n0\r\n\r\n";

fn is_welcome(upgrade: &handshake::Upgrade<'_>, head: &Head<'_>) -> bool {
    upgrade.subprotocols == ["chat.v2", "chat.v1"]
        && upgrade.origin == Some("https://example.org")
        && head.fields.one("x-token").ok().flatten() == Some(b"let me in")
}

fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

fn talk(mut stream: TcpStream, manner: Manner, members: &Members) -> std::io::Result<()> {
    let limits = Limits { max_message_bytes: None, ..Limits::default() };
    let mut reader = Reader::new(Role::Server);
    let deflates = matches!(manner, Manner::Deflates | Manner::DeflatesWithContext);
    if deflates {
        reader.expect_deflate();
    }
    let mut inflater = Inflater::new(15, false);
    let mut deflater = Deflater::new(15, 1, manner == Manner::DeflatesWithContext);
    let mut buffer = vec![0; 64 << 10];
    let mut waiting = Vec::new();
    let mut replies = 0;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let mut input = &mut buffer[..read];
        while let Some(event) = reader.next(&mut input, &limits).expect("a client without fault") {
            match event {
                Event::Message { kind, payload } => {
                    let reply = reply(manner, kind, payload.as_slice());
                    match manner {
                        Manner::Pings => {
                            waiting.push(reply);
                            frame_to(&mut stream, Opcode::Ping, b"well?")?;
                        }
                        Manner::Broadcast => {
                            let mut members = members.lock().expect("no panic before");
                            members.retain_mut(|member| member.write_all(&reply).is_ok());
                        }
                        Manner::Fragments => {
                            for byte in reply {
                                stream.write_all(&[byte])?;
                            }
                        }
                        Manner::StallsOnce if replies == 100 => {
                            thread::sleep(std::time::Duration::from_millis(200));
                            stream.write_all(&reply)?;
                        }
                        _ => stream.write_all(&reply)?,
                    }
                    replies += 1;
                    if replies == 2 && manner == Manner::GoesAway {
                        frame_to(&mut stream, Opcode::Close, &1001_u16.to_be_bytes())?;
                    } else if replies == 2 && manner == Manner::Hangs {
                        return Ok(());
                    }
                }
                Event::Compressed { payload, .. } => {
                    let (mut inflated, mut deflated) = (Vec::new(), Vec::new());
                    inflater.inflate(payload.as_slice(), None, &mut inflated).expect("a deflated message");
                    deflater.deflate(&inflated, &mut deflated);
                    let header = Header { fin: true, opcode: Opcode::Text, len: deflated.len() as u64, mask: None };
                    stream.write_all(&[&header.encode().compressed()[..], &deflated].concat())?;
                }
                Event::Pong(payload) if manner == Manner::Pings => {
                    assert_eq!(payload.as_slice(), b"well?");
                    stream.write_all(&waiting.remove(0))?;
                }
                Event::Ping(_) | Event::Pong(_) => {}
                Event::Close { code, .. } => {
                    let code = code.unwrap_or(CloseCode::NORMAL);
                    return frame_to(&mut stream, Opcode::Close, &code.0.to_be_bytes());
                }
            }
        }
    }
}

fn frame_to(stream: &mut TcpStream, opcode: Opcode, payload: &[u8]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, None);
    stream.write_all(&bytes)
}

/// The bytes that answer a message.
fn reply(manner: Manner, kind: Kind, payload: &[u8]) -> Vec<u8> {
    let opcode = match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    };
    let mut payload = payload.to_vec();
    let mut bytes = Vec::new();
    match manner {
        Manner::Mute => return bytes,
        Manner::WrongContent => {
            if let Some(last) = payload.last_mut() {
                *last ^= 1;
            }
        }
        Manner::WrongLength => {
            payload.pop();
        }
        Manner::Fragments => return fragments(opcode, &payload),
        _ => {}
    }
    frame::encode(&mut bytes, opcode, &payload, None);
    bytes
}

fn fragments(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pieces = payload.chunks(3).count();
    for (index, piece) in payload.chunks(3).enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let header = Header { fin: index + 1 == pieces, opcode, len: piece.len() as u64, mask: None };
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(piece);
        if !header.fin {
            frame::encode(&mut bytes, Opcode::Ping, b"still there?", None);
        }
    }
    bytes
}

//! TLS: handshakes whole and broken, every size both ways, the end of a connection, certificates and who gets which.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::client::{Client, Got, close_frame, frame};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::secure::{Trust, config, connection, connection_with, file, files, pair, secure, with};
use crate::support::turns::Turns;
use crate::support::{Random, bytes, limited, quiet, serving, text};
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{ClientCertificates, Endpoint, Notice, Password, Settings, Tls, TlsError, TlsFiles, Verdict};
use rustls::ClientConnection;

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

fn open(manner: Manner) -> House {
    House::open(secure(quiet()), manner)
}

/// A client over this connection, its session open.
fn guest_by(house: &mut House, tls: ClientConnection) -> Client {
    let mut client = Client::connect(house.address()).secure(tls);
    client.shake_hands("/");
    house.opened();
    client
}

// ---- messages

#[test]
fn every_size_comes_back_as_it_was_sent_in_both_versions() {
    for versions in VERSIONS {
        let mut house = open(Manner::echo());
        let config = config(Trust { versions, ..Trust::default() });
        let mut client = guest_by(&mut house, connection_with(config, "localhost"));
        for len in [0, 1, 125, 126, 127, 4095, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 1 << 20] {
            client.text(&text(len));
            client.expect_text(&text(len));
            client.binary(&bytes(len));
            assert_eq!(client.next(), Got::Binary(bytes(len)));
        }
    }
}

#[test]
fn many_messages_in_one_write_arrive_in_order() {
    let mut house = open(Manner::echo());
    let (mut client, _) = house.guest();
    let all: Vec<u8> = (0..5000).flat_map(|n| frame(true, Opcode::Text, format!("number {n}").as_bytes())).collect();
    client.raw(&all);
    for n in 0..5000 {
        client.expect_text(&format!("number {n}"));
    }
}

/// Records of every size, cut anywhere on their way: what the poll announces once must be read to its end.
#[test]
fn however_the_ciphertext_is_cut_the_messages_are_the_same() {
    let mut random = Random(7);
    let mut house = open(Manner::echo());
    for round in 0..30 {
        let tls = connection("localhost");
        let mut client = Client::connect(house.address()).secure(tls);
        client.shake_hands("/");
        house.opened();
        let tls = client.tls.as_mut().unwrap();
        let mut expected = Vec::new();
        tls.conn.set_buffer_limit(None);
        for _ in 0..8 {
            let payload = bytes(random.next(40_000));
            let record = 1 + random.next(20_000);
            for part in frame(true, Opcode::Binary, &payload).chunks(record) {
                tls.conn.writer().write_all(part).unwrap();
            }
            expected.push(payload);
        }
        let mut ciphertext = Vec::new();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut ciphertext).unwrap();
        }
        let mut rest = &ciphertext[..];
        while !rest.is_empty() {
            let cut = if round < 3 { 1 + random.next(50) } else { 1 + random.next(30_000) };
            let (now, later) = rest.split_at(cut.min(rest.len()));
            client.socket.write_all(now).unwrap();
            rest = later;
        }
        for payload in expected {
            assert_eq!(client.next(), Got::Binary(payload));
        }
    }
}

#[test]
fn what_follows_a_large_message_in_one_flight_is_read() {
    let mut house = House::open(secure(limited(|limits| limits.inbox_bytes = 64 << 20)), Manner::default());
    let (mut client, link) = house.guest();
    for round in 0..20 {
        let large = frame(true, Opcode::Binary, &bytes((1 << 20) - round));
        client.raw(&large[..100]);
        house.sync();
        let mut rest = large[100..].to_vec();
        rest.extend(frame(true, Opcode::Binary, &bytes(1 << 20)));
        rest.extend(frame(true, Opcode::Text, b"after"));
        client.raw(&rest);
        assert_eq!(house.message(link.id()).1.len(), (1 << 20) - round);
        assert_eq!(house.message(link.id()).1, bytes(1 << 20));
        assert_eq!(house.message(link.id()).1, b"after");
    }
}

#[test]
fn what_the_kernel_does_not_take_goes_out_when_the_client_reads() {
    let settings = secure(limited(|limits| limits.outbox_bytes = 64 << 20));
    let mut turns = Turns::open(settings, Manner::default());
    let (mut client, link) = turns_guest(&mut turns);
    let mut most = 0;
    for _ in 0..16 {
        let waiting = turns.shard.send(link.id(), Kind::Binary, &bytes(1 << 20));
        turns.turn();
        most = most.max(waiting);
    }
    assert!(most > 1 << 20, "the kernel has not taken 16 MiB");
    let reader = std::thread::spawn(move || {
        for _ in 0..16 {
            assert_eq!(client.next(), Got::Binary(bytes(1 << 20)));
        }
        client
    });
    turns.until("everything", |_| reader.is_finished().then_some(()));
    let mut client = reader.join().unwrap();
    client.text("still there");
    turns.until("message", |turns| turns.take(|event| matches!(event, Event::Message(..)).then_some(())));
}

/// The handshake needs both sides' turns, so the client has a thread of its own.
fn turns_guest(turns: &mut Turns) -> (Client, Arc<hubbub_net::Link>) {
    let mut client = turns.connect();
    let shaking = std::thread::spawn(move || {
        client.shake_hands("/");
        client
    });
    let link = turns.until("open", |turns| {
        turns.take(|event| match event {
            Event::Open(link, _) => Some(link.clone()),
            _ => None,
        })
    });
    turns.until("the 101", |_| shaking.is_finished().then_some(()));
    (shaking.join().unwrap(), link)
}

// ---- the handshake

/// Row 52: a ClientHello in pieces of one byte, and in records of one byte.
#[test]
fn row_52_a_client_hello_may_come_a_byte_at_a_time() {
    let mut house = open(Manner::echo());
    for fragment in [None, Some(33)] {
        let mut config = (*config(Trust::default())).clone();
        config.max_fragment_size = fragment;
        let mut tls = connection_with(Arc::new(config), "localhost");
        let client = Client::connect(house.address());
        let mut hello = Vec::new();
        tls.write_tls(&mut hello).unwrap();
        for byte in hello {
            (&client.socket).write_all(&[byte]).unwrap();
        }
        let mut client = client.secure(tls);
        client.shake_hands("/");
        client.text("whole");
        client.expect_text("whole");
        house.opened();
    }
}

/// Row 52 (RUSTSEC-2024-0336): rustls' own loop never ended after this.
#[test]
fn row_52_a_close_notify_after_the_client_hello_ends_the_connection() {
    let mut house = open(Manner::default());
    let mut tls = connection("localhost");
    let mut client = Client::connect(house.address());
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    hello.extend([21, 3, 3, 0, 2, 1, 0]);
    client.raw(&hello);
    while client.receive().is_some() {}
    house.until("gone", |server| server.connections() == 0);
    house.counts_to(1, |counts| counts.tls_failures);
    assert!(house.guest().0.tls.is_some(), "the server serves on");
}

/// Row 52: plaintext on the TLS port.
#[test]
fn row_52_plain_http_on_the_tls_port_is_answered_with_400() {
    let mut house = open(Manner::default());
    let mut client = Client::connect(house.address());
    let request = client.request("/", &[], &[]);
    client.raw(&request);
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "This port speaks TLS: use wss:// or https://.\n");
    house.notice(|notice| matches!(notice, Notice::TlsFailed { reason, .. } if reason.contains("plain HTTP")));
    house.counts_to(1, |counts| counts.tls_failures);
}

/// Row 12: the log has ten lines for a second of failures; the counter has them all.
#[test]
fn row_12_failed_handshakes_do_not_flood_the_log() {
    let mut turns = Turns::open(secure(quiet()), Manner::default());
    let clients: Vec<Client> = (0..100).map(|_| turns.connect()).collect();
    for client in &clients {
        (&client.socket).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    }
    let (mut lines, mut left_out) = (0, 0);
    turns.until("all of them", |turns| {
        while let Some(one) = turns.take(|event| match event {
            Event::Notice(Notice::TlsFailed { .. }) => Some((1, 0)),
            Event::Notice(Notice::TlsFailuresLeftOut(count)) => Some((0, *count)),
            _ => None,
        }) {
            (lines, left_out) = (lines + one.0, left_out + one.1);
        }
        (lines + left_out == 100).then_some(())
    });
    // All requests were there before the first turn, and however slow the machine is, a refusal takes no tenth of a second.
    assert!((10..100).contains(&lines) && left_out > 0, "{lines} lines, {left_out} left out");
    assert_eq!(turns.server.counts().tls_failures, 100);
}

/// A turn does not take all handshakes that wait.
#[test]
fn a_storm_of_handshakes_leaves_room_for_open_sessions() {
    let default = Some(pair("rsa"));
    let mut turns = Turns::open(with(TlsFiles { default, ..TlsFiles::default() }, quiet()), Manner::default());
    let (mut guest, _) = turns_guest(&mut turns);
    let storm: Vec<Client> = (0..100).map(|_| turns.connect()).collect();
    for client in &storm {
        let mut hello = Vec::new();
        connection("localhost").write_tls(&mut hello).unwrap();
        (&client.socket).write_all(&hello).unwrap();
    }
    guest.text("in between");
    turns.until("message", |turns| turns.take(|event| matches!(event, Event::Message(..)).then_some(())));
    assert!(turns.shard.has_ready(), "an RSA signature is no matter of 40 microseconds: some handshakes wait");
    for client in storm {
        client.socket.set_nonblocking(true).unwrap();
        turns.until("answer", |_| (&client.socket).read(&mut [0]).is_ok().then_some(()));
    }
}

#[test]
fn what_is_neither_tls_nor_http_is_told_so_and_dropped() {
    let house = open(Manner::default());
    for junk in
        [&b"\x00\x01\x02\x03\x04\x05\x06\x07"[..], &[0x80, 0x2e, 1, 3, 1], &[22, 9, 9, 0xff, 0xff, 1], &[22; 64]]
    {
        let mut client = Client::connect(house.address());
        client.raw(junk);
        let mut alert = Vec::new();
        while let Some(bytes) = client.receive() {
            alert.extend(bytes);
        }
        assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
    }
    house.until("gone", |server| server.connections() == 0);
    house.counts_to(4, |counts| counts.tls_failures);
}

/// F2: the absolute deadline counts from accept, TLS included.
#[test]
fn f2_a_stalled_tls_handshake_ends_in_time() {
    let timeout = Duration::from_millis(300);
    let house = House::open(secure(limited(|limits| limits.handshake_timeout = Some(timeout))), Manner::default());
    let begun = Instant::now();
    let mut hello = Vec::new();
    connection("localhost").write_tls(&mut hello).unwrap();
    let mut silent: Vec<Client> = (0..3).map(|_| Client::connect(house.address())).collect();
    // One says nothing, one five bytes of its ClientHello, one all of it and then no more.
    silent[1].raw(&hello[..5]);
    silent[2].raw(&hello);
    // And one has done with TLS, and sends no request.
    let mut client = house.connect();
    client.tls.as_mut().unwrap().flush().unwrap();
    for client in &mut silent {
        while client.receive().is_some() {}
    }
    assert!(client.tls.as_mut().unwrap().read(&mut [0; 1]).is_err());
    let ended = begun.elapsed();
    assert!(ended >= timeout && ended < timeout + Duration::from_secs(5), "{ended:?}");
    house.until("gone", |server| server.connections() == 0);
    house.counts_to(4, |counts| counts.handshake_timeouts);
}

/// A client that keeps its own time: it sends what it has in steps, and reads nothing in between.
#[test]
fn a_fin_with_the_last_bytes_of_the_handshake_is_seen() {
    let house = open(Manner::default());
    let mut client = Client::connect(house.address());
    let mut hello = Vec::new();
    connection("localhost").write_tls(&mut hello).unwrap();
    client.raw(&hello);
    client.finish();
    while client.receive().is_some() {}
    house.until("gone", |server| server.connections() == 0);
}

#[test]
fn alpn_agrees_on_http_1_1_and_on_nothing_else() {
    let mut house = open(Manner::default());
    let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = guest_by(&mut house, connection_with(config(Trust { alpn, ..Trust::default() }), "localhost"));
    assert_eq!(client.tls.unwrap().conn.alpn_protocol(), Some(&b"http/1.1"[..]));

    let alpn = vec![b"h2".to_vec()];
    let error = refused(&house, connection_with(config(Trust { alpn, ..Trust::default() }), "localhost"));
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

/// The error of a client that is not let in.
fn refused(house: &House, tls: ClientConnection) -> String {
    let mut tls = Client::connect(house.address()).secure(tls).tls.unwrap();
    let error = tls.flush().and_then(|()| tls.read(&mut [0; 1]).map(drop)).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock, "{error}");
    error.to_string()
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    for versions in VERSIONS {
        let mut house = open(Manner::echo());
        let config = config(Trust { versions, ..Trust::default() });
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut client = guest_by(&mut house, connection_with(config.clone(), "localhost"));
            client.text("the ticket comes before this");
            client.expect_text("the ticket comes before this");
            kinds.push(client.tls.as_ref().unwrap().conn.handshake_kind().unwrap());
        }
        use rustls::HandshakeKind::{Full, FullWithHelloRetryRequest, Resumed};
        assert!(matches!(kinds[..], [Full | FullWithHelloRetryRequest, Resumed, Resumed]), "{kinds:?}");
    }
}

#[test]
fn the_client_may_change_its_keys() {
    let mut house = open(Manner::echo());
    let versions = VERSIONS[1];
    let tls = connection_with(config(Trust { versions, ..Trust::default() }), "localhost");
    let mut client = guest_by(&mut house, tls);
    for round in 0..5 {
        client.tls.as_mut().unwrap().conn.refresh_traffic_keys().unwrap();
        client.text(&format!("round {round}"));
        client.expect_text(&format!("round {round}"));
    }
    // Alone, with nothing to say.
    client.tls.as_mut().unwrap().conn.refresh_traffic_keys().unwrap();
    client.tls.as_mut().unwrap().flush().unwrap();
    client.expect_silence();
}

// ---- the end

#[test]
fn the_closing_handshake_ends_with_close_notify_and_fin() {
    let mut house = open(Manner::default());
    let (mut client, link) = house.guest();
    client.close(1000, "done");
    assert_eq!(client.next(), Got::Close(Some(1000), "done".into()));
    // rustls gives an error (UnexpectedEof) for FIN without close_notify.
    client.expect_end();
    assert_eq!(house.closed(link.id()).code().0, 1000);

    let (mut client, link) = house.guest();
    house.close(link.id(), 4000, "enough");
    assert_eq!(client.next(), Got::Close(Some(4000), "enough".into()));
    client.close(4000, "");
    client.expect_end();
    assert_eq!(house.closed(link.id()).code().0, 4000);
}

#[test]
fn close_notify_is_an_end_and_so_is_fin_without_it() {
    let mut house = open(Manner::default());
    for polite in [true, false] {
        let (mut client, link) = house.guest();
        client.text("last");
        if polite {
            client.tls.as_mut().unwrap().conn.send_close_notify();
            client.tls.as_mut().unwrap().flush().unwrap();
        } else {
            client.socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
        assert_eq!(house.message(link.id()).1, b"last");
        let closed = house.closed(link.id());
        assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("the peer closed the connection")));
    }
}

#[test]
fn a_close_frame_and_close_notify_together_are_a_clean_end() {
    let mut house = open(Manner::default());
    for _ in 0..50 {
        let (mut client, link) = house.guest();
        client.raw(&close_frame(1000, "x"));
        client.finish();
        assert_eq!(house.closed(link.id()).code().0, 1000);
    }
}

#[test]
fn the_last_messages_before_the_end_are_still_told() {
    let mut house = open(Manner::default());
    for _ in 0..50 {
        let (mut client, link) = house.guest();
        client.raw(&[frame(true, Opcode::Text, b"last"), frame(true, Opcode::Binary, &bytes(70_000))].concat());
        client.finish();
        assert_eq!(house.message(link.id()).1, b"last");
        assert_eq!(house.message(link.id()).1.len(), 70_000);
        assert_eq!(house.closed(link.id()).code().0, 1006);
    }
}

#[test]
fn a_reset_is_seen_through_tls() {
    let mut house = open(Manner::default());
    let (client, link) = house.guest();
    client.reset();
    assert_eq!(house.closed(link.id()).cause.as_deref(), Some("connection reset by peer"));
}

#[test]
fn a_forged_record_ends_the_session_after_what_came_before_it() {
    let mut house = open(Manner::default());
    let (mut client, link) = house.guest();
    let tls = client.tls.as_mut().unwrap();
    let mut records = Vec::new();
    tls.conn.writer().write_all(&frame(true, Opcode::Text, b"genuine")).unwrap();
    tls.conn.write_tls(&mut records).unwrap();
    records.extend([23, 3, 3, 0, 40]);
    records.extend([0; 40]);
    client.socket.write_all(&records).unwrap();
    assert_eq!(house.message(link.id()).1, b"genuine");
    let closed = house.closed(link.id());
    assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("TLS: cannot decrypt peer's message")));
    let error = client.tls.as_mut().unwrap().read(&mut [0; 1]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    house.counts_to(1, |counts| counts.tls_failures);
}

// ---- certificates

#[test]
fn each_name_gets_its_certificate() {
    let named = vec![("Example.org".into(), pair("example")), ("*.example.net".into(), pair("wild"))];
    let house = House::open(with(TlsFiles { named, ..files() }, quiet()), Manner::default());
    // Each client checks that the certificate is for the name it has asked for.
    for name in ["localhost", "example.org", "EXAMPLE.ORG", "a.example.net", "b.Example.net"] {
        let mut client = Client::connect(house.address()).secure(connection(name));
        client.shake_hands("/");
    }
    for name in ["example.net", "a.b.example.net", "elsewhere.org"] {
        assert!(
            refused(&house, connection(name)).contains("not valid for name"),
            "{name}: the default one is for another"
        );
    }
}

#[test]
fn without_a_default_certificate_other_names_are_refused() {
    let named = vec![("example.org".into(), pair("example"))];
    let files = TlsFiles { default: None, named, ..TlsFiles::default() };
    let house = House::open(with(files, quiet()), Manner::default());
    let mut client = Client::connect(house.address()).secure(connection("example.org"));
    client.shake_hands("/");
    let error = refused(&house, connection("localhost"));
    assert!(error.contains("received fatal alert"), "{error}");
}

#[test]
fn an_rsa_key_and_a_key_in_the_same_file_do_as_well() {
    let rsa = TlsFiles { default: Some(pair("rsa")), ..TlsFiles::default() };
    let both = hubbub_net::CertificateFiles { chain: file("both.pem"), key: None };
    for files in [rsa, TlsFiles { default: Some(both), ..TlsFiles::default() }] {
        let mut house = House::open(with(files, quiet()), Manner::default());
        for versions in VERSIONS {
            let config = config(Trust { versions, ..Trust::default() });
            guest_by(&mut house, connection_with(config, "localhost"));
        }
    }
}

fn asking_clients(client_certificates: ClientCertificates) -> Settings {
    let files = TlsFiles { authorities: Some(file("ca.pem")), client_certificates, ..files() };
    with(files, serving(vec![Endpoint { asks: true, ..Endpoint::default() }]))
}

#[test]
fn client_certificates_are_asked_for_checked_and_told() {
    use ClientCertificates::{Optional, Required};
    for (wanted, identity, welcome) in [
        (Required, Some("client"), true),
        (Required, Some("impostor"), false),
        (Required, None, false),
        (Optional, Some("client"), true),
        (Optional, Some("impostor"), false),
        (Optional, None, true),
    ] {
        for versions in VERSIONS {
            let mut house = House::open(asking_clients(wanted), Manner::default());
            let tls = connection_with(config(Trust { versions, identity, ..Trust::default() }), "localhost");
            if !welcome {
                refused(&house, tls);
                house.counts_to(1, |counts| counts.tls_failures);
                continue;
            }
            let mut client = Client::connect(house.address()).secure(tls);
            let request = client.request("/", &[], &[]);
            client.raw(&request);
            let (link, shown) = house.expect("request", |event| match event {
                Event::Request(link, request) => {
                    assert!(request.secure);
                    Some((link.clone(), request.client_certificate.clone()))
                }
                _ => None,
            });
            use rustls::pki_types::{CertificateDer, pem::PemObject};
            let own = identity.map(|name| CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap());
            assert_eq!(shown.as_deref(), own.as_deref(), "{wanted:?} {identity:?}");
            let verdict = Verdict::Accept { subprotocol: None, fields: vec![] };
            house.post(link.id(), hubbub_net::Command::Verdict(link.id(), verdict));
            client.agreed(&[]);
        }
    }
}

#[test]
fn a_reload_is_for_new_connections_and_a_failed_one_changes_nothing() {
    let folder = crate::support::fresh_path("certificates");
    std::fs::create_dir(&folder).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let install = |name: &str| {
        std::fs::copy(file(&format!("{name}.pem")), &chain).unwrap();
        std::fs::copy(file(&format!("{name}.key")), &key).unwrap();
    };
    install("localhost");
    let default = Some(hubbub_net::CertificateFiles { chain: chain.clone(), key: Some(key.clone()) });
    let settings = with(TlsFiles { default, ..TlsFiles::default() }, quiet());
    let tls = settings.tls.clone().unwrap();
    let mut house = House::open(settings, Manner::echo());
    let (mut old, _) = house.guest();

    install("example");
    assert_eq!(tls.reload().unwrap(), Vec::<String>::new());
    assert!(refused(&house, connection("localhost")).contains("not valid for name"));
    guest_by(&mut house, connection("example.org"));

    std::fs::copy(file("wild.key"), &key).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
    std::fs::remove_file(&chain).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Unreadable { .. })));
    guest_by(&mut house, connection("example.org"));
    old.text("still here");
    old.expect_text("still here");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let default = hubbub_net::CertificateFiles { chain: file("localhost.pem"), key: Some(file("encrypted.key")) };
    let load = |password: Option<&[u8]>| {
        let password = password.map(|password| Password(password.to_vec()));
        Tls::load(TlsFiles { default: Some(default.clone()), password, ..TlsFiles::default() })
    };
    assert!(matches!(load(None), Err(TlsError::EncryptedKey(path)) if path == file("encrypted.key")));
    for wrong in [&b"Secret"[..], b"", b"secret ", &[0xff; 1000]] {
        assert!(matches!(load(Some(wrong)), Err(TlsError::WrongPassword(path)) if path == file("encrypted.key")));
    }
    let (tls, _) = load(Some(b"secret")).unwrap();
    assert!(!format!("{tls:?}").contains("secret") && !format!("{tls:?}").contains("115"), "{tls:?}");
    let mut house = House::open(Settings { tls: Some(Arc::new(tls)), ..quiet() }, Manner::echo());
    let (mut client, _) = house.guest();
    client.text("hello");
    client.expect_text("hello");
}

#[test]
fn wrong_files_are_told_apart() {
    let load = |chain: &str, key: &str| {
        let pair = hubbub_net::CertificateFiles { chain: file(chain), key: Some(file(key)) };
        Tls::load(TlsFiles { default: Some(pair), ..TlsFiles::default() }).map(|(_, warnings)| warnings)
    };
    let error = |chain: &str, key: &str| load(chain, key).unwrap_err();
    assert!(
        matches!(error("missing.pem", "localhost.key"), TlsError::Unreadable { path, .. } if path == file("missing.pem"))
    );
    assert!(
        matches!(error("localhost.pem", "missing.key"), TlsError::Unreadable { path, .. } if path == file("missing.key"))
    );
    assert!(matches!(error("localhost.pem", "example.key"), TlsError::Mismatch { .. }));
    assert!(matches!(error("localhost.pem", "ca.pem"), TlsError::NoKey { certificates: true, .. }));
    assert!(matches!(error("localhost.key", "localhost.key"), TlsError::NoCertificate(_)));
    assert!(matches!(error("localhost.pem", "make.sh"), TlsError::NoKey { certificates: false, .. }));
    let warnings = load("expired.pem", "expired.key").unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("has expired on 20"), "{warnings:?}");

    let named = vec![("example.com".into(), pair("example"))];
    let (_, warnings) = Tls::load(TlsFiles { named, ..files() }).unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("is not for example.com"), "{warnings:?}");
    let asking = TlsFiles { client_certificates: ClientCertificates::Required, ..files() };
    assert!(matches!(Tls::load(asking), Err(TlsError::NoAuthorities)));
    assert!(matches!(Tls::load(TlsFiles::default()), Err(TlsError::NoCertificates)));
}

//! Accepting: how many, and where.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use crate::support::client::{Client, Got};
use crate::support::house::House;
use crate::support::recorder::Manner;
use crate::support::turns::Turns;
use crate::support::{fresh_path, loopback, quiet, tcp};
use hubbub_net::{Address, Bind, Endpoint, Notice, Server, Settings};

#[test]
fn more_connections_than_allowed_wait_until_one_ends() {
    let settings = Settings { max_sessions: Some(3), ..quiet() };
    let mut house = House::open(settings, Manner::default());
    let mut inside = house.guests(3);
    let mut waiting: Vec<Client> = (0..4).map(|_| house.connect()).collect();
    for client in &mut waiting {
        let request = client.request("/", &[], &[]);
        client.raw(&request);
    }
    house.notice(|notice| *notice == Notice::SessionsFull);
    house.sync();
    assert_eq!(house.server.connections(), 3);
    // In the order of coming.
    for mut client in waiting {
        let (old, link) = inside.remove(0);
        if inside.len().is_multiple_of(2) {
            old.reset()
        } else {
            drop(old)
        }
        house.closed(link.id());
        client.agreed(&[]);
        inside.push((client, house.opened()));
        assert!(house.server.connections() <= 3);
    }
    house.counts_to(7, |counts| counts.opened);
}

#[test]
fn more_handshakes_than_allowed_wait_until_one_is_over() {
    let settings = Settings { max_handshakes: 2, endpoints: vec![Endpoint::default()], ..quiet() };
    let mut house = House::open(settings, Manner::default());
    let mut silent: Vec<Client> = (0..2).map(|_| house.connect()).collect();
    house.until("both", |server| server.connections() == 2);
    let mut waiting = house.connect();
    let request = waiting.request("/", &[], &[]);
    waiting.raw(&request);
    house.sync();
    assert_eq!(house.server.connections(), 2);
    // One is accepted, the next ones are refused and dropped: each makes room.
    silent[0].shake_hands("/");
    waiting.agreed(&[]);
    for n in 0..20 {
        let mut client = house.connect();
        match n % 3 {
            0 => client.raw(b"nonsense\r\n\r\n"),
            1 => client.finish(),
            _ => {
                client.reset();
                continue;
            }
        }
        while client.receive().is_some() {}
    }
    (0..10).for_each(|_| house.guest().0.expect_silence());
}

#[test]
fn many_clients_at_once_are_all_served() {
    for shards in [1, 3] {
        let house = House::open(Settings { shards, ..quiet() }, Manner::echo());
        let address = house.address();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
                    for client in &mut clients {
                        let request = client.request("/", &[], &[]);
                        client.raw(&request);
                    }
                    for (n, client) in clients.iter_mut().enumerate() {
                        client.agreed(&[]);
                        client.text(&format!("{thread}.{n}"));
                        client.expect_text(&format!("{thread}.{n}"));
                    }
                });
            }
        });
        house.counts_to((400, 400), |counts| (counts.accepted, counts.opened));
        house.until("nobody left", |server| server.connections() == 0);
    }
}

// ---- addresses

fn serves(mut house: House, mut client: Client) {
    client.shake_hands("/");
    let link = house.opened();
    client.text("hello");
    client.expect_text("hello");
    assert_eq!(link.peer().is_some(), client.socket.peer_addr().unwrap().as_socket().is_some());
}

#[test]
fn port_0_is_a_free_port_on_ipv4_and_ipv6() {
    for host in ["127.0.0.1", "::1"] {
        if host == "::1" && TcpListener::bind("[::1]:0").is_err() {
            // The one reason to leave this out: the machine has no IPv6.
            continue;
        }
        let house = House::at(vec![tcp(host, 0)], quiet(), Manner::echo());
        let address = house.address();
        assert_ne!(address.port(), 0);
        assert_eq!(address.ip().to_string(), host);
        serves(house, Client::connect(address));
    }
}

#[test]
fn one_server_listens_at_several_places() {
    let path = fresh_path("several");
    let unix = Bind::Unix { path: path.clone(), backlog: 16, mode: None, group: None };
    let house = House::at(vec![loopback(), loopback(), unix], quiet(), Manner::echo());
    let addresses = house.server.addresses().to_vec();
    assert_eq!(addresses.len(), 3);
    for address in addresses {
        let mut client = match address {
            Address::Tcp(address) => Client::connect(address),
            Address::Unix(path) => Client::connect_unix(&path.unwrap()),
        };
        client.shake_hands("/");
        client.text("hello");
        client.expect_text("hello");
    }
    drop(house);
    assert!(!path.exists(), "the socket's name goes with the server");
}

#[test]
fn a_stale_unix_socket_is_replaced_and_a_living_one_is_not() {
    let path = fresh_path("stale");
    let bind = || Bind::Unix { path: path.clone(), backlog: 16, mode: None, group: None };
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let house = House::at(vec![bind()], quiet(), Manner::echo());
    let refused = Server::bind(quiet(), vec![bind()]).map(drop).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    serves(house, Client::connect_unix(&path));
    assert!(!path.exists());
    // One that lives but does not accept, its queue full, must neither be replaced nor waited for.
    let busy = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    busy.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    busy.listen(0).unwrap();
    let _in_its_queue = Client::connect_unix(&path);
    let refused = Server::bind(quiet(), vec![bind()]).map(drop).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    drop(busy);
    // What is no socket is nobody's to remove.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    Server::bind(quiet(), vec![bind()]).map(drop).unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_listening_descriptor_is_inherited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let house = House::at(vec![Bind::Descriptor(OwnedFd::from(listener))], quiet(), Manner::echo());
    assert_eq!(house.address(), address);
    serves(house, Client::connect(address));

    let path = fresh_path("inherited");
    let listener = UnixListener::bind(&path).unwrap();
    let house = House::at(vec![Bind::Descriptor(OwnedFd::from(listener))], quiet(), Manner::echo());
    assert_eq!(house.server.addresses(), [Address::Unix(Some(path.clone()))]);
    serves(house, Client::connect_unix(&path));
    assert!(path.exists(), "whoever made the name removes it");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_address_in_use_is_an_error_unless_both_want_to_share_it() {
    let shared = |port| Bind::Tcp { host: "127.0.0.1".into(), port, backlog: 16, reuse_port: true };
    let first = House::at(vec![shared(0)], quiet(), Manner::echo());
    let address: SocketAddr = first.address();
    let refused = Server::bind(quiet(), vec![tcp("127.0.0.1", address.port())]).map(drop).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    let second = House::at(vec![shared(address.port())], quiet(), Manner::echo());
    // The kernel spreads connections over both.
    for _ in 0..64 {
        let mut client = Client::connect(address);
        client.shake_hands("/");
    }
    let sum = || first.server.counts().opened + second.server.counts().opened;
    first.until("all", |_| sum() == 64);
    assert!(first.server.counts().opened > 0 && second.server.counts().opened > 0);
}

#[test]
fn what_cannot_be_served_is_an_error_at_the_start() {
    let bad = Settings { endpoints: vec![Endpoint { path: Some("/{a".into()), ..Endpoint::default() }], ..quiet() };
    let error = Server::bind(bad, vec![loopback()]).map(drop).unwrap_err();
    assert!(error.to_string().contains("/{a"), "{error}");
    assert!(Server::bind(Settings { shards: 257, ..quiet() }, vec![loopback()]).is_err());
    assert!(Server::bind(quiet(), vec![tcp("no such host.invalid", 0)]).is_err());
}

/// An event loop watches the shard's descriptor and gives it a turn when that is readable.
#[test]
fn the_descriptor_of_a_shard_says_when_there_is_something_to_do() {
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};
    use std::os::fd::AsRawFd;

    let mut turns = Turns::open(quiet(), Manner::echo());
    let (mut client, link) = turns.guest();
    while turns.shard.outlook().again {
        turns.turn();
    }
    let readable = |turns: &Turns, wait: u64| {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(1));
        let descriptor = turns.shard.as_raw_fd();
        poll.registry().register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE).unwrap();
        poll.poll(&mut events, Some(std::time::Duration::from_secs(wait))).unwrap();
        !events.is_empty()
    };
    while readable(&turns, 0) {
        turns.turn();
    }
    client.text("hello");
    assert!(readable(&turns, 30), "a socket has something to read");
    turns.until("the message", |turns| (!turns.seen.is_empty()).then_some(()));
    turns.turn();
    assert_eq!(client.next(), Got::Text("hello".into()));
    while readable(&turns, 0) {
        turns.turn();
    }
    turns.server.handles()[0].post(hubbub_net::Command::Abort(link.id()));
    assert!(readable(&turns, 30), "a command waits");
}

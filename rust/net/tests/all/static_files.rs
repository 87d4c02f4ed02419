//! Folders whose files the shard serves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use crate::support::client::Client;
use crate::support::house::House;
use crate::support::http::{Response, Visitor, get};
use crate::support::recorder::{Event, Manner};
use crate::support::{fresh_path, limited, quiet, secure, text};
use hubbub_net::{Answer, Bind, Endpoint, Folder, Notice, Request, Service, Settings, Verdict};
use rustix::fs::{CWD, FileType, Mode};

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = Place(fresh_path(name));
        fs::create_dir_all(place.public()).unwrap();
        place
    }

    /// What is served; around it is what must never be.
    fn public(&self) -> PathBuf {
        self.0.join("static")
    }

    /// A file that was changed long ago.
    fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.public().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        age(&path, 1_000_000_000);
        path
    }

    fn folder(&self) -> Folder {
        Folder::new(self.public())
    }

    fn endpoint(&self, prefix: &str) -> Endpoint {
        files(prefix, self.folder())
    }

    fn settings(&self) -> Settings {
        Settings { endpoints: vec![self.endpoint("/")], ..quiet() }
    }

    fn house(&self) -> House {
        House::open(self.settings(), Manner::default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(prefix: &str, folder: Folder) -> Endpoint {
    Endpoint { path: Some(prefix.into()), service: Service::Files(folder), ..Endpoint::default() }
}

fn age(path: &Path, seconds: u64) {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn fetch(house: &House, target: &str, fields: &str) -> Response {
    Visitor::to(house).ask(&get(target, fields))
}

fn head_of(visitor: &mut Visitor, target: &str, fields: &str) -> Response {
    visitor.client.raw(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    visitor.response_head()
}

// ---- what a file is answered with

#[test]
fn a_file_comes_with_what_describes_it_and_the_connection_goes_on() {
    let place = Place::new("describes");
    place.put("css/site.css", "body {}\n");
    let folder = Folder { fields: vec![("Cache-Control".into(), "max-age=60".into())], ..place.folder() };
    let mut house = House::open(Settings { endpoints: vec![files("/", folder)], ..quiet() }, Manner::default());
    let mut visitor = Visitor::to(&house);
    for _ in 0..3 {
        let response = visitor.ask(&get("/css/site.css?v=1", ""));
        assert_eq!((response.status, response.body.as_str()), (200, "body {}\n"));
        for (name, value) in [
            ("content-type", "text/css; charset=utf-8"),
            ("content-length", "8"),
            ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("etag", "\"de0b6b3a7640000-8\""),
            ("accept-ranges", "bytes"),
            ("vary", "Accept-Encoding"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "max-age=60"),
            ("server", "hubbub"),
        ] {
            assert_eq!(response.field(name), Some(value), "{name}");
        }
        assert!(response.keeps() && response.field("date").is_some());
        let head = head_of(&mut visitor, "/css/site.css?v=1", "");
        let without_date = |response: &Response| {
            response.fields.iter().filter(|(name, _)| name != "Date").cloned().collect::<Vec<_>>()
        };
        assert_eq!((head.status, without_date(&head)), (200, without_date(&response)));
    }
    let answered: Vec<_> = (0..6).map(|_| house.answered()).collect();
    assert_eq!(answered[0], (200, "GET /css/site.css?v=1".into()));
    assert_eq!(answered[1], (200, "HEAD /css/site.css?v=1".into()));
    let ours = visitor.client.socket.local_addr().unwrap().as_socket();
    drop(visitor);
    house.until("the connection's end", |server| server.connections() == 0);
    assert!(ours.is_some());
    // The user hears of nothing.
    assert!(house.left_over().iter().all(|event| matches!(event, Event::Notice(_))));
    let figures = house.server.figures();
    assert_eq!(figures.answers, [(Some(200), 6)]);
    assert_eq!((figures.counts.requests, figures.counts.refused), (0, 0));
}

#[test]
fn the_log_names_the_client_of_a_file() {
    let place = Place::new("log");
    place.put("a", "a");
    let mut house = place.house();
    let mut visitor = Visitor::to(&house);
    visitor.ask(&get("/a", ""));
    let ours = visitor.client.socket.local_addr().unwrap().as_socket();
    let peer = house.expect("an answer", |event| match event {
        Event::Notice(Notice::Answered { peer, .. }) => Some(*peer),
        _ => None,
    });
    assert_eq!(peer, ours);
}

#[test]
fn a_folder_is_its_index_and_is_sent_to_the_slash_at_its_end() {
    let place = Place::new("index");
    place.put("index.html", "home");
    place.put("docs/index.html", "docs");
    place.put("bare/a.txt", "a");
    let endpoints = vec![place.endpoint("/"), place.endpoint("/pub/")];
    let house = House::open(Settings { endpoints, ..quiet() }, Manner::default());
    let mut visitor = Visitor::to(&house);
    for (target, status, what) in [
        ("/", 200, "home"),
        ("/docs/", 200, "docs"),
        ("/docs/?a=b", 200, "docs"),
        ("/docs/index.html", 200, "docs"),
        ("/pub/", 200, "home"),
        ("/docs", 308, "/docs/"),
        ("/docs?a=//b", 308, "/docs/?a=//b"),
        ("/d%6fcs", 308, "/d%6fcs/"),
        ("/pub", 308, "/pub/"),
        ("/pub/docs", 308, "/pub/docs/"),
        ("http://h/docs", 308, "/docs/"),
        // No list of what is in it, and nothing says that it is there.
        ("/bare", 404, ""),
        ("/bare/", 404, ""),
        ("/index.html/", 404, ""),
        ("//docs", 404, ""),
        ("/docs//", 404, ""),
        ("//", 404, ""),
    ] {
        let response = visitor.ask(&get(target, ""));
        assert_eq!(response.status, status, "{target}");
        assert!(response.keeps(), "{target}");
        match status {
            200 => assert_eq!((response.body.as_str(), response.field("location")), (what, None), "{target}"),
            308 => assert_eq!((response.body.as_str(), response.field("location")), ("", Some(what)), "{target}"),
            _ => assert_eq!(response.field("location"), None),
        }
    }
    drop((visitor, house));
    let endpoints = vec![files("/", Folder { index: None, ..place.folder() })];
    let house = House::open(Settings { endpoints, ..quiet() }, Manner::default());
    for target in ["/", "/docs", "/docs/"] {
        assert_eq!(fetch(&house, target, "").status, 404, "{target}: folders have no index here");
    }
}

#[test]
fn conditions_and_ranges_are_those_of_rfc_9110() {
    let place = Place::new("conditions");
    place.put("small.txt", "0123456789");
    let large = text(100_000);
    place.put("large.txt", &large);
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    let date = "Sun, 09 Sep 2001 01:46:40 GMT";
    for (target, whole) in [("/small.txt", "0123456789"), ("/large.txt", large.as_str())] {
        let len = whole.len();
        let etag = visitor.ask(&get(target, "")).field("etag").unwrap().to_owned();
        for (fields, status, body, range) in [
            (format!("If-None-Match: {etag}\r\n"), 304, "", None),
            ("If-None-Match: *\r\n".into(), 304, "", None),
            ("If-None-Match: \"x\"\r\n".into(), 200, whole, None),
            (format!("If-Modified-Since: {date}\r\n"), 304, "", None),
            (format!("If-Match: {etag}\r\n"), 200, whole, None),
            ("If-Match: \"x\"\r\n".into(), 412, "The file is not what it was.\n", None),
            ("Range: bytes=2-4\r\n".into(), 206, &whole[2..5], Some(format!("bytes 2-4/{len}"))),
            (
                "Range: bytes=-3\r\n".into(),
                206,
                &whole[len - 3..],
                Some(format!("bytes {}-{}/{len}", len - 3, len - 1)),
            ),
            ("Range: bytes=5-\r\n".into(), 206, &whole[5..], Some(format!("bytes 5-{}/{len}", len - 1))),
            ("Range: bytes=0-1,2-3\r\n".into(), 206, &whole[..4], Some(format!("bytes 0-3/{len}"))),
            // Several pieces are answered with the whole.
            ("Range: bytes=0-1,5-6\r\n".into(), 200, whole, None),
            ("Range: bytes=0-1\r\nRange: bytes=2-3\r\n".into(), 200, whole, None),
            ("Range: bytes=9999999-\r\n".into(), 416, "The file has no such part.\n", Some(format!("bytes */{len}"))),
            (format!("Range: bytes=0-1\r\nIf-Range: {etag}\r\n"), 206, &whole[..2], Some(format!("bytes 0-1/{len}"))),
            (format!("Range: bytes=0-1\r\nIf-Range: {date}\r\n"), 206, &whole[..2], Some(format!("bytes 0-1/{len}"))),
            ("Range: bytes=0-1\r\nIf-Range: \"x\"\r\n".into(), 200, whole, None),
            (format!("Range: bytes=0-1\r\nIf-None-Match: {etag}\r\n"), 304, "", None),
        ] {
            let response = visitor.ask(&get(target, &fields));
            assert_eq!(response.status, status, "{target} {fields}");
            assert!(response.body == body && response.whole, "{target} {fields}");
            assert_eq!(response.field("content-range"), range.as_deref(), "{target} {fields}");
            assert_eq!(response.field("etag").is_some(), status < 400, "{target} {fields}");
            assert!(response.keeps(), "{target} {fields}");
            if status == 304 {
                assert_eq!((response.field("content-type"), response.field("content-length")), (None, None));
                assert_eq!(response.field("vary"), Some("Accept-Encoding"));
            }
        }
        // RFC 9110 §14.2: a range is for GET.
        assert_eq!(head_of(&mut visitor, target, "Range: bytes=2-4\r\n").status, 200);
    }
    let refusals = house.server.figures().refusals;
    let file = refusals.iter().find(|(reason, _)| reason.name() == "file").unwrap();
    assert_eq!(file.1, 4);
}

/// Row 46.
#[test]
fn row_46_many_ranges_cost_nothing() {
    let place = Place::new("ranges");
    place.put("a.txt", &text(100_000));
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    let began = Instant::now();
    for value in ["0-,".repeat(2700), "0-0,".repeat(2000), format!("0-{}", "9".repeat(4000)), "9-1,".repeat(2000)] {
        let response = visitor.ask(&get("/a.txt", &format!("Range: bytes={value}\r\n")));
        assert!(matches!(response.status, 200 | 206) && response.body.len() == 100_000);
    }
    let unsatisfiable = visitor.ask(&get("/a.txt", "Range: bytes=18446744073709551616-18446744073709551617\r\n"));
    assert_eq!(unsatisfiable.status, 416);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_file_that_has_just_changed_has_a_weak_tag_and_no_parts_for_it() {
    let place = Place::new("weak");
    let path = place.put("a.txt", "0123456789");
    let house = place.house();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    age(&path, now);
    let response = fetch(&house, "/a.txt", "");
    let tag = response.field("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(fetch(&house, "/a.txt", &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(fetch(&house, "/a.txt", &format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n")).status, 200);
    assert_eq!(fetch(&house, "/a.txt", "Range: bytes=0-1\r\n").status, 206);
    // RFC 9110 §8.8.2.1: never a date that is later than the answer's.
    age(&path, now + 1000);
    assert_eq!(fetch(&house, "/a.txt", "").field("last-modified"), None);
}

#[test]
fn each_request_sees_the_file_as_it_is() {
    let place = Place::new("changes");
    let path = place.put("a.txt", "zero");
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    // Long enough for what is kept in memory to be kept.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2100) {
        assert_eq!(visitor.ask(&get("/a.txt", "")).body, "zero");
    }
    for round in 0..50 {
        // The same length, and by and by every way to change it.
        let content = format!("{round:04}");
        match round % 3 {
            0 => fs::write(&path, &content).unwrap(),
            1 => {
                fs::remove_file(&path).unwrap();
                assert_eq!(visitor.ask(&get("/a.txt", "")).status, 404);
                place.put("a.txt", &content);
            }
            _ => {
                let other = place.put("b.txt", &content);
                fs::rename(other, &path).unwrap();
            }
        }
        assert_eq!(visitor.ask(&get("/a.txt", "")).body, content);
    }
}

#[test]
fn another_folder_may_be_put_in_its_place() {
    let place = Place::new("releases");
    for release in ["one", "two"] {
        fs::create_dir(place.0.join(release)).unwrap();
        fs::write(place.0.join(release).join("a.txt"), release).unwrap();
    }
    let current = place.0.join("current");
    symlink("one", &current).unwrap();
    let endpoints = vec![files("/", Folder::new(&current))];
    let house = House::open(Settings { endpoints, ..quiet() }, Manner::default());
    let mut visitor = Visitor::to(&house);
    assert_eq!(visitor.ask(&get("/a.txt", "")).body, "one");
    let next = place.0.join("next");
    symlink("two", &next).unwrap();
    fs::rename(&next, &current).unwrap();
    assert_eq!(visitor.ask(&get("/a.txt", "")).body, "two");
    fs::remove_file(&current).unwrap();
    assert_eq!(visitor.ask(&get("/a.txt", "")).status, 404);
}

#[test]
fn compressed_neighbours_are_sent_to_those_who_like_them_best() {
    let place = Place::new("codings");
    place.put("app.js", "as it is");
    place.put("app.js.br", "by brotli");
    place.put("app.js.gz", "by gzip");
    place.put("old.js", "new");
    age(&place.put("old.js.gz", "of what it was"), 999_999_999);
    place.put("plain.js", "plain");
    symlink("/etc/hostname", place.public().join("plain.js.gz")).unwrap();
    fs::create_dir(place.public().join("plain.js.br")).unwrap();
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    let mut tags = Vec::new();
    for (target, accepted, coding, body) in [
        ("/app.js", "", None, "as it is"),
        ("/app.js", "gzip, deflate, br, zstd", Some("br"), "by brotli"),
        ("/app.js", "gzip, deflate", Some("gzip"), "by gzip"),
        ("/app.js", "zstd", None, "as it is"),
        ("/app.js", "br;q=0.1, gzip", Some("gzip"), "by gzip"),
        ("/app.js", "identity, gzip;q=0.5", None, "as it is"),
        ("/app.js", "br;q=0, gzip;q=0", None, "as it is"),
        ("/old.js", "gzip", None, "new"),
        ("/plain.js", "gzip, br", None, "plain"),
    ] {
        let response = visitor.ask(&get(target, &format!("Accept-Encoding: {accepted}\r\n")));
        assert_eq!((response.status, response.body.as_str()), (200, body), "{target} {accepted}");
        assert_eq!(response.field("content-encoding"), coding, "{target} {accepted}");
        assert_eq!(response.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(response.field("vary"), Some("Accept-Encoding"));
        tags.push((body, response.field("etag").unwrap().to_owned()));
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5, "each body has a tag of its own, always the same: {tags:?}");
    // By its own name it is a file as any other.
    let response = visitor.ask(&get("/app.js.gz", "Accept-Encoding: gzip\r\n"));
    assert_eq!((response.field("content-encoding"), response.field("content-type")), (None, Some("application/gzip")));
    // A part is one of the bytes that are sent.
    let part = visitor.ask(&get("/app.js", "Accept-Encoding: gzip\r\nRange: bytes=3-\r\n"));
    assert_eq!((part.status, part.body.as_str(), part.field("content-encoding")), (206, "gzip", Some("gzip")));
}

// ---- what is never served

/// Row 45.
#[test]
fn row_45_nothing_outside_the_folder_is_served() {
    let place = Place::new("outside");
    place.put("in.txt", "inside");
    place.put("sub/in.txt", "inside too");
    place.put(".env", "secret");
    place.put(".git/config", "secret");
    place.put("sub/.hidden/x", "secret");
    let beside = place.0.join("static_secret");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("x"), "secret").unwrap();
    symlink("../static_secret/x", place.public().join("file-link")).unwrap();
    symlink("../static_secret", place.public().join("folder-link")).unwrap();
    symlink(beside.join("x"), place.public().join("absolute-link")).unwrap();
    symlink("/proc/self/root", place.public().join("magic-link")).unwrap();
    symlink("in.txt", place.public().join("good-link")).unwrap();
    symlink("circle", place.public().join("circle")).unwrap();
    let endpoints = vec![place.endpoint("/static")];
    let house = House::open(Settings { endpoints, ..quiet() }, Manner::default());
    let mut visitor = Visitor::to(&house);
    let long = format!("/static/{}", "a".repeat(300));
    let deep = format!("/static/{}in.txt", "sub/".repeat(1000));
    for target in [
        "/static/../static_secret/x",
        "/static/..%2fstatic_secret/x",
        "/static/..%2Fstatic_secret%2Fx",
        "/static/%2e%2e/static_secret/x",
        "/static/%2E%2E/static_secret/x",
        "/static/.%2e/static_secret/x",
        "/static/%2e./static_secret/x",
        "/static/%252e%252e/static_secret/x",
        "/static/%252e%252e%252fstatic_secret%252fx",
        "/static/sub/../../static_secret/x",
        "/static/sub/../in.txt",
        "/static/./in.txt",
        "/static//in.txt",
        "/static/..\\static_secret\\x",
        "/static/..%5cstatic_secret%5cx",
        "/static/%5c..%5cstatic_secret/x",
        "/static/c:/x",
        "/static/c:%5cx",
        "/static/%00",
        "/static/in.txt%00",
        "/static/in.txt%00.css",
        "/static/in.txt%0a",
        "/static/in.txt/",
        "/static/in.txt/.",
        "/static/in.txt/..",
        "/static/in.txt%",
        "/static/%c0%ae%c0%ae/static_secret/x",
        "/static/%u002e%u002e/static_secret/x",
        "/static/~root/x",
        "/static_secret/x",
        "/static/file-link",
        "/static/folder-link/x",
        "/static/absolute-link",
        "/static/magic-link/etc/hostname",
        "/static/circle",
        "/static/.env",
        "/static/%2eenv",
        "/static/.git/config",
        "/static/sub/.hidden/x",
        long.as_str(),
        deep.as_str(),
    ] {
        let response = fetch(&house, target, "");
        assert_eq!(response.status, 404, "{target}");
        assert!(!response.body.contains("secret"), "{target}");
    }
    // A link that stays within leads where it leads.
    assert_eq!(visitor.ask(&get("/static/good-link", "")).body, "inside");
    assert_eq!(visitor.ask(&get("/static/in%2Etxt", "")).body, "inside");
    drop((visitor, house));
    let folder = Folder { follow_symlinks: true, dotfiles: true, ..place.folder() };
    let house = House::open(Settings { endpoints: vec![files("/", folder)], ..quiet() }, Manner::default());
    for target in ["/file-link", "/folder-link/x", "/absolute-link", "/.env", "/sub/.hidden/x"] {
        assert_eq!(fetch(&house, target, "").body, "secret", "{target}: that was asked for");
    }
    for target in ["/../static_secret/x", "/sub/%2e%2e/in.txt", "/circle"] {
        assert_eq!(fetch(&house, target, "").status, 404, "{target}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let place = Place::new("special");
    let pipe = place.public().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Whoever waits for a reader of the pipe goes on waiting.
    let (sender, woken) = channel();
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let opened = fs::OpenOptions::new().write(true).open(pipe);
            sender.send(()).unwrap();
            drop(opened);
        }
    });
    let socket = place.public().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::create_dir(place.public().join("index.html")).unwrap();
    let folder = Folder { follow_symlinks: true, ..place.folder() };
    symlink("/dev/zero", place.public().join("zero")).unwrap();
    symlink("/dev/tty", place.public().join("tty")).unwrap();
    let house = House::open(Settings { endpoints: vec![files("/", folder)], ..quiet() }, Manner::default());
    for target in ["/pipe", "/socket", "/zero", "/tty", "/", "/index.html"] {
        assert_eq!(fetch(&house, target, "").status, 404, "{target}");
    }
    assert!(woken.try_recv().is_err(), "somebody has opened the pipe");
    drop(fs::File::open(&pipe).unwrap());
    writer.join().unwrap();
}

// ---- how it is sent

#[test]
fn a_large_file_comes_whole_over_every_kind_of_connection() {
    let place = Place::new("large");
    let content = text(3_000_000);
    place.put("large.txt", &content);
    let plain = House::open(place.settings(), Manner::default());
    let path = fresh_path("static-socket");
    let bind = Bind::Unix { path: path.clone(), backlog: 16, mode: None, group: None };
    let unix = House::at(vec![bind], place.settings(), Manner::default());
    let tls = House::open(secure::secure(place.settings()), Manner::default());
    let mut visitors = [
        Visitor::to(&plain),
        Visitor { client: Client::connect_unix(&path), rest: Vec::new() },
        Visitor::to(&tls),
        Visitor { client: Client::with_small_buffer(plain.address()), rest: Vec::new() },
    ];
    for (number, visitor) in visitors.iter_mut().enumerate() {
        for _ in 0..2 {
            let response = visitor.ask(&get("/large.txt", ""));
            assert!(response.whole && response.body == content, "{number}");
            assert_eq!(response.field("content-length"), Some("3000000"));
            let part = visitor.ask(&get("/large.txt", "Range: bytes=1000000-1999999\r\n"));
            assert!(part.status == 206 && part.body == content[1_000_000..2_000_000], "{number}");
            assert_eq!(head_of(visitor, "/large.txt", "").field("content-length"), Some("3000000"));
        }
    }
    for house in [&plain, &unix, &tls] {
        house.until("all bytes are counted", |server| server.counts().bytes_out > 8_000_000);
    }
}

#[test]
fn who_does_not_read_holds_nobody_up_and_is_given_up() {
    let place = Place::new("unread");
    place.put("large.txt", &text(20_000_000));
    place.put("small.txt", "small");
    let settings = limited(|limits| limits.message_timeout = Some(Duration::from_millis(300)));
    let settings = Settings { endpoints: vec![place.endpoint("/")], ..settings };
    for settings in [settings.clone(), secure::secure(settings)] {
        let mut house = House::open(settings, Manner::default());
        let mut sleepers: Vec<Client> = (0..3).map(|_| house.connect()).collect();
        sleepers.iter_mut().for_each(|client| client.raw(&get("/large.txt", "")));
        let mut visitor = Visitor::to(&house);
        for _ in 0..50 {
            assert_eq!(visitor.ask(&get("/small.txt", "")).body, "small");
        }
        drop(visitor);
        house.until("those who do not read are dropped", |server| server.connections() == 0);
        assert!(house.left_over().iter().all(|event| matches!(event, Event::Notice(Notice::Answered { .. }))));
    }
}

#[test]
fn who_goes_in_the_middle_of_a_file_is_gone() {
    let place = Place::new("gone");
    place.put("large.txt", &text(20_000_000));
    let mut house = place.house();
    for reset in [true, false] {
        let mut visitor = Visitor { client: Client::with_small_buffer(house.address()), rest: Vec::new() };
        visitor.client.raw(&get("/large.txt", ""));
        visitor.client.receive().unwrap();
        match reset {
            true => visitor.client.reset(),
            false => drop(visitor),
        }
        house.until("the connection's end", |server| server.connections() == 0);
    }
    assert!(house.left_over().iter().all(|event| matches!(event, Event::Notice(Notice::Answered { .. }))));
}

#[test]
fn a_client_that_has_sent_fin_gets_all_of_its_file() {
    let place = Place::new("fin");
    let content = text(3_000_000);
    place.put("large.txt", &content);
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/large.txt", ""));
    visitor.client.finish();
    assert!(visitor.response().body == content);
    visitor.expect_end();
}

#[test]
fn a_file_that_is_cut_off_while_it_is_sent_ends_the_connection() {
    let place = Place::new("cut");
    let path = place.put("large.txt", &text(40_000_000));
    for secured in [false, true] {
        let settings = place.settings();
        let mut house = House::open(if secured { secure::secure(settings) } else { settings }, Manner::default());
        let mut visitor = Visitor::to(&house);
        visitor.client.raw(&get("/large.txt", ""));
        visitor.rest = visitor.client.receive().unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(20_000_000).unwrap();
        let response = visitor.response();
        assert!(!response.whole && response.body.len() < 40_000_000);
        house.notice(|notice| matches!(notice, Notice::FileFailed(_)));
        visitor.expect_end();
        place.put("large.txt", &text(40_000_000));
    }
}

#[test]
fn a_file_that_is_replaced_while_it_is_sent_is_sent_as_it_was() {
    let place = Place::new("replaced");
    let content = text(40_000_000);
    let path = place.put("large.txt", &content);
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    visitor.client.raw(&get("/large.txt", ""));
    visitor.rest = visitor.client.receive().unwrap();
    fs::rename(place.put("new.txt", "new"), &path).unwrap();
    assert!(visitor.response().body == content);
    assert_eq!(visitor.ask(&get("/large.txt", "")).body, "new");
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let place = Place::new("pipelined");
    let large = text(200_000);
    place.put("large.txt", &large);
    place.put("small.txt", "small");
    let house = place.house();
    let mut visitor = Visitor::to(&house);
    let targets = ["/small.txt", "/large.txt", "/none.txt", "/small.txt"];
    let requests: Vec<u8> = (0..40).flat_map(|number| get(targets[number % 4], "")).collect();
    visitor.client.raw(&requests);
    for number in 0..40 {
        let response = visitor.response();
        let expected = ["small", &large, "Nothing is served here.\n", "small"][number % 4];
        assert!(response.body == expected, "{number}");
    }
    // A byte at a time is the same.
    for byte in get("/small.txt", "Range: bytes=1-\r\n") {
        visitor.client.raw(&[byte]);
    }
    assert_eq!(visitor.response().body, "mall");
    // HTTP/1.0 ends with its answer.
    visitor.client.raw(b"GET /small.txt HTTP/1.0\r\n\r\n");
    let response = visitor.response();
    assert_eq!((response.body.as_str(), response.keeps()), ("small", false));
    visitor.expect_end();
}

#[test]
fn stopping_lets_a_file_come_to_its_end() {
    let place = Place::new("stopping");
    let content = text(5_000_000);
    place.put("large.txt", &content);
    let mut house = place.house();
    let mut visitor = Visitor { client: Client::with_small_buffer(house.address()), rest: Vec::new() };
    visitor.client.raw(&get("/large.txt", ""));
    visitor.rest = visitor.client.receive().unwrap();
    house.stop(Duration::from_secs(20));
    let response = visitor.response();
    assert!(response.whole && response.body == content);
    visitor.expect_end();
    house.gatecrashed = false;
}

// ---- who else is there

#[test]
fn what_a_folder_does_not_have_is_for_who_comes_next() {
    let place = Place::new("next");
    place.put("a.txt", "outer");
    place.put("assets/b.txt", "outer b");
    let inner = place.0.join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("a.txt"), "inner").unwrap();
    let endpoints = vec![
        Endpoint { service: Service::Http, ..Endpoint::default() },
        place.endpoint("/"),
        files("/assets", Folder::new(&inner)),
        Endpoint { path: Some("/live".into()), ..Endpoint::default() },
    ];
    let mut house = House::open(Settings { endpoints, ..quiet() }, Manner::default());
    let mut visitor = Visitor::to(&house);
    assert_eq!(visitor.ask(&get("/a.txt", "")).body, "outer");
    assert_eq!(visitor.ask(&get("/assets/a.txt", "")).body, "inner");
    assert_eq!(visitor.ask(&get("/assets/b.txt", "")).body, "outer b");
    for request in [
        get("/none.txt", ""),
        get("/", ""),
        get("/assets/none.txt", ""),
        get("/live", ""),
        get("/../a.txt", ""),
        b"POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"OPTIONS /a.txt HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
    ] {
        visitor.client.raw(&request);
        let (link, _) = house.requested();
        house.answer(&link, 200, "the application");
        assert_eq!(visitor.response().body, "the application");
    }
    let mut client = house.connect();
    client.shake_hands("/live");
    house.opened();
}

#[test]
fn where_there_are_only_files_other_methods_are_refused() {
    let place = Place::new("methods");
    place.put("a.txt", "a");
    let house = place.house();
    let request = |method: &str, target: &str, more: &str| {
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{more}\r\n").into_bytes()
    };
    for (method, target, more, status) in [
        ("OPTIONS", "/a.txt", "", 204),
        ("OPTIONS", "*", "", 204),
        ("OPTIONS", "/a.txt", "Content-Length: 3\r\n", 413),
        ("POST", "/a.txt", "", 405),
        ("PUT", "/none.txt", "Content-Length: 3\r\n", 405),
        ("DELETE", "/a.txt", "", 405),
        ("get", "/a.txt", "", 405),
        ("GET", "/a.txt", "Content-Length: 3\r\n", 413),
        ("GET", "/a.txt", "Transfer-Encoding: chunked\r\n", 413),
        ("GET", "/a.txt", "Content-Length: 0\r\n", 200),
        ("GET", "/a.txt", "Expect: 100-continue\r\n", 200),
        ("GET", "/a.txt", "Expect: x\r\n", 417),
        ("GET", "/none.txt", "", 404),
        // Whoever asks for something else than HTTP gets what HTTP has (RFC 9110 §7.8).
        ("GET", "/a.txt", "Upgrade: h2c\r\nConnection: Upgrade\r\n", 200),
    ] {
        let response = Visitor::to(&house).ask(&request(method, target, more));
        assert_eq!(response.status, status, "{method} {target} {more}");
        let allow = matches!(status, 204 | 405).then_some("GET, HEAD, OPTIONS");
        assert_eq!(response.field("allow"), allow, "{method} {target}");
    }
    // There are no WebSockets where there are only files.
    let mut client = house.connect();
    client.raw(&client.request("/a.txt", &[], &[]));
    assert_eq!(client.answer().status, 404);
}

#[test]
fn beside_websockets_at_every_path_a_missing_file_is_missing() {
    let place = Place::new("default");
    place.put("index.html", "page");
    let chat = Endpoint { path: Some("/chat".into()), ..Endpoint::default() };
    let endpoints = vec![Endpoint::default(), chat.clone(), place.endpoint("/")];
    let mut house = House::open(Settings { endpoints, ..quiet() }, Manner::default());
    assert_eq!(fetch(&house, "/", "").body, "page");
    assert_eq!(fetch(&house, "/favicon.ico", "").status, 404);
    assert_eq!(fetch(&house, "/chat", "").status, 426);
    for target in ["/", "/chat", "/anything"] {
        house.connect().shake_hands(target);
        house.opened();
    }
    drop(house);
    // Who is asked first may have another answer.
    let endpoints = vec![Endpoint { asks: true, ..Endpoint::default() }, place.endpoint("/")];
    let decide = |request: &Request| match request.head.starts_with(b"GET /made-up") {
        true => Verdict::Answer(Answer { status: 200, fields: Vec::new(), body: "made up".into() }),
        false => Verdict::Accept { subprotocol: None, fields: Vec::new() },
    };
    let house = House::open(Settings { endpoints, ..quiet() }, Manner { decide: Some(decide), ..Manner::default() });
    assert_eq!(fetch(&house, "/", "").body, "page");
    assert_eq!(fetch(&house, "/made-up", "").body, "made up");
    assert_eq!(fetch(&house, "/favicon.ico", "").status, 404);
}

#[test]
fn several_shards_serve_the_same_folder() {
    let place = Place::new("shards");
    place.put("a.txt", "a");
    let house = House::open(Settings { shards: 3, ..place.settings() }, Manner::default());
    for _ in 0..9 {
        assert_eq!(fetch(&house, "/a.txt", "").body, "a");
    }
}

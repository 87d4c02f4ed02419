//! What proxies have written into a head: read from the nearest on, and never misread.

use hubbub_proto::forwarded::{Hop, Malformed, forwarded, x_forwarded_for, x_forwarded_proto};
use hubbub_proto::head::{Head, HeadLimits};

fn with_head<T>(lines: &[&str], read: impl FnOnce(&Head<'_>) -> T) -> T {
    let bytes = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        lines.iter().map(|line| format!("{line}\r\n")).collect::<String>()
    );
    read(&Head::parse(bytes.as_bytes(), &HeadLimits::default()).expect("a head in order"))
}

fn for_list(lines: &[&str]) -> Vec<String> {
    let text = |from: Option<std::net::SocketAddr>| from.map_or("?".into(), |from| from.to_string());
    with_head(lines, |head| x_forwarded_for(&head.fields).map(text).collect())
}

fn elements(lines: &[&str]) -> Result<Vec<Hop>, Malformed> {
    with_head(lines, |head| forwarded(&head.fields))
}

fn hop(from: &str, secure: Option<bool>) -> Hop {
    Hop { from: (!from.is_empty()).then(|| from.parse().expect("an address")), secure }
}

#[test]
fn x_forwarded_for_is_read_from_its_end() {
    for (lines, list) in [
        (&[][..], &[][..]),
        (&["X-Forwarded-For: 192.0.2.1"], &["192.0.2.1:0"]),
        (&["X-Forwarded-For: 192.0.2.1, 10.0.0.1"], &["10.0.0.1:0", "192.0.2.1:0"]),
        (&["x-forwarded-for:192.0.2.1,10.0.0.1 , 10.0.0.2"], &["10.0.0.2:0", "10.0.0.1:0", "192.0.2.1:0"]),
        (&["X-Forwarded-For: a", "Other: b", "X-Forwarded-For: 192.0.2.1, c"], &["?", "192.0.2.1:0", "?"]),
        (
            &["X-Forwarded-For: 192.0.2.1:80, 2001:db8::1, [::1]:5, [2001:db8::2]"],
            &["[2001:db8::2]:0", "[::1]:5", "[2001:db8::1]:0", "192.0.2.1:80"],
        ),
        (&["X-Forwarded-For: ::ffff:192.0.2.1"], &["192.0.2.1:0"]),
        (&["X-Forwarded-For: , ,"], &[]),
        (
            &[
                "X-Forwarded-For: unknown, 192.0.2.1:port, 192.0.2.1:65536, 1.2.3, 192.0.2.01, [192.0.2.1], [::1]x, ::1]",
            ],
            &["?"; 8],
        ),
        (&["X-Forwarded-For: 192.0.2.1 10.0.0.1"], &["?"]),
        (&["X-Forwarded-For: 192.0.2.1:+1"], &["?"]),
        (&["X-Forwarded-For: \u{e4}, \"192.0.2.1\""], &["?", "?"]),
    ] {
        assert_eq!(for_list(lines), list, "{lines:?}");
    }
}

#[test]
fn the_nearest_proxy_says_which_scheme_it_was() {
    for (lines, secure) in [
        (&[][..], None),
        (&["X-Forwarded-Proto: https"], Some(true)),
        (&["X-Forwarded-Proto: WSS"], Some(true)),
        (&["X-Forwarded-Proto: http"], Some(false)),
        (&["X-Forwarded-Proto: ws"], Some(false)),
        (&["X-Forwarded-Proto: https, http"], Some(false)),
        (&["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], Some(true)),
        (&["X-Forwarded-Proto: https, gopher"], None),
        (&["X-Forwarded-Proto:"], None),
    ] {
        assert_eq!(with_head(lines, |head| x_forwarded_proto(&head.fields)), secure, "{lines:?}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    for (lines, hops) in [
        (&[][..], vec![]),
        // RFC 7239 §4.
        (&["Forwarded: for=\"_gazonk\""], vec![hop("", None)]),
        (&["Forwarded: For=\"[2001:db8:cafe::17]:4711\""], vec![hop("[2001:db8:cafe::17]:4711", None)]),
        (&["Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43"], vec![hop("192.0.2.60:0", Some(false))]),
        (
            &["Forwarded: for=192.0.2.43, for=198.51.100.17"],
            vec![hop("192.0.2.43:0", None), hop("198.51.100.17:0", None)],
        ),
        (&["Forwarded: for=_hidden, for=_SEVKISEK"], vec![hop("", None); 2]),
        (&["Forwarded: for=unknown"], vec![hop("", None)]),
        (
            &["Forwarded: for=\"192.0.2.43:47011\"", "Forwarded: proto=https"],
            vec![hop("192.0.2.43:47011", None), hop("", Some(true))],
        ),
        (&["Forwarded: for=\"192.0.2.43:_port\""], vec![hop("192.0.2.43:0", None)]),
        (&["Forwarded: for=192.0.2.43:80"], vec![hop("192.0.2.43:80", None)]),
        (
            &["Forwarded: , for=192.0.2.43 , ,proto=HTTPS;for=192.0.2.44;"],
            vec![hop("192.0.2.43:0", None), hop("192.0.2.44:0", Some(true))],
        ),
        (&["Forwarded: secret=\"a, for=1.2.3.4;\\\"\";for=192.0.2.43"], vec![hop("192.0.2.43:0", None)]),
        (&["Forwarded: for=\"\\1\\92.0.2.43\""], vec![hop("192.0.2.43:0", None)]),
        (&["Forwarded: for=\"\"; proto=other"], vec![hop("", None)]),
        (&["Forwarded: ;"], vec![hop("", None)]),
    ] {
        assert_eq!(elements(lines), Ok(hops), "{lines:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_malformed() {
    for value in [
        "for=\"192.0.2.43, for=198.51.100.17",
        "for=\"192.0.2.43\\",
        "for=\"192.0.2.43\"x",
        "for=192.0.2.43 for=198.51.100.17",
        "for=192.0.2.43;for=198.51.100.17",
        "proto=http;Proto=https",
        "for",
        "192.0.2.43",
        "for=",
        "for=;proto=https",
        "=192.0.2.43",
        "for =192.0.2.43",
        "for= 192.0.2.43",
        "f(r=192.0.2.43",
        "for=a\"b\"",
    ] {
        assert_eq!(elements(&[&format!("Forwarded: {value}")]), Err(Malformed), "{value:?}");
        assert_eq!(
            elements(&[&format!("Forwarded: {value}"), "Forwarded: for=192.0.2.1"]),
            Err(Malformed),
            "{value:?}"
        );
    }
}

/// Row 6: as much of it as a head may have is read in one pass.
#[test]
fn a_head_full_of_hops_is_read_in_linear_time() {
    let limits = HeadLimits { max_bytes: 1 << 20, max_fields: 10 };
    for (name, element, count) in
        [("X-Forwarded-For", "1,", 400_000), ("Forwarded", "a=1;", 200_000), ("Forwarded", ",;", 400_000)]
    {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: {}\r\n\r\n", element.repeat(count));
        let head = Head::parse(bytes.as_bytes(), &limits).unwrap();
        assert!(x_forwarded_for(&head.fields).count() <= count);
        assert!(forwarded(&head.fields).unwrap().len() <= count);
    }
}

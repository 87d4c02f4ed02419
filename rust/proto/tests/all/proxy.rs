//! The PROXY protocol: good headers in every cut, and bad ones refused as soon as they show it.

use std::net::SocketAddr;

use hubbub_proto::proxy::{Announced, MAX_BYTES, ProxyError, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn client(address: &str) -> Announced {
    Announced::Client(address.parse::<SocketAddr>().expect("an address"))
}

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).expect("a length").to_be_bytes();
    [SIGNATURE, &[command, family], &len, block].concat()
}

fn inet() -> Vec<u8> {
    vec![192, 0, 2, 1, 198, 51, 100, 7, 0x12, 0x67, 1, 0xbb]
}

fn inet6() -> Vec<u8> {
    let mut block = vec![0; 36];
    block[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    block[15] = 9;
    block[32..].copy_from_slice(&[0x12, 0x67, 1, 0xbb]);
    block
}

fn good() -> Vec<(Vec<u8>, Announced)> {
    let longest = format!("PROXY TCP6 {0} {0} 65535 65535\r\n", "ffff:".repeat(7) + "ffff");
    let unknown = format!("PROXY UNKNOWN {0} {0} 65535 65535\r\n", "ffff:".repeat(7) + "ffff");
    assert_eq!(unknown.len(), 107, "the worst case of the specification");
    let tlvs = [&inet()[..], &[4, 0, 3, 1, 2, 3], &[0x20, 0, 0]].concat();
    // Nobody looks at what follows the addresses.
    let nonsense = [&inet6()[..], &[0xff; 7]].concat();
    let largest = [inet(), vec![0; MAX_BYTES - 16 - 12]].concat();
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n".to_vec(), client("192.0.2.1:4711")),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".to_vec(), client("0.0.0.0:0")),
        (b"PROXY TCP6 2001:db8::9 ::1 4711 443\r\n".to_vec(), client("[2001:db8::9]:4711")),
        (longest.into(), client("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Announced::Nobody),
        (b"PROXY UNKNOWN what ever it says\r\n".to_vec(), Announced::Nobody),
        (unknown.into(), Announced::Nobody),
        (v2(0x21, 0x11, &inet()), client("192.0.2.1:4711")),
        (v2(0x21, 0x11, &tlvs), client("192.0.2.1:4711")),
        (v2(0x21, 0x11, &largest), client("192.0.2.1:4711")),
        (v2(0x21, 0x21, &inet6()), client("[2001:db8::9]:4711")),
        (v2(0x21, 0x21, &nonsense), client("[2001:db8::9]:4711")),
        (v2(0x21, 0x31, &[b'/'; 216]), Announced::Nobody),
        (v2(0x21, 0x00, b""), Announced::Nobody),
        (v2(0x21, 0x00, b"anything"), Announced::Nobody),
        (v2(0x20, 0x00, b""), Announced::Nobody),
        (v2(0x20, 0x11, &inet()), Announced::Nobody),
        (v2(0x20, 0x7f, b"a health check may say what it likes"), Announced::Nobody),
    ]
}

#[test]
fn a_header_is_read_whole_and_in_every_cut() {
    for (header, announced) in good() {
        let what = String::from_utf8_lossy(&header[..header.len().min(60)]).into_owned();
        assert_eq!(parse(&header), Ok(Some((header.len(), announced))), "{what:?}");
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Ok(None), "{what:?} up to {cut}");
        }
        for next in [&b"GET / HTTP/1.1\r\n"[..], b"\n", b"\x16\x03\x01", &header] {
            let bytes = [&header[..], next].concat();
            assert_eq!(parse(&bytes), Ok(Some((header.len(), announced))), "{what:?} and what follows");
        }
    }
}

#[test]
fn a_line_that_is_no_header_is_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 \r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.1 elsewhere 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 ::1%eth0 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1\t198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.1\0 198.51.100.7 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY unknown\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY \u{ff}\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(ProxyError::Line), "{line:?}");
    }
}

#[test]
fn what_begins_otherwise_is_refused_at_its_first_byte() {
    for bytes in
        ["GET / HTTP/1.1\r\n", "proxy TCP4", "PROXX", "PROXY\t", "\x16\x03\x01", "\r\nGET", "\r\n\r\n\0\r\nQUIT\r", " "]
    {
        let at = (1..=bytes.len()).find(|len| parse(&bytes.as_bytes()[..*len]) == Err(ProxyError::Missing));
        assert!(at.is_some(), "{bytes:?}");
        assert!((at.unwrap()..=bytes.len()).all(|len| parse(&bytes.as_bytes()[..len]) == Err(ProxyError::Missing)));
    }
}

#[test]
fn a_line_without_an_end_is_too_long() {
    let line = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(parse(&line.as_bytes()[..106]), Ok(None));
    for len in [107, 108, line.len()] {
        assert_eq!(parse(&line.as_bytes()[..len]), Err(ProxyError::TooLong));
    }
    // Its end would be one byte too late.
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(line.len(), 108);
    assert_eq!(parse(line.as_bytes()), Err(ProxyError::Line));
    assert_eq!(parse(&line.as_bytes()[..107]), Err(ProxyError::Line));
}

#[test]
fn a_binary_header_that_is_none_is_refused_as_soon_as_it_shows() {
    for (header, error, shows) in [
        (v2(0x11, 0x11, &inet()), ProxyError::Command, 13),
        (v2(0x31, 0x11, &inet()), ProxyError::Command, 13),
        (v2(0x22, 0x11, &inet()), ProxyError::Command, 13),
        (v2(0x2f, 0x11, &inet()), ProxyError::Command, 13),
        (v2(0x21, 0x41, &inet()), ProxyError::Family, 14),
        (v2(0x21, 0x13, &inet()), ProxyError::Family, 14),
        (v2(0x21, 0x12, &inet()), ProxyError::Family, 14),
        (v2(0x21, 0x22, &inet6()), ProxyError::Family, 14),
        (v2(0x21, 0x01, b""), ProxyError::Family, 14),
        (v2(0x21, 0x11, &inet()[..11]), ProxyError::Length, 16),
        (v2(0x21, 0x21, &inet6()[..35]), ProxyError::Length, 16),
        (v2(0x21, 0x31, &[0; 215]), ProxyError::Length, 16),
        (v2(0x21, 0x11, b""), ProxyError::Length, 16),
        (v2(0x21, 0x11, &vec![0; MAX_BYTES - 15]), ProxyError::TooLong, 16),
        (v2(0x20, 0x00, &vec![0; 65535]), ProxyError::TooLong, 16),
    ] {
        let at = (0..=header.len()).find(|len| parse(&header[..*len]).is_err());
        assert_eq!(at, Some(shows), "{:?}", &header[..16]);
        assert_eq!((parse(&header[..shows]), parse(&header)), (Err(error), Err(error)));
    }
}

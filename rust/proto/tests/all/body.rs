//! Bodies: rows 4 and 7 of the list of attacks, and its fault F13 (the cuts).

use crate::bodies::{in_pieces, split_at, whole};
use hubbub_proto::body::{BodyError, BodyReader, LAST_CHUNK, chunk_head};
use hubbub_proto::head::Body;

/// What a body in chunks comes to, which must not depend on how the bytes are cut.
fn read(bytes: &[u8]) -> crate::bodies::Read {
    let read = whole(Body::Chunked, bytes);
    assert_eq!(in_pieces(Body::Chunked, bytes, 1), read, "{:?}", bytes.escape_ascii().to_string());
    for at in 0..=bytes.len() {
        assert_eq!(split_at(Body::Chunked, bytes, at), read, "{:?} cut at {at}", bytes.escape_ascii().to_string());
    }
    read
}

#[test]
fn chunks_are_put_together_and_what_follows_is_left_alone() {
    let table: &[(&[u8], &[u8], usize)] = &[
        (b"0\r\n\r\n", b"", 0),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", 0),
        (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET / HTTP/1.1", b"abc", 14),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", b"01234567890123456789", 0),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", 0),
        (b"0000000000000003\r\nabc\r\n0\r\n\r\n", b"abc", 0),
        (b"3;name=value;other=\"a;b\"\r\nabc\r\n0;last\r\n\r\n", b"abc", 0),
        (b"3; a = \"\\\"\\\\;=\" ;b\t;\tc=d\r\nabc\r\n0\r\n\r\n", b"abc", 0),
        (b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nOther:\r\n\r\nrest", b"abc", 4),
        (b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", b"abc", 3),
    ];
    for (bytes, content, left) in table {
        assert_eq!(read(bytes), (content.to_vec(), Ok(Some(*left))), "{:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn row_7_chunks_that_others_might_read_differently() {
    let table: &[(&[u8], BodyError)] = &[
        (b"\r\n", BodyError::ChunkSize),
        (b";x\r\n", BodyError::ChunkSize),
        (b"+5\r\nhello\r\n", BodyError::ChunkSize),
        (b"-1\r\n", BodyError::ChunkSize),
        (b"0x5\r\nhello\r\n", BodyError::ChunkSize),
        (b"5 \r\nhello\r\n", BodyError::ChunkSize),
        (b" 5\r\nhello\r\n", BodyError::ChunkSize),
        (b"5_0\r\n", BodyError::ChunkSize),
        (b"g\r\n", BodyError::ChunkSize),
        (b"5\0\r\n", BodyError::ChunkSize),
        // RUSTSEC-2021-0079: a size that does not fit.
        (b"00000000000000005\r\n", BodyError::ChunkSize),
        (b"10000000000000000\r\n", BodyError::ChunkSize),
        (b"5\nhello\r\n0\r\n\r\n", BodyError::BareLf),
        (b"5\rhello\r\n", BodyError::BareCr),
        (b"5\r\rhello", BodyError::BareCr),
        // h11 CVE-2025-43859: what follows the data is exactly CRLF.
        (b"5\r\nhelloXX0\r\n\r\n", BodyError::ChunkEnd),
        (b"5\r\nhello\n0\r\n\r\n", BodyError::ChunkEnd),
        (b"5\r\nhello\rX", BodyError::BareCr),
        (b"5\r\nhello0\r\n\r\n", BodyError::ChunkEnd),
        // CVE-2024-52304: LF in an extension.
        (b"5;a\nb\r\nhello\r\n", BodyError::BareLf),
        (b"5;a\rb\r\nhello\r\n", BodyError::BareCr),
        (b"5;a\0b\r\nhello\r\n", BodyError::ControlCharacter),
        (b"5;\r\nhello\r\n", BodyError::Extension),
        (b"3;;;=\r\nabc\r\n", BodyError::Extension),
        (b"3;=a\r\nabc\r\n", BodyError::Extension),
        (b"3;a=\r\nabc\r\n", BodyError::Extension),
        (b"3;a b\r\nabc\r\n", BodyError::Extension),
        (b"3;a=b c\r\nabc\r\n", BodyError::Extension),
        (b"3;a=b \r\nabc\r\n", BodyError::Extension),
        (b"3;a,b\r\nabc\r\n", BodyError::Extension),
        (b"3;a=b=c\r\nabc\r\n", BodyError::Extension),
        (b"3;a=\"b\r\nabc\r\n", BodyError::Extension),
        (b"3;a=\"b\"c\r\nabc\r\n", BodyError::Extension),
        (b"3;\"a\"=b\r\nabc\r\n", BodyError::Extension),
        (b"3;\xff\r\nabc\r\n", BodyError::Extension),
        (b"5;a\x1bb\r\nhello\r\n", BodyError::ControlCharacter),
        (b"0\r\n\n", BodyError::BareLf),
        (b"0\r\n\rX", BodyError::BareCr),
        (b"0\r\n folded: 1\r\n\r\n", BodyError::Trailer),
        (b"0\r\nno colon\r\n\r\n", BodyError::Trailer),
        (b"0\r\nGET /canary HTTP/1.1\r\n\r\n", BodyError::Trailer),
        (b"0\r\na: 1\n\r\n", BodyError::BareLf),
        (b"0\r\na: \x01\r\n\r\n", BodyError::ControlCharacter),
        (b"0\r\na: 1\rb: 2\r\n\r\n", BodyError::BareCr),
    ];
    for (bytes, error) in table {
        assert_eq!(read(bytes).1, Err(*error), "{:?}", bytes.escape_ascii().to_string());
        assert_eq!(error.status(), 400);
    }
}

/// Row 17's sizes, for chunks: the largest are only numbers, and nothing is set aside for them.
#[test]
fn a_huge_chunk_is_read_as_far_as_it_comes() {
    for size in ["7fffffffffffffff", "ffffffffffffffff", "8000000000000000"] {
        assert_eq!(read(format!("{size}\r\nabc").as_bytes()), (b"abc".to_vec(), Ok(None)));
    }
}

#[test]
fn extensions_and_trailers_are_bounded_all_together() {
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.extend(format!("1;{}\r\na\r\n", "x".repeat(200)).bytes());
    }
    assert_eq!(whole(Body::Chunked, &flood).1, Err(BodyError::ExtensionsTooLong));
    assert_eq!(in_pieces(Body::Chunked, &flood, 1).1, Err(BodyError::ExtensionsTooLong));
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let (_, read) = whole(Body::Chunked, trailers.as_bytes());
    assert_eq!(read, Err(BodyError::TrailersTooLarge));
    assert_eq!(BodyError::TrailersTooLarge.status(), 431);
    assert_eq!(in_pieces(Body::Chunked, trailers.as_bytes(), 7).1, read);
}

#[test]
fn a_length_is_counted_down() {
    let bytes = b"hello, next request";
    for (length, content, left) in [(0, "", Some(19)), (5, "hello", Some(14)), (19, "hello, next request", Some(0))] {
        let expected = (content.as_bytes().to_vec(), Ok(left));
        assert_eq!(whole(Body::Length(length), bytes), expected);
        assert_eq!(in_pieces(Body::Length(length), bytes, 1), expected);
    }
    assert_eq!(whole(Body::Length(20), bytes).1, Ok(None));
    assert_eq!(whole(Body::Length(u64::MAX), bytes).1, Ok(None));
    assert_eq!(whole(Body::None, bytes), (Vec::new(), Ok(Some(19))));
    let mut reader = BodyReader::new(Body::Length(10));
    assert_eq!(reader.next(&mut &b"abc"[..]), Ok(Some(&b"abc"[..])));
    assert_eq!(reader.left(), Some(7));
}

#[test]
fn chunks_that_are_written_are_read_again() {
    let sizes = [1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 65_536];
    let mut out = Vec::new();
    for size in sizes {
        chunk_head(&mut out, size);
        out.extend(vec![b'x'; size]);
        out.extend_from_slice(b"\r\n");
    }
    assert!(out.starts_with(b"1\r\nx\r\n9\r\n"));
    out.extend_from_slice(LAST_CHUNK);
    let (content, end) = whole(Body::Chunked, &out);
    assert_eq!((content.len(), end), (sizes.iter().sum(), Ok(Some(0))));
}

//! Bodies read whole, in pieces and cut in two. The fuzz target uses the same.

use hubbub_proto::body::{BodyError, BodyReader};
use hubbub_proto::head::Body;

/// The content, and how it ended: complete with so many bytes left over, not complete, or wrong.
pub(crate) type Read = (Vec<u8>, Result<Option<usize>, BodyError>);

pub(crate) fn whole(body: Body, bytes: &[u8]) -> Read {
    in_pieces(body, bytes, bytes.len().max(1))
}

pub(crate) fn in_pieces(body: Body, bytes: &[u8], size: usize) -> Read {
    read(body, bytes.len(), &mut bytes.chunks(size))
}

pub(crate) fn split_at(body: Body, bytes: &[u8], at: usize) -> Read {
    read(body, bytes.len(), &mut [&bytes[..at], &bytes[at..]].into_iter())
}

fn read(body: Body, len: usize, pieces: &mut dyn Iterator<Item = &[u8]>) -> Read {
    let mut reader = BodyReader::new(body);
    let (mut content, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut input = piece;
        loop {
            match reader.next(&mut input) {
                Ok(Some(slice)) => {
                    assert!(!slice.is_empty());
                    content.extend_from_slice(slice);
                }
                Ok(None) => break,
                Err(error) => return (content, Err(error)),
            }
        }
        taken += piece.len() - input.len();
        assert!(input.is_empty() || reader.is_done(), "input is left over only behind the end");
        if reader.is_done() {
            assert_eq!(reader.left(), Some(0));
            return (content, Ok(Some(len - taken)));
        }
    }
    match reader.is_done() {
        true => (content, Ok(Some(len - taken))),
        false => (content, Ok(None)),
    }
}

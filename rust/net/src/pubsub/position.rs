//! Positions in what rooms remember: the number of a broadcast, and the place behind it.

/// A broadcast's number among all of the server's that are remembered, and how many its rooms keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Another server, or another life of this one, has another epoch: its numbers mean nothing here.
    pub epoch: u32,
    /// From 1 on.
    pub offset: u64,
    /// Messages that a room keeps.
    pub keep: usize,
}

/// The place behind a broadcast, as clients say it: `Last-Event-ID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Since {
    pub(crate) epoch: u32,
    pub(crate) offset: u64,
}

impl Since {
    /// Reads what [`Since::text`] has written. `None`: it is something else, which is a client's right.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once('-')?;
        let plain = offset.bytes().all(|byte| byte.is_ascii_digit());
        let epoch = (epoch.len() == 8).then(|| u32::from_str_radix(epoch, 16).ok())??;
        Some(Since { epoch, offset: plain.then(|| offset.parse().ok())?? })
    }

    pub(crate) fn text(self) -> String {
        format!("{:08x}-{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is() {
        let since = Since { epoch: 0xdead_beef, offset: 12 };
        assert_eq!(Since::parse(&since.text()), Some(since));
        for garbage in
            ["", "-", "deadbeef-", "deadbeef--1", "deadbeef-+1", "xyz-1", "1-1", "deadbeef-99999999999999999999"]
        {
            assert_eq!(Since::parse(garbage), None, "{garbage}");
        }
    }
}

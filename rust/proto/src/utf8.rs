//! UTF-8 that arrives in pieces (RFC 3629, RFC 6455 §8.1).

use std::fmt;

/// Whether `bytes` are valid UTF-8.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    // Most messages are short and ASCII, for which looking at the high bits is cheaper than any validator.
    bytes.is_ascii() || simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Validates UTF-8 piece by piece and fails as soon as no continuation could make it valid.
#[derive(Clone, Copy, Default, Debug)]
pub struct Validator {
    /// INVARIANT: `pending[..len]` is a proper prefix of some valid sequence; `len` is at most 3.
    pending: [u8; 3],
    len: u8,
}

impl Validator {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// What came so far is not the beginning of any valid UTF-8; the validator is of no use then.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Invalid> {
        if self.len > 0 {
            bytes = self.complete(bytes)?;
        }
        // As in `is_valid`: ASCII is common, and looking at the high bits is cheap.
        if bytes.is_ascii() {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(Invalid),
            Err(error) => self.keep(&bytes[error.valid_up_to()..]),
        }
    }

    /// Says that nothing more comes.
    ///
    /// # Errors
    /// The last sequence is incomplete.
    pub fn finish(&self) -> Result<(), Invalid> {
        if self.len == 0 { Ok(()) } else { Err(Invalid) }
    }

    /// Moves bytes from the front of `bytes` to the pending sequence until that is complete; gives the rest.
    fn complete<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], Invalid> {
        let mut sequence = [0; 4];
        let mut len = usize::from(self.len);
        sequence[..len].copy_from_slice(&self.pending[..len]);
        while let [first, rest @ ..] = bytes {
            sequence[len] = *first;
            len += 1;
            bytes = rest;
            match std::str::from_utf8(&sequence[..len]) {
                Ok(_) => {
                    self.len = 0;
                    return Ok(bytes);
                }
                Err(error) if error.error_len().is_some() => return Err(Invalid),
                // At most three bytes are ever incomplete, so there is room for the next.
                Err(_) => {}
            }
        }
        self.keep(&sequence[..len])?;
        Ok(bytes)
    }

    fn keep(&mut self, incomplete: &[u8]) -> Result<(), Invalid> {
        self.pending.get_mut(..incomplete.len()).ok_or(Invalid)?.copy_from_slice(incomplete);
        self.len = incomplete.len() as u8;
        Ok(())
    }
}

/// Bytes that are not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("not UTF-8")
    }
}

impl std::error::Error for Invalid {}

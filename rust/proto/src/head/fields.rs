//! The field lines of a head.

use std::borrow::Cow;
use std::ops::Deref;

use super::HeadError;
use super::syntax::{list, trim};

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'b> {
    /// The name as it was sent, a token; names are compared without regard to case.
    pub name: &'b str,
    /// The value without the white space around it; any bytes but control characters.
    pub value: &'b [u8],
}

/// All field lines of a head, in order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Fields<'b>(Vec<Field<'b>>);

impl<'b> Fields<'b> {
    /// The values of all fields with this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of the only field with this name, if there is one.
    ///
    /// # Errors
    /// There is more than one.
    pub fn one(&self, name: &str) -> Result<Option<&'b [u8]>, HeadError> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(HeadError::RepeatedField),
        }
    }

    /// The values of all fields with this name in one.
    pub(super) fn joined(&self, name: &str, separator: &[u8]) -> Cow<'b, [u8]> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (first, None) => first.unwrap_or_default().into(),
            _ => self.all(name).collect::<Vec<_>>().join(separator).into(),
        }
    }

    /// Whether the comma-separated list in the fields with this name has this token, without regard to case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(list).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }
}

impl<'b> From<&[httparse::Header<'b>]> for Fields<'b> {
    fn from(headers: &[httparse::Header<'b>]) -> Fields<'b> {
        Fields(headers.iter().map(|header| Field { name: header.name, value: trim(header.value) }).collect())
    }
}

impl<'b> Deref for Fields<'b> {
    type Target = [Field<'b>];

    fn deref(&self) -> &[Field<'b>] {
        &self.0
    }
}

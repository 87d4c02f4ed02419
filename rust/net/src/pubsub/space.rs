//! Whose a room is.

/// Whose a room is. Spaces have nothing in common: no name in one, whatever it is, is a room of the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Space {
    /// Rooms of the hub's, whose names its program chooses, or clients do.
    #[default]
    Hub,
    /// Rooms of a protocol that the server itself speaks over sessions, such as Socket.IO.
    Protocol,
}

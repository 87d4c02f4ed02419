//! Rooms: who is in which, what is broadcast to them, and what they remember.

pub(crate) mod broadcast;
pub(crate) mod directory;
pub(crate) mod held;
pub(crate) mod history;
pub(crate) mod position;
pub(crate) mod rooms;
pub(crate) mod space;

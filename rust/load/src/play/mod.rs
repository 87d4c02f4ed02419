//! What the connections do in each mode.

pub(crate) mod broadcast;
pub(crate) mod connect;
pub(crate) mod echo;
pub(crate) mod idle;
pub(crate) mod listen;
pub(crate) mod storm;

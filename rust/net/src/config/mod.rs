//! What the operator has set.

pub(crate) mod routes;
pub(crate) mod settings;

//! What of a file a request wants: whether at all, which part, in which coding (RFC 9110 §12 to §14).

mod coding;
mod conditions;
mod ranges;

pub use coding::preferred;
pub use conditions::{Condition, Validators, evaluate, may_be_partial};
pub use ranges::{MAX_RANGES, Ranges, ranges};

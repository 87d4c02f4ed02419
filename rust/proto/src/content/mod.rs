//! What of a file a request wants: which one, whether at all, which part, in which coding (RFC 9110 §12 to §14).

mod coding;
mod conditions;
mod path;
mod ranges;

pub use coding::preferred;
pub use conditions::{Condition, Validators, evaluate, may_be_partial};
pub use path::{FilePath, file_path};
pub use ranges::{MAX_RANGES, Ranges, ranges};

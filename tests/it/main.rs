//! The one integration binary: each module is a subject, because linking polars once is enough.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and needs files, the environment and the clock"
)]

mod tidy;

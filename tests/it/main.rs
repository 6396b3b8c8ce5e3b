//! The one integration binary: linking polars once is enough.

mod fixture;
mod memory;
mod rules;
mod tidy;

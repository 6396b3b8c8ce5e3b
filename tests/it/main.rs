//! The one integration binary: what only shows when the parts are put together.

mod world;

mod endpoint_writes;
mod endpoints;

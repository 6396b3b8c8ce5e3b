//! The one integration binary: what only shows when the parts are put together.

mod endpoints;

//! The rules of the event, row by row: each test or row carries the id of the rule that it pins, and fails when the rule
//! is undone. All go through `Router::route`, as a user's events do.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../routing/mod.rs"]
mod routing;

mod dates;
mod event;
mod flags;
mod leaving;
mod nulls;
mod privacy;
mod replay;
mod traits;

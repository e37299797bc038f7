//! The one binary of integration tests that run in Rust.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod tidy;

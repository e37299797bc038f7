//! Rows of the database, one table a file. No GraphQL, no HTTP, no provider is known here.
//!
//! Times are microseconds since 1970, UTC: they compare alike on SQLite and PostgreSQL. JSON is text.

pub mod api_key;
pub mod catch_up;
pub mod change;
pub mod change_container;
pub mod claim;
pub mod dashboard;
pub mod delivery;
pub mod delivery_body;
pub mod endpoint;
pub mod event_socket;
pub mod integration;
pub mod lease;
pub mod list_window;
pub mod member;
pub mod node;
pub mod pending_activity;
pub mod persisted_query;
pub mod presence;
pub mod quota;
pub mod quota_use;
pub mod sealed;
pub mod setting;
pub mod stream_head;
pub mod tenant;
pub mod widget;

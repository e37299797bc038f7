//! The states of a delivery in the inbox, as they are stored.

use sea_orm::sea_query::Expr;

/// It waits to be applied.
pub const RECEIVED: &str = "received";
/// It was applied.
pub const APPLIED: &str = "applied";
/// It is knowingly not used.
pub const IGNORED: &str = "ignored";
/// It was given up after too many tries. People call it parked.
pub const PARKED: &str = "failed";

/// The condition that a delivery waits. The state is written out: with a bound value, SQLite plans the statement anew each time,
/// because partial indexes depend on it.
pub(super) fn waits() -> Expr {
    Expr::cust(format!("state = '{RECEIVED}'"))
}

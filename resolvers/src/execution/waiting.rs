//! A mutation that waits for something else than the processor, above all for the database's one writer, gives its turn back: while
//! another program locks the database, what its tenant reads needs no turn of those that wait.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::time::{Instant, sleep};

use crate::reading::Scope;

/// How long an execution may have nothing to do and keep its turn. Most writes take less.
const LONGEST: Duration = Duration::from_millis(50);

/// Runs an execution, and gives its turn back once it has had nothing to do for a while.
pub(super) async fn giving_turn_back<T>(scope: &Scope, execution: impl Future<Output = T>) -> T {
    let (mut execution, mut waiting) = (pin!(execution), pin!(sleep(LONGEST)));
    let mut has_turn = true;
    poll_fn(|context| {
        if has_turn && waiting.as_mut().poll(context).is_ready() {
            scope.give_turn_back();
            has_turn = false;
        }
        let polled = execution.as_mut().poll(context);
        if has_turn && polled.is_pending() {
            waiting.as_mut().reset(Instant::now() + LONGEST);
            // It has just begun anew, and only has to know whom to wake.
            let Poll::Pending = waiting.as_mut().poll(context) else { return polled };
        }
        polled
    })
    .await
}

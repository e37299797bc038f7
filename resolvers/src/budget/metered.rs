//! A future whose time on the processor is charged to its tenant.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use mullion_schema::id::TenantId;
use tokio::time::Instant;

use super::Executions;

/// Runs a future and adds up how long its polls take: the time in which it waits for a provider or for the store is nobody's.
pub(crate) struct Metered<'f, T> {
    inner: BoxFuture<'f, T>,
    executions: Arc<Executions>,
    tenant: TenantId,
    used: Duration,
}

impl<'f, T> Metered<'f, T> {
    pub(crate) fn new(inner: BoxFuture<'f, T>, executions: Arc<Executions>, tenant: TenantId) -> Self {
        Self { inner, executions, tenant, used: Duration::ZERO }
    }
}

impl<T> Future for Metered<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        /// Adds the time of a poll that panics, too.
        struct Clock<'u> {
            used: &'u mut Duration,
            begun: Instant,
        }
        impl Drop for Clock<'_> {
            fn drop(&mut self) {
                *self.used = self.used.saturating_add(self.begun.elapsed());
            }
        }
        let Self { inner, used, .. } = &mut *self;
        let _clock = Clock { used, begun: Instant::now() };
        inner.as_mut().poll(cx)
    }
}

impl<T> Drop for Metered<'_, T> {
    fn drop(&mut self) {
        self.executions.time().charge(&self.tenant, self.used, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

    use futures::{FutureExt as _, future::pending, poll};
    use tokio::time::Instant;

    use super::Metered;
    use crate::budget::{ExecutionBudgets, Executions};

    #[tokio::test]
    async fn time_in_which_a_future_waits_is_not_charged() {
        let executions = Arc::new(Executions::new(ExecutionBudgets::UNLIMITED));
        let mut metered = Metered::new(pending::<()>().boxed(), executions, "one".into());
        assert!(poll!(&mut metered).is_pending());
        let (used, begun) = (metered.used, Instant::now());
        assert!(!used.is_zero());
        while begun.elapsed() < Duration::from_millis(2) {}
        assert_eq!(metered.used, used);
    }

    #[tokio::test]
    async fn a_future_that_keeps_the_processor_busy_is_charged_even_if_it_panics() {
        let budgets = ExecutionBudgets { time: Some(Duration::from_millis(1)), ..ExecutionBudgets::UNLIMITED };
        let executions = Arc::new(Executions::new(budgets));
        for panics in [false, true] {
            let tenant = format!("panics: {panics}").as_str().into();
            let busy = async move {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(5) {}
                assert!(!panics);
            };
            let metered = Metered::new(busy.boxed(), Arc::clone(&executions), tenant);
            assert_eq!(AssertUnwindSafe(metered).catch_unwind().await.is_err(), panics);
            let tenant = format!("panics: {panics}").as_str().into();
            assert!(executions.check(&tenant).is_err(), "{panics}");
        }
        assert!(executions.check(&"other".into()).is_ok());
    }
}

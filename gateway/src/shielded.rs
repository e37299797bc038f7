//! A future that its waiter cannot cancel: dropped before its end, it goes on as a task. While it is waited for it costs no task, and
//! no other thread has to wake up for it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// A future that reaches its end, whatever becomes of its waiter.
pub(crate) struct Shielded<T: Send + 'static> {
    /// Nothing when it is over.
    future: Option<BoxFuture<'static, T>>,
    /// Counts it among the tasks, so that it is waited for with them.
    token: TaskTrackerToken,
}

impl<T: Send + 'static> Shielded<T> {
    /// Begins with the first poll, like any future; from there on it ends. In a runtime.
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static, tasks: &TaskTracker) -> Self {
        Self { future: Some(Box::pin(future)), token: tasks.token() }
    }
}

impl<T: Send + 'static> Future for Shielded<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out, so that one that panics is not polled again.
        let Some(mut future) = self.future.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Shielded<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(self.token.task_tracker().spawn_on(future, &runtime));
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::task::Poll;

    use tokio::sync::oneshot;
    use tokio_util::task::TaskTracker;

    use super::Shielded;

    /// A shielded future, the sender that it waits for, and the receiver that tells that it ended.
    fn waiting(tasks: &TaskTracker) -> (Shielded<u8>, oneshot::Sender<u8>, oneshot::Receiver<u8>) {
        let ((sender, wanted), (done, ended)) = (oneshot::channel(), oneshot::channel());
        let future = async move {
            let number = wanted.await.unwrap_or_default();
            let _ = done.send(number);
            number
        };
        (Shielded::new(future, tasks), sender, ended)
    }

    #[tokio::test]
    async fn whoever_waits_gets_its_end_and_no_task_is_needed() {
        let tasks = TaskTracker::new();
        let (mut future, sender, _ended) = waiting(&tasks);
        assert_eq!(futures::poll!(&mut future), Poll::Pending);
        sender.send(7).unwrap();
        assert_eq!(futures::poll!(&mut future), Poll::Ready(7));
        assert_eq!(tasks.len(), 1, "itself");
        drop(future);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn it_ends_when_nobody_waits_any_more_and_who_waits_for_the_tasks_waits_for_it() {
        let tasks = TaskTracker::new();
        let (mut future, sender, ended) = waiting(&tasks);
        assert_eq!(futures::poll!(&mut future), Poll::Pending);
        drop(future);
        tasks.close();
        let mut all = std::pin::pin!(tasks.wait());
        assert_eq!(futures::poll!(&mut all), Poll::Pending);
        sender.send(7).unwrap();
        assert_eq!(ended.await, Ok(7));
        all.await;
    }

    #[tokio::test]
    async fn one_that_panics_is_over() {
        let tasks = TaskTracker::new();
        let future = Shielded::new(async { panic!("on purpose") }, &tasks);
        let panicked: Result<(), _> = tokio::spawn(future).await;
        assert!(panicked.unwrap_err().is_panic());
        assert!(tasks.is_empty());
    }
}

//! The parts of a socket that woke its task. Only those are polled: of what a socket waits for, nearly all happens rarely, and asking
//! each of ten thousand sockets for all of it takes more time than what happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures::task::AtomicWaker;

/// Parts of a socket, a bit each.
pub(super) type Parts = u64;

pub(super) const READER: Parts = 1;
pub(super) const TICKS: Parts = 1 << 1;
pub(super) const REVOKED: Parts = 1 << 2;
pub(super) const LATE: Parts = 1 << 3;
pub(super) const ASKED: Parts = 1 << 4;
const FIRST_OPERATION: u32 = 5;

/// The part of an operation. Some share one, where there are very many: then they are polled together.
pub(super) fn operation(number: u32) -> Parts {
    1 << (FIRST_OPERATION + number % (Parts::BITS - FIRST_OPERATION))
}

/// Which parts of a socket were woken since it was polled.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    woken: AtomicU64,
    task: AtomicWaker,
}

struct PartWaker {
    part: Parts,
    wakers: Arc<Wakers>,
}

impl Wakers {
    /// The waker of a part.
    pub(super) fn waker(self: &Arc<Self>, part: Parts) -> Waker {
        Waker::from(Arc::new(PartWaker { part, wakers: Arc::clone(self) }))
    }

    /// The parts that were woken; those that are woken from now on wake this task.
    pub(super) fn take(&self, cx: &Context<'_>) -> Parts {
        self.task.register(cx.waker());
        self.woken.swap(0, Ordering::AcqRel)
    }
}

impl Wake for PartWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.wakers.woken.fetch_or(self.part, Ordering::AcqRel) & self.part == 0 {
            self.wakers.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Wake, Waker},
    };

    use super::{FIRST_OPERATION, LATE, Parts, TICKS, Wakers, operation};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_task_is_woken_once_and_told_what_woke_it() {
        let (wakers, count) = (Arc::new(Wakers::default()), Arc::new(Count::default()));
        let (task, woken) = (Waker::from(Arc::clone(&count)), || count.0.load(Ordering::Relaxed));
        let cx = Context::from_waker(&task);
        wakers.waker(LATE).wake();
        assert_eq!(wakers.take(&cx), LATE, "nothing is lost of what was before");
        let (ticks, late) = (wakers.waker(TICKS), wakers.waker(LATE));
        ticks.wake_by_ref();
        ticks.wake();
        late.wake();
        assert_eq!(woken(), 1);
        assert_eq!(wakers.take(&cx), TICKS | LATE);
        assert_eq!(wakers.take(&cx), 0);
    }

    #[test]
    fn operations_have_parts_of_their_own() {
        let parts = (0..Parts::BITS - FIRST_OPERATION).map(operation);
        assert_eq!(parts.fold(0, |all: Parts, part| all | part), Parts::MAX << FIRST_OPERATION);
        assert_eq!(operation(0), operation(Parts::BITS - FIRST_OPERATION));
        assert!(operation(u32::MAX) >= 1 << FIRST_OPERATION);
    }
}

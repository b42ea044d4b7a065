//! The order of what one socket asks for: per conversation one after the other, conversations side by side.
//!
//! socketioxide spawns every handler, so two events of one socket would race. Here the first poll of a piece of work
//! happens where the event is read: what needs no waiting (typing) is done without a task; what does (a send) keeps its
//! lane busy, and what follows in that conversation queues behind it.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use crate::core::ConversationSid;

/// Pieces of work of one socket at once, under way and waiting, in all its lanes.
const WORK_AT_MOST: usize = 256;

/// Something to be done.
pub(super) type Work = BoxFuture<'static, ()>;

/// What is kept in order: a conversation, or (`None`) what concerns the socket itself.
pub(super) type Lane = Option<ConversationSid>;

/// One socket's lanes.
#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A lane is here while it is busy, with what waits for it.
    busy: HashMap<Lane, VecDeque<Work>>,
    waiting: usize,
}

impl Lanes {
    /// Whether no more work can be taken.
    pub(super) fn full(&self) -> bool {
        let state = self.state.lock();
        state.busy.len() + state.waiting >= WORK_AT_MOST
    }

    /// Does `work` after all earlier work of the same lane; what takes longer runs in `tasks`.
    pub(super) fn run(self: &Arc<Self>, tasks: &TaskTracker, lane: Lane, work: Work) {
        {
            let mut state = self.state.lock();
            let State { busy, waiting } = &mut *state;
            if let Some(queue) = busy.get_mut(&lane) {
                queue.push_back(work);
                *waiting += 1;
                return;
            }
            busy.insert(lane, VecDeque::new());
        }
        let mut work = whole(work);
        // A poll without a waker is fine: whatever is not ready is polled again by its own task.
        if let Poll::Ready(()) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            match self.next(lane) {
                None => return,
                Some(next) => work = whole(next),
            }
        }
        let lanes = Arc::clone(self);
        tasks.spawn(async move {
            loop {
                work.await;
                match lanes.next(lane) {
                    Some(next) => work = whole(next),
                    None => break,
                }
            }
        });
    }

    /// What waits in the lane; an empty lane is free again.
    fn next(&self, lane: Lane) -> Option<Work> {
        let mut state = self.state.lock();
        let next = state.busy.get_mut(&lane).and_then(VecDeque::pop_front);
        match next {
            Some(_) => state.waiting -= 1,
            None => drop(state.busy.remove(&lane)),
        }
        next
    }
}

/// Work that ends even when it panics: a panic must not block the lane for ever.
fn whole(work: Work) -> Work {
    AssertUnwindSafe(work)
        .catch_unwind()
        .map(|outcome| {
            if outcome.is_err() {
                super::panicked();
            }
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    const HERE: &str = "CH0123456789abcdef0123456789abcdef";
    const THERE: &str = "CHfedcba9876543210fedcba9876543210";

    #[tokio::test]
    async fn work_of_one_conversation_is_done_in_order_and_another_does_not_wait() {
        let (lanes, tasks) = (Arc::new(Lanes::default()), TaskTracker::new());
        let (tell, mut told) = mpsc::unbounded_channel();
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let first = tell.clone();
        lanes.run(
            &tasks,
            HERE.parse().ok(),
            Box::pin(async move {
                gate.await.unwrap();
                first.send(1).unwrap();
            }),
        );
        for number in 2..5 {
            let tell = tell.clone();
            lanes.run(&tasks, HERE.parse().ok(), Box::pin(async move { tell.send(number).unwrap() }));
        }
        let elsewhere = tell.clone();
        lanes.run(&tasks, THERE.parse().ok(), Box::pin(async move { elsewhere.send(99).unwrap() }));
        assert_eq!(told.try_recv(), Ok(99), "done on the spot, though the other lane waits");
        open.send(()).unwrap();
        for number in 1..5 {
            assert_eq!(told.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn a_panic_does_not_block_the_lane() {
        let (lanes, tasks) = (Arc::new(Lanes::default()), TaskTracker::new());
        let (tell, told) = tokio::sync::oneshot::channel();
        lanes.run(&tasks, HERE.parse().ok(), Box::pin(async { panic!("on purpose") }));
        lanes.run(&tasks, HERE.parse().ok(), Box::pin(async move { tell.send(()).unwrap() }));
        told.await.unwrap();
    }

    #[tokio::test]
    async fn a_lane_takes_only_so_much() {
        let (lanes, tasks) = (Arc::new(Lanes::default()), TaskTracker::new());
        lanes.run(&tasks, HERE.parse().ok(), Box::pin(std::future::pending()));
        for _ in 1..WORK_AT_MOST {
            assert!(!lanes.full());
            lanes.run(&tasks, HERE.parse().ok(), Box::pin(async {}));
        }
        assert!(lanes.full());
    }
}

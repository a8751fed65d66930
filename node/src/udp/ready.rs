//! The list of sockets that have something to read.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// A list of slots in which each occurs at most once, so it is never longer than the number of slots.
#[derive(Default)]
pub(super) struct ReadyList {
    state: Mutex<ListedSlots>,
}

#[derive(Default)]
struct ListedSlots {
    order: VecDeque<usize>,
    listed: Vec<bool>,
    driver: Option<Waker>,
}

impl ReadyList {
    /// A waker that puts this slot on the list.
    pub(super) fn waker(self: &Arc<Self>, slot: usize) -> Waker {
        Waker::from(Arc::new(SlotWaker {
            list: Arc::clone(self),
            slot,
        }))
    }

    /// Puts a slot at the end of the list and wakes the driver.
    pub(super) fn push(&self, slot: usize) {
        let mut state = self.state();
        if state.listed.len() <= slot {
            state.listed.resize(slot + 1, false);
        }
        match state.listed.get_mut(slot) {
            Some(listed) if !*listed => *listed = true,
            _ => return,
        }
        state.order.push_back(slot);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The slot that has waited longest.
    pub(super) fn pop(&self) -> Option<usize> {
        let mut state = self.state();
        let slot = state.order.pop_front()?;
        if let Some(listed) = state.listed.get_mut(slot) {
            *listed = false;
        }
        Some(slot)
    }

    pub(super) fn len(&self) -> usize {
        self.state().order.len()
    }

    /// Ready while the list is not empty; otherwise the next `push` wakes this task.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.order.is_empty() {
            return Poll::Ready(());
        }
        match &mut state.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, ListedSlots> {
        // Nothing in here panics, and the state is whole after every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SlotWaker {
    list: Arc<ReadyList>,
    slot: usize,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.list.push(self.slot);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_slot_is_listed_once_and_in_order() {
        let list = Arc::new(ReadyList::default());
        let wakers: Vec<_> = (0..3).map(|slot| list.waker(slot)).collect();
        for slot in [2, 0, 2, 2, 1, 0] {
            wakers[slot].wake_by_ref();
        }
        assert_eq!(list.len(), 3);
        assert_eq!(
            std::iter::from_fn(|| list.pop()).collect::<Vec<_>>(),
            [2, 0, 1]
        );
        wakers[0].wake_by_ref();
        assert_eq!(list.pop(), Some(0));
    }

    #[test]
    fn the_driver_is_woken_once_for_each_time_it_finds_the_list_empty() {
        let list = Arc::new(ReadyList::default());
        let count = Arc::new(Count::default());
        let driver = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&driver);
        assert!(list.poll(&mut cx).is_pending());
        list.push(0);
        list.push(1);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(list.poll(&mut cx).is_ready());
        list.pop();
        list.pop();
        assert!(list.poll(&mut cx).is_pending());
        list.push(0);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

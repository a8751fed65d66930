//! The bounded worker for public-key operations: at most two key generations and two exchanges run at once, and at most 64 jobs
//! wait, the most urgent first. Exchanges have their own places: a millisecond of work must not wait for tens of milliseconds of
//! another job.
//!
//! The driver owns all state. A job runs on tokio's blocking threads, and its result comes back over a bounded channel.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use deut_transport::{
    ids::JobTicket,
    io::Priority,
    rsa::{Job, JobResult, RsaSuite},
};
use tokio::sync::{Semaphore, mpsc};

/// Number of jobs of each sort, exchanges and key generations, that run at the same time.
const RUNNING: usize = 2;
/// Number of jobs that wait. Beyond it the least urgent is refused: one that waits, or else the new one.
const WAITING: usize = 64;
/// Most urgent first.
const ORDER: [Priority; 4] = [
    Priority::Exchange,
    Priority::FirstTunnels,
    Priority::Own,
    Priority::Refill,
];

/// The sort of a finished job, its ticket and its result.
type Done = (usize, JobTicket, JobResult);

pub(crate) struct Jobs {
    suite: Arc<dyn RsaSuite>,
    waiting: [VecDeque<(JobTicket, Job)>; ORDER.len()],
    /// Numbers of exchanges and key generations that run.
    running: [usize; 2],
    done: mpsc::Sender<Done>,
    results: mpsc::Receiver<Done>,
    refused: u64,
    /// Permits shared with the other nodes of this process.
    permits: Option<Arc<Semaphore>>,
}

impl Jobs {
    /// A worker without jobs.
    pub(crate) fn new(suite: Arc<dyn RsaSuite>, permits: Option<Arc<Semaphore>>) -> Self {
        // As many places as jobs can run, so that no job ever waits for the driver.
        let (done, results) = mpsc::channel(2 * RUNNING);
        Self {
            suite,
            waiting: [const { VecDeque::new() }; ORDER.len()],
            running: [0; 2],
            done,
            results,
            refused: 0,
            permits,
        }
    }

    /// Takes a job. If the queue is full, returns the ticket of the job that is refused; its result is `Refused`.
    #[must_use]
    pub(crate) fn submit(
        &mut self,
        ticket: JobTicket,
        priority: Priority,
        job: Job,
    ) -> Option<JobTicket> {
        let full = self.waiting.iter().map(VecDeque::len).sum::<usize>() >= WAITING;
        let refused = if full {
            let Some(evicted) = self.evict_below(priority) else {
                self.refused += 1;
                return Some(ticket);
            };
            self.refused += 1;
            Some(evicted)
        } else {
            None
        };
        if let Some(queue) = self.waiting.get_mut(rank(priority)) {
            queue.push_back((ticket, job));
        }
        self.start();
        refused
    }

    /// The next finished job, with its result.
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<(JobTicket, JobResult)> {
        match self.results.poll_recv(cx) {
            Poll::Ready(Some((sort, ticket, result))) => {
                if let Some(running) = self.running.get_mut(sort) {
                    *running = running.saturating_sub(1);
                }
                self.start();
                Poll::Ready((ticket, result))
            }
            // `None` cannot occur, since we hold a sender ourselves.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Number of jobs refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Removes the youngest of the least urgent waiting jobs, if these are less urgent than `priority`.
    fn evict_below(&mut self, priority: Priority) -> Option<JobTicket> {
        let less_urgent = self.waiting.iter_mut().skip(rank(priority) + 1).rev();
        less_urgent
            .filter_map(VecDeque::pop_back)
            .map(|(ticket, _)| ticket)
            .next()
    }

    /// Removes the most urgent waiting job of a sort that has a free place, and of these the oldest.
    fn take_next(&mut self) -> Option<(usize, JobTicket, Job)> {
        let [exchanges, generations] = self.running.map(|running| running < RUNNING);
        let mut queues = self.waiting.iter_mut();
        let exchange = queues
            .next()
            .filter(|_| exchanges)
            .and_then(VecDeque::pop_front);
        if let Some((ticket, job)) = exchange {
            return Some((0, ticket, job));
        }
        let generation = queues.filter(|_| generations).find_map(VecDeque::pop_front);
        generation.map(|(ticket, job)| (1, ticket, job))
    }

    fn start(&mut self) {
        while let Some((sort, ticket, job)) = self.take_next() {
            if let Some(running) = self.running.get_mut(sort) {
                *running += 1;
            }
            let (suite, done) = (Arc::clone(&self.suite), self.done.clone());
            let permits = self.permits.clone().filter(|_| sort != 0);
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || {
                let _permit = permits.map(|permits| runtime.block_on(permits.acquire_owned()));
                // A panic in a dependency costs this job, not the worker.
                let result = catch_unwind(AssertUnwindSafe(|| job.run(suite.as_ref())));
                let result = result.unwrap_or(JobResult::Refused);
                // If the driver has gone, nobody waits for the result.
                let _ = done.try_send((sort, ticket, result));
            });
        }
    }
}

fn rank(priority: Priority) -> usize {
    ORDER.iter().position(|&one| one == priority).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc as std_mpsc,
        },
    };

    use deut_transport::rsa::{BadRsaKey, OAEP_LEN, PrivateKey, RsaKeyPair, SPKI_LEN};

    use super::*;

    #[tokio::test]
    async fn the_most_urgent_go_first_and_the_oldest_of_them() {
        let (suite, _gate) = Slow::new();
        let mut jobs = Jobs::new(suite, None);
        let order = [
            Priority::Refill,
            Priority::Refill,
            Priority::Refill,
            Priority::Own,
            Priority::Exchange,
            Priority::Exchange,
            Priority::Exchange,
            Priority::Own,
            Priority::FirstTunnels,
        ];
        for (number, priority) in order.into_iter().enumerate() {
            assert_eq!(submit(&mut jobs, number as u64, priority), None);
        }
        // As if nothing were running.
        jobs.running = [0; 2];
        let waiting = std::iter::from_fn(|| jobs.take_next()).map(|(_, ticket, _)| ticket.0);
        assert_eq!(waiting.collect::<Vec<_>>(), [6, 8, 3, 7, 2]);
    }

    #[tokio::test]
    async fn at_most_two_run_at_once() {
        let (suite, gate) = Slow::new();
        let mut jobs = Jobs::new(suite.clone(), None);
        for number in 0..6 {
            assert_eq!(submit(&mut jobs, number, Priority::Own), None);
        }
        for _ in 0..6 {
            gate.send(()).unwrap();
        }
        let mut done = Vec::new();
        for _ in 0..6 {
            done.push(next(&mut jobs).await.0);
        }
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3, 4, 5]);
        assert!(suite.most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_least_urgent() {
        let (suite, gate) = Slow::new();
        let mut jobs = Jobs::new(suite, None);
        for number in 0..(RUNNING + WAITING) as u64 {
            assert_eq!(submit(&mut jobs, number, Priority::Own), None);
        }
        assert_eq!(submit(&mut jobs, 100, Priority::Own), Some(JobTicket(100)));
        assert_eq!(
            submit(&mut jobs, 101, Priority::Refill),
            Some(JobTicket(101))
        );
        let evicted = submit(&mut jobs, 102, Priority::FirstTunnels);
        assert_eq!(evicted, Some(JobTicket((RUNNING + WAITING) as u64 - 1)));
        assert_eq!(jobs.refused(), 3);
        for _ in 0..RUNNING + WAITING {
            gate.send(()).unwrap();
        }
        let mut done = Vec::new();
        for _ in 0..RUNNING + WAITING {
            done.push(next(&mut jobs).await.0);
        }
        assert!(done.contains(&102), "the urgent one ran");
    }

    #[tokio::test]
    async fn a_panicking_job_is_refused_and_the_worker_goes_on() {
        let (suite, gate) = Slow::new();
        let mut jobs = Jobs::new(suite, None);
        drop(gate);
        for number in 0..5 {
            let _ = submit(&mut jobs, number, Priority::Own);
            assert!(matches!(next(&mut jobs).await.1, JobResult::Refused));
        }
    }

    fn submit(jobs: &mut Jobs, number: u64, priority: Priority) -> Option<JobTicket> {
        jobs.submit(JobTicket(number), priority, Job::Generate { seed: [0; 32] })
    }

    async fn next(jobs: &mut Jobs) -> (u64, JobResult) {
        let (ticket, result) = poll_fn(|cx| jobs.poll_done(cx)).await;
        (ticket.0, result)
    }

    /// Each job waits for the gate, and panics if the gate is gone.
    struct Slow {
        gate: Mutex<std_mpsc::Receiver<()>>,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Slow {
        fn new() -> (Arc<Self>, std_mpsc::Sender<()>) {
            let (open, gate) = std_mpsc::channel();
            let slow = Self {
                gate: Mutex::new(gate),
                now: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            };
            (Arc::new(slow), open)
        }
    }

    impl RsaSuite for Slow {
        fn generate(&self, _seed: [u8; 32]) -> RsaKeyPair {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let open = self
                .gate
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .recv();
            self.now.fetch_sub(1, Ordering::SeqCst);
            open.expect("the gate is open");
            RsaKeyPair {
                public: Box::new([0; SPKI_LEN]),
                private: Arc::new(NoKey),
            }
        }

        fn seal(
            &self,
            _public: &[u8; SPKI_LEN],
            _message: &[u8; 32],
            _seed: [u8; 32],
        ) -> Result<[u8; OAEP_LEN], BadRsaKey> {
            Err(BadRsaKey)
        }
    }

    struct NoKey;

    impl PrivateKey for NoKey {
        fn open(&self, _ciphertext: &[u8; OAEP_LEN], _blinding: [u8; 32]) -> [u8; 32] {
            [0; 32]
        }
    }
}

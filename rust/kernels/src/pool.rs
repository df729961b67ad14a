//! Persistent threads for kernels: woken for a call, parked between calls.
//!
//! A call publishes one job; threads enter it, claim task numbers from a counter until none is left, and leave.
//! The caller takes part, then closes the job and waits only for threads that did enter: a worker the system has not
//! scheduled yet costs nothing. Workers look for the next job for some tens of microseconds, then park, so a token's
//! hundreds of calls pay no system call each and an idle app burns nothing.

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// Rounds a worker looks for a job before it parks; a round is one `spin_loop` hint (10 to 50 ns).
const SPINS: u32 = 3000;

/// Set in [`Shared::state`] while a job may be entered. The low bits count the threads inside.
const OPEN: u64 = 1 << 31;
/// One step of the job number, above [`OPEN`] and the count.
const NEXT_JOB: u64 = 1 << 32;

thread_local! {
    /// Whether this thread is inside a task: a nested call then runs alone instead of waiting for itself.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; calls of pools inside it run on this thread alone. For work too small to wake others for.
pub(crate) fn alone<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_TASK.set(self.0);
        }
    }
    let _restore = Restore(IN_TASK.replace(true));
    f()
}

/// One call's work, valid while its caller waits in [`ThreadPool::run`].
#[derive(Clone)]
struct Job {
    /// The caller's closure; its lifetime is erased, see the SAFETY notes where it is made and used.
    task: *const (dyn Fn(usize) + Sync),
    n_tasks: usize,
    caller: Thread,
}

// SAFETY: the pointee is `Sync`, so any thread may call it; the pointer outlives the job (see `Shared::state`).
unsafe impl Send for Job {}

struct Shared {
    /// Job number, [`OPEN`], count of workers inside. A worker may touch the job only between a successful
    /// entry (a compare-exchange that saw OPEN) and its leaving; the caller clears OPEN and waits for a count of
    /// zero before it returns.
    state: AtomicU64,
    /// The next unclaimed task of the current job.
    next: AtomicUsize,
    job: Mutex<Option<Job>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    parked: Mutex<usize>,
    wake: Condvar,
    n_parked: AtomicUsize,
    closing: AtomicBool,
}

/// A fixed set of threads that run the tasks of one call at a time.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held for the length of a call: calls from several threads take turns.
    turn: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ThreadPool {
    /// A pool that computes on `n_threads` threads, of which one is the caller's: it starts `n_threads - 1`.
    ///
    /// Zero counts as one. Where the system refuses a thread the pool is smaller.
    pub fn new(n_threads: usize) -> Self {
        Self::with_setup(n_threads, |_| {})
    }

    /// As [`new`](Self::new); each thread it starts first calls `setup` with its number, from 1. There the caller can
    /// bind it to a processor of [`performance_cores`](crate::performance_cores) or lower its priority, in the way the
    /// system has for that. The calling thread, number 0, is the caller's own to bind.
    pub fn with_setup(n_threads: usize, setup: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let setup = Arc::new(setup);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            job: Mutex::new(None),
            panic: Mutex::new(None),
            parked: Mutex::new(0),
            wake: Condvar::new(),
            n_parked: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let workers = (1..n_threads)
            .map_while(|i| {
                let shared = Arc::clone(&shared);
                let builder = thread::Builder::new().name(format!("lorekit-kernel-{i}"));
                let setup = Arc::clone(&setup);
                let life = move || {
                    setup(i);
                    drop(setup);
                    work(&shared);
                };
                builder.spawn(life).ok()
            })
            .collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// The number of threads that compute, the caller's included.
    pub fn n_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `f` once with each number below `n_tasks`, on all threads, and returns when all are done.
    ///
    /// Which thread runs which task is not fixed. A call from inside a task runs on that thread alone.
    ///
    /// # Panics
    /// If a task panics, with that task's payload, after every running task has ended; the pool stays usable.
    pub fn run(&self, n_tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        if n_tasks <= 1 || self.workers.is_empty() || IN_TASK.get() {
            for i in 0..n_tasks {
                f(i);
            }
            return;
        }
        let turn = lock(&self.turn);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. The job is taken back, and no worker is inside, before this call returns.
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(f)
        };
        *lock(&shared.job) = Some(Job { task, n_tasks, caller: thread::current() });
        shared.next.store(0, Ordering::Relaxed);
        // The count is zero here and OPEN is clear, so this starts the next job and opens it.
        shared.state.fetch_add(NEXT_JOB | OPEN, Ordering::SeqCst);
        if shared.n_parked.load(Ordering::SeqCst) > 0 {
            let _parked = lock(&shared.parked);
            shared.wake.notify_all();
        }

        claim(shared, n_tasks, f);

        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut rounds = 0u32;
        while shared.state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            rounds += 1;
            if rounds < SPINS { std::hint::spin_loop() } else { thread::park() }
        }
        *lock(&shared.job) = None;
        let panicked = lock(&shared.panic).take();
        drop(turn);
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }

    /// Calls `f(i, chunk)` for each chunk of `len` values of `out` (the last may be shorter).
    pub(crate) fn for_each_chunk(&self, out: &mut [f32], len: usize, f: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        let total = out.len();
        let out = SharedOut { start: out.as_mut_ptr(), marker: PhantomData };
        self.run(total.div_ceil(len.max(1)), &|i| {
            let (from, to) = (i * len, total.min((i + 1) * len));
            // SAFETY: `run` gives each `i` to one task, the ranges of different `i` are disjoint and within `out`,
            // which stays mutably borrowed until `run` returns.
            let chunk = unsafe { std::slice::from_raw_parts_mut(out.get().add(from), to - from) };
            f(i, chunk);
        });
    }

    /// Splits the columns of several outputs, each row-major and given with its row's width, into panels, and calls
    /// `f(job, columns)` for each; before them, and beside them, `first(i)` for each `i` below `n_first`.
    pub(crate) fn for_each_panel(
        &self,
        outs: &mut [(usize, &mut [f32])],
        panel: usize,
        (n_first, first): (usize, &(dyn Fn(usize) + Sync)),
        f: &(dyn Fn(usize, Columns<'_>) + Sync),
    ) {
        struct Target<'a> {
            out: SharedOut<'a>,
            width: usize,
            rows: usize,
            first_task: usize,
        }
        let mut n_tasks = n_first;
        let targets: Vec<Target<'_>> = outs
            .iter_mut()
            .map(|(width, out)| {
                let rows = out.len().checked_div(*width).unwrap_or(0);
                assert_eq!(out.len(), rows * *width, "an output of whole rows");
                let first_task = n_tasks;
                n_tasks += width.div_ceil(panel);
                Target {
                    out: SharedOut { start: out.as_mut_ptr(), marker: PhantomData },
                    width: *width,
                    rows,
                    first_task,
                }
            })
            .collect();
        self.run(n_tasks, &|task| {
            if task < n_first {
                return first(task);
            }
            let job = targets.partition_point(|target| target.first_task <= task) - 1;
            let target = &targets[job];
            let start = (task - target.first_task) * panel;
            let end = target.width.min(start + panel);
            f(
                job,
                Columns {
                    start: target.out.get(),
                    stride: target.width,
                    rows: target.rows,
                    range: start..end,
                    marker: PhantomData,
                },
            );
        });
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        {
            let _parked = lock(&self.shared.parked);
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

/// A mutable buffer that tasks write disjoint parts of.
struct SharedOut<'a> {
    start: *mut f32,
    marker: PhantomData<&'a mut [f32]>,
}

impl SharedOut<'_> {
    fn get(&self) -> *mut f32 {
        self.start
    }
}

// SAFETY: the buffer is mutably borrowed for `'a`, and the users above write disjoint parts of it.
unsafe impl Sync for SharedOut<'_> {}

/// A range of columns of a row-major output, owned by one task.
pub(crate) struct Columns<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    range: Range<usize>,
    marker: PhantomData<&'a mut [f32]>,
}

impl Columns<'_> {
    /// The columns of this panel.
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The same columns for a callee; they cannot be used here until it is done.
    pub(crate) fn again(&mut self) -> Columns<'_> {
        let Self { start, stride, rows, ref range, .. } = *self;
        Columns { start, stride, rows, range: range.clone(), marker: PhantomData }
    }

    /// This panel's part of row `row`.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: `row < rows` and the range lies within the width, so the part lies in the output; no other panel
        // has these columns, and `&mut self` keeps this task from holding two parts at once.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(row * self.stride + self.range.start), self.range.len())
        }
    }
}

/// Runs unclaimed tasks until none is left; a panic is kept for the caller and ends the claiming.
fn claim(shared: &Shared, n_tasks: usize, f: &(dyn Fn(usize) + Sync)) {
    let was = IN_TASK.replace(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        loop {
            let i = shared.next.fetch_add(1, Ordering::Relaxed);
            if i >= n_tasks {
                break;
            }
            f(i);
        }
    }));
    IN_TASK.set(was);
    if let Err(payload) = result {
        shared.next.store(n_tasks, Ordering::Relaxed);
        lock(&shared.panic).get_or_insert(payload);
    }
}

/// A worker's life: look, enter, claim, leave; park when there was nothing for a while.
fn work(shared: &Shared) {
    let mut seen = 0;
    let mut rounds = 0;
    while !shared.closing.load(Ordering::Relaxed) {
        let state = shared.state.load(Ordering::Acquire);
        let number = state / NEXT_JOB;
        if state & OPEN != 0 && number != seen {
            if shared.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            seen = number;
            rounds = 0;
            let job = lock(&shared.job).clone().expect("an open job is set until its last worker has left");
            // SAFETY: this thread is counted inside, so the caller is still in `run` and its closure alive.
            let task = unsafe { &*job.task };
            claim(shared, job.n_tasks, task);
            let before = shared.state.fetch_sub(1, Ordering::AcqRel);
            if before & (OPEN | (OPEN - 1)) == 1 {
                job.caller.unpark();
            }
        } else if rounds < SPINS {
            rounds += 1;
            std::hint::spin_loop();
        } else {
            let mut parked = lock(&shared.parked);
            *parked += 1;
            shared.n_parked.store(*parked, Ordering::SeqCst);
            // Checked again after announcing: the caller opens the job before it reads the announcement.
            let state = shared.state.load(Ordering::SeqCst);
            let idle = state & OPEN == 0 || state / NEXT_JOB == seen;
            if idle && !shared.closing.load(Ordering::SeqCst) {
                parked = shared.wake.wait(parked).unwrap_or_else(PoisonError::into_inner);
            }
            *parked -= 1;
            shared.n_parked.store(*parked, Ordering::SeqCst);
            rounds = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let pool = ThreadPool::new(threads);
            for n in [0, 1, 2, 3, 100] {
                let counts: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..50 {
                    pool.run(n, &|i| {
                        counts[i].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 50));
            }
        }
    }

    #[test]
    fn a_panicking_task_reaches_the_caller_and_the_pool_lives_on() {
        let pool = ThreadPool::new(3);
        for _ in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(10, &|i| assert!(i != 7, "seven"))));
            let payload = caught.expect_err("task seven panics");
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"seven"));
            let sum = AtomicUsize::new(0);
            pool.run(10, &|i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }

    #[test]
    fn a_call_inside_a_task_runs_alone() {
        let pool = ThreadPool::new(2);
        let sum = AtomicUsize::new(0);
        pool.run(4, &|_| {
            pool.run(4, &|i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 24);
    }

    #[test]
    fn several_callers_take_turns() {
        let pool = ThreadPool::new(2);
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(8, &|i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 3 * 200 * 28);
    }

    #[test]
    fn every_started_thread_is_set_up_once_with_its_number() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let pool = ThreadPool::with_setup(4, {
            let seen = Arc::clone(&seen);
            move |i| lock(&seen).push((i, thread::current().id()))
        });
        drop(pool);
        let mut seen = lock(&seen).clone();
        seen.sort_by_key(|(i, _)| *i);
        assert_eq!(seen.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(seen.iter().all(|(_, id)| *id != thread::current().id()));
    }

    #[test]
    fn work_too_small_to_share_stays_on_its_thread() {
        let pool = ThreadPool::new(3);
        let here = thread::current().id();
        alone(|| pool.run(50, &|_| assert_eq!(thread::current().id(), here)));
        let count = AtomicUsize::new(0);
        pool.run(5, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 5);
    }

    #[test]
    fn parked_workers_wake() {
        let pool = ThreadPool::new(2);
        for _ in 0..5 {
            thread::sleep(std::time::Duration::from_millis(5));
            let sum = AtomicUsize::new(0);
            pool.run(8, &|i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 28);
        }
    }
}

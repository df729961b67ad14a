//! The stream of one answer: a bounded channel that is pulled, by a thread or by a task.
//!
//! A slow reader slows the model, not memory.
//! The end has a slot of its own, so it cannot be lost when the channel is full.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lorekit_cancel::{CancelToken, Cancelled};

use crate::{Answer, AnswerEvent, Error, Result};

/// Events that wait for the reader at most. Chosen, not tuned: about a second of text.
const CAPACITY: usize = 64;
/// How long a writer that waits for room goes without a look at its token: who closes an engine sets the token alone,
/// and a stream that nobody reads or drops wakes nobody.
const LOOK: Duration = Duration::from_millis(20);

struct State {
    queue: VecDeque<AnswerEvent>,
    end: Option<Result<Answer>>,
    closed: bool,
    waker: Option<Waker>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    cancel: CancelToken,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The events of one answer, pulled in batches. Dropping it cancels the request.
///
/// Single use: one reader at a time; a second reader takes events away from the first.
pub struct AnswerStream {
    shared: Arc<Shared>,
}

/// The worker's end of an [`AnswerStream`].
pub(crate) struct EventSender {
    shared: Arc<Shared>,
}

pub(crate) fn channel(cancel: CancelToken) -> (EventSender, AnswerStream) {
    let state = State { queue: VecDeque::with_capacity(CAPACITY), end: None, closed: false, waker: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), cancel });
    (EventSender { shared: Arc::clone(&shared) }, AnswerStream { shared })
}

impl EventSender {
    /// Waits for room, then queues the event; `Err` as soon as the request is cancelled.
    pub(crate) fn send(&self, event: AnswerEvent) -> Result<(), Cancelled> {
        let mut state = self.shared.lock();
        while state.queue.len() >= CAPACITY && !self.shared.cancel.is_cancelled() {
            state = self.shared.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.shared.cancel.check()?;
        state.queue.push_back(event);
        self.shared.wake(state);
        Ok(())
    }

    pub(crate) fn finish(self, end: Result<Answer>) {
        let mut state = self.shared.lock();
        state.end.get_or_insert(end);
        self.shared.wake(state);
    }

    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.shared.cancel
    }
}

impl Drop for EventSender {
    /// A worker that goes away without an end would leave the reader waiting for ever.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.end.is_none() && !state.closed {
            state.end = Some(Err(Error::Closed));
        }
        self.shared.wake(state);
    }
}

impl AnswerStream {
    /// Waits for the next events; an empty batch is the end.
    ///
    /// # Errors
    /// The request's error, once; [`Error::Cancelled`] after [`cancel`](Self::cancel).
    pub fn next_batch(&self) -> Result<Vec<AnswerEvent>> {
        let mut state = self.shared.lock();
        loop {
            if let Some(batch) = self.take(&mut state) {
                self.shared.changed.notify_all();
                return batch;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same as [`next_batch`](Self::next_batch) for a task; dropping the future loses no event.
    pub fn next_batch_async(&self) -> NextBatch<'_> {
        NextBatch { stream: self }
    }

    /// Asks the worker to stop, and wakes a waiting reader at once. The engine stays usable.
    pub fn cancel(&self) {
        self.shared.cancel.cancel();
        self.shared.wake(self.shared.lock());
    }

    /// Reads to the end and returns the whole answer.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub fn final_answer(self) -> Result<Answer> {
        loop {
            let batch = self.next_batch()?;
            if batch.is_empty() {
                return Err(Error::Internal { reason: "the stream ended without an answer".into() });
            }
            for event in batch {
                if let AnswerEvent::Finished(answer) = event {
                    return Ok(*answer);
                }
            }
        }
    }

    fn take(&self, state: &mut State) -> Option<Result<Vec<AnswerEvent>>> {
        if state.closed {
            return Some(Ok(Vec::new()));
        }
        if self.shared.cancel.is_cancelled() {
            state.closed = true;
            state.queue.clear();
            return Some(Err(Error::Cancelled));
        }
        if !state.queue.is_empty() {
            return Some(Ok(state.queue.drain(..).collect()));
        }
        let end = state.end.take()?;
        state.closed = true;
        Some(end.map(|answer| vec![AnswerEvent::Finished(Box::new(answer))]))
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Future of [`AnswerStream::next_batch_async`].
pub struct NextBatch<'a> {
    stream: &'a AnswerStream,
}

impl Future for NextBatch<'_> {
    type Output = Result<Vec<AnswerEvent>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.stream.shared.lock();
        match self.stream.take(&mut state) {
            Some(batch) => {
                self.stream.shared.changed.notify_all();
                Poll::Ready(batch)
            }
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Usage};
    use std::thread;

    fn text(n: usize) -> AnswerEvent {
        AnswerEvent::Text(n.to_string())
    }

    fn answer() -> Answer {
        Answer {
            text: String::new(),
            citations: vec![],
            passages: vec![],
            outcome: Outcome::Answered,
            usage: Usage::default(),
        }
    }

    #[test]
    fn a_token_alone_frees_a_writer_whose_stream_nobody_reads() {
        let cancel = CancelToken::new();
        let (sender, _stream) = channel(cancel.clone());
        let (told, done) = std::sync::mpsc::channel();
        thread::spawn(move || told.send((0..=CAPACITY).try_for_each(|n| sender.send(text(n)))));
        assert!(done.recv_timeout(LOOK * 2).is_err(), "there is no room for the last");
        cancel.cancel();
        // Far more than one look, so that a busy machine does not matter.
        assert_eq!(done.recv_timeout(Duration::from_secs(20)), Ok(Err(Cancelled)));
    }

    #[test]
    fn every_event_arrives_in_order_and_the_end_is_last() {
        let (sender, stream) = channel(CancelToken::new());
        let writer = thread::spawn(move || {
            for n in 0..CAPACITY * 5 {
                sender.send(text(n)).unwrap();
            }
            sender.finish(Ok(answer()));
        });
        let mut seen = Vec::new();
        loop {
            let batch = stream.next_batch().unwrap();
            if batch.is_empty() {
                break;
            }
            seen.extend(batch);
        }
        writer.join().unwrap();
        assert_eq!(seen.len(), CAPACITY * 5 + 1);
        for (n, event) in seen[..CAPACITY * 5].iter().enumerate() {
            assert!(matches!(event, AnswerEvent::Text(t) if *t == n.to_string()));
        }
        assert!(matches!(seen.last(), Some(AnswerEvent::Finished(_))));
        assert!(stream.next_batch().unwrap().is_empty());
    }

    #[test]
    fn cancel_wakes_a_writer_that_waits_for_room() {
        let (sender, stream) = channel(CancelToken::new());
        let writer = thread::spawn(move || (0..).find_map(|n| sender.send(text(n)).err()));
        stream.next_batch().unwrap();
        stream.cancel();
        assert_eq!(writer.join().unwrap(), Some(Cancelled));
        assert!(matches!(stream.next_batch(), Err(Error::Cancelled)));
        assert!(stream.next_batch().unwrap().is_empty());
    }

    #[test]
    fn cancel_wakes_a_waiting_reader() {
        let cancel = CancelToken::new();
        let (_sender, stream) = channel(cancel);
        let stream = Arc::new(stream);
        let reader = thread::spawn({
            let stream = Arc::clone(&stream);
            move || stream.next_batch()
        });
        stream.cancel();
        assert!(matches!(reader.join().unwrap(), Err(Error::Cancelled)));
    }

    #[test]
    fn a_worker_that_vanishes_ends_the_stream() {
        let (sender, stream) = channel(CancelToken::new());
        drop(sender);
        assert!(matches!(stream.next_batch(), Err(Error::Closed)));
    }

    #[test]
    fn dropping_the_stream_cancels_the_request() {
        let cancel = CancelToken::new();
        let (sender, stream) = channel(cancel.clone());
        drop(stream);
        assert!(cancel.is_cancelled());
        assert_eq!(sender.send(text(0)), Err(Cancelled));
    }
}

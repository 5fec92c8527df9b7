//! What streaming RPCs share: how many run at once, and the signal that the service stops.
//!
//! A stream has no deadline, and tonic counts it as done once its headers are sent. So each holds
//! an [`Admission`] as long as its messages flow, and ends when that says so.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::api::rejection::Rejection;

/// Streams of all clients at once, at most.
pub const STREAMS_OPEN_MAX: usize = 128;

/// The streams that run now.
#[derive(Debug)]
pub struct Streams {
    permits: Arc<Semaphore>,
    max: usize,
    stopping: watch::Sender<bool>,
}

/// The right of one stream to run. Dropping it lets another one in.
#[derive(Debug)]
pub struct Admission {
    _permit: OwnedSemaphorePermit,
    stopping: watch::Receiver<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(STREAMS_OPEN_MAX)
    }
}

impl Streams {
    /// At most `max` streams at once.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)), max, stopping: watch::Sender::new(false) }
    }

    /// Lets a stream in.
    ///
    /// # Errors
    ///
    /// [`Rejection::TooManyStreams`], and [`Rejection::Stopping`] once the service stops.
    pub fn admit(&self) -> Result<Admission, Rejection> {
        if *self.stopping.borrow() {
            return Err(Rejection::Stopping);
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_full| Rejection::TooManyStreams { max: self.max })?;
        Ok(Admission { _permit: permit, stopping: self.stopping.subscribe() })
    }

    /// Streams that run now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.max - self.permits.available_permits()
    }

    /// Tells every stream to end, and lets none in from now on.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Admission {
    /// Completes when the service stops; the stream then ends with [`Rejection::Stopping`].
    pub async fn stopped(&mut self) {
        // An error means that the service is gone, which means the same.
        let _told_or_gone: Result<_, _> = self.stopping.wait_for(|stopping| *stopping).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_streams_run_than_may_and_each_end_makes_room() {
        let streams = Streams::new(2);
        let first = streams.admit().unwrap();
        let _second = streams.admit().unwrap();
        assert_eq!(streams.open(), 2);
        assert_eq!(streams.admit().unwrap_err(), Rejection::TooManyStreams { max: 2 });
        drop(first);
        assert_eq!(streams.open(), 1);
        drop(streams.admit().unwrap());
    }

    #[tokio::test]
    async fn every_stream_hears_that_the_service_is_to_stop() {
        let streams = Streams::new(4);
        let mut admission = streams.admit().unwrap();
        streams.stop();
        admission.stopped().await;
        assert_eq!(streams.admit().unwrap_err(), Rejection::Stopping);
        drop(streams);
        admission.stopped().await;
    }
}

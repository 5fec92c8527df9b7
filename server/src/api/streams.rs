//! What streaming RPCs share: how many run at once, and the signal that the service stops.
//!
//! A stream has no deadline, and tonic counts it as done once its headers are sent. So each holds
//! an [`Admission`] as long as its messages flow, and ends when that says so.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    api::rejection::Rejection,
    auth::Peer,
    budgets::{Budget, Share},
    words::bounds::{
        QUEUED_BYTES, QUEUED_BYTES_PER_PRINCIPAL, STREAMS_OPEN_MAX, STREAMS_PER_PRINCIPAL,
    },
};

/// The streams that run now.
#[derive(Debug)]
pub struct Streams {
    places: Arc<Budget>,
    /// Bytes of events that wait in queues.
    queued: Arc<Budget>,
    stopping: watch::Sender<bool>,
}

/// The right of one stream to run. Dropping it lets another one in.
#[derive(Debug)]
pub struct Admission {
    _place: Share,
    stopping: watch::Receiver<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(STREAMS_PER_PRINCIPAL, STREAMS_OPEN_MAX)
    }
}

impl Streams {
    /// At most `each` streams of one principal at once, and `all` in total.
    fn new(each: usize, all: usize) -> Self {
        Self {
            places: Budget::new(each, all),
            queued: Budget::new(QUEUED_BYTES_PER_PRINCIPAL, QUEUED_BYTES),
            stopping: watch::Sender::new(false),
        }
    }

    /// Lets a stream of this principal in.
    ///
    /// # Errors
    ///
    /// [`Rejection::TooManyStreams`], and [`Rejection::Stopping`] once the service stops.
    pub(crate) fn admit(&self, principal: Peer) -> Result<Admission, Rejection> {
        if *self.stopping.borrow() {
            return Err(Rejection::Stopping);
        }
        let place = self.places.take(principal, 1);
        let place = place.map_err(|spent| Rejection::TooManyStreams { max: spent.max })?;
        Ok(Admission { _place: place, stopping: self.stopping.subscribe() })
    }

    /// Room for events that wait for this principal, to grow as they do.
    pub(crate) fn room(&self, principal: Peer) -> Share {
        self.queued.begin(principal)
    }

    /// Streams that run now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.places.held()
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
    use crate::auth::Principal;

    #[test]
    fn no_more_streams_run_than_may_and_each_end_makes_room() {
        let streams = Streams::new(2, 3);
        let [one, other] = [1, 2].map(|uid| Some(Principal::Uid(uid)));
        let first = streams.admit(one.clone()).unwrap();
        let _second = streams.admit(one.clone()).unwrap();
        assert_eq!(streams.open(), 2);
        assert_eq!(streams.admit(one.clone()).unwrap_err(), Rejection::TooManyStreams { max: 2 });
        let _third = streams.admit(other.clone()).unwrap();
        assert_eq!(streams.admit(other.clone()).unwrap_err(), Rejection::TooManyStreams { max: 3 });
        drop(first);
        assert_eq!(streams.open(), 2);
        drop(streams.admit(one.clone()).unwrap());
    }

    #[tokio::test]
    async fn every_stream_hears_that_the_service_is_to_stop() {
        let streams = Streams::new(4, 4);
        let mut admission = streams.admit(None).unwrap();
        streams.stop();
        admission.stopped().await;
        assert_eq!(streams.admit(None).unwrap_err(), Rejection::Stopping);
        drop(streams);
        admission.stopped().await;
    }
}

//! HTTP/2 for our listeners, over the `h2` crate: connections, calls and answers, with a bound and
//! a deadline on everything that a client could make us keep.
//!
//! ```text
//! Incoming ─▶ Server ─▶ connection ─▶ call: request body ─▶ service ─▶ answer, as it is taken
//!             places      preface,     in all at most          bytes that wait: `Budget`;
//!             or GOAWAY   idleness     `CALL_MAX`              a piece: `ANSWER_TAKEN_MAX`
//! ```
//!
//! tonic's own server stands on hyper, which hides the windows, the GOAWAY and the answers that
//! wait. Services are tonic's all the same.

mod answer;
mod call;
mod caller;
mod connection;
mod goodbye;
mod request;

use std::{convert::Infallible, sync::Arc};

use tokio::{sync::watch, task::JoinSet};
use tonic::{Status, body::Body};
use tower::Service;

use super::{Cutoff, listen::Incoming, places::Places};
use crate::{
    budgets::Budget,
    panics::{self, Panicked},
    words::bounds::{
        ANSWER_BYTES, ANSWER_BYTES_PER_PRINCIPAL, CALLS_OPEN_MAX, CALLS_PER_PRINCIPAL,
    },
};

/// What a service takes and gives.
pub(crate) type Request = http::Request<Body>;
pub(crate) type Response = http::Response<Body>;

/// A service that can be served.
pub(crate) trait Serve:
    Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Serve for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The server of one service.
#[derive(Debug)]
pub(crate) struct Server<S> {
    service: S,
    /// How a client is told.
    tell: fn(Cutoff) -> Status,
    places: Arc<Places>,
    calls: Arc<Budget>,
    /// Bytes of answers that wait to be taken.
    answers: Arc<Budget>,
}

impl<S: Serve> Server<S> {
    /// Serves this service on at most `connections_max` connections; `tell` makes of a cutoff what
    /// clients are told.
    pub(crate) fn new(service: S, connections_max: usize, tell: fn(Cutoff) -> Status) -> Self {
        Self {
            service,
            tell,
            places: Places::new(connections_max),
            calls: Budget::new(CALLS_PER_PRINCIPAL, CALLS_OPEN_MAX),
            answers: Budget::new(ANSWER_BYTES_PER_PRINCIPAL, ANSWER_BYTES),
        }
    }

    /// Serves until `stop` completes, then lets calls that are under way end.
    pub(crate) async fn serve(self, mut incoming: Incoming, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let (stopping, told) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut goodbyes = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(accepted) = incoming.next() => {
                    match server.places.take(Some(accepted.principal())) {
                        Ok(place) => {
                            let server = Arc::clone(&server);
                            let serving = server.connection(accepted, place, told.clone());
                            connections.spawn(alone(serving));
                        }
                        Err(spent) => goodbye::refuse(&mut goodbyes, accepted, spent),
                    }
                }
                Some(_ended) = connections.join_next() => {}
                Some(_ended) = goodbyes.join_next() => {}
            }
        }
        drop(incoming);
        stopping.send_replace(true);
        while connections.join_next().await.is_some() {}
    }
}

/// A connection or a call: a panic in it, which is logged and counted, ends nothing else.
async fn alone(task: impl Future<Output = ()>) {
    let _ended: Result<(), Panicked> = panics::contained(task).await;
}

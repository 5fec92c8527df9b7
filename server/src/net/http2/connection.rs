//! One connection: its preface, its calls, and why it ends.

use std::{io, sync::Arc, time::Duration};

use h2::{
    Ping, PingPong, Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Serve, Server, alone,
    answer::{Piece, refuse},
    caller::Caller,
};
use crate::{
    budgets::Budget,
    net::{Cutoff, connection::Accepted, places::Place},
    words::bounds::{
        ANSWER_BYTES_PER_CONNECTION, HEADER_BYTES_MAX, IDLE_MAX, PREFACE_MAX, STREAMS_MAX,
    },
};

/// Streams that a peer may make us reset before we end its connection (RUSTSEC-2024-0003).
const RESET_STREAMS_MAX: usize = 1024;

/// Bytes that a peer may send ahead of our reading, for a stream and for a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one answer that the HTTP/2 library takes before the socket has taken them.
const SEND_BUFFER: usize = 32 * 1024;

/// Time between two pings of a peer, and how long it may take to answer one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time to tell a peer that its connection ends.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Bytes both ways, with the way of HTTP/2 to send pieces of answers.
type Http2 = Connection<Accepted, Piece>;

/// A stream that a client has opened: its request, and the way to answer.
type Opened = (http::Request<RecvStream>, SendResponse<Piece>);

impl<S: Serve> Server<S> {
    /// Serves one connection to its end.
    pub(super) async fn connection(
        self: Arc<Self>,
        accepted: Accepted,
        place: Place,
        stopping: watch::Receiver<bool>,
    ) {
        let (principal, proof) = (accepted.principal(), accepted.proof.clone());
        let handshake = async {
            let heard = accepted.heard().await?;
            builder().handshake(heard).await.map_err(io::Error::other)
        };
        let http2 = tokio::select! {
            shaken = timeout(PREFACE_MAX, handshake) => shaken,
            () = place.dismissed() => return,
        };
        let http2 = match http2 {
            Ok(Ok(http2)) => http2,
            Ok(Err(error)) => return tracing::debug!(?principal, %error, "no HTTP/2 client"),
            Err(_elapsed) => return tracing::debug!(?principal, "silent connection ended"),
        };
        let answers = Budget::new(ANSWER_BYTES_PER_CONNECTION, ANSWER_BYTES_PER_CONNECTION);
        let caller =
            Caller { principal: Some(principal.clone()), proof, connection_answers: answers };
        let live = Live { server: self, caller, calls: JoinSet::new(), place };
        if let Err(error) = live.run(http2, stopping).await {
            tracing::debug!(?principal, %error, "connection ended");
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_local_error_reset_streams(Some(RESET_STREAMS_MAX))
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// A connection whose peer speaks HTTP/2.
struct Live<S> {
    server: Arc<Server<S>>,
    caller: Caller,
    calls: JoinSet<()>,
    place: Place,
}

impl<S: Serve> Live<S> {
    async fn run(
        mut self,
        mut http2: Http2,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), h2::Error> {
        let mut unanswered = std::pin::pin!(unanswered(http2.ping_pong()));
        let mut idle_since = Instant::now();
        let mut is_stopping = false;
        let reason = loop {
            tokio::select! {
                opened = http2.accept() => match opened {
                    Some(opened) => self.begin(opened?),
                    None => return Ok(()),
                },
                Some(_ended) = self.calls.join_next() => if self.calls.is_empty() {
                    idle_since = Instant::now();
                    self.place.end_calls();
                },
                () = told(&mut stopping), if !is_stopping => {
                    is_stopping = true;
                    http2.graceful_shutdown();
                },
                () = self.place.dismissed() => break Reason::ENHANCE_YOUR_CALM,
                () = sleep_until(idle_since + IDLE_MAX), if self.calls.is_empty() => {
                    break Reason::NO_ERROR;
                },
                () = &mut unanswered => break Reason::NO_ERROR,
            }
        };
        http2.abrupt_shutdown(reason);
        let gone = std::future::poll_fn(|context| http2.poll_closed(context));
        timeout(GOODBYE_MAX, gone).await.unwrap_or(Ok(()))
    }

    /// A call begins, or is refused.
    fn begin(&mut self, (request, respond): Opened) {
        let Self { server, caller, calls, place } = self;
        match server.calls.take(caller.principal.clone(), 1) {
            Ok(share) => {
                if calls.is_empty() {
                    place.begin_calls();
                }
                let server = Arc::clone(server);
                calls.spawn(alone(server.call(caller.clone(), request, respond, share)));
            }
            Err(spent) => {
                let cutoff = Cutoff::TooManyCalls { max: spent.max };
                refuse(respond, &(server.tell)(cutoff));
            }
        }
    }
}

/// Completes when the server is to stop.
async fn told(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which means the same.
    let _told_or_gone: Result<_, _> = stopping.wait_for(|stopping| *stopping).await;
}

/// Completes when the peer has not answered a ping in time.
async fn unanswered(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(KEEPALIVE_INTERVAL).await;
        match timeout(KEEPALIVE_TIMEOUT, pings.ping(Ping::opaque())).await {
            Ok(Ok(_pong)) => {}
            // The connection has ended, which others notice.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_elapsed) => return,
        }
    }
}

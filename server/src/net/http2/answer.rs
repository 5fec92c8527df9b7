//! An answer on its way to the client: handed to the connection as the client makes room for it,
//! and never more than may wait.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use bytes::{Buf, Bytes};
use h2::{Reason, SendStream, server::SendResponse};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body};

use super::{Response, Serve, Server, caller::Caller};
use crate::{
    budgets::{Budget, Share},
    net::Cutoff,
    words::bounds::ANSWER_TAKEN_MAX,
};

/// A piece of an answer. It counts as waiting until the socket has taken it, and the connection
/// drops it.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    _waiting: Option<Arc<Waiting>>,
}

/// What an answer takes of the budgets of its connection and its principal.
type Waiting = [Share; 2];

/// How a way to the client ended before the answer did.
enum End {
    /// The client is gone, or has given up.
    Gone,
    /// It is cut off.
    Cut(Cutoff),
}

impl From<h2::Error> for End {
    fn from(_gone: h2::Error) -> Self {
        Self::Gone
    }
}

/// A frame of an answer, or what was wrong with it.
type Framed = Option<Result<Frame<Bytes>, Status>>;

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl<S: Serve> Server<S> {
    /// Sends an answer to its end, or to that of the client's patience or ours.
    pub(super) async fn answer(
        &self,
        caller: &Caller,
        response: Response,
        mut respond: SendResponse<Piece>,
    ) {
        let (head, mut body) = response.into_parts();
        let head = http::Response::from_parts(head, ());
        if body.is_end_stream() {
            // An error means that the client is gone.
            let _sent_or_gone: Result<_, h2::Error> = respond.send_response(head, true);
            return;
        }
        // A unary answer is there at once. One that may not wait has not begun yet.
        let first = poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context))).await;
        let first = match first {
            Poll::Ready(frame) => match self.wait(caller, frame) {
                Ok(counted) => Some(counted),
                Err(cutoff) => return refuse(respond, &(self.tell)(cutoff)),
            },
            Poll::Pending => None,
        };
        let Ok(mut stream) = respond.send_response(head, false) else { return };
        if let Err(End::Cut(cutoff)) = self.send(caller, &mut stream, first, body).await {
            let mut trailers = HeaderMap::new();
            // What cannot be said ends the stream all the same.
            let told = (self.tell)(cutoff).add_header(&mut trailers).is_ok()
                && stream.send_trailers(trailers).is_ok();
            if !told {
                stream.send_reset(Reason::ENHANCE_YOUR_CALM);
            }
        }
    }

    /// Sends frame after frame.
    async fn send(
        &self,
        caller: &Caller,
        stream: &mut SendStream<Piece>,
        first: Option<Counted>,
        mut body: Body,
    ) -> Result<(), End> {
        let mut next = first;
        loop {
            let counted = match next.take() {
                Some(counted) => counted,
                None => {
                    let frame = tokio::select! {
                        _given_up = poll_fn(|context| stream.poll_reset(context)) => {
                            return Err(End::Gone);
                        }
                        frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => frame,
                    };
                    self.wait(caller, frame).map_err(End::Cut)?
                }
            };
            match counted {
                Counted::Data(bytes, waiting) => give(stream, bytes, &waiting).await?,
                Counted::Trailers(trailers) => return Ok(stream.send_trailers(trailers)?),
                Counted::End => return Ok(stream.send_data(Piece::empty(), true)?),
                Counted::Broken => {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Err(End::Gone);
                }
            }
        }
    }

    /// Counts a frame as waiting.
    fn wait(&self, caller: &Caller, frame: Framed) -> Result<Counted, Cutoff> {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(_status)) => return Ok(Counted::Broken),
            None => return Ok(Counted::End),
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(other) => {
                return Ok(other.into_trailers().map_or(Counted::Broken, Counted::Trailers));
            }
        };
        let take = |budget: &Arc<Budget>| budget.take(caller.principal.clone(), bytes.len());
        let waiting = take(&caller.connection_answers)
            .and_then(|own| take(&self.answers).map(|all| Arc::new([own, all])))
            .map_err(|spent| Cutoff::UnreadAnswers { max: spent.max })?;
        Ok(Counted::Data(bytes, waiting))
    }
}

/// Answers with nothing but a status.
pub(super) fn refuse(mut respond: SendResponse<Piece>, status: &Status) {
    // An error means that the client is gone.
    let _sent_or_gone: Result<_, h2::Error> =
        respond.send_response(status.clone().into_http(), true);
}

/// A frame that counts as waiting.
enum Counted {
    Data(Bytes, Arc<Waiting>),
    Trailers(HeaderMap),
    End,
    Broken,
}

impl Piece {
    const fn empty() -> Self {
        Self { bytes: Bytes::new(), _waiting: None }
    }
}

/// Hands bytes to the connection as the client makes room for them.
async fn give(
    stream: &mut SendStream<Piece>,
    mut bytes: Bytes,
    waiting: &Arc<Waiting>,
) -> Result<(), End> {
    let deadline = Instant::now() + ANSWER_TAKEN_MAX;
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = timeout_at(deadline, room(stream)).await;
        let room = room.map_err(|_elapsed| End::Cut(Cutoff::SlowConsumer))??;
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.send_data(Piece { bytes: piece, _waiting: Some(Arc::clone(waiting)) }, false)?;
    }
    Ok(())
}

/// Waits until the client and the connection have room.
async fn room(stream: &mut SendStream<Piece>) -> Result<usize, End> {
    match stream.capacity() {
        0 => match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(room) => Ok(room?),
            None => Err(End::Gone),
        },
        room => Ok(room),
    }
}

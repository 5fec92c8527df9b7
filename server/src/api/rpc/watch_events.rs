//! `EventService.WatchEvents`: one subscription for as long as its stream is open.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use mos_proto::v1::{self, watch_events_response::Message};
use tokio_stream::Stream;
use tonic::{Status, codegen::BoxStream};

use super::watches::{self, Slow};
use crate::{
    api::{convert, rejection::Rejection, state::Control},
    auth::Role,
    events::{CoreEvent, Subscriber, Told},
    filter::Filter,
    flows::page_token::RequestDigest,
    net::call::Call,
    words::facts::Payload,
};

/// Opens a stream of events.
pub(crate) async fn watch_events(
    control: Arc<Control>,
    call: &Call,
    request: v1::WatchEventsRequest,
) -> Result<BoxStream<v1::WatchEventsResponse>, Rejection> {
    let kinds = convert::event_kinds(&request.types)?;
    let filter = Filter::parse_for_events(&request.filter).map_err(Rejection::Filter)?;
    let slow = Slow::of(request.slow_policy, Slow::Loses)?;
    if slow == Slow::Coalesces {
        return Err(watches::refused("COALESCE is for WatchFlows alone".to_owned()));
    }
    let digest = RequestDigest::new(&request.filter, &kinds.bits().to_be_bytes());
    let from = watches::position(&control, &request.resume_token, digest)?;
    let mut admission = control.streams.admit(call.principal.clone())?;
    let subscriber = watches::subscribe(&control, call, kinds, filter, (slow.keep(), from)).await;
    let subscriber = subscriber.map_err(watches::ended)?;
    let shows_payload = control.settings.payload && call.roles.have(Role::Payload);
    Ok(Box::pin(Watch {
        subscribed: Some(watches::subscribed(&control, &subscriber)),
        subscriber,
        slow,
        digest,
        control,
        payload: if shows_payload { Payload::Shown } else { Payload::Hidden },
        stopped: Some(Box::pin(async move { admission.stopped().await })),
    }))
}

/// The body of the stream.
struct Watch {
    /// The first message, until it is sent.
    subscribed: Option<v1::Subscribed>,
    subscriber: Subscriber,
    slow: Slow,
    /// What its bookmarks are for.
    digest: RequestDigest,
    control: Arc<Control>,
    payload: Payload,
    /// Ready when the service stops; `None` once the stream has told why it ends. It holds the
    /// right to be open.
    stopped: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Watch {
    fn message(&self, told: Told) -> Result<Message, Rejection> {
        Ok(match told {
            Told::Event(CoreEvent { core, event, replaced: _ }) => {
                Message::Event(convert::event(core, &event, self.payload))
            }
            Told::Lost(loss) => {
                self.slow.check(&loss)?;
                Message::Lost(convert::lost(&loss))
            }
            Told::Bookmark(position) => {
                Message::Bookmark(watches::bookmark(&self.control, &position, self.digest))
            }
        })
    }
}

impl Stream for Watch {
    type Item = Result<v1::WatchEventsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let said =
            |message| Poll::Ready(Some(Ok(v1::WatchEventsResponse { message: Some(message) })));
        if let Some(subscribed) = self.subscribed.take() {
            return said(Message::Subscribed(subscribed));
        }
        let Some(stopped) = &mut self.stopped else { return Poll::Ready(None) };
        let outcome = if stopped.as_mut().poll(context).is_ready() {
            Err(Rejection::Stopping)
        } else {
            match self.subscriber.poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(told)) => self.message(told),
                Poll::Ready(Err(error)) => Err(watches::ended(error)),
            }
        };
        match outcome {
            Ok(message) => said(message),
            Err(rejection) => {
                self.stopped = None;
                Poll::Ready(Some(Err(rejection.into())))
            }
        }
    }
}

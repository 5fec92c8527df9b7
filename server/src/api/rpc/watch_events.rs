//! `EventService.WatchEvents`: one subscription for as long as its stream is open.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use mos_control::Refusal;
use mos_proto::v1::{self, watch_events_response::Message};
use tokio_stream::Stream;
use tonic::{Status, codegen::BoxStream};

use crate::{
    api::{convert, rejection::Rejection, state::Control},
    auth::Role,
    events::{CoreEvent, Item, Subscriber},
    filter::Filter,
    net::call::Call,
    words::facts::Payload,
};

/// Opens a stream of events.
pub(crate) async fn watch_events(
    control: &Control,
    call: &Call,
    request: v1::WatchEventsRequest,
) -> Result<BoxStream<v1::WatchEventsResponse>, Rejection> {
    let kinds = convert::event_kinds(&request.types)?;
    let filter = Filter::parse_for_events(&request.filter).map_err(Rejection::Filter)?;
    let mut admission = control.streams.admit(call.principal.clone())?;
    let room = control.streams.room(call.principal.clone());
    let subscriber = control.events.subscribe(kinds, filter, room).await.map_err(refused)?;
    let subscribed = v1::Subscribed {
        boot_id: control.boot.to_string(),
        subscription: format!("subscriptions/{}", subscriber.id()),
    };
    let shows_payload = control.settings.payload && call.roles.have(Role::Payload);
    Ok(Box::pin(Watch {
        subscribed: Some(subscribed),
        subscriber,
        payload: if shows_payload { Payload::Shown } else { Payload::Hidden },
        stopped: Some(Box::pin(async move { admission.stopped().await })),
    }))
}

fn refused(refusal: Refusal) -> Rejection {
    Rejection::Refused { refusal, resource: "events".to_owned() }
}

/// The body of the stream.
struct Watch {
    /// The first message, until it is sent.
    subscribed: Option<v1::Subscribed>,
    subscriber: Subscriber,
    payload: Payload,
    /// Ready when the service stops; `None` once the stream has told why it ends. It holds the
    /// right to be open.
    stopped: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
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
        if stopped.as_mut().poll(context).is_ready() {
            self.stopped = None;
            return Poll::Ready(Some(Err(Rejection::Stopping.into())));
        }
        match self.subscriber.poll_next(context) {
            Poll::Ready(Ok(Item::Value(CoreEvent { core, event }))) => {
                said(Message::Event(convert::event(core, &event, self.payload)))
            }
            Poll::Ready(Ok(Item::Lost(loss))) => said(Message::Lost(convert::lost(&loss))),
            Poll::Ready(Err(refusal)) => {
                self.stopped = None;
                Poll::Ready(Some(Err(refused(refusal).into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

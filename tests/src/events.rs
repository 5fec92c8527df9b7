//! Subscriptions without `mosctl`: one that a test reads at its own pace, and one that records
//! every event.

use std::sync::mpsc;
use std::thread;

use mos_proto::v1::event_service_client::EventServiceClient;
use mos_proto::v1::watch_events_response::Message;
use mos_proto::v1::{Event, EventType, Lost, WatchEventsRequest, WatchEventsResponse};
use tokio::runtime::Builder;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::service::Mosd;

/// Bytes that a service may send ahead of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Enough never to delay a fast reader.
    Wide,
    /// So few that a slow reader soon delays the service.
    Narrow,
}

/// A subscription to all events of a service with one core, and the counts of what it delivered.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<WatchEventsResponse>,
    /// Number of the first event.
    pub first: i64,
    /// Number of the last event.
    pub last: i64,
    /// Events delivered.
    pub delivered: i64,
    /// Events counted as lost after the first and up to the last.
    pub lost: i64,
    /// The messages about these losses.
    pub losses: Vec<Lost>,
    /// Events of losses that no event has followed yet.
    open: i64,
}

impl Watch {
    /// Subscribes to every type of event, new data included.
    pub async fn all(service: &Mosd, window: Window) -> Self {
        let types: Vec<_> =
            (1..=15).filter_map(|number| EventType::try_from(number).ok()).collect();
        let stream = subscribe(service, window, &types).await;
        let losses = Vec::new();
        Self { stream, first: 0, last: 0, delivered: 0, lost: 0, losses, open: 0 }
    }

    /// Reads one message; asserts that every number belongs to an event or to a loss at its place.
    /// Returns the event.
    ///
    /// # Errors
    ///
    /// The status with which the stream ends.
    pub async fn read(&mut self) -> Result<Option<Event>, Status> {
        let message = self.stream.message().await?.and_then(|response| response.message);
        match message.expect("the stream goes on") {
            Message::Event(event) => {
                if self.delivered == 0 {
                    (self.first, self.open) = (event.core_sequence, 0);
                } else {
                    let expected = self.last + self.open + 1;
                    assert_eq!(event.core_sequence, expected, "after {:?}", self.losses.last());
                }
                self.lost += std::mem::take(&mut self.open);
                self.last = event.core_sequence;
                self.delivered += 1;
                Ok(Some(event))
            }
            Message::Lost(lost) => {
                self.open += lost.dropped_count;
                self.losses.push(lost);
                Ok(None)
            }
            Message::Bookmark(_) => Ok(None),
            Message::Subscribed(again) => panic!("subscribed twice: {again:?}"),
        }
    }

    /// Reads until something is lost, and an event has followed.
    ///
    /// # Errors
    ///
    /// The status with which the stream ends.
    pub async fn read_past_a_loss(&mut self) -> Result<(), Status> {
        while self.lost == 0 {
            self.read().await?;
        }
        Ok(())
    }

    /// Events that happened from the first delivered one to the last.
    pub const fn happened(&self) -> i64 {
        self.last - self.first + 1
    }
}

/// All events of some types since the beginning of the subscription, read by a thread of its own
/// until the service stops.
#[derive(Debug)]
pub struct Chronicle {
    told: mpsc::Receiver<Event>,
    reader: thread::JoinHandle<()>,
}

/// The event of a message; a bookmark has none.
fn event_of(response: WatchEventsResponse) -> Option<Event> {
    match response.message {
        Some(Message::Event(event)) => Some(event),
        Some(Message::Bookmark(_)) => None,
        other @ (Some(Message::Subscribed(_) | Message::Lost(_)) | None) => {
            panic!("not everything was told: {other:?}")
        }
    }
}

impl Chronicle {
    /// Subscribes.
    #[track_caller]
    pub fn begin(service: &Mosd, types: &[EventType]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut stream = runtime.block_on(subscribe(service, Window::Wide, types));
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            while let Ok(Some(response)) = runtime.block_on(stream.message()) {
                event_of(response)
                    .into_iter()
                    .for_each(|event| tell.send(event).unwrap_or_default());
            }
        });
        Self { told, reader }
    }

    /// The events since the last call.
    pub fn news(&self) -> Vec<Event> {
        self.told.try_iter().collect()
    }

    /// Waits for the end of the service, and asserts that nothing was lost.
    #[track_caller]
    pub fn end(self) {
        self.reader.join().expect("everything was told");
    }
}

/// Opens a stream of events of some types, and waits until the subscription has begun.
async fn subscribe(
    service: &Mosd,
    window: Window,
    types: &[EventType],
) -> Streaming<WatchEventsResponse> {
    let types = types.iter().copied().map(i32::from).collect();
    let request = WatchEventsRequest { types, ..WatchEventsRequest::default() };
    let mut client = EventServiceClient::new(connect(service, window).await);
    let mut stream = client.watch_events(request).await.expect("a stream").into_inner();
    let first = stream.message().await.expect("a first message").and_then(|m| m.message);
    assert!(matches!(first, Some(Message::Subscribed(_))), "{first:?}");
    stream
}

async fn connect(service: &Mosd, window: Window) -> Channel {
    let window = match window {
        Window::Wide => 4 << 20,
        Window::Narrow => 64 << 10,
    };
    let address = format!("unix://{}", service.socket().display());
    let endpoint = Endpoint::from_shared(address).expect("an endpoint");
    let endpoint =
        endpoint.initial_stream_window_size(window).initial_connection_window_size(window);
    endpoint.connect().await.expect("the service answers")
}

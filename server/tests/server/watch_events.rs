//! `WatchEvents` over the transport: what a stream begins with, holds, and ends with.

use std::{sync::Arc, time::Duration};

use mos_control::{EventFeed, WorkerLink, event_ring, link};
use mos_proto::v1::{
    self, Event, EventType, GetServerInfoRequest, WatchEventsRequest, WatchEventsResponse,
    event_service_client::EventServiceClient, system_service_client::SystemServiceClient,
    watch_events_response::Message,
};
use mos_stack::{
    EndCause, EventKind, EventKinds, EventSink as _, Fact, FlowId, FlowTuple, Head, Instant,
    OverlapPolicy, OverlapRule, Side, StreamOffset,
};
use mosd::{Control, Settings};
use tokio::time::timeout;
use tonic::{Code, Streaming, transport::Channel};

use crate::{
    support::{control_of, fields, metadata, row, run, settings, worker_id},
    transport::Served,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watched {
    served: Served,
    control: Arc<Control>,
    client: EventServiceClient<Channel>,
    feed: EventFeed,
}

impl Watched {
    async fn start(settings: Settings) -> Self {
        let (commands, _worker) = link(worker_id(3));
        let (feed, events) = event_ring(1024);
        let control = control_of(vec![WorkerLink { commands, events }], settings);
        let served = Served::over(Arc::clone(&control)).await;
        let client = EventServiceClient::new(served.connect().await);
        Self { served, control, client, feed }
    }

    async fn watch(&mut self, types: &[EventType], filter: &str) -> Streaming<WatchEventsResponse> {
        let request = WatchEventsRequest {
            types: types.iter().map(|one| (*one).into()).collect(),
            filter: filter.to_owned(),
            ..WatchEventsRequest::default()
        };
        let mut stream = self.client.watch_events(request).await.unwrap().into_inner();
        let Message::Subscribed(subscribed) = next(&mut stream).await else {
            panic!("the first message is not Subscribed");
        };
        assert_eq!(subscribed.boot_id, self.control.boot.to_string());
        assert!(subscribed.subscription.starts_with("subscriptions/"), "{subscribed:?}");
        stream
    }

    fn tell(&mut self, fact: Fact) {
        self.feed.on_event(&mos_stack::Event {
            time: Instant::from_nanos(1_500_000_000),
            flow: Some(flow()),
            tuple: FlowTuple {
                client: "10.0.0.1:1000".parse().unwrap(),
                server: "[2001:db8::1]:80".parse().unwrap(),
                vlan: Some(7),
            },
            fact,
        });
    }
}

fn flow() -> FlowId {
    FlowId::from_parts(worker_id(3), 1, 1)
}

async fn next(stream: &mut Streaming<WatchEventsResponse>) -> Message {
    let message = timeout(PATIENCE, stream.message()).await.expect("something comes");
    message.unwrap().expect("the stream goes on").message.expect("a message")
}

async fn next_event(stream: &mut Streaming<WatchEventsResponse>) -> Event {
    match next(stream).await {
        Message::Event(event) => event,
        other @ (Message::Subscribed(_) | Message::Bookmark(_) | Message::Lost(_)) => {
            panic!("{other:?}")
        }
    }
}

fn conflict() -> Fact {
    Fact::OverlapConflict {
        side: Side::Server,
        offset: StreamOffset(5),
        length: 2,
        held: Head::of(b"ab"),
        arrived: Head::of(b"xy"),
        rule: OverlapRule::Policy(OverlapPolicy::First),
    }
}

#[test]
fn a_stream_begins_with_subscribed_and_events_say_everything() {
    run(async {
        let mut watched = Watched::start(settings()).await;
        let mut stream = watched.watch(&[], "").await;
        let wanted = watched.feed.wanted();
        for kind in EventKind::ALL {
            assert_eq!(wanted.contains(kind), kind != EventKind::NewData, "{kind:?}");
        }
        watched.tell(Fact::FlowStarted);
        watched.tell(conflict());
        watched.tell(Fact::FlowEnded(Some(EndCause::Rst)));
        let started = next_event(&mut stream).await;
        assert_eq!(
            (started.r#type(), started.core, started.core_sequence),
            (EventType::FlowStarted, Some(3), 1)
        );
        assert_eq!(started.time.map(|time| (time.seconds, time.nanos)), Some((1, 500_000_000)));
        let named = started.flow.unwrap();
        assert_eq!((named.name, named.core), (format!("flows/{}", flow()), 3));
        let tuple = named.tuple.unwrap();
        assert_eq!((tuple.client_address.as_str(), tuple.client_port), ("10.0.0.1", 1000));
        assert_eq!((tuple.server_address.as_str(), tuple.vlan_id), ("2001:db8::1", Some(7)));
        let conflict = next_event(&mut stream).await;
        assert_eq!(
            (conflict.r#type(), conflict.side()),
            (EventType::OverlapConflict, v1::Side::Server)
        );
        let facts: std::collections::BTreeMap<_, _> = conflict.attributes.into_iter().collect();
        let facts: Vec<_> = facts.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(facts, ["arrived=7879", "held=6162", "length=2", "offset=5", "rule=first"]);
        let ended = next_event(&mut stream).await;
        assert_eq!((ended.core_sequence, ended.attributes["cause"].as_str()), (3, "rst"));
        drop(stream);
        drop(watched.client);
        watched.served.end().await;
    });
}

#[test]
fn payload_in_events_needs_the_owners_consent() {
    run(async {
        let mut watched = Watched::start(Settings { payload: false, ..settings() }).await;
        let mut stream = watched.watch(&[EventType::OverlapConflict], "").await;
        watched.tell(conflict());
        let conflict = next_event(&mut stream).await;
        let mut keys: Vec<_> = conflict.attributes.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["length", "offset", "rule"]);
    });
}

#[test]
fn lost_says_how_many_of_which_core_and_why() {
    run(async {
        let mut watched = Watched::start(settings()).await;
        let mut stream = watched.watch(&[], "client.port = 1000").await;
        // The fan-out has no turn in between.
        for _ in 0..1030 {
            watched.tell(Fact::FlowStarted);
        }
        for sequence in 1..=1024 {
            assert_eq!(next_event(&mut stream).await.core_sequence, sequence);
        }
        let Message::Lost(lost) = next(&mut stream).await else { panic!("six are lost") };
        assert_eq!(
            (lost.dropped_count, lost.reason(), lost.core),
            (6, v1::lost::Reason::CoreRingOverflow, Some(3))
        );
        assert!(lost.first_time.is_some() && lost.last_time.is_none(), "{lost:?}");
    });
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    run(async {
        let mut watched = Watched::start(settings()).await;
        let stream = watched.watch(&[EventType::Gap], "").await;
        assert_eq!(watched.feed.wanted(), EventKinds::NONE.with(EventKind::Gap));
        let open = |control: &Control| (control.events.subscriptions(), control.streams.open());
        assert_eq!(open(&watched.control), (1, 1));
        drop(stream);
        let gone = async {
            while open(&watched.control) != (0, 0) || watched.feed.wanted() != EventKinds::NONE {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
    });
}

#[test]
fn streams_end_with_unavailable_when_the_service_stops() {
    run(async {
        let mut watched = Watched::start(settings()).await;
        let mut stream = watched.watch(&[], "").await;
        let end = async {
            let ended = timeout(PATIENCE, stream.message()).await.unwrap().unwrap_err();
            let expected = (Code::Unavailable, "SERVER_STOPPING".to_owned(), String::new());
            assert_eq!(row(&ended), expected);
        };
        let client = watched.client;
        tokio::join!(end, async {
            watched.served.end().await;
            drop(client);
        });
    });
}

#[test]
fn one_stream_too_many_is_refused() {
    run(async {
        let mut watched = Watched::start(settings()).await;
        let mut system = SystemServiceClient::new(watched.served.connect().await);
        let info = system.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
        let limits = info.limits.into_iter();
        let most = limits.filter(|limit| limit.name == "streams_per_principal.max");
        let most = most.map(|limit| limit.value).sum();
        let mut open = Vec::new();
        for _ in 0..most {
            open.push(watched.watch(&[], "").await);
        }
        let request = WatchEventsRequest::default();
        let refused = watched.client.watch_events(request.clone()).await.unwrap_err();
        let expected = (Code::ResourceExhausted, "TOO_MANY_STREAMS".to_owned(), String::new());
        assert_eq!(row(&refused), expected);
        assert_eq!(metadata(&refused, "max"), most.to_string());
        open.pop();
        let gone = async {
            while watched.control.streams.open() == open.len() + 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
        watched.client.watch_events(request).await.unwrap();
    });
}

#[test]
fn bad_requests_are_refused_before_anything_is_watched() {
    run(async {
        let mut watched = Watched::start(settings()).await;
        for (types, filter, reason, field) in [
            (vec![0], "", "ARGUMENT_INVALID", "types"),
            (vec![EventType::Gap.into(), 77], "", "ARGUMENT_INVALID", "types"),
            (vec![], "age > 1s", "FILTER_FIELD_UNAVAILABLE", "filter"),
            (vec![], "core = ", "FILTER_INVALID", "filter"),
        ] {
            let filter = filter.to_owned();
            let request = WatchEventsRequest { types, filter, ..WatchEventsRequest::default() };
            let refused = watched.client.watch_events(request).await.unwrap_err();
            let (code, found, _) = row(&refused);
            assert_eq!((code, found.as_str()), (Code::InvalidArgument, reason));
            assert_eq!(fields(&refused), [field]);
        }
        assert_eq!(watched.control.events.subscriptions(), 0);
        assert_eq!(watched.control.streams.open(), 0);
    });
}

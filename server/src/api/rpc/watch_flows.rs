//! `FlowService.WatchFlows`: a walk over the flows that are there, and the changes beside it.
//!
//! The changes are subscribed to first. Then a stretch of the walk and the changes that have come
//! meanwhile take turns, so that a large table keeps nobody from hearing of it; what joins them
//! without a seam is [`Joined`].

use std::{convert::Infallible, ops::ControlFlow, sync::Arc};

use mos_proto::v1::{self, flow_update::Kind, watch_flows_response::Message};
use mos_stack::{EventKind, EventKinds, FlowSummary, WorkerId};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    walks::{core_names, of_walk},
    watches::{self, Slow},
};
use crate::{
    api::{
        convert::{self, View},
        rejection::{Rejection, ResumeError},
        state::Control,
        streams::Admission,
    },
    events::{CoreEvent, SubscribeError, Subscriber, Told},
    filter::Filter,
    flows::{
        joined::Joined,
        page_token::RequestDigest,
        walk::{Position, Visitor, Walk},
    },
    net::call::Call,
    panics::{self, Panicked},
    words::bounds::{DEADLINE_DEFAULT, WATCH_MESSAGES},
};

/// What a client receives.
pub(crate) type WatchFlowsStream = ReceiverStream<Result<v1::WatchFlowsResponse, Status>>;

/// Flows of one stretch of the walk, at most: none is made before the client has taken the one
/// before, so that a slow client keeps no place among the walks, and takes none.
const STRETCH_FLOWS: usize = 512;

/// Changes between two stretches, at most: however many there are, the walk comes to its end.
const CHANGES_BETWEEN: usize = 8 * STRETCH_FLOWS;

/// Begins to watch: whatever forbids that is answered at once.
pub(crate) async fn watch_flows(
    control: Arc<Control>,
    call: &Call,
    request: v1::WatchFlowsRequest,
) -> Result<WatchFlowsStream, Rejection> {
    let filter = Filter::parse_for_events(&request.filter).map_err(Rejection::Filter)?;
    let slow = Slow::of(request.slow_policy, Slow::Coalesces)?;
    let digest = RequestDigest::new(&request.filter, b"flows");
    let kinds = EventKinds::NONE.with(EventKind::FlowStatus);
    let from = match watches::position(&control, &request.resume_token, digest) {
        Ok(from) => Ok(from),
        Err(ResumeError::Expired) => Err(SubscribeError::Expired),
        Err(error @ ResumeError::Token(_)) => return Err(error.into()),
    };
    let admission = control.streams.admit(call.principal.clone())?;
    let subscribe = async |from| {
        let (filter, keep) = (filter.clone(), slow.keep());
        watches::subscribe(&control, call, kinds, filter, (keep, from)).await
    };
    let resumed = match from {
        Ok(Some(position)) => Some(subscribe(Some(position)).await),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    };
    let (subscriber, beginning) = match resumed {
        Some(Err(SubscribeError::Expired)) => (subscribe(None).await, Beginning::Anew),
        Some(subscriber) => (subscriber, Beginning::Changes),
        None if request.updates_only => (subscribe(None).await, Beginning::Changes),
        None => (subscribe(None).await, Beginning::Snapshot),
    };
    let subscriber = subscriber.map_err(watches::ended)?;
    let (messages, receiver) = mpsc::channel(WATCH_MESSAGES);
    let joined = Joined::default();
    let watch = Watch { control, filter, slow, digest, subscriber, joined, messages };
    drop(tokio::spawn(run(watch, admission, beginning)));
    Ok(ReceiverStream::new(receiver))
}

/// What a stream begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// The flows that are there.
    Snapshot,
    /// The same, because what came after a bookmark is not known.
    Anew,
    /// Changes alone.
    Changes,
}

/// Watches to the client's end or our own.
async fn run(watch: Watch, mut admission: Admission, beginning: Beginning) {
    let messages = watch.messages.clone();
    let why = tokio::select! {
        () = messages.closed() => return,
        () = admission.stopped() => Rejection::Stopping,
        end = panics::contained(watch.go_on(beginning)) => match end {
            Ok(Err(why)) => why,
            Ok(Ok(never)) => match never {},
            Err(Panicked { id }) => Rejection::Panicked(id),
        }
    };
    // An error means that the client is gone.
    let _sent_or_gone: Result<(), _> = messages.send(Err(why.into())).await;
}

/// One client's watch.
struct Watch {
    control: Arc<Control>,
    filter: Filter,
    slow: Slow,
    /// What its bookmarks are for.
    digest: RequestDigest,
    subscriber: Subscriber,
    joined: Joined,
    messages: mpsc::Sender<Result<v1::WatchFlowsResponse, Status>>,
}

impl Watch {
    /// Sends what is there, where a snapshot is wanted, and then every change.
    async fn go_on(mut self, beginning: Beginning) -> Result<Infallible, Rejection> {
        let subscribed = watches::subscribed(&self.control, &self.subscriber);
        self.send(Message::Subscribed(subscribed)).await;
        if beginning == Beginning::Anew {
            self.send(Message::Lost(convert::history_expired())).await;
        }
        if beginning != Beginning::Changes {
            self.snapshot().await?;
        }
        self.joined.end();
        self.send(Message::Bookmark(v1::Bookmark {
            snapshot_complete: true,
            ..v1::Bookmark::default()
        }))
        .await;
        loop {
            let told = self.subscriber.next().await.map_err(watches::ended)?;
            self.tell(told).await?;
        }
    }

    /// Sends every flow that is there, and between two stretches the changes that wait.
    async fn snapshot(&mut self) -> Result<(), Rejection> {
        let (mut from, mut unreachable): (Option<Position>, Vec<WorkerId>) = (None, Vec::new());
        loop {
            let deadline = Instant::now() + DEADLINE_DEFAULT;
            let workers = &self.control.workers;
            let walk = Walk { workers, filter: &self.filter, slots_max: u32::MAX, deadline };
            let mut page = Page { joined: &mut self.joined, flows: Vec::new() };
            let stretch = walk.stretch(from, &mut page).await.map_err(of_walk)?;
            let flows = page.flows;
            self.joined.begin(stretch.start);
            unreachable.extend(stretch.unreachable);
            for flow in &flows {
                let flow = Some(convert::flow(flow, View::Basic, &self.control.etags));
                let kind = Kind::Existing.into();
                let update = v1::FlowUpdate { kind, flow, ..v1::FlowUpdate::default() };
                self.send(Message::Update(update)).await;
            }
            self.tell_waiting().await?;
            from = stretch.next;
            if from.is_none() {
                break;
            }
        }
        if !unreachable.is_empty() {
            let cores = core_names(&unreachable);
            self.send(Message::Unreachable(v1::UnreachableCores { cores })).await;
        }
        Ok(())
    }

    /// Sends the changes that wait, so many at once.
    async fn tell_waiting(&mut self) -> Result<(), Rejection> {
        for _ in 0..CHANGES_BETWEEN {
            let waiting = self.subscriber.next_waiting().map_err(watches::ended)?;
            let Some(told) = waiting else { break };
            self.tell(told).await?;
        }
        Ok(())
    }

    /// Sends what the subscription tells, as far as no page has shown it.
    async fn tell(&mut self, told: Told) -> Result<(), Rejection> {
        match told {
            Told::Event(event) => {
                for update in self.updates(event) {
                    self.send(Message::Update(update)).await;
                }
            }
            Told::Lost(loss) => {
                self.slow.check(&loss)?;
                self.send(Message::Lost(convert::lost(&loss))).await;
            }
            Told::Bookmark(position) => {
                let subscriber = &self.subscriber;
                self.joined.forget(|core| subscriber.seen(core));
                let bookmark = watches::bookmark(&self.control, &position, self.digest);
                self.send(Message::Bookmark(bookmark)).await;
            }
        }
        Ok(())
    }

    /// What is told of an event.
    fn updates(&mut self, event: CoreEvent) -> Vec<v1::FlowUpdate> {
        let CoreEvent { core, event, replaced } = event;
        let told = self.joined.tell(core, event).into_iter();
        told.filter_map(|event| {
            convert::flow_update(&CoreEvent { core, event, replaced }, &self.control.etags)
        })
        .collect()
    }

    /// Sends a message, as soon as the client has room for it.
    async fn send(&self, message: Message) {
        let message = v1::WatchFlowsResponse { message: Some(message) };
        // An error means that the client is gone, which ends this, too.
        let _sent_or_gone: Result<(), _> = self.messages.send(Ok(message)).await;
    }
}

/// The flows of one stretch.
struct Page<'a> {
    joined: &'a mut Joined,
    flows: Vec<FlowSummary>,
}

impl Visitor for Page<'_> {
    fn visit(&mut self, flow: &FlowSummary) -> ControlFlow<()> {
        if self.room() == 0 {
            return ControlFlow::Break(());
        }
        self.flows.push(*flow);
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        STRETCH_FLOWS - self.flows.len()
    }

    fn scanned(&mut self, core: WorkerId, slot: u32, last_event: u64) {
        self.joined.scanned(core, slot, last_event);
    }
}

//! What the RPCs that watch have in common: where they go on, and what becomes of a slow client.

use mos_proto::v1::{self, SlowPolicy};
use mos_stack::EventKinds;

use crate::{
    api::{
        rejection::{Rejection, ResumeError},
        state::Control,
    },
    events::{Keep, Loss, LossReason, Position, SubscribeError, Subscriber, Wish},
    filter::Filter,
    flows::page_token::{PageTokenError, RequestDigest},
    net::{Cutoff, call::Call},
};

/// What becomes of a client that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    /// Only the newest of each flow is kept for it.
    Coalesces,
    /// It loses something, and is told how much.
    Loses,
    /// Its stream ends.
    Leaves,
}

impl Slow {
    /// The policy with this number; `unspecified` stands for 0.
    pub(super) fn of(number: i32, unspecified: Self) -> Result<Self, Rejection> {
        match SlowPolicy::try_from(number) {
            Ok(SlowPolicy::Unspecified) => Ok(unspecified),
            Ok(SlowPolicy::Coalesce) => Ok(Self::Coalesces),
            Ok(SlowPolicy::Drop) => Ok(Self::Loses),
            Ok(SlowPolicy::Disconnect) => Ok(Self::Leaves),
            Err(_) => Err(refused(format!("{number} is not a policy"))),
        }
    }

    /// What waits for the client.
    pub(super) const fn keep(self) -> Keep {
        match self {
            Self::Coalesces => Keep::Latest,
            Self::Loses | Self::Leaves => Keep::All,
        }
    }

    /// Whether the stream ends where this is missing.
    pub(super) fn check(self, loss: &Loss) -> Result<(), Rejection> {
        match (self, loss.reason) {
            (Self::Leaves, LossReason::SlowConsumer) => Err(Cutoff::SlowConsumer.into()),
            (Self::Leaves, LossReason::RingOverflow) | (Self::Coalesces | Self::Loses, _) => Ok(()),
        }
    }
}

/// A policy that a method does not have.
pub(super) fn refused(problem: String) -> Rejection {
    Rejection::Argument { field: "slow_policy", problem }
}

/// Subscribes for a caller.
pub(super) async fn subscribe(
    control: &Control,
    call: &Call,
    kinds: EventKinds,
    filter: Filter,
    (keep, from): (Keep, Option<Position>),
) -> Result<Subscriber, SubscribeError> {
    let room = control.streams.room(call.principal.clone());
    control.events.subscribe(Wish { kinds, filter, room, keep, from }).await
}

/// The first message.
pub(super) fn subscribed(control: &Control, subscriber: &Subscriber) -> v1::Subscribed {
    v1::Subscribed {
        boot_id: control.boot.to_string(),
        subscription: format!("subscriptions/{}", subscriber.id()),
    }
}

/// Where a stream goes on by its token; `None`: at the beginning.
pub(super) fn position(
    control: &Control,
    token: &str,
    request: RequestDigest,
) -> Result<Option<Position>, ResumeError> {
    if token.is_empty() {
        return Ok(None);
    }
    match control.page_tokens.open_numbers(token, request) {
        Ok(numbers) => Ok(Some(Position(numbers))),
        Err(PageTokenError::Restarted) => Err(ResumeError::Expired),
        Err(error) => Err(ResumeError::Token(error)),
    }
}

/// The bookmark of a position.
pub(super) fn bookmark(
    control: &Control,
    Position(numbers): &Position,
    request: RequestDigest,
) -> v1::Bookmark {
    let resume_token = control.page_tokens.seal_numbers(numbers, request);
    v1::Bookmark { resume_token, snapshot_complete: false }
}

/// Why a stream of events ends, or does not begin.
pub(super) fn ended(error: SubscribeError) -> Rejection {
    match error {
        SubscribeError::Refused(refusal) => {
            Rejection::Refused { refusal, resource: "events".to_owned() }
        }
        SubscribeError::Expired => ResumeError::Expired.into(),
    }
}

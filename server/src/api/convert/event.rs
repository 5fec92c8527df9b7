//! Events as clients see them, and the types that they ask for.

use mos_control::NumberedEvent;
use mos_proto::v1::{self, flow_update::Kind};
use mos_stack::{Event, EventKind, EventKinds, Fact, Side, StatusChange, WorkerId};

use super::{
    flow::{flow_name, flow_of_status, flow_tuple},
    scalars::{saturating_i64, timestamp},
};
use crate::{
    api::{etag::Etags, rejection::Rejection},
    events::{CoreEvent, Loss, LossReason},
    words::facts::{Payload, Value, facts},
};

/// The kinds that a request asks for; all but new data where it names none.
///
/// # Errors
///
/// Something that is not a type of event.
pub(crate) fn event_kinds(types: &[i32]) -> Result<EventKinds, Rejection> {
    let kinds: Vec<EventKind> = if types.is_empty() {
        EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::NewData).collect()
    } else {
        types.iter().map(|number| event_kind(*number)).collect::<Result<_, _>>()?
    };
    Ok(kinds.into_iter().fold(EventKinds::NONE, EventKinds::with))
}

fn event_kind(number: i32) -> Result<EventKind, Rejection> {
    EventKind::ALL.into_iter().find(|kind| i32::from(event_type(*kind)) == number).ok_or_else(
        || {
            let problem = format!("{number} is not a type of event that this version tells");
            Rejection::Argument { field: "types", problem }
        },
    )
}

const fn event_type(kind: EventKind) -> v1::EventType {
    match kind {
        EventKind::FlowStarted => v1::EventType::FlowStarted,
        EventKind::FlowEstablished => v1::EventType::FlowEstablished,
        EventKind::StateChanged => v1::EventType::StateChanged,
        EventKind::NewData => v1::EventType::NewData,
        EventKind::Retransmission => v1::EventType::Retransmission,
        EventKind::OverlapConflict => v1::EventType::OverlapConflict,
        EventKind::BufferOverrun => v1::EventType::BufferOverrun,
        EventKind::Gap => v1::EventType::Gap,
        EventKind::SuspiciousSegment => v1::EventType::SuspiciousSegment,
        EventKind::OrphanPacket => v1::EventType::OrphanPacket,
        EventKind::FlowEnded => v1::EventType::FlowEnded,
        EventKind::OptionsChanged => v1::EventType::OptionsChanged,
        // Nobody can ask for it: `WatchFlows` tells it as an update.
        EventKind::FlowStatus => v1::EventType::Unspecified,
    }
}

/// A change of a flow as those see it who follow flows; `None`: the event is of another kind.
#[must_use]
pub(crate) fn flow_update(event: &CoreEvent, etags: &Etags) -> Option<v1::FlowUpdate> {
    let NumberedEvent { sequence, value: Event { flow: Some(id), tuple, fact, .. } } = event.event
    else {
        return None;
    };
    let Fact::FlowStatus { change, status } = fact else { return None };
    let kind = match change {
        StatusChange::Began => Kind::Added,
        StatusChange::Changed => Kind::Changed,
        StatusChange::Ended(_) => Kind::Ended,
    };
    let cause = match change {
        StatusChange::Ended(Some(cause)) => cause.as_str().to_owned(),
        StatusChange::Ended(None) | StatusChange::Began | StatusChange::Changed => String::new(),
    };
    Some(v1::FlowUpdate {
        kind: kind.into(),
        flow: Some(flow_of_status(id, &tuple, &status, etags)),
        core_sequence: saturating_i64(sequence),
        coalesced_count: i32::try_from(event.replaced).unwrap_or(i32::MAX),
        cause,
    })
}

/// An event as clients see it.
#[must_use]
pub(crate) fn event(core: WorkerId, numbered: &NumberedEvent, payload: Payload) -> v1::Event {
    let NumberedEvent { sequence, value: Event { time, flow, tuple, fact } } = numbered;
    let side = match fact.side() {
        None => v1::Side::Unspecified,
        Some(Side::Client) => v1::Side::Client,
        Some(Side::Server) => v1::Side::Server,
    };
    let pair = |(key, value): (&str, Value)| (key.to_owned(), value.into_text());
    v1::Event {
        r#type: event_type(fact.kind()).into(),
        time: Some(timestamp(*time)),
        core: Some(core.index().into()),
        core_sequence: saturating_i64(*sequence),
        flow: Some(v1::Flow {
            name: flow.map(flow_name).unwrap_or_default(),
            tuple: Some(flow_tuple(tuple)),
            core: core.index().into(),
            ..v1::Flow::default()
        }),
        side: side.into(),
        attributes: facts(fact, payload).into_iter().map(pair).collect(),
    }
}

/// A loss as clients see it.
#[must_use]
pub(crate) fn lost(loss: &Loss) -> v1::Lost {
    let Loss { core, reason, count, first, last } = loss;
    let reason = match reason {
        LossReason::SlowConsumer => v1::lost::Reason::SlowConsumer,
        LossReason::RingOverflow => v1::lost::Reason::CoreRingOverflow,
    };
    v1::Lost {
        dropped_count: saturating_i64(*count),
        reason: reason.into(),
        core: Some(core.index().into()),
        first_time: first.map(timestamp),
        last_time: last.map(timestamp),
    }
}

/// That nobody knows any more what happened since a bookmark.
#[must_use]
pub(crate) fn history_expired() -> v1::Lost {
    let reason = v1::lost::Reason::HistoryExpired.into();
    v1::Lost { reason, ..v1::Lost::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own_and_back() {
        for kind in EventKind::ALL {
            assert_eq!(event_kind(event_type(kind).into()), Ok(kind));
            let name = event_type(kind).as_str_name().to_ascii_lowercase();
            assert_eq!(name.strip_prefix("event_type_"), Some(kind.as_str()));
        }
    }

    #[test]
    fn nothing_named_means_all_but_new_data() {
        let kinds = event_kinds(&[]).unwrap();
        for kind in EventKind::ALL {
            assert_eq!(kinds.contains(kind), kind != EventKind::NewData, "{kind:?}");
        }
        let gap = v1::EventType::Gap.into();
        assert_eq!(event_kinds(&[gap, gap]), Ok(EventKinds::NONE.with(EventKind::Gap)));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for number in [0, 10, 99, -1] {
            let refused = event_kinds(&[v1::EventType::Gap.into(), number]).unwrap_err();
            assert!(matches!(refused, Rejection::Argument { field: "types", .. }), "{refused:?}");
        }
    }
}

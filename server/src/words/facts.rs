//! The facts of an event as keys and values, the same in the API and in the records of a replay.

use mos_stack::{Fact, Head, SockOptName, SockOptValue, StreamOffset};
use serde::Serialize;

/// A value of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// A count, an offset or a number of bytes.
    Number(u64),
    /// A name, or hexadecimal digits.
    Text(String),
}

impl Value {
    /// The value as text.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// Whether facts show bytes of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// With payload.
    Shown,
    /// Without payload.
    Hidden,
}

/// Keys and values of a fact, without its side and kind. Keys never change their meaning.
pub(crate) fn facts(fact: &Fact, payload: Payload) -> Vec<(&'static str, Value)> {
    match *fact {
        Fact::FlowStarted
        | Fact::FlowEstablished
        | Fact::OrphanPacket
        | Fact::FlowEnded(None)
        | Fact::FlowStatus { .. } => Vec::new(),
        Fact::StateChanged { side: _, from, to } => {
            vec![("from", text(&from)), ("to", text(&to))]
        }
        Fact::NewData { side: _, offset, end } => {
            vec![("offset", number(offset)), ("end", number(end))]
        }
        Fact::Retransmission { side: _, offset, length }
        | Fact::BufferOverrun { side: _, offset, length }
        | Fact::Gap { side: _, offset, length } => stretch(offset, length),
        Fact::OverlapConflict { side: _, offset, length, held, arrived, rule } => {
            let mut facts = stretch(offset, length);
            facts.push(("rule", text(rule.as_str())));
            if payload == Payload::Shown {
                facts.extend([("held", hexadecimal(&held)), ("arrived", hexadecimal(&arrived))]);
            }
            facts
        }
        Fact::SuspiciousSegment { side: _, reason } => vec![("reason", text(reason.as_str()))],
        Fact::FlowEnded(Some(cause)) => vec![("cause", text(cause.as_str()))],
        Fact::OptionsChanged { options, revision } => {
            let mut facts = vec![("revision", Value::Number(revision.into()))];
            facts.extend(SockOptName::ALL.map(|name| (name.as_str(), option(options.get(name)))));
            facts
        }
    }
}

/// The value of an option.
pub(crate) fn option(value: SockOptValue) -> Value {
    match value {
        SockOptValue::Bytes(bytes) => Value::Number(bytes),
        SockOptValue::Overlap(_) | SockOptValue::Stop(_) => text(&value),
    }
}

fn stretch(offset: StreamOffset, length: u64) -> Vec<(&'static str, Value)> {
    vec![("offset", number(offset)), ("length", Value::Number(length))]
}

const fn number(offset: StreamOffset) -> Value {
    Value::Number(offset.0)
}

fn text(value: &(impl ToString + ?Sized)) -> Value {
    Value::Text(value.to_string())
}

fn hexadecimal(head: &Head) -> Value {
    Value::Text(head.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use mos_stack::{EndCause, OverlapPolicy, OverlapRule, Side, SockOpts, Suspicion, TcpState};

    use super::*;

    fn shown(fact: &Fact) -> String {
        let facts = facts(fact, Payload::Shown).into_iter();
        let pairs: Vec<_> =
            facts.map(|(key, value)| format!("{key}={}", value.into_text())).collect();
        pairs.join(" ")
    }

    #[test]
    fn keys_and_values_are_those_that_the_api_documents() {
        let (side, offset) = (Side::Client, StreamOffset(7));
        let (from, to) = (TcpState::SynSent, TcpState::Established);
        for (fact, expected) in [
            (Fact::FlowStarted, ""),
            (Fact::FlowEstablished, ""),
            (Fact::StateChanged { side, from, to }, "from=SYN-SENT to=ESTABLISHED"),
            (Fact::NewData { side, offset, end: StreamOffset(9) }, "offset=7 end=9"),
            (Fact::Retransmission { side, offset, length: 3 }, "offset=7 length=3"),
            (Fact::BufferOverrun { side, offset, length: 3 }, "offset=7 length=3"),
            (Fact::Gap { side, offset, length: 3 }, "offset=7 length=3"),
            (Fact::SuspiciousSegment { side, reason: Suspicion::NoAck }, "reason=no_ack"),
            (Fact::OrphanPacket, ""),
            (Fact::FlowEnded(Some(EndCause::Rst)), "cause=rst"),
            (Fact::FlowEnded(None), ""),
            (
                Fact::OptionsChanged { options: SockOpts::default(), revision: 4 },
                "revision=4 client_buffer_bytes=8192 server_buffer_bytes=8192 \
                 client_overlap=first server_overlap=first stop_monitoring=none",
            ),
        ] {
            assert_eq!(shown(&fact), expected, "{fact:?}");
        }
    }

    #[test]
    fn payload_is_shown_only_where_it_may_be() {
        let (held, arrived) = (Head::of(b"\x00a"), Head::of(b"\xffb"));
        let (side, offset) = (Side::Server, StreamOffset(1));
        let rule = OverlapRule::Acknowledged;
        let fact = Fact::OverlapConflict { side, offset, length: 2, held, arrived, rule };
        assert_eq!(shown(&fact), "offset=1 length=2 rule=acknowledged held=0061 arrived=ff62");
        let keys: Vec<_> = facts(&fact, Payload::Hidden).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["offset", "length", "rule"]);
    }

    #[test]
    fn a_conflict_names_the_rule_that_decided() {
        let (side, offset, head) = (Side::Server, StreamOffset(1), Head::of(b""));
        let policies = OverlapPolicy::ALL.map(OverlapRule::Policy).into_iter();
        let rules = policies.chain([OverlapRule::Acknowledged, OverlapRule::Doubtful]);
        let named: Vec<_> = rules
            .map(|rule| {
                let (held, arrived) = (head, head);
                let fact = Fact::OverlapConflict { side, offset, length: 2, held, arrived, rule };
                let facts = facts(&fact, Payload::Hidden).into_iter();
                facts.last().map(|(_, value)| value.into_text()).unwrap()
            })
            .collect();
        assert_eq!(named, ["first", "last", "linux", "acknowledged", "doubtful"]);
    }
}

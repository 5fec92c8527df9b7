//! The command line of `events`.

use clap::Args;
use mos_proto::v1::EventType;

use super::Selector;

/// `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Which flows: an event knows addresses, ports, VLAN and core.
    #[command(flatten)]
    pub selector: Selector,
    /// Events of this type, such as flow-ended; may be repeated. Without it: all but new-data.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    pub types: Vec<EventType>,
    /// Ends after this many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Ends with exit code 12 as soon as events are lost.
    #[arg(long)]
    pub fail_on_loss: bool,
}

const PREFIX: &str = "EVENT_TYPE_";

/// The largest number of a type that is looked for.
const NUMBERS: i32 = 63;

/// Every type that can be asked for.
fn types() -> impl Iterator<Item = EventType> {
    (1..=NUMBERS).filter_map(|number| EventType::try_from(number).ok())
}

/// The type as command lines and tables spell it.
pub(crate) fn type_name(event_type: EventType) -> String {
    let name = event_type.as_str_name();
    name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

fn parse_type(text: &str) -> Result<EventType, String> {
    let wanted = text.to_ascii_lowercase().replace('_', "-");
    types().find(|one| type_name(*one) == wanted).ok_or_else(|| {
        let names: Vec<_> = types().map(type_name).collect();
        format!("{text:?} is no type of event: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_in_any_usual_spelling() {
        for text in ["flow-ended", "FLOW_ENDED", "Flow-Ended"] {
            assert_eq!(parse_type(text), Ok(EventType::FlowEnded), "{text}");
        }
        for text in ["", "unspecified", "flow"] {
            let refused = parse_type(text).unwrap_err();
            assert!(refused.contains("flow-started") && refused.contains("gap"), "{refused}");
        }
    }

    #[test]
    fn every_type_can_be_asked_for() {
        assert!(types().all(|one| parse_type(&type_name(one)) == Ok(one)));
        assert!(types().any(|one| one == EventType::OverlapConflict));
    }
}

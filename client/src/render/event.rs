//! Events and losses in words.

use mos_proto::v1::{Event, Lost, Side, lost::Reason};
use mos_text::FlowName;
use prost_types::Timestamp;

use super::{
    Align,
    flow::{UNKNOWN, endpoint},
};
use crate::{
    args::{Format, type_name},
    units::format_count,
};

/// The columns of `table`, followed by those that `wide` adds.
const COLUMNS: [(&str, Align); 10] = [
    ("TIME", Align::Left),
    ("TYPE", Align::Left),
    ("FLOW", Align::Left),
    ("CLIENT", Align::Left),
    ("SERVER", Align::Left),
    ("SIDE", Align::Left),
    ("FACTS", Align::Left),
    ("VLAN", Align::Right),
    ("CORE", Align::Right),
    ("SEQUENCE", Align::Right),
];

/// Number of columns of `table`.
const NARROW: usize = 7;

/// The columns of a list of events.
pub(crate) fn event_columns(format: Format) -> &'static [(&'static str, Align)] {
    if format == Format::Wide { &COLUMNS } else { COLUMNS.get(..NARROW).unwrap_or(&COLUMNS) }
}

/// The row of one event.
pub(crate) fn event_row(event: &Event, format: Format) -> Vec<String> {
    let flow = event.flow.clone().unwrap_or_default();
    let tuple = flow.tuple.unwrap_or_default();
    let time = event.time.as_ref();
    let wide = format == Format::Wide;
    let or_unknown = |text: String| if text.is_empty() { UNKNOWN.to_owned() } else { text };
    let mut cells = vec![
        time.map_or_else(
            || UNKNOWN.to_owned(),
            |time| if wide { time.to_string() } else { time_of_day(time) },
        ),
        type_name(event.r#type()),
        or_unknown(FlowName::short(&flow.name).to_owned()),
        endpoint(&tuple.client_address, tuple.client_port),
        endpoint(&tuple.server_address, tuple.server_port),
        match event.side() {
            Side::Unspecified => UNKNOWN,
            Side::Client => "client",
            Side::Server => "server",
        }
        .to_owned(),
        facts(event),
    ];
    if wide {
        cells.extend([
            tuple.vlan_id.map_or_else(|| UNKNOWN.to_owned(), |vlan| vlan.to_string()),
            event.core.map_or_else(|| UNKNOWN.to_owned(), |core| core.to_string()),
            event.core_sequence.to_string(),
        ]);
    }
    cells
}

/// The attributes of the event, ordered by key.
fn facts(event: &Event) -> String {
    let mut facts: Vec<_> =
        event.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    facts.sort_unstable();
    facts.join(" ")
}

/// Hours, minutes, seconds and milliseconds of the day, UTC.
fn time_of_day(time: &Timestamp) -> String {
    let seconds = time.seconds.rem_euclid(86_400);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", time.nanos / 1_000_000)
}

/// What was lost, and why.
pub(crate) fn lost_text(lost: &Lost) -> String {
    let count = format_count(lost.dropped_count);
    let core = lost.core.map(|core| format!(" of core {core}")).unwrap_or_default();
    let why = match lost.reason() {
        Reason::Unspecified => "for a reason that this version does not know",
        Reason::SlowConsumer => "they were not read fast enough",
        Reason::CoreRingOverflow => "mosd did not keep up with that core",
        Reason::HistoryExpired => {
            return "what happened since the bookmark is no longer known: all flows follow anew"
                .to_owned();
        }
    };
    let between = match (&lost.first_time, &lost.last_time) {
        (Some(first), Some(last)) => {
            format!(" between {} and {}", time_of_day(first), time_of_day(last))
        }
        (Some(first), None) => format!(" after {}", time_of_day(first)),
        (None, Some(last)) => format!(" before {}", time_of_day(last)),
        (None, None) => String::new(),
    };
    format!("{count} events{core} were lost{between}: {why}")
}

#[cfg(test)]
mod tests {
    use mos_proto::v1::{EventType, Flow, FlowTuple};

    use super::*;

    fn event() -> Event {
        Event {
            r#type: EventType::StateChanged.into(),
            time: Some(Timestamp { seconds: 86_400 + 3_723, nanos: 45_600_000 }),
            core: Some(3),
            core_sequence: 17,
            flow: Some(Flow {
                name: "flows/00c004a900c901f2".to_owned(),
                tuple: Some(FlowTuple {
                    client_address: "2001:db8::5".to_owned(),
                    client_port: 40_022,
                    server_address: "2001:db8::a".to_owned(),
                    server_port: 443,
                    vlan_id: None,
                    inner_vlan_id: None,
                }),
                ..Flow::default()
            }),
            side: Side::Server.into(),
            attributes: [("to", "ESTABLISHED"), ("from", "SYN-RECEIVED")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    #[test]
    fn a_row_says_what_happened_to_whom() {
        assert_eq!(
            event_row(&event(), Format::Table),
            [
                "01:02:03.045",
                "state-changed",
                "00c004a900c901f2",
                "[2001:db8::5]:40022",
                "[2001:db8::a]:443",
                "server",
                "from=SYN-RECEIVED to=ESTABLISHED",
            ]
        );
    }

    #[test]
    fn every_row_fills_its_columns() {
        for format in [Format::Table, Format::Wide] {
            for event in [event(), Event::default()] {
                assert_eq!(event_row(&event, format).len(), event_columns(format).len());
            }
        }
        assert!(event_row(&event(), Format::Wide)[0].starts_with("1970-01-02T01:02:03"));
    }

    #[test]
    fn a_loss_says_how_many_where_when_and_why() {
        let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let lost = Lost {
            dropped_count: 1234,
            reason: Reason::SlowConsumer.into(),
            core: Some(2),
            first_time: time(1),
            last_time: time(61),
        };
        assert_eq!(
            lost_text(&lost),
            "1,234 events of core 2 were lost between 00:00:01.000 and 00:01:01.000: \
             they were not read fast enough"
        );
    }
}

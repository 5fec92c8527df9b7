//! `mosd replay --events FILE`: one JSON object per line and event, in the order of capture time.
//!
//! Workers keep events until the end, about 250 bytes each. Then all are sorted: by time, and at
//! equal times by tuple. Events of one flow at one time keep the order in which its worker emitted
//! them.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use mos_stack::{Event, FlowTuple, Side};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::words::facts::{Payload, facts};

/// The file for the events of a replay.
#[derive(Debug)]
pub(super) struct EventFile(File);

/// An event as a line of the file.
struct EventRecord<'a>(&'a Event);

impl EventFile {
    /// Creates the file, or truncates it.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    /// Writes the events of all workers.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn write(&self, events: Vec<Event>) -> io::Result<()> {
        print(events, &mut BufWriter::new(&self.0))
    }
}

/// Sorts events and prints them.
///
/// # Errors
///
/// When `out` cannot be written.
pub(super) fn print(mut events: Vec<Event>, out: &mut impl Write) -> io::Result<()> {
    events.sort_by_key(|event| {
        let FlowTuple { client, server, vlan } = event.tuple;
        (event.time, client, server, vlan)
    });
    for event in &events {
        serde_json::to_writer(&mut *out, &EventRecord(event))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

impl Serialize for EventRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The handle is left out: it depends on the worker and slot, not on the flow itself.
        let Event { time, flow: _, tuple: FlowTuple { client, server, vlan }, fact } = self.0;
        let mut map = serializer.serialize_map(None)?;
        // Digits in a string, because many readers of JSON round numbers of this size.
        map.serialize_entry("time_ns", &time.as_nanos().to_string())?;
        map.serialize_entry("type", fact.kind().as_str())?;
        map.serialize_entry("client_ip", &client.ip())?;
        map.serialize_entry("client_port", &client.port())?;
        map.serialize_entry("server_ip", &server.ip())?;
        map.serialize_entry("server_port", &server.port())?;
        map.serialize_entry("vlan", vlan)?;
        if let Some(side) = fact.side() {
            let side = match side {
                Side::Client => "client",
                Side::Server => "server",
            };
            map.serialize_entry("side", side)?;
        }
        for (key, value) in facts(fact, Payload::Shown) {
            map.serialize_entry(key, &value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use mos_stack::{EndCause, Fact, Instant, StreamOffset};

    use super::*;

    fn event(nanos: u64, port: u16, fact: Fact) -> Event {
        let (client, server) = (([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 80).into());
        let tuple = FlowTuple { client, server, vlan: None };
        Event { time: Instant::from_nanos(nanos), flow: None, tuple, fact }
    }

    #[test]
    fn lines_are_in_the_order_of_time_then_tuple_then_telling() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (side, offset) = (Side::Server, StreamOffset(5));
        let events = vec![
            event(7, 2, Fact::FlowEnded(Some(EndCause::Reused))),
            event(7, 2, Fact::FlowStarted),
            event(3, 9, Fact::Gap { side, offset, length: 8 }),
            event(7, 1, Fact::FlowEnded(None)),
        ];
        EventFile::create(file.path()).unwrap().write(events).unwrap();
        let start = |nanos: u64, kind: &str, port: u16| {
            format!(
                "{{\"time_ns\":\"{nanos}\",\"type\":\"{kind}\",\"client_ip\":\"10.0.0.1\",\
                 \"client_port\":{port},\"server_ip\":\"10.0.0.2\",\"server_port\":80,\"vlan\":null"
            )
        };
        let expected = [
            start(3, "gap", 9) + ",\"side\":\"server\",\"offset\":5,\"length\":8}",
            start(7, "flow_ended", 1) + "}",
            start(7, "flow_ended", 2) + ",\"cause\":\"reused\"}",
            start(7, "flow_started", 2) + "}",
        ];
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}

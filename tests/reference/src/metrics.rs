//! The metrics, as the server describes them to its recorder.

use std::{collections::BTreeMap, sync::Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use mos_stack::Stat;

use crate::page::{begin, escaped, paragraph, table};

/// Notes what is described; measures nothing.
#[derive(Debug, Default)]
struct Notes(Mutex<BTreeMap<String, (&'static str, String)>>);

impl Notes {
    fn note(&self, key: &KeyName, kind: &'static str, description: &SharedString) {
        if let Ok(mut notes) = self.0.lock() {
            notes.insert(key.as_str().to_owned(), (kind, description.to_string()));
        }
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.note(&key, "counter", &description);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.note(&key, "gauge", &description);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.note(&key, "histogram", &description);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The page of metrics.
pub(crate) fn page() -> String {
    let notes = Notes::default();
    metrics::with_local_recorder(&notes, mosd::describe_metrics);
    let described = notes.0.into_inner().unwrap_or_default();
    let rows: Vec<_> = described
        .into_iter()
        .map(|(name, (kind, meaning))| {
            vec![format!("`{name}`"), kind.to_owned(), escaped(&meaning)]
        })
        .collect();
    let mut text = begin("Metrics", "what the server describes");
    text.push_str(&paragraph(
        "mosd serves them to Prometheus where `[metrics] listen` says. Those of a worker have the \
         label core, those of a port the label port.",
    ));
    text.push_str(&table(&["metric", "kind", "meaning"], &rows));
    for (family, heading) in
        [("packets", "What became of a packet"), ("flows_ended", "Why a flow ended")]
    {
        let labelled: Vec<_> = Stat::ALL
            .into_iter()
            .filter(|stat| stat.name().0 == family)
            .map(|stat| vec![format!("`{}`", stat.name().1), stat.description().to_owned()])
            .collect();
        text.push_str(&format!("\n## {heading}\n"));
        text.push_str(&paragraph(&format!("The labels of `mosd_{family}_total`:")));
        text.push_str(&table(&["label", "meaning"], &labelled));
    }
    text
}

//! `flows count`: a number, or one row for each group.

use mos_proto::v1::CountFlowsResponse;

use super::{Session, flows::extent_exit};
use crate::{
    args::{CountArgs, Format},
    error::{Exit, Failure},
    render::{Align, Table},
    request,
};

/// The column of numbers.
const FLOWS: (&str, Align) = ("FLOWS", Align::Right);

/// What stands for the groups that have no row.
const OTHERS: &str = "(others)";

/// Counts flows.
pub(super) async fn count(session: &mut Session, args: &CountArgs) -> Result<Exit, Failure> {
    let request = request::count_flows(args);
    session.output.request("mos.v1.FlowService/CountFlows", "CountFlowsRequest", &request);
    let answer = session.client.count_flows(request).await?;
    match session.output.format() {
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("CountFlowsResponse", &answer)?;
        }
        // Plain digits: a script reads them, too.
        Format::Table | Format::Wide | Format::Name if args.by.is_empty() => {
            session.output.text(&format!("{}\n", answer.flow_count))?;
        }
        Format::Table | Format::Wide | Format::Name => {
            let text = groups(session, args, &answer);
            session.output.text(&text)?;
        }
    }
    session.output.flush()?;
    Ok(extent_exit(session, &answer.unreachable))
}

/// One row for each group, its flows last.
fn groups(session: &Session, args: &CountArgs, answer: &CountFlowsResponse) -> String {
    let titles: Vec<String> = args.by.iter().map(|field| field.to_uppercase()).collect();
    let columns: Vec<_> = titles.iter().map(|title| (title.as_str(), Align::Left)).collect();
    let mut table = Table::new(&[columns, vec![FLOWS]].concat(), session.output.titles());
    let shown = |value: &String| if value.is_empty() { "-".to_owned() } else { value.clone() };
    let row = |values: Vec<String>, flows: i64| [values, vec![flows.to_string()]].concat();
    let mut rows: Vec<_> = answer
        .groups
        .iter()
        .map(|group| row(group.values.iter().map(shown).collect(), group.flow_count))
        .collect();
    if answer.other_count > 0 {
        let mut values = vec![String::new(); args.by.len()];
        values.iter_mut().take(1).for_each(|first| OTHERS.clone_into(first));
        rows.push(row(values, answer.other_count));
    }
    table.rows(&rows)
}

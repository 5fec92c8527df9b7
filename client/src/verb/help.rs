//! Commands that need no server: help, topics, completion, version.

use clap::CommandFactory as _;

use crate::{
    args::Cli,
    error::{Exit, Failure},
    render::{Align, Output, Table, Titles},
};

const FILTERS: &str = "\
A filter chooses flows: mosctl flows list 'server.port = 443 AND core = 3'

  fields      client.address client.port server.address server.port vlan core
              client_state server_state age idle payload_bytes buffered_bytes
              out_of_order_bytes unacknowledged_bytes suspicious_segments
              one_sided stop_monitoring options.client_buffer_bytes ...
  compare     =  !=  <  <=  >  >=
  combine     AND  OR  NOT  -  ( )     AND beside OR needs parentheses
  addresses   \"10.0.0.1\" is equality, \"10.0.0.0/8\" is containment
  states      ESTABLISHED, SYN_SENT, ...
  sizes       8192, 64KiB, 1.5MiB, 64kB
  durations   500ms, 10s, 5m, 1h30m, 1d

Events (mosctl events) know addresses, ports, vlan and core alone.

The same in flags, all of which must hold; --not negates the flag after it:
  --client CIDR[:PORT]  --server CIDR[:PORT]  --port N  --state STATE  --core N
  --older-than DURATION  --idle DURATION
";

const TUPLES: &str = "\
A flow is named by its handle or by its tuple, in either direction.

  handle    flows/00c004a900c901f2, or the 16 digits alone
  tuple     tcp/10.0.0.1:43512-192.0.2.10:443
            tcp/[2001:db8::1]:43512-[2001:db8::2]:443@100    (@VLAN)
  tcpdump   10.0.0.1.43512-192.0.2.10.443
            2001:db8::1.43512-2001:db8::2.443                (no brackets to quote)
            '10.0.0.1.43512 > 192.0.2.10.443'

A tuple may be used again by a later connection, a handle never is: scripts
should ask for the handle once and then use it.
";

/// Writes a topic, or the help of a command.
pub(super) fn help(topic: &[String], output: &mut Output) -> Result<Exit, Failure> {
    let words: Vec<_> = topic.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        ["exit-codes"] => exit_codes(output.titles()),
        ["filters"] => FILTERS.to_owned(),
        ["tuples"] => TUPLES.to_owned(),
        path => command_help(path)?,
    };
    output.text(&text)?;
    Ok(Exit::Done)
}

/// The table of exit codes.
fn exit_codes(titles: Titles) -> String {
    let columns = [("CODE", Align::Right), ("MEANING", Align::Left), ("GRPC", Align::Left)];
    let rows: Vec<_> = Exit::ALL
        .into_iter()
        .map(|exit| {
            let (code, meaning, grpc) = exit.row();
            vec![code.to_string(), meaning.to_owned(), grpc.to_owned()]
        })
        .collect();
    Table::new(&columns, titles).rows(&rows)
}

fn command_help(path: &[&str]) -> Result<String, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut found = &mut command;
    for word in path {
        found = found.find_subcommand_mut(word).ok_or_else(|| {
            let path = path.join(" ");
            Failure::Usage(format!(
                "no command and no topic is called {path:?}; topics: exit-codes, filters, tuples"
            ))
        })?;
    }
    Ok(found.render_long_help().to_string())
}

/// Writes the completion script of a shell.
pub(super) fn completion(
    shell: clap_complete::Shell,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mosctl", &mut script);
    output.bytes(&script)?;
    Ok(Exit::Done)
}

/// Writes the version of mosctl.
pub(super) fn version(output: &mut Output) -> Result<Exit, Failure> {
    output.text(concat!("mosctl ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Exit::Done)
}

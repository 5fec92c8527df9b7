//! The bounds that a client can meet, from the server's table of them.

use std::time::Duration;

use mos_stack::Limits;
use mos_text::{Size, Span};
use mosd::{Configured, Limit, Scope, Unit, boot::config::Server, limits};

use crate::page::{begin, paragraph, table};

/// The page of limits.
pub(crate) fn page() -> String {
    let stack = Limits::default();
    let connections_max = Server::default().connections_max;
    let configured = Configured { stack: &stack, connections_max, cores: 1 };
    let row = |limit: Limit| {
        let name = format!("`{}`", limit.name);
        vec![name, value(&limit), scope(limit.scope).to_owned(), limit.meaning.to_owned()]
    };
    let rows: Vec<_> = limits(&configured).into_iter().map(row).collect();
    [
        begin("Limits", "the table of bounds"),
        paragraph(
            "What a client can hold of mosd is bounded: each thing for one principal, and for all. \
             A principal is a user on the Unix socket, and a host elsewhere. Root on the Unix \
             socket, the administrator, is not bounded by what others hold.",
        ),
        paragraph(
            "`GetServerInfo` tells the numbers in force, `mosctl info` prints them. Where the \
             configuration decides a number, its key is named and the default is shown.",
        ),
        table(&["limit", "value", "for each", "of what"], &rows),
    ]
    .concat()
}

fn value(limit: &Limit) -> String {
    match limit.unit {
        Unit::Count => limit.value.to_string(),
        Unit::Bytes => Size(limit.value).to_string(),
        Unit::Milliseconds => Span(Duration::from_millis(limit.value)).to_string(),
    }
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Server => "server",
        Scope::Principal => "principal",
        Scope::Connection => "connection",
        Scope::Call => "call",
        Scope::Core => "core",
        Scope::Flow => "flow",
    }
}

//! The exit codes of `mosctl`, from its table.

use mosctl::error::Exit;

use crate::page::{begin, paragraph, table};

/// The page of exit codes.
pub(crate) fn page() -> String {
    let rows: Vec<_> = Exit::ALL
        .into_iter()
        .map(|exit| {
            let (code, meaning, grpc) = exit.row();
            vec![code.to_string(), meaning.to_owned(), grpc.to_owned()]
        })
        .collect();
    let mosd = "mosd ends with 0 after an end in order, with 2 where the command line, the \
                configuration or the machine's set-up is at fault, and with 1 otherwise. A panic \
                of a worker aborts it: SIGABRT, which a shell shows as 134; the last line of the \
                log says which core. There is a core dump then, with the payload of all buffers, \
                if the limit of its size allows one (LimitCORE= of the unit, ulimit -c of a \
                shell).";
    [
        begin("Exit codes", "the table of mosctl"),
        paragraph("The numbers of mosctl are part of its interface."),
        table(&["code", "meaning", "gRPC status"], &rows),
        paragraph(mosd),
    ]
    .concat()
}

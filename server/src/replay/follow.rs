//! `mosd replay --follow`: each record is printed when its flow ends, and forgotten.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use mos_dataplane::source::capture::Interrupt;

use super::{args::Output, csv, output, record::FlowRecord};

/// Where all workers print.
pub(super) struct Follower<'a> {
    sink: Mutex<Sink<'a>>,
    output: Output,
    /// Ends the replay when nothing can be printed any more.
    interrupt: &'a Interrupt,
}

struct Sink<'a> {
    out: &'a mut (dyn Write + Send),
    failure: Option<io::Error>,
}

impl<'a> Follower<'a> {
    /// Prints what stands before all records.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub(super) fn begin(
        output: Output,
        out: &'a mut (dyn Write + Send),
        interrupt: &'a Interrupt,
    ) -> io::Result<Self> {
        if output == Output::Csv {
            csv::print_names(out)?;
            out.flush()?;
        }
        Ok(Self { sink: Mutex::new(Sink { out, failure: None }), output, interrupt })
    }

    /// Prints a record. Where that fails, it is the last.
    pub(super) fn print(&self, record: &FlowRecord) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.failure.is_some() {
            return;
        }
        let printed = output::print_line(record, self.output, sink.out);
        if let Err(error) = printed.and_then(|()| sink.out.flush()) {
            sink.failure = Some(error);
            self.interrupt.set();
        }
    }

    /// Why not all was printed, if so.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub(super) fn end(self) -> io::Result<()> {
        let sink = self.sink.into_inner().unwrap_or_else(PoisonError::into_inner);
        sink.failure.map_or(Ok(()), Err)
    }
}

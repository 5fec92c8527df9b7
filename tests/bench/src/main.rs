//! Measures what the command line names, and prints one table.

mod args;
mod case;
mod spec;

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
};

use anyhow::Context as _;
use clap::Parser as _;
use mos_bench::{
    port::write_capture,
    report::{Report, write_table},
};

use args::Args;
use case::cases;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let (Some(path), Some(frames)) = (&args.write_capture, args.frames) {
        let specs = spec::specs(&args);
        let spec = specs.first().context("no traffic")?;
        write_capture(path, spec.make(1)?.as_mut(), frames)?;
        return Ok(());
    }
    let cases = cases(&args);
    let (mut out, mut progress) = (io::stdout().lock(), io::stderr().lock());
    if args.here {
        for case in cases {
            if let Some(row) = case.measure(&args)? {
                serde_json::to_writer(&mut out, &row)?;
                writeln!(out)?;
            }
        }
        return Ok(());
    }
    let mut rows = Vec::new();
    for (case, number) in cases.iter().zip(1..) {
        if progress.is_terminal() {
            write!(progress, "\r\x1b[K{number} of {}: {}", cases.len(), case.title())?;
        }
        match case.measure_apart(&args)? {
            Some(row) => rows.push(row),
            None => writeln!(progress, "\nleft out for want of memory or CPUs: {}", case.title())?,
        }
    }
    if progress.is_terminal() {
        write!(progress, "\r\x1b[K")?;
    }
    let report = Report::of_machine(rows);
    write_table(&mut out, &report)?;
    if let Some(path) = &args.json {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        serde_json::to_writer_pretty(file, &report)?;
    }
    Ok(())
}

//! Measures what was asked for and prints one table.

mod args;
mod case;

use std::{fs, io};

use clap::Parser as _;
use mos_bench::{arena::Arena, report::write_table};

use args::Args;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut arena = Arena::new(args.arena_mib << 20)?;
    let mut rows = Vec::new();
    for case in case::cases(&args) {
        rows.extend(case.measure(&args, &mut arena)?);
    }
    write_table(&mut io::stdout().lock(), &rows, clock_mhz())?;
    Ok(())
}

/// The clock that the machine counts its time with, in MHz.
fn clock_mhz() -> Option<f64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("cpu MHz"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

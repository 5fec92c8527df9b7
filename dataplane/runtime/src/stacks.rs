//! Makes the stacks, each near the CPU of its worker.

use std::{io, thread};

use mos_stack::{Limits, LimitsError, Stack, WorkerId};

use crate::{cpu, error::StartError, meminfo};

/// Makes a stack for each worker, on the worker's CPU: the kernel takes memory from the node of the
/// CPU that touches it first.
pub(crate) fn make(
    ids: &[WorkerId],
    limits: Limits,
    seed: u64,
    cpus: &[usize],
) -> Result<Vec<Stack>, StartError> {
    if limits.populate {
        let needed = limits.memory_bytes().saturating_mul(ids.len() as u64);
        check_available(needed, meminfo::bytes("MemAvailable"))?;
        tracing::info!(mebibytes = needed >> 20, "populating the memory of flows and buffers");
    }
    thread::scope(|scope| {
        let start = |(id, cpu): (&WorkerId, &usize)| {
            let (id, cpu, name) = (*id, *cpu, format!("mos-stack-{id}"));
            let make = move || {
                cpu::tie_or_warn(&[cpu]);
                Stack::new(id, limits, seed)
            };
            match thread::Builder::new().name(name.clone()).spawn_scoped(scope, make) {
                Ok(thread) => Ok((name, thread)),
                Err(error) => Err(StartError::Thread { name, error }),
            }
        };
        let threads = ids.iter().zip(cpus).map(start).collect::<Result<Vec<_>, _>>()?;
        threads.into_iter().map(|(name, thread)| joined(name, thread.join())).collect()
    })
}

fn joined(
    name: String,
    result: thread::Result<Result<Stack, LimitsError>>,
) -> Result<Stack, StartError> {
    let panicked = |_| StartError::Thread { name, error: io::Error::other("it panicked") };
    Ok(result.map_err(panicked)??)
}

/// The kernel does not refuse to populate memory that it does not have: it kills a process.
fn check_available(needed: u64, available: Option<u64>) -> Result<(), StartError> {
    match available.filter(|available| *available < needed) {
        Some(available) => {
            let (needed_mib, available_mib) = (needed >> 20, available >> 20);
            Err(StartError::Memory { needed_mib, available_mib })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_refused_before_it_is_taken() {
        check_available(10 << 20, Some(10 << 20)).unwrap();
        check_available(10 << 20, None).unwrap();
        let error = check_available(11 << 20, Some(10 << 20)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "limits.populate needs 11 MiB, and 10 MiB of memory are available: lower \
             limits.flows_max or limits.pool, or let memory come as it is used"
        );
    }

    #[test]
    fn each_worker_gets_a_stack_and_all_of_its_memory() {
        let limits =
            Limits { flows_max: 10_000, pool_bytes: 32 << 20, populate: true, ..Limits::default() };
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            4096 * pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = resident();
        let ids = [0, 1].map(|id| WorkerId::new(id).unwrap());
        let stacks = make(&ids, limits, 1, &[0, 0]).unwrap();
        assert_eq!(stacks.len(), 2);
        let (after, needed) = (resident(), limits.memory_bytes() * 2);
        assert!(after >= before + needed / 10 * 9, "{before} to {after}, for {needed}");
    }
}

//! Which CPUs the workers run on: always those that the process may use, never fixed ones.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::StartError;

/// The CPUs that this process may use, in order.
#[must_use]
pub fn allowed() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_error| vec![0],
        |set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
    )
}

/// A CPU for each worker: the wished ones, in order; else the first allowed CPU is left to the
/// control plane as long as there are others.
pub(crate) fn choose(
    wished: &[usize],
    workers: u16,
    allowed: &[usize],
) -> Result<Vec<usize>, StartError> {
    let count = usize::from(workers);
    if wished.is_empty() {
        return Ok((1..=count).map(|worker| allowed[worker % allowed.len()]).collect());
    }
    if wished.len() < count {
        return Err(StartError::TooFewCpus { given: wished.len(), workers });
    }
    match wished.iter().find(|cpu| !allowed.contains(cpu)) {
        Some(cpu) => Err(StartError::CpuNotAllowed { cpu: *cpu, allowed: allowed.to_vec() }),
        None => Ok(wished[..count].to_vec()),
    }
}

/// Ties the calling thread to one CPU.
///
/// # Errors
///
/// The process may not use that CPU.
pub fn pin_this_thread(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpu_is_left_to_the_control_plane_where_there_are_others() {
        assert_eq!(choose(&[], 2, &[4, 5, 6]).unwrap(), [5, 6]);
        assert_eq!(choose(&[], 2, &[4, 5]).unwrap(), [5, 4]);
        assert_eq!(choose(&[], 2, &[3]).unwrap(), [3, 3]);
    }

    #[test]
    fn wished_cpus_are_taken_in_order_and_must_be_allowed() {
        assert_eq!(choose(&[7, 5, 6], 2, &[5, 6, 7]).unwrap(), [7, 5]);
        let few = choose(&[5], 2, &[5, 6]).unwrap_err();
        assert_eq!(few.to_string(), "cpus names 1 CPUs for 2 workers");
        let foreign = choose(&[9], 1, &[5, 6]).unwrap_err();
        assert_eq!(foreign.to_string(), "this process may not use CPU 9; it may use [5, 6]");
    }

    #[test]
    fn this_process_may_use_a_cpu_and_pin_itself_to_it() {
        let last = *allowed().last().unwrap();
        std::thread::spawn(move || {
            pin_this_thread(last).unwrap();
            assert_eq!(allowed(), [last]);
        })
        .join()
        .unwrap();
    }
}

//! Which CPUs the workers run on, and which are left to all other threads: taken from those that
//! the process may use.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::StartError;

/// How the CPUs that the process may use are shared out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus {
    /// One for each worker, in the order of the workers.
    pub workers: Vec<usize>,
    /// For all other threads: the CPUs without a worker, or all CPUs if each has a worker.
    pub others: Vec<usize>,
    /// All of them, in order.
    pub allowed: Vec<usize>,
}

impl Cpus {
    /// Shares out the CPUs that the calling thread may use. `wished` are CPUs for the workers, in
    /// order. When it is empty, the first allowed CPU is left to the other threads, if there are
    /// more.
    ///
    /// # Errors
    ///
    /// `wished` names fewer CPUs than there are workers, one of them twice, or one that may not be
    /// used.
    pub fn share(wished: &[usize], workers: u16) -> Result<Self, StartError> {
        Self::share_of(allowed(), wished, workers)
    }

    fn share_of(allowed: Vec<usize>, wished: &[usize], workers: u16) -> Result<Self, StartError> {
        let workers = choose(wished, workers, &allowed)?;
        let mut others = allowed.clone();
        others.retain(|cpu| !workers.contains(cpu));
        if others.is_empty() {
            others.clone_from(&allowed);
        }
        Ok(Self { workers, others, allowed })
    }
}

/// The CPUs that this process may use, in order.
#[must_use]
pub fn allowed() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_error| vec![0],
        |set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
    )
}

/// Checks the CPUs that are wished for, as far as that needs no machine.
///
/// # Errors
///
/// They are fewer than the workers, or two workers would share one.
pub(crate) fn check(wished: &[usize], workers: u16) -> Result<(), StartError> {
    let count = usize::from(workers);
    if wished.is_empty() {
        return Ok(());
    }
    let Some(taken) = wished.get(..count) else {
        return Err(StartError::TooFewCpus { given: wished.len(), workers });
    };
    match taken.iter().enumerate().find(|(index, cpu)| taken[..*index].contains(cpu)) {
        Some((_, cpu)) => Err(StartError::CpuTwice(*cpu)),
        None => Ok(()),
    }
}

/// A CPU for each worker: the wished ones in order, or else the allowed ones, the first one last.
fn choose(wished: &[usize], workers: u16, allowed: &[usize]) -> Result<Vec<usize>, StartError> {
    let count = usize::from(workers);
    if wished.is_empty() {
        return Ok((1..=count).map(|worker| allowed[worker % allowed.len()]).collect());
    }
    check(wished, workers)?;
    match wished.iter().find(|cpu| !allowed.contains(cpu)) {
        Some(cpu) => Err(StartError::CpuNotAllowed { cpu: *cpu, allowed: allowed.to_vec() }),
        None => Ok(wished[..count].to_vec()),
    }
}

/// Ties the calling thread, and the threads that it will start, to these CPUs.
///
/// # Errors
///
/// The process may use none of them.
pub fn tie_this_thread(cpus: &[usize]) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    Ok(sched_setaffinity(None, &set)?)
}

/// As [`tie_this_thread`]; a failure is only logged.
pub(crate) fn tie_or_warn(cpus: &[usize]) {
    if let Err(error) = tie_this_thread(cpus) {
        tracing::warn!(?cpus, %error, "cannot tie the thread to its CPUs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(allowed: &[usize], wished: &[usize], workers: u16) -> (Vec<usize>, Vec<usize>) {
        let cpus = Cpus::share_of(allowed.to_vec(), wished, workers).unwrap();
        assert_eq!(cpus.allowed, allowed);
        (cpus.workers, cpus.others)
    }

    fn refusal(allowed: &[usize], wished: &[usize], workers: u16) -> String {
        Cpus::share_of(allowed.to_vec(), wished, workers).unwrap_err().to_string()
    }

    #[test]
    fn the_first_cpu_is_left_to_the_control_plane_where_there_are_others() {
        assert_eq!(share(&[4, 5, 6], &[], 2), (vec![5, 6], vec![4]));
        assert_eq!(share(&[4, 5, 6, 7], &[], 2), (vec![5, 6], vec![4, 7]));
    }

    #[test]
    fn where_every_cpu_has_a_worker_the_other_threads_use_them_all() {
        assert_eq!(share(&[4, 5], &[], 2), (vec![5, 4], vec![4, 5]));
        assert_eq!(share(&[3], &[], 2), (vec![3, 3], vec![3]));
    }

    #[test]
    fn wished_cpus_are_taken_in_order_and_must_be_allowed() {
        assert_eq!(share(&[5, 6, 7], &[7, 5, 6], 2), (vec![7, 5], vec![6]));
        assert_eq!(refusal(&[5, 6], &[5], 2), "cpus names 1 CPUs for 2 workers");
        assert_eq!(refusal(&[5, 6], &[5, 5], 2), "cpus names CPU 5 for two workers");
        assert_eq!(share(&[5, 6, 7], &[5, 6, 5], 2), (vec![5, 6], vec![7]));
        let foreign = "this process may not use CPU 9; it may use [5, 6]";
        assert_eq!(refusal(&[5, 6], &[9], 1), foreign);
    }

    #[test]
    fn a_thread_and_those_that_it_starts_stay_on_the_cpus_that_they_are_tied_to() {
        let last = *allowed().last().unwrap();
        std::thread::spawn(move || {
            tie_this_thread(&[last]).unwrap();
            assert_eq!(allowed(), [last]);
            assert_eq!(std::thread::spawn(allowed).join().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }
}

//! Panics. One in the control plane is contained: seen, counted and answered, and the workers go
//! on. Any other ends the process, as a worker whose flows cannot be trusted must not go on.

mod contained;
mod hook;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    contained::{Panicked, caught, contained, spawn, watched},
    hook::{contains_its_panics, count, install},
};
use std::sync::{Mutex, PoisonError};

/// The tasks that have ended by a panic, by name.
static FALLEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The tasks that the service needs and that have ended by a panic.
pub(crate) fn fallen() -> Vec<String> {
    FALLEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn note_fallen(name: String) {
    FALLEN.lock().unwrap_or_else(PoisonError::into_inner).push(name);
}

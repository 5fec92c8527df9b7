//! Registers our threads with DPDK: each gets an lcore id, and with it a cache in every mempool.
#![expect(unsafe_code, reason = "registers the calling thread with EAL")]

use std::{marker::PhantomData, sync::Arc};

use super::eal::{Eal, EalError, last_errno};

/// The calling thread's registration; ends with it.
#[derive(Debug)]
pub(crate) struct Registration {
    _eal: Arc<Eal>,
    /// Must be dropped on the thread that made it: neither `Send` nor `Sync`.
    _thread: PhantomData<*const ()>,
}

impl Registration {
    /// Registers the calling thread.
    pub(crate) fn of_this_thread(eal: &Arc<Eal>) -> Result<Self, EalError> {
        // SAFETY: EAL is initialised while there is an `Eal`; a thread registers at most once
        // because the guard is made on threads that we start for this alone.
        let code = unsafe { dpdk_sys::rte_thread_register() };
        if code == 0 {
            Ok(Self { _eal: Arc::clone(eal), _thread: PhantomData })
        } else {
            Err(EalError::Thread { cause: last_errno() })
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: this thread was registered in `of_this_thread`, and EAL still runs.
        unsafe { dpdk_sys::rte_thread_unregister() }
    }
}

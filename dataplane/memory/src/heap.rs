//! The heap of the process, as glibc keeps it.
//!
//! What is freed goes back to the system by itself only from the end of the heap. After a peak,
//! what lives on lies between what does not.

#![expect(unsafe_code, reason = "calls two functions of glibc that no library wraps")]

/// Bytes of the heap that nobody uses, given back or not. 0 where the allocator is not glibc's.
#[must_use]
pub fn free_bytes() -> usize {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: It has no arguments, and may be called at any time on any thread.
        let info = unsafe { libc::mallinfo2() };
        info.fordblks
    }
    #[cfg(not(target_env = "gnu"))]
    {
        0
    }
}

/// Gives whole pages that nobody uses back to the system, wherever they lie. Who allocates waits
/// meanwhile: 1 ms for each MiB.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: It may be called at any time on any thread. It says whether anything was given
        // back, which does not matter.
        unsafe { libc::malloc_trim(0) };
    }
}

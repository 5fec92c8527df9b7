//! Memory goes back to the system after a peak of clients.
//!
//! glibc keeps what lies between two things that live on: thousands of connections that ended left
//! 65 MiB behind, whatever its arenas and thresholds were set to (docs/decisions/0064).

use std::time::Duration;

use mos_memory::heap;
use tokio::{task::spawn_blocking, time::sleep};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Bytes that have become free before it is worth the while to give them back.
const WORTH: usize = 8 * 1024 * 1024;

/// Looks for memory that has become free, and gives it back. Never ends.
pub(super) async fn upkeep() {
    let mut least = heap::free_bytes();
    loop {
        sleep(LOOK).await;
        let free = heap::free_bytes();
        least = least.min(free);
        if free > least + WORTH {
            // Whoever allocates waits meanwhile. An error is a panic, logged already.
            let _given_or_panicked: Result<(), _> = spawn_blocking(heap::give_back).await;
            // Memory in the middle of the heap counts as free afterwards, too.
            least = heap::free_bytes();
        }
    }
}

//! What the kernel says of the machine's memory.

/// A line of `/proc/meminfo`, such as `MemAvailable`, in bytes; none where the kernel does not say.
pub(crate) fn bytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory_and_not_all_of_it_is_taken() {
        let (total, available) = (bytes("MemTotal").unwrap(), bytes("MemAvailable").unwrap());
        assert!(total > 100 << 20, "{total}");
        assert!(0 < available && available < total, "{available} of {total}");
        assert_eq!(bytes("Mem"), None);
    }
}

//! Files that hold secrets: who else may read them.

/// Whether a file of this mode and this owner (by user id) keeps a secret: nobody but its owner may
/// read it. One that root owns may be read by its group as well, which is how secrets are handed to
/// a service that does not run as root.
#[must_use]
pub const fn keeps_secret(mode: u32, owner: u32) -> bool {
    let others = if owner == 0 { 0o037 } else { 0o077 };
    mode & others == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_and_where_that_is_root_for_a_group() {
        for (mode, owner, keeps) in [
            (0o100_600, 1000, true),
            (0o100_400, 1000, true),
            (0o100_640, 1000, false),
            (0o100_604, 1000, false),
            (0o100_640, 0, true),
            (0o100_660, 0, false),
            (0o100_644, 0, false),
        ] {
            assert_eq!(keeps_secret(mode, owner), keeps, "{mode:o} {owner}");
        }
    }
}

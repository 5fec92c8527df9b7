//! Man pages and completions of both programs.

use std::{fs, path::Path};

use clap_complete::Shell;

/// Writes `man1/` with a page for each command, and the completions of three shells.
///
/// # Errors
///
/// When the folder cannot be written.
pub fn write_manual(folder: &Path) -> anyhow::Result<()> {
    let pages = folder.join("man1");
    let completions = folder.join("completions");
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    for mut command in [crate::mosd(), crate::mosctl()] {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            clap_complete::generate_to(shell, &mut command, &name, &completions)?;
        }
        clap_mangen::generate_to(command, &pages)?;
    }
    Ok(())
}

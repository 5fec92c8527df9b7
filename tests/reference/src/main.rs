//! Writes the reference pages into the tree, or man pages and completions into a folder.

use std::{env, fs, path::Path};

fn main() -> anyhow::Result<()> {
    if let Some(folder) = env::args_os().nth(1) {
        return mos_reference::write_manual(Path::new(&folder));
    }
    for page in mos_reference::pages()? {
        fs::write(mos_reference::folder().join(page.name), page.text)?;
    }
    Ok(())
}

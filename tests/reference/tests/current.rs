//! The reference pages say what the code says, and the man pages can be read.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::{fs, process::Command};

#[test]
fn the_reference_is_current() {
    for page in mos_reference::pages().unwrap() {
        let path = mos_reference::folder().join(page.name);
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, page.text, "{} is stale: make reference", path.display());
    }
}

#[test]
fn every_command_has_a_man_page_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    mos_reference::write_manual(folder.path()).unwrap();
    let pages: Vec<_> = fs::read_dir(folder.path().join("man1")).unwrap().flatten().collect();
    let names: Vec<_> = pages.iter().map(|page| page.file_name().into_string().unwrap()).collect();
    for name in ["mosd.1", "mosd-replay.1", "mosctl.1", "mosctl-setopt.1", "mosctl-flows-list.1"] {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
    for page in pages {
        // Where there is no groff, nobody reads man pages.
        let groff =
            Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(page.path()).output();
        if let Ok(output) = groff {
            let warnings = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && warnings.is_empty(),
                "{:?}: {warnings}",
                page.path()
            );
        }
    }
    let completions = fs::read_dir(folder.path().join("completions")).unwrap().count();
    assert_eq!(completions, 6);
}

//! Promises of the architecture, as rules over the source tree.
//!
//! A rule is a function from a [`Tree`] to the list of its violations, so that a test can run it on
//! a bad sample first and then on the real tree. A rule that finds nothing in the sample is broken.

mod code;
mod pages;
mod rooms;
mod rules;
mod supply;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use code::code_only;
pub use pages::{
    decisions_are_complete, items_of_the_architecture_exist, links_lead_somewhere,
    links_of_the_book_stay_in_it, pages_are_narrow, paths_of_pages_exist,
    promises_name_their_tests, the_book_lists_its_pages,
};
pub use rooms::{imports_have_no_circle, rooms_import_as_drawn};
pub use rules::{
    dependencies_are_argued, every_crate_takes_the_lints, every_file_has_a_header,
    every_file_is_in_a_module_tree, files_are_short, imports_point_downwards, lines_are_short,
    no_machine_paths, numbers_of_errors_stay_in_one_table, open_points_name_an_issue,
    proto_types_stay_at_the_edge, rules_name_what_exists, stack_modules_point_downwards,
    unsafe_is_confined,
};
pub use supply::dependencies_are_allowed;

/// Folders without files of ours.
const SKIPPED: [&str; 4] = ["target", ".git", ".cache", "node_modules"];

/// Endings of the files that people write here.
const WRITTEN: [&str; 14] = [
    "rs", "c", "h", "toml", "lock", "md", "sh", "py", "proto", "service", "sysusers", "yml",
    "conf", "txt",
];

/// Names of files that people write here and that have no ending.
const WRITTEN_NAMES: [&str; 5] = ["Makefile", "Containerfile", "run", "LICENSE", ".editorconfig"];

/// One file of the tree.
#[derive(Debug, Clone)]
pub struct File {
    /// Path below the workspace's root, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl File {
    /// Makes a file, for samples.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether this is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether this is a manifest of Cargo.
    pub fn is_manifest(&self) -> bool {
        self.path == "Cargo.toml" || self.path.ends_with("/Cargo.toml")
    }

    /// Whether the whole file is test code.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/testing/")
            || self.path.ends_with("/tests.rs")
    }

    /// The text without the unit tests at its end.
    pub fn without_tests(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests").unwrap_or(self.text.len());
        self.text.get(..end).unwrap_or(&self.text)
    }
}

/// The files that people write here.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// All of them.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the workspace that this crate belongs to.
    pub fn of_workspace() -> Self {
        let root = root();
        let mut tree = Self::default();
        tree.read_folder(&root, &root).expect("the workspace can be read");
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    /// A tree of a few files, on which a rule is tested.
    pub fn sample(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| File::new(path, text)).collect() }
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The manifests.
    pub fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_manifest())
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && !SKIPPED.contains(&name.as_ref()) {
                self.read_folder(root, &path)?;
            } else if !is_folder && is_written(&path, &name) {
                let text = fs::read_to_string(&path)?;
                let below = path.strip_prefix(root).unwrap_or(&path);
                self.files.push(File { path: below.to_string_lossy().into_owned(), text });
            }
        }
        Ok(())
    }
}

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn is_written(path: &Path, name: &str) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| WRITTEN.contains(&ending)) || WRITTEN_NAMES.contains(&name)
}

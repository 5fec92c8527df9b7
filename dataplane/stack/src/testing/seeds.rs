//! Seed corpora of fuzz targets: files that our own generators make, committed beside the target.

use std::{
    collections::BTreeMap, env, ffi::OsString, format, fs, path::Path, path::PathBuf,
    string::String, vec::Vec,
};

/// Compares the committed seeds of a target with those that the generators make; with
/// `MOSD_WRITE_SNAPSHOTS` in the environment, writes them instead. `file` is the target's source
/// file, `target` the path of its test.
#[track_caller]
pub(crate) fn check_seeds(file: &str, target: &str, seeds: &[(&str, Vec<u8>)]) {
    // `file!` is relative to the workspace, whose members lie two folders deep.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join(file).parent().expect("a folder").join("__fuzz__");
    let folder = folder.join(target.replace("::", "__")).join("corpus");
    let expected: BTreeMap<OsString, Vec<u8>> =
        seeds.iter().map(|(name, bytes)| (OsString::from(name), bytes.clone())).collect();
    if env::var_os("MOSD_WRITE_SNAPSHOTS").is_some() {
        write(&folder, &expected);
    }
    let found: BTreeMap<OsString, Vec<u8>> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name(), fs::read(entry.path()).expect("readable")))
        .collect();
    assert!(found == expected, "MOSD_WRITE_SNAPSHOTS=1 brings {} up to date", folder.display());
}

fn write(folder: &PathBuf, seeds: &BTreeMap<OsString, Vec<u8>>) {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("removed");
    }
    fs::create_dir_all(folder).expect("created");
    for (name, bytes) in seeds {
        fs::write(folder.join(name), bytes).expect("written");
    }
}

/// Compares a text with a committed file; with `MOSD_WRITE_SNAPSHOTS` in the environment, writes
/// it instead. `file` is relative to this crate.
#[track_caller]
pub(crate) fn check_snapshot(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("MOSD_WRITE_SNAPSHOTS").is_some() {
        fs::write(&path, text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = |(number, (is, was)): (usize, (&str, &str))| {
        (is != was).then(|| format!("line {}:\n  is  {is}\n  was {was}", number + 1))
    };
    let lines = text.lines().zip(committed.lines()).enumerate();
    let first: Option<String> = lines.filter(|(_, (is, was))| is != was).find_map(differs);
    assert!(text == committed, "{file} differs, {first:?}; MOSD_WRITE_SNAPSHOTS=1 writes it anew");
}

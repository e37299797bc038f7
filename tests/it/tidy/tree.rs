//! The source tree as the rules see it: texts by path, without what is built or fetched.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::rules::Finding;

/// Folders that hold nothing of ours: builds and packages. Hidden ones are left out too.
const NOT_OURS: [&str; 3] = ["target", "node_modules", "dist"];

/// The repository's root, and its Rust files relative to it, sorted.
pub(super) struct Tree {
    root: PathBuf,
    rust: Vec<String>,
}

impl Tree {
    pub(super) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_owned();
        let mut tree = Self { rust: Vec::new(), root };
        tree.walk("");
        tree.rust.sort();
        assert!(tree.rust.len() > 100, "the walk found the source tree");
        tree
    }

    fn walk(&mut self, folder: &str) {
        for entry in fs::read_dir(self.root.join(folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if entry.file_type().expect("a type").is_dir() {
                if !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                    self.walk(&path);
                }
            } else if Path::new(&name).extension().is_some_and(|extension| extension == "rs") {
                self.rust.push(path);
            }
        }
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The findings of a rule over all Rust files.
    pub(super) fn each_rust_file(&self, rule: impl Fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
        self.rust.iter().flat_map(|path| rule(path, &self.text(path))).collect()
    }

    /// The Rust files of a crate, by their paths below its `src/`.
    pub(super) fn sources(&self, name: &str) -> impl Iterator<Item = (&str, String)> {
        let inside = move |path: &'_ String| Some(path.strip_prefix(name)?.strip_prefix("/src/")?.len());
        self.rust.iter().filter_map(move |path| inside(path).map(|rest| (&path[path.len() - rest..], self.text(path))))
    }

    /// Names of the folders in a folder that have Rust files, sorted.
    pub(super) fn folders(&self, of: &str) -> Vec<String> {
        let inside = self.rust.iter().filter_map(|path| path.strip_prefix(of)?.strip_prefix('/')?.split_once('/'));
        let mut names: Vec<String> = inside.map(|(name, _)| name.to_owned()).collect();
        names.dedup();
        names
    }

    /// The providers of this build, by their folders.
    pub(super) fn providers(&self) -> Vec<String> {
        self.folders("resolvers/src/providers")
    }

    /// Names of the migrations' modules, sorted.
    pub(super) fn migrations(&self) -> Vec<String> {
        let names = self.rust.iter().filter_map(|path| path.strip_prefix("migrations/src/m0")?.strip_suffix(".rs"));
        names.map(|rest| format!("m0{rest}")).collect()
    }
}

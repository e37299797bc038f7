//! The module graph of a crate: which modules of one folder use each other, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit as _;

use super::paths::{Collector, Module, is_for_tests};

/// A module, by the names that lead to it from the crate's root.
type ModulePath = Vec<String>;

/// A use: the file that has it, and the path as it is written.
#[derive(Debug, Clone)]
struct Use {
    file: String,
    written: String,
}

/// The modules that each module uses, with one example of each.
type Edges = BTreeMap<ModulePath, BTreeMap<ModulePath, Use>>;

/// A crate's modules without those that are compiled for tests only.
#[derive(Default)]
pub(super) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    /// Reads the files of a crate: their paths below `src/`, and their texts.
    pub(super) fn read<'a>(files: impl Iterator<Item = (&'a str, String)>) -> Self {
        let files: BTreeMap<ModulePath, (&str, String)> =
            files.map(|(path, text)| (module_of(path), (path, text))).collect();
        let mut read = Self::default();
        read.add_file(&[], &files);
        read
    }

    fn add_file(&mut self, at: &[String], files: &BTreeMap<ModulePath, (&str, String)>) {
        let Some((path, text)) = files.get(at) else { return };
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.add_items(at, &file.items, (path, files));
    }

    fn add_items(
        &mut self,
        at: &[String],
        items: &[syn::Item],
        (path, files): (&str, &BTreeMap<ModulePath, (&str, String)>),
    ) {
        let mut found = Collector { file: path, module: Module::default() };
        let mut below = Vec::new();
        for item in items {
            match item {
                syn::Item::Mod(module) if !is_for_tests(&module.attrs) => {
                    found.module.children.insert(module.ident.to_string());
                    below.push(module);
                }
                syn::Item::Mod(_) => {}
                item => found.visit_item(item),
            }
        }
        self.modules.insert(at.to_vec(), found.module);
        for module in below {
            let inside = [at, &[module.ident.to_string()]].concat();
            match &module.content {
                Some((_, items)) => self.add_items(&inside, items, (path, files)),
                None => self.add_file(&inside, files),
            }
        }
    }

    /// The module that a path leads to, as far as it leads through this crate's modules. `depth`: how many names of `use` it may
    /// lead through.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        if depth == 0 {
            return None;
        }
        let (mut at, mut rest) = (from.to_vec(), path);
        while let Some((name @ ("crate" | "self" | "super"), after)) =
            rest.split_first().map(|(name, after)| (name.as_str(), after))
        {
            match name {
                "crate" => at.clear(),
                "super" => drop(at.pop()?),
                _ => {}
            }
            rest = after;
        }
        if rest.len() == path.len() {
            let (module, name) = (self.modules.get(&at)?, path.first()?);
            if !module.children.contains(name) && !module.names.contains_key(name) {
                return None;
            }
        }
        while let Some((name, after)) = rest.split_first() {
            let module = self.modules.get(&at)?;
            if module.children.contains(name) {
                at.push(name.clone());
                rest = after;
            } else if let Some(target) = module.names.get(name).filter(|target| target.first() != Some(name)) {
                let whole = [target.as_slice(), after].concat();
                return Some(self.resolve(&at, &whole, depth - 1).unwrap_or(at));
            } else {
                break;
            }
        }
        Some(at)
    }

    /// The uses between two modules of one folder, those of their submodules included.
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (module, content) in &self.modules {
            for (path, file) in &content.paths {
                let Some(to) = self.resolve(module, path, 16) else { continue };
                let common = module.iter().zip(&to).take_while(|(one, other)| one == other).count();
                if let (Some(from), Some(to)) = (module.get(..=common), to.get(..=common)) {
                    let example = Use { file: file.clone(), written: path.join("::") };
                    edges.entry(from.to_vec()).or_default().entry(to.to_vec()).or_insert(example);
                }
            }
        }
        edges
    }

    /// Each use that is part of a circle, with the file that has it.
    pub(super) fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
            edges.keys().map(|module| (module, reached_from(module, &edges))).collect();
        let mut circles = Vec::new();
        for (from, used) in &edges {
            for (to, example) in used {
                if reached.get(to).is_some_and(|back| back.contains(from)) {
                    let Use { file, written } = example;
                    circles.push(format!("{} uses {} ({file}: {written})", from.join("::"), to.join("::")));
                }
            }
        }
        circles
    }
}

fn reached_from<'a>(module: &'a ModulePath, edges: &'a Edges) -> BTreeSet<&'a ModulePath> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&ModulePath> = vec![module];
    while let Some(module) = next.pop() {
        for to in edges.get(module).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}

/// `http/body.rs` is the module `http::body`.
fn module_of(path: &str) -> ModulePath {
    let mut names: ModulePath = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

#[test]
fn a_circle_is_found_also_through_a_name_that_another_module_brings_in() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; #[cfg(test)] mod tests;"),
        ("a.rs", "use crate::b::Thing; #[cfg(test)] mod tests { use crate::c::C; }"),
        ("b/mod.rs", "mod inner; mod other; pub use inner::Thing;"),
        ("b/inner.rs", "pub struct Thing; fn f() { println!(\"{}\", crate::c::C); }"),
        ("b/other.rs", "use super::Thing;"),
        ("c.rs", "pub fn g() { super::a::h() }"),
        ("tests.rs", "use crate::a::A;"),
    ];
    let read = Crate::read(files.into_iter().map(|(path, text)| (path, text.to_owned())));
    let circles =
        ["a uses b (a.rs: crate::b::Thing)", "b uses c (b/inner.rs: crate::c::C)", "c uses a (c.rs: super::a::h)"];
    assert_eq!(read.circles(), circles);
    let edges = read.edges();
    assert!(edges[&vec!["b".to_owned(), "other".to_owned()]].contains_key(&vec!["b".to_owned(), "inner".to_owned()]));
}

//! The paths in the items of a module: what it uses, also without a `use`.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

/// A module, as its text names it.
#[derive(Default)]
pub(super) struct Module {
    /// Its submodules.
    pub(super) children: BTreeSet<String>,
    /// Names that `use` brings in, with what they stand for: a path that leads through such a name leads there.
    pub(super) names: BTreeMap<String, Vec<String>>,
    /// All paths in it that may lead to another module, each with its file.
    pub(super) paths: Vec<(Vec<String>, String)>,
}

/// Whether an item is compiled for tests only.
pub(super) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// Collects the paths of a module.
pub(super) struct Collector<'a> {
    pub(super) file: &'a str,
    pub(super) module: Module,
}

impl Collector<'_> {
    fn add(&mut self, path: Vec<String>) {
        self.module.paths.push((path, self.file.to_owned()));
    }

    fn add_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => self.add_name(before.to_vec(), before.last().cloned()),
            syn::UseTree::Name(name) => self.add_name(with(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(name) if name.ident == "self" => {
                self.add_name(before.to_vec(), Some(name.rename.to_string()));
            }
            syn::UseTree::Rename(name) => self.add_name(with(&name.ident), Some(name.rename.to_string())),
            syn::UseTree::Glob(_) => self.add(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(tree, before)),
        }
    }

    fn add_name(&mut self, path: Vec<String>, name: Option<String>) {
        self.module.names.extend(name.map(|name| (name, path.clone())));
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_use(&item.tree, &[]);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.add(names);
        }
        visit::visit_path(self, path);
    }

    /// A macro's arguments are no syntax yet; paths from the crate's root are found in them.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let tokens = called.tokens.to_string();
        for start in tokens.match_indices("crate ::").filter_map(|(at, _)| tokens.get(at..)) {
            let mut path = Vec::new();
            for step in start.split("::").map(str::trim) {
                let rest = step.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
                path.push(step.strip_suffix(rest).unwrap_or(step).to_owned());
                if !rest.is_empty() {
                    break;
                }
            }
            self.add(path);
        }
        visit::visit_macro(self, called);
    }
}

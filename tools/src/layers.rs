//! The layers of the kernel's core: which file is on which, and which files may import which.

use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Item, ItemUse, Path, UseTree};

/// The layers from the lowest to the highest, each with its folders and files below `kernel/src`. A file imports files
/// of its own layer and of those before it. The only files that import each other are those in [`CIRCLES`].
pub const LAYERS: &[(&str, &[&str])] = &[
    (
        "0 words",
        &[
            "backtrace",
            "bundle",
            "credentials",
            "heap",
            "ids",
            "limits",
            "line",
            "machine",
            "outcome",
            "policy",
            "rate",
            "trap_frame",
        ],
    ),
    ("1 the step", &["effort", "longest", "step", "trace"]),
    ("2 scheduling", &["sched"]),
    ("3 ports and messages", &["ipc"]),
    ("3 tasks", &["task"]),
    ("3 vouchers", &["vouchers"]),
    ("5 transactions", &["accounting", "boot", "calls", "kernel", "lifetime", "msg", "shortcut", "work"]),
    ("6 inspection", &["inspect"]),
];

/// Files that import each other in a circle, and why they may.
pub const CIRCLES: &[(&[&str], &str)] = &[
    (&["sched::run_queue", "sched::turn"], "the turns are one half of the run queue, whose other half is the levels"),
    (
        &["sched::thread", "sched::timer", "sched::wait_queue"],
        "a thread holds its places in the wait queues and the timers, which are linked through the threads",
    ),
];

/// The types in a folder's `mod.rs` whose operations the files beside it carry out. Each such file imports them; that
/// makes no circle, because the `mod.rs` defines the state and the files beside it what may happen to it.
pub const OWNERS: &[(&str, &[&str])] =
    &[("ipc", &["Ipc"]), ("sched", &["Scheduling"]), ("task", &["Task", "Tasks"]), ("vouchers", &["Vouchers"])];

/// The largest circle that may be named.
pub const CIRCLE_MAX: usize = 4;

/// The files that each file imports, by their module paths.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the module path of a file below `kernel/src`, such as `ipc::port`; a folder's `mod.rs` is the folder's.
pub fn module_of(file: &str) -> String {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

/// Returns the layer of a module as an index into [`LAYERS`], or `None` if it has none.
pub fn layer_of(module: &str) -> Option<usize> {
    let top = module.split("::").next().unwrap_or(module);
    LAYERS.iter().position(|(_, modules)| modules.contains(&top))
}

/// Collects the paths into the same crate that a file names, outside its tests.
struct Paths<'a> {
    module: &'a str,
    /// The modules that the file declares, whose paths need no `self`.
    children: BTreeSet<String>,
    found: Vec<Vec<String>>,
}

impl Paths<'_> {
    fn add(&mut self, segments: &[String]) {
        let mut base: Vec<String> = self.module.split("::").map(str::to_owned).collect();
        let mut rest = segments;
        match segments.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &segments[1..];
            }
            Some("super") => {
                while let [first, others @ ..] = rest
                    && first == "super"
                {
                    base.pop();
                    rest = others;
                }
            }
            Some("self") => rest = &segments[1..],
            // One word alone is a variable.
            Some(first) if segments.len() > 1 && self.children.contains(first) => {}
            _ => return,
        }
        base.extend(rest.iter().cloned());
        self.found.push(base);
    }

    fn add_tree(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_tree(before, &path.tree);
                before.pop();
            }
            UseTree::Name(name) => self.add(&[before.as_slice(), &[name.ident.to_string()]].concat()),
            UseTree::Rename(name) => self.add(&[before.as_slice(), &[name.ident.to_string()]].concat()),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // Tests may look at everything.
        if let Item::Mod(module) = item
            && module.content.is_some()
        {
            return;
        }
        visit::visit_item(self, item);
    }

    /// Where an item can be seen is no import.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }
}

/// Tells whether a path names one of the [`OWNERS`] of the folder that the file is in.
fn is_own_owner(module: &str, path: &[String]) -> bool {
    let Some((folder, _)) = module.rsplit_once("::") else { return false };
    let owners = OWNERS.iter().find(|(owner, _)| *owner == folder).map_or(&[][..], |(_, types)| types);
    path.strip_prefix(&[folder.to_owned()]).is_some_and(|rest| rest.first().is_some_and(|t| owners.contains(&&**t)))
}

/// Returns what each of the given files imports. An import of an owner (see [`OWNERS`]) by a file of its folder does
/// not count.
///
/// # Panics
/// If a file is no Rust.
pub fn imports(files: &[(String, String)]) -> Imports {
    let modules: BTreeSet<&str> = files.iter().map(|(module, _)| module.as_str()).collect();
    let known = |path: &[String]| {
        (1..=path.len()).rev().map(|end| path[..end].join("::")).find(|module| modules.contains(module.as_str()))
    };
    let mut imports = Imports::new();
    for (module, text) in files {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{module}: {error}"));
        let children = parsed.items.iter().filter_map(|item| match item {
            Item::Mod(child) if child.content.is_none() => Some(child.ident.to_string()),
            _ => None,
        });
        let mut paths = Paths { module, children: children.collect(), found: Vec::new() };
        paths.visit_file(&parsed);
        let counted = paths.found.iter().filter(|path| !is_own_owner(module, path));
        let imported = counted.filter_map(|path| known(path)).filter(|other| other != module).collect();
        imports.insert(module.clone(), imported);
    }
    imports
}

/// Returns a line for each import of a higher layer, and for each file without a layer.
pub fn wrong_imports(imports: &Imports) -> Vec<String> {
    let mut wrong = Vec::new();
    for (module, imported) in imports {
        let Some(layer) = layer_of(module) else {
            wrong.push(format!("{module} is on no layer"));
            continue;
        };
        for other in imported {
            if layer_of(other).is_none_or(|above| above > layer) {
                wrong.push(format!("{module} (layer {}) imports {other}, which is above it", LAYERS[layer].0));
            }
        }
    }
    wrong
}

/// Returns the circles of files that import each other, each sorted.
pub fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reaches = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(module) = next.pop() {
            for other in &imports[&module] {
                if seen.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        seen
    };
    let reachable: BTreeMap<&str, BTreeSet<String>> =
        imports.keys().map(|module| (module.as_str(), reaches(module))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (module, reached) in &reachable {
        if !reached.contains(*module) || circles.iter().any(|circle| circle.iter().any(|other| other == module)) {
            continue;
        }
        let together = reached.iter().filter(|other| reachable[other.as_str()].contains(*module));
        circles.push(together.cloned().collect());
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports_of(files: &[(&str, &str)]) -> Imports {
        let files: Vec<_> = files.iter().map(|(path, text)| (module_of(path), (*text).to_owned())).collect();
        imports(&files)
    }

    #[test]
    fn an_import_of_a_higher_layer_is_reported() {
        let found = imports_of(&[
            ("sched/mod.rs", "use crate::{ids::ThreadId, kernel::Kernel};"),
            ("ids.rs", ""),
            ("kernel.rs", "fn f() { crate::sched::g() }"),
        ]);
        let wrong = wrong_imports(&found);
        assert_eq!(wrong, ["sched (layer 2 scheduling) imports kernel, which is above it"]);
    }

    #[test]
    fn a_file_without_a_layer_is_reported() {
        assert_eq!(wrong_imports(&imports_of(&[("new.rs", "")])), ["new is on no layer"]);
    }

    #[test]
    fn circles_are_found_through_all_forms_of_import() {
        let found = imports_of(&[
            ("ipc/mod.rs", "pub mod a; pub mod b; use a::A;"),
            ("ipc/a.rs", "use super::b::B; use super::Ipc;"),
            ("ipc/b.rs", "use super::c;"),
            ("ipc/c.rs", "fn f(_: crate::ipc::a::A) {}"),
            ("ipc/d.rs", "#[cfg(test)] mod tests { use super::super::a; }"),
        ]);
        assert_eq!(circles(&found), [["ipc::a", "ipc::b", "ipc::c"]]);
    }

    #[test]
    fn only_an_owner_is_free_to_import_from_the_files_own_folder() {
        let with = |import| circles(&imports_of(&[("ipc/mod.rs", "pub mod a; use a::A;"), ("ipc/a.rs", import)]));
        assert_eq!(with("use super::Ipc; fn f(_: crate::ipc::Ipc) {}"), Vec::<Vec<String>>::new());
        assert_eq!(with("use super::{Ipc, Totals};"), [["ipc", "ipc::a"]]);
    }
}

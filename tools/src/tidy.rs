//! The rules of style that neither rustfmt nor clippy checks.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines of a file.
pub const FILE_LINES_MAX: usize = 500;
/// Lines of a function, with its signature, its comments and its blank lines. Clippy's `too_many_lines` counts lines
/// of code alone.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Characters of a line. rustfmt breaks code at this width, but neither comments nor strings.
pub const COLUMNS_MAX: usize = 120;

/// Where `unsafe` code may be. Clippy's `undocumented_unsafe_blocks` demands the comment `SAFETY:`.
const UNSAFE_PLACES: [&str; 4] =
    ["kernel/src/arch/", "boot/", "user/runtime/src/sys/", "user/c/dispatch/src/memory.rs"];

/// A broken rule, and the line that breaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1 on.
    pub line: usize,
    /// The rule.
    pub what: String,
}

fn fault(line: usize, what: impl Into<String>) -> Fault {
    Fault { line, what: what.into() }
}

/// Checks any text file: the width of lines, blanks at their ends, and work that was put off.
pub fn check_text(text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    // Put together, so that this file does not contain them.
    let put_off = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|halves| halves.concat());
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            faults.push(fault(number + 1, "a blank at the end of the line"));
        }
        let columns = line.chars().count();
        // A row of a table cannot be broken.
        if columns > COLUMNS_MAX && !line.trim_start().trim_start_matches(['/', '!']).starts_with(" |") {
            faults.push(fault(number + 1, format!("{columns} columns, at most {COLUMNS_MAX} are allowed")));
        }
        if let Some(word) = put_off.iter().find(|word| line.split(|c: char| !c.is_alphanumeric()).any(|w| w == **word))
        {
            faults.push(fault(number + 1, format!("{word}: an issue is the place for that")));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push(fault(text.lines().count(), "the last line has no end"));
    }
    faults
}

/// Checks a file of Rust; `path` is relative to the root.
pub fn check_rust(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = check_text(text);
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        faults.push(fault(lines.len(), format!("{} lines, at most {FILE_LINES_MAX} are allowed", lines.len())));
    }
    match syn::parse_file(text) {
        Ok(file) => {
            let may_be_unsafe = UNSAFE_PLACES.iter().any(|place| path.starts_with(place));
            let mut visitor = Visitor { lines: &lines, may_be_unsafe, faults: Vec::new() };
            visitor.visit_file(&file);
            faults.append(&mut visitor.faults);
        }
        Err(error) => faults.push(fault(error.span().start().line, format!("this is not Rust: {error}"))),
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

struct Visitor<'a> {
    lines: &'a [&'a str],
    may_be_unsafe: bool,
    faults: Vec<Fault>,
}

impl Visitor<'_> {
    fn function(&mut self, name: &syn::Ident, whole: Span) {
        let length = whole.end().line - whole.start().line + 1;
        if length > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {length} lines, at most {FUNCTION_LINES_MAX} are allowed");
            self.faults.push(fault(whole.start().line, what));
        }
    }

    fn unsafe_code(&mut self, at: Span) {
        if !self.may_be_unsafe {
            let what = format!("`unsafe` is only for {}", UNSAFE_PLACES.join(", "));
            self.faults.push(fault(at.start().line, what));
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, item.sig.span().join(item.block.span()).unwrap_or(item.block.span()));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, item.sig.span().join(item.block.span()).unwrap_or(item.block.span()));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(keyword) = &signature.unsafety {
            self.unsafe_code(keyword.span);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_code(block.unsafe_token.span);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(keyword) = &item.unsafety {
            self.unsafe_code(keyword.span);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let line = attribute.span().start().line;
        let text = self.lines[line - 1].trim();
        if attribute.path().is_ident("ignore") {
            self.faults.push(fault(line, "a test that is not run proves nothing"));
        }
        if attribute.path().is_ident("allow") && text.contains("dead_code") {
            self.faults.push(fault(line, "what is not used is deleted"));
        }
        visit::visit_attribute(self, attribute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<usize> {
        check_rust(path, text).iter().map(|fault| fault.line).collect()
    }

    const CORE: &str = "kernel/src/vm.rs";

    #[test]
    fn good_code_has_no_faults() {
        assert_eq!(check_rust(CORE, "//! Text.\n\nfn f() {}\n"), []);
        assert_eq!(check_rust("kernel/src/arch/a.rs", "fn f() {\n    // SAFETY: Fine.\n    unsafe { g() }\n}\n"), []);
    }

    #[test]
    fn blanks_and_missing_ends_of_lines_are_found() {
        assert_eq!(faults(CORE, "fn f() {} \n\nfn g() {}"), [1, 3]);
        assert_eq!(faults(CORE, "fn f() {}\t\n"), [1]);
    }

    #[test]
    fn lines_that_are_too_wide_are_found_in_comments_too() {
        // An umlaut is two bytes and one column.
        let comment = |columns: usize| format!("// {}\n", "\u{E4}".repeat(columns - "// ".len()));
        assert_eq!(faults(CORE, &comment(COLUMNS_MAX)), [0; 0]);
        assert_eq!(faults(CORE, &comment(COLUMNS_MAX + 1)), [1]);
        assert_eq!(faults(CORE, &format!("/// | row of a table |{}\nfn f() {{}}\n", " |".repeat(COLUMNS_MAX))), [0; 0]);
    }

    #[test]
    fn work_that_was_put_off_is_found() {
        for word in [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|halves| halves.concat()) {
            assert_eq!(faults(CORE, &format!("// {word}: later\nfn f() {{}}\n")), [1]);
        }
        assert_eq!(faults(CORE, "// A method is no such word.\n"), [0; 0]);
    }

    #[test]
    fn files_and_functions_that_are_too_long_are_found() {
        let lines = |count: usize| "    let _ = 1;\n".repeat(count);
        assert_eq!(faults(CORE, &format!("fn f() {{\n{}}}\n", lines(68))), [0; 0]);
        assert_eq!(faults(CORE, &format!("\nfn f() {{\n{}}}\n", lines(69))), [2]);
        assert_eq!(faults(CORE, &format!("struct S;\nimpl S {{\n    fn f() {{\n{}    }}\n}}\n", lines(69))), [3]);
        assert_eq!(faults(CORE, &"const _: () = ();\n".repeat(500)), [0; 0]);
        assert_eq!(faults(CORE, &"const _: () = ();\n".repeat(501)), [501]);
    }

    #[test]
    fn unsafe_code_in_the_wrong_place_is_found() {
        let block = "fn f() {\n    // SAFETY: Fine.\n    unsafe { g() }\n}\n";
        assert_eq!(faults(CORE, block), [3]);
        assert_eq!(faults("user/runtime/src/port.rs", block), [3]);
        assert_eq!(faults("user/c/dispatch/src/queue.rs", block), [3]);
        assert_eq!(faults("boot/src/start.rs", block), [0; 0]);
        assert_eq!(faults(CORE, "unsafe fn f() {}\n"), [1]);
        assert_eq!(faults(CORE, "unsafe impl Sync for S {}\n"), [1]);
    }

    #[test]
    fn tests_that_do_not_run_and_code_that_is_not_used_are_found() {
        assert_eq!(faults(CORE, "#[test]\n#[ignore]\nfn f() {}\n"), [2]);
        assert_eq!(faults(CORE, "#[allow(dead_code)]\nfn f() {}\n"), [1]);
    }

    #[test]
    fn what_is_not_rust_is_found() {
        assert_eq!(faults(CORE, "fn f( {}\n").len(), 1);
    }
}

//! The rules of style that a program can check.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines of a file.
pub const FILE_LINES_MAX: usize = 500;
/// Lines of a function.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Where `unsafe` code may be.
const UNSAFE_PLACES: [&str; 3] = ["kernel/src/arch/", "boot/", "user/src/sys/"];

/// How many lines above an `unsafe` block its explanation may begin.
const EXPLANATION_LINES: usize = 6;

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

fn fault(line: usize, what: impl Into<String>) -> Fault {
    Fault { line, what: what.into() }
}

/// Checks any text file: blanks at the ends of lines, and work that was put off.
pub fn check_text(text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    // Put together, so that this file does not contain them.
    let put_off = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|halves| halves.concat());
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            faults.push(fault(number + 1, "a blank at the end of the line"));
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

    fn unsafe_code(&mut self, at: Span, needs_explanation: bool) {
        let line = at.start().line;
        if !self.may_be_unsafe {
            self.faults.push(fault(line, format!("`unsafe` is only for {}", UNSAFE_PLACES.join(", "))));
        }
        let from = line.saturating_sub(EXPLANATION_LINES + 1);
        if needs_explanation && !self.lines[from..line].iter().any(|line| line.contains("SAFETY:")) {
            self.faults.push(fault(line, "`unsafe` without a comment `SAFETY:`"));
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
            // Its documentation says what callers must see to: clippy checks that.
            self.unsafe_code(keyword.span, false);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_code(block.unsafe_token.span, true);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(keyword) = &item.unsafety {
            self.unsafe_code(keyword.span, true);
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
    fn unsafe_code_in_the_wrong_place_or_unexplained_is_found() {
        let explained = "fn f() {\n    // SAFETY: Fine.\n    unsafe { g() }\n}\n";
        assert_eq!(faults(CORE, explained), [3]);
        assert_eq!(faults("user/src/port.rs", explained), [3]);
        assert_eq!(faults("boot/src/start.rs", "fn f() {\n    unsafe { g() }\n}\n"), [2]);
        assert_eq!(faults(CORE, "unsafe fn f() {}\n"), [1]);
        assert_eq!(faults("boot/src/start.rs", "unsafe impl Sync for S {}\n"), [1]);
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

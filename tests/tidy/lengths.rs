//! How long a file and a function may be.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;

/// A file longer than this has two reasons to change.
pub const FILE_LINES: usize = 300;
/// A function longer than this, from its name to its last brace, has too.
pub const FUNCTION_LINES: usize = 70;

/// Says whether the file is too long.
pub fn check_file(file: &str, source: &str) -> Vec<Finding> {
    let lines = source.lines().count();
    if lines <= FILE_LINES {
        return Vec::new();
    }
    vec![Finding {
        file: file.to_owned(),
        line: FILE_LINES + 1,
        rule: "file length",
        text: format!("{lines} lines, at most {FILE_LINES}"),
    }]
}

/// Says which functions are too long.
pub fn check_functions(file: &str, source: &str) -> Vec<Finding> {
    let syntax = match syn::parse_file(source) {
        Ok(syntax) => syntax,
        Err(error) => {
            return vec![Finding {
                file: file.to_owned(),
                line: error.span().start().line,
                rule: "syntax",
                text: error.to_string(),
            }];
        }
    };
    let mut lengths = Lengths {
        file,
        found: Vec::new(),
    };
    lengths.visit_file(&syntax);
    lengths.found
}

struct Lengths<'a> {
    file: &'a str,
    found: Vec<Finding>,
}

impl Lengths<'_> {
    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (first, last) = (signature.span().start().line, body.span().end().line);
        let lines = last - first + 1;
        if lines > FUNCTION_LINES {
            self.found.push(Finding {
                file: self.file.to_owned(),
                line: first,
                rule: "function length",
                text: format!(
                    "`{}` has {lines} lines, at most {FUNCTION_LINES}",
                    signature.ident
                ),
            });
        }
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.measure(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

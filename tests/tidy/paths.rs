//! Finds every path in a source file. It walks tokens, not the syntax tree, so that paths in attributes and macros are found too.

use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A path in the source. `super`s that reach the crate's root are replaced by `crate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `["crate", "db", "uploads"]`, `["diesel", "prelude"]`; a glob ends in `*`.
    pub segments: Vec<String>,
    /// The first line, counted from 1.
    pub line: usize,
    /// Whether it is inside `#[cfg(test)]`.
    pub in_test: bool,
}

/// Every path of at least two segments, and every single name imported by `use` or `extern crate`. `depth` counts the modules between
/// the file and the root of the crate.
pub fn named(source: &str, depth: usize) -> Result<Vec<Named>, String> {
    let tokens = TokenStream::from_str(source).map_err(|error| error.to_string())?;
    let mut walk = Walk { found: Vec::new() };
    walk.tokens(tokens, depth, false);
    Ok(walk.found)
}

struct Walk {
    found: Vec<Named>,
}

impl Walk {
    fn tokens(&mut self, tokens: TokenStream, depth: usize, in_test: bool) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut next_is_test = false;
        let mut at = 0;
        while at < trees.len() {
            let test = in_test || next_is_test;
            match &trees[at] {
                TokenTree::Ident(_) => {
                    at = self.path_from(&trees, at, depth, test);
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => next_is_test = false,
                TokenTree::Group(group) => {
                    let inner = depth + usize::from(is_module(&trees, at));
                    self.tokens(group.stream(), inner, test);
                    match group.delimiter() {
                        Delimiter::Brace => next_is_test = false,
                        Delimiter::Bracket => next_is_test |= is_cfg_test(&trees, at),
                        _ => {}
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads the path that begins at `at`; returns the index of the token after it.
    fn path_from(&mut self, trees: &[TokenTree], at: usize, depth: usize, in_test: bool) -> usize {
        let line = trees[at].span().start().line;
        let (paths, next) = read(trees, at);
        // `use ::a` imports as `use a` does.
        let global = at >= 2 && is_double_colon(trees, at - 2);
        let before = at
            .checked_sub(if global { 3 } else { 1 })
            .map(|it| trees[it].to_string());
        let imported = matches!(before.as_deref(), Some("use" | "crate"));
        // `use {a::b, c};` has no common first segment.
        let bare_use = trees[at].to_string() == "use" && next == at + 1;
        if let (true, Some(TokenTree::Group(group))) = (bare_use, trees.get(next)) {
            for (inner, line) in list(group.stream()) {
                self.keep(inner, line, depth, in_test, true);
            }
            return next + 1;
        }
        // A name after a dot is a member, not a path.
        if before.as_deref() != Some(".") {
            for (path, line) in paths.into_iter().map(|it| (it.0, it.1.unwrap_or(line))) {
                self.keep(path, line, depth, in_test, imported);
            }
        }
        next
    }

    fn keep(&mut self, path: Vec<String>, line: usize, depth: usize, in_test: bool, lone: bool) {
        let segments = resolve(path, depth);
        if segments.len() > 1 || (lone && segments.len() == 1) {
            self.found.push(Named {
                segments,
                line,
                in_test,
            });
        }
    }
}

/// Words that may precede a path, and never begin one.
const KEYWORDS: [&str; 12] = [
    "use", "as", "return", "break", "in", "dyn", "impl", "mut", "for", "else", "match", "if",
];

type Path = (Vec<String>, Option<usize>);

/// Returns the path that begins at this identifier (several if it ends in braces), and the index after it.
fn read(trees: &[TokenTree], start: usize) -> (Vec<Path>, usize) {
    let mut segments = vec![name(&trees[start])];
    let mut at = start + 1;
    if KEYWORDS.contains(&segments[0].as_str()) {
        return (Vec::new(), at);
    }
    while is_double_colon(trees, at) {
        match trees.get(at + 2) {
            Some(tree @ TokenTree::Ident(_)) => segments.push(name(tree)),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                segments.push("*".to_owned());
                return (vec![(segments, None)], at + 3);
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let paths = list(group.stream()).into_iter().map(|(inner, line)| {
                    let mut whole = segments.clone();
                    whole.extend(inner.into_iter().filter(|segment| segment != "self"));
                    (whole, Some(line))
                });
                return (paths.collect(), at + 3);
            }
            _ => return (vec![(segments, None)], at + 2),
        }
        at += 3;
    }
    (vec![(segments, None)], at)
}

/// The paths in `{a, b::c, d::{e, f}}`, each with its line.
fn list(tokens: TokenStream) -> Vec<(Vec<String>, usize)> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        let line = trees[at].span().start().line;
        match &trees[at] {
            TokenTree::Ident(word) if word == "as" => at += 2,
            TokenTree::Ident(_) => {
                let (paths, next) = read(&trees, at);
                found.extend(paths.into_iter().map(|it| (it.0, it.1.unwrap_or(line))));
                at = next;
            }
            TokenTree::Punct(star) if star.as_char() == '*' => {
                found.push((vec!["*".to_owned()], line));
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// Turns `super::super::x` into `crate::x` where it reaches the root; other paths stay as they are.
fn resolve(path: Vec<String>, depth: usize) -> Vec<String> {
    let rest: Vec<String> = path
        .iter()
        .skip_while(|it| *it == "self")
        .cloned()
        .collect();
    let climbs = rest.iter().take_while(|it| *it == "super").count();
    if climbs == 0 || climbs < depth || climbs == rest.len() {
        return rest;
    }
    let mut absolute = vec!["crate".to_owned()];
    absolute.extend(rest.into_iter().skip(climbs));
    absolute
}

fn name(tree: &TokenTree) -> String {
    tree.to_string().trim_start_matches("r#").to_owned()
}

fn is_double_colon(trees: &[TokenTree], at: usize) -> bool {
    let colon = |place: usize| match trees.get(place) {
        Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => Some(punct.spacing()),
        _ => None,
    };
    colon(at) == Some(Spacing::Joint) && colon(at + 1).is_some()
}

/// Whether the braces at `at` are those of `mod name { … }`.
fn is_module(trees: &[TokenTree], at: usize) -> bool {
    at >= 2 && trees[at - 2].to_string() == "mod"
}

/// Whether the brackets at `at` are `#[cfg(test)]`.
fn is_cfg_test(trees: &[TokenTree], at: usize) -> bool {
    let text = trees[at].to_string().replace(' ', "");
    let asks = text.starts_with("[cfg(test") || text.starts_with("[cfg(all(test,");
    asks && at >= 1 && trees[at - 1].to_string() == "#"
}

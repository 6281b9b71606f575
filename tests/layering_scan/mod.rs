//! Finds the paths that Rust source names, comments and strings apart. No parser: what it takes for
//! a path and is none does no harm, and nobody hides a path from it by accident.

/// A path and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// From 1.
    pub(crate) line: usize,
    /// As `crate::store::Record` or `std::time::Duration`; `super` and groups are resolved.
    pub(crate) path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Sign(char),
}

/// Words that a path may follow and that are no part of it.
const KEYWORDS: &[&str] = &[
    "as", "dyn", "for", "impl", "in", "mut", "return", "use", "where",
];

/// All paths of a file that is the module `module`.
pub(crate) fn scan(text: &str, module: &[String]) -> Vec<Found> {
    let tokens = tokens(text);
    let mut module = module.to_vec();
    let mut found = Vec::new();
    // How many braces are open, and at which of them an inline module began.
    let mut open = 0_usize;
    let mut inline = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) if word == "mod" => {
                let name = tokens.get(at + 1).map(|(_, token)| token);
                let brace = tokens.get(at + 2).map(|(_, token)| token);
                if let (Some(Token::Word(name)), Some(Token::Sign('{'))) = (name, brace) {
                    inline.push(open);
                    module.push(name.clone());
                }
                at += 2;
            }
            Token::Word(word) if !KEYWORDS.contains(&word.as_str()) && starts(&tokens, at) => {
                at = path(&tokens, at, &[], &module, &mut found);
            }
            Token::Sign('{') => {
                open += 1;
                at += 1;
            }
            Token::Sign('}') => {
                open = open.saturating_sub(1);
                if inline.last() == Some(&open) {
                    inline.pop();
                    module.pop();
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// Whether a path can start here: not after a separator, unless that has nothing before it.
fn starts(tokens: &[(usize, Token)], at: usize) -> bool {
    at == 0 || tokens[at - 1].1 != Token::PathSeparator || is_rooted(tokens, at)
}

/// Whether the separator before `at` has nothing before it, as in `::std::time`.
fn is_rooted(tokens: &[(usize, Token)], at: usize) -> bool {
    match at.checked_sub(2).map(|before| &tokens[before].1) {
        None => true,
        Some(Token::Word(word)) => KEYWORDS.contains(&word.as_str()),
        Some(token) => *token != Token::Sign('>'),
    }
}

/// Reads a path or a group that starts at `at`, below `prefix`, and returns where it ends.
fn path(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    module: &[String],
    found: &mut Vec<Found>,
) -> usize {
    let line = tokens[at].0;
    let mut parts = prefix.to_vec();
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Word(word) => parts.push(word.clone()),
            Token::Sign('*') => parts.push("*".to_owned()),
            Token::Sign('{') => return group(tokens, at + 1, &parts, module, found),
            _ => break,
        }
        at += 1;
        if tokens.get(at).map(|(_, token)| token) != Some(&Token::PathSeparator) {
            break;
        }
        at += 1;
    }
    let next = tokens.get(at).map(|(_, token)| token);
    if parts == ["crate"] && next == Some(&Token::Word("as".to_owned())) {
        parts.push("*".to_owned());
    }
    if parts.len() > 1 || is_used(tokens, at) {
        let path = resolve(&parts, module).join("::");
        found.push(Found { line, path });
    }
    at.max(1)
}

/// Whether the word before `at` stands alone after `use`.
fn is_used(tokens: &[(usize, Token)], at: usize) -> bool {
    at >= 2 && tokens[at - 2].1 == Token::Word("use".to_owned())
}

/// Reads what stands between `{` and its `}`, each below `prefix`.
fn group(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    module: &[String],
    found: &mut Vec<Found>,
) -> usize {
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Sign('}') => return at + 1,
            Token::Word(word) if word == "as" => at += 2,
            Token::Word(_) | Token::Sign('*' | '{') => {
                at = path(tokens, at, prefix, module, found);
            }
            _ => at += 1,
        }
    }
    at
}

/// The path from the crate's root, where it is one of this crate.
fn resolve(parts: &[String], module: &[String]) -> Vec<String> {
    let mut base: Option<Vec<String>> = None;
    let mut rest = Vec::new();
    for part in parts {
        match part.as_str() {
            "crate" | "amqpost" if rest.is_empty() => base = Some(Vec::new()),
            "super" if rest.is_empty() => {
                let mut above = base.take().unwrap_or_else(|| module.to_vec());
                above.pop();
                base = Some(above);
            }
            "self" if rest.is_empty() && base.is_none() => base = Some(module.to_vec()),
            _ => rest.push(part.clone()),
        }
    }
    match base {
        Some(base) => ["crate".to_owned()]
            .into_iter()
            .chain(base)
            .chain(rest)
            .collect(),
        None => rest,
    }
}

/// Words, separators and signs with their lines, without comments, strings and characters.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let length = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => until_newline(&chars[at..]),
            ('/', Some('*')) => block_comment(&chars[at..]),
            ('"', _) => string(&chars[at..]),
            ('r', Some('"' | '#')) if raw_string(&chars[at..]) > 0 => raw_string(&chars[at..]),
            ('\'', _) => character(&chars[at..]),
            (':', Some(':')) => {
                tokens.push((line, Token::PathSeparator));
                2
            }
            (first, _) if first == '_' || first.is_alphanumeric() => {
                let word: String = chars[at..]
                    .iter()
                    .take_while(|c| **c == '_' || c.is_alphanumeric())
                    .collect();
                let length = word.chars().count();
                // `br"…"`, `c"…"` and the like: the prefix is no word.
                if chars.get(at + length) != Some(&'"') {
                    tokens.push((line, Token::Word(word)));
                }
                length
            }
            (sign, _) => {
                if !sign.is_whitespace() {
                    tokens.push((line, Token::Sign(sign)));
                }
                1
            }
        };
        let end = (at + length).min(chars.len());
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

fn until_newline(chars: &[char]) -> usize {
    chars.iter().take_while(|c| **c != '\n').count()
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `r#"…"#`, or 0 when it is none.
fn raw_string(chars: &[char]) -> usize {
    let hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    if chars.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let body = &chars[2 + hashes..];
    let length = body.windows(end.len()).position(|window| *window == end);
    length.map_or(chars.len(), |length| 2 + hashes + length + end.len())
}

/// The length of `'x'` or `'\n'`; of a lifetime, only its tick.
fn character(chars: &[char]) -> usize {
    if chars.get(1) == Some(&'\\') {
        let closing = chars.iter().skip(3).position(|c| *c == '\'');
        return closing.map_or(1, |closing| closing + 4);
    }
    if chars.get(2) == Some(&'\'') { 3 } else { 1 }
}

//! As much of `PromQL` as tells which series a query asks for.

use std::collections::BTreeSet;

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    /// Which.
    pub(crate) label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub(crate) operator: String,
    /// With what.
    pub(crate) value: String,
}

/// A metric and the conditions on its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    /// With suffixes.
    pub(crate) metric: String,
    /// All must hold.
    pub(crate) matchers: Vec<Matcher>,
}

/// What a query names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Series.
    pub(crate) selectors: Vec<Selector>,
    /// Labels that are grouped or matched by.
    pub(crate) labels: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// What `query` names. A word before a parenthesis is a function, and other words that no metric can have
/// (operators, units of time) are left out.
pub(crate) fn named(query: &str) -> Named {
    let tokens = tokens(query);
    let mut named = Named::default();
    let mut at = 0;
    while at < tokens.len() {
        let Token::Word(word) = &tokens[at] else {
            at += 1;
            continue;
        };
        at += 1;
        let next = tokens.get(at);
        if is_grouping(word) && next == Some(&Token::Sign('(')) {
            while tokens[at] != Token::Sign(')') {
                if let Token::Word(label) = &tokens[at] {
                    named.labels.insert(label.clone());
                }
                at += 1;
            }
        } else if is_metric(word) && next != Some(&Token::Sign('(')) {
            let mut matchers = Vec::new();
            if next == Some(&Token::Sign('{')) {
                let end = at
                    + tokens[at..]
                        .iter()
                        .position(|one| *one == Token::Sign('}'))
                        .expect("}");
                matchers = tokens[at + 1..end]
                    .split(|one| *one == Token::Sign(','))
                    .map(matcher)
                    .collect();
                at = end;
            }
            named.selectors.push(Selector {
                metric: word.clone(),
                matchers,
            });
        }
    }
    named
}

fn is_grouping(word: &str) -> bool {
    [
        "by",
        "on",
        "without",
        "ignoring",
        "group_left",
        "group_right",
    ]
    .contains(&word)
}

fn is_metric(word: &str) -> bool {
    word == "up" || (word.contains('_') && !word.starts_with('$'))
}

fn matcher(tokens: &[Token]) -> Matcher {
    let [Token::Word(label), signs @ .., Token::Text(value)] = tokens else {
        panic!("no condition: {tokens:?}");
    };
    let sign = |token: &Token| match token {
        Token::Sign(sign) => *sign,
        other => panic!("no operator: {other:?}"),
    };
    Matcher {
        label: label.clone(),
        operator: signs.iter().map(sign).collect(),
        value: value.clone(),
    }
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let length = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_:$".contains(c);
        let taken = if first == '"' {
            let end = 1 + rest[1..].find('"').expect("a text ends");
            tokens.push(Token::Text(rest[1..end].to_owned()));
            end + 1
        } else if is_word(first) {
            let end = length(is_word);
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    tokens
}

#[test]
fn metrics_conditions_and_groupings_are_found() {
    let query = "histogram_quantile(0.9, sum by (le, job) (rate(a_bucket{x=\"1\", y!~\"2|3\"}[5m]))) > on (z) b_total or up == 0";
    let named = named(query);
    let condition = |label: &str, operator: &str, value: &str| Matcher {
        label: label.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
    };
    let metrics: Vec<_> = named
        .selectors
        .iter()
        .map(|one| one.metric.as_str())
        .collect();
    assert_eq!(metrics, ["a_bucket", "b_total", "up"]);
    assert_eq!(
        named.selectors[0].matchers,
        [condition("x", "=", "1"), condition("y", "!~", "2|3")]
    );
    let labels: Vec<_> = named.labels.iter().map(String::as_str).collect();
    assert_eq!(labels, ["job", "le", "z"]);
}

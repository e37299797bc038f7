//! Rust source, read just far enough to tell code from comments and from texts.

/// A line of code: its number, and what is left of it.
pub(super) type Line<'a> = (usize, &'a str);

/// The text without comments, line by line as it was. Texts stay, unless `without_strings`.
pub(super) fn code_of(text: &str, without_strings: bool) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = token(rest, first);
        let (taken, behind) = rest.split_at(length);
        match kind {
            Kind::Comment => code.extend(taken.chars().filter(|character| *character == '\n')),
            Kind::Text if without_strings => code.extend(taken.chars().filter(|character| *character == '\n')),
            Kind::Text | Kind::Code => code.push_str(taken),
        }
        rest = behind;
    }
    code
}

/// The lines before the tests at a file's end.
pub(super) fn without_tests(code: &str) -> impl Iterator<Item = Line<'_>> {
    let numbered = code.lines().enumerate().map(|(number, line)| (number + 1, line));
    numbered.take_while(|(_, line)| line.trim() != "#[cfg(test)]" || line.starts_with(' '))
}

/// The identifiers of a line.
pub(super) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && character != '_').filter(|word| !word.is_empty())
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Text,
    Comment,
}

/// How long the token at the beginning is, and what it is.
fn token(rest: &str, first: char) -> (usize, Kind) {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (until("*/", 2), Kind::Comment);
    }
    match first {
        '"' => (1 + closing_quote(&rest[1..]), Kind::Text),
        'r' if rest[1..].trim_start_matches('#').starts_with('"') => {
            let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
            (until(&format!("\"{}", "#".repeat(hashes)), 2 + hashes), Kind::Text)
        }
        // A character, not a lifetime.
        '\'' if rest[1..].starts_with('\\') => (until("'", 3), Kind::Text),
        '\'' if rest[1..].chars().nth(1) == Some('\'') => {
            (2 + rest[1..].chars().next().map_or(0, char::len_utf8), Kind::Text)
        }
        _ if first.is_alphanumeric() || first == '_' => {
            let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_');
            (end.unwrap_or(rest.len()), Kind::Code)
        }
        _ => (first.len_utf8(), Kind::Code),
    }
}

/// The length up to and with the quote that ends a text.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => return at + 1,
            _ => escaped = character == '\\' && !escaped,
        }
    }
    text.len()
}

#[test]
fn comments_and_texts_are_told_from_code() {
    let text =
        "let a = \"// no \\\" comment\"; // tokio\nlet b = r#\"\"x\"\"#; /* reqwest\n*/ let c = '\"'; let d: &'a str;";
    let kept = "let a = \"// no \\\" comment\"; \nlet b = r#\"\"x\"\"#; \n let c = '\"'; let d: &'a str;";
    assert_eq!(code_of(text, false), kept);
    assert_eq!(code_of(text, true), "let a = ; \nlet b = ; \n let c = ; let d: &'a str;");
    let tests = "fn a() {}\n#[cfg(test)]\nmod tests {}\n";
    assert_eq!(without_tests(tests).collect::<Vec<_>>(), [(1, "fn a() {}")]);
}

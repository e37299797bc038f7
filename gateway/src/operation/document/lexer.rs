//! One pass over the text: counts tokens, nesting and aliases, and allocates little but a stack of brackets.
//!
//! Stricter than the parser where they might disagree (an open string, a stray character is an error here), so that
//! nothing can hide from the counting what the parser would see. And it does what the parser leaves out: escapes beyond U+FFFF
//! (`escape.rs`), and names that come twice in one object, of which the parser would keep the last.

use std::{borrow::Cow, collections::HashSet};

use mullion_schema::error::ErrorCode;

use super::escape::{self, Rewritten};
use crate::{
    config::Limits,
    operation::errors::{Location, RequestError},
};

/// The longest name, in bytes. Names of the graph are far shorter; an alias is in the path of each error below it.
pub(super) const LONGEST_NAME: usize = 255;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Selection,
    Object,
    List,
    Arguments,
}

struct Open<'a> {
    bracket: Bracket,
    /// The names of the fields, where it is an object.
    names: HashSet<&'a str>,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: usize,
    aliases: usize,
    open: Vec<Open<'a>>,
    /// Where the last token begins, if it was a name.
    name: Option<(usize, &'a str)>,
    rewritten: Rewritten<'a>,
    limits: &'a Limits,
}

/// Checks what can be checked without parsing, and gives the text as the parser understands it: with each token in its place.
pub(super) fn check<'a>(text: &'a str, limits: &'a Limits) -> Result<Cow<'a, str>, RequestError> {
    let rewritten = Rewritten::of(text);
    let mut lexer = Lexer { text, at: 0, tokens: 0, aliases: 0, open: Vec::new(), name: None, rewritten, limits };
    while let Some(byte) = lexer.byte(0) {
        lexer.token(byte)?;
    }
    Ok(lexer.rewritten.finish())
}

impl<'a> Lexer<'a> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, matches: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&matches) {
            self.at += 1;
        }
    }

    fn token(&mut self, byte: u8) -> Result<(), RequestError> {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                self.at += 1;
                return Ok(());
            }
            0xEF if self.byte(1) == Some(0xBB) && self.byte(2) == Some(0xBF) => {
                self.at += 3;
                return Ok(());
            }
            b'#' => {
                self.skip_while(|byte| byte != b'\n' && byte != b'\r');
                return Ok(());
            }
            _ => {}
        }
        self.tokens += 1;
        if self.tokens > self.limits.max_tokens {
            return Err(self.too_much("tokens", self.limits.max_tokens));
        }
        let name = self.name.take();
        match byte {
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let start = self.at;
                self.skip_while(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
                if self.at - start > LONGEST_NAME {
                    self.at = start;
                    let message = format!("a name is longer than {LONGEST_NAME} characters");
                    return Err(RequestError::at(ErrorCode::OperationTooComplex, message, self.location()));
                }
                self.name = self.text.get(start..self.at).map(|name| (start, name));
            }
            b'-' | b'0'..=b'9' => {
                self.at += 1;
                self.skip_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
            }
            b'"' => return self.string(),
            b'.' if self.byte(1) == Some(b'.') && self.byte(2) == Some(b'.') => self.at += 3,
            b'!' | b'$' | b'&' | b'=' | b'@' | b'|' => self.at += 1,
            b':' => return self.colon(name),
            b'{' | b'[' | b'(' => return self.open(byte),
            b'}' | b']' | b')' => return self.close(byte),
            _ => return Err(self.syntax("unexpected character")),
        }
        Ok(())
    }

    /// `name` is what stands before it.
    fn colon(&mut self, name: Option<(usize, &'a str)>) -> Result<(), RequestError> {
        self.at += 1;
        match self.open.last_mut() {
            Some(Open { bracket: Bracket::Selection, .. }) => {
                self.aliases += 1;
                if self.aliases > self.limits.max_aliases {
                    return Err(self.too_much("aliases", self.limits.max_aliases));
                }
            }
            Some(Open { bracket: Bracket::Object, names }) => {
                if let Some((start, name)) = name
                    && !names.insert(name)
                {
                    self.at = start;
                    let shown: String = name.chars().take(80).collect();
                    let message = format!("an object has the field {shown:?} twice");
                    return Err(RequestError::at(ErrorCode::GraphqlValidationFailed, message, self.location()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, byte: u8) -> Result<(), RequestError> {
        let bracket = match (byte, self.open.last().map(|open| open.bracket)) {
            (b'{', None | Some(Bracket::Selection)) => Bracket::Selection,
            (b'{', _) => Bracket::Object,
            (b'[', _) => Bracket::List,
            _ => Bracket::Arguments,
        };
        if self.open.len() >= self.limits.max_nesting {
            return Err(self.too_much("levels of brackets", self.limits.max_nesting));
        }
        self.open.push(Open { bracket, names: HashSet::new() });
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), RequestError> {
        let fits = match self.open.pop().map(|open| open.bracket) {
            Some(Bracket::Selection | Bracket::Object) => byte == b'}',
            Some(Bracket::List) => byte == b']',
            Some(Bracket::Arguments) => byte == b')',
            None => false,
        };
        if !fits {
            return Err(self.syntax("unexpected closing bracket"));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), RequestError> {
        let start = self.at;
        let block = self.byte(1) == Some(b'"') && self.byte(2) == Some(b'"');
        self.at += if block { 3 } else { 1 };
        loop {
            match self.byte(0) {
                Some(b'"') if !block => {
                    self.at += 1;
                    self.rewritten.end_of_string(self.at);
                    return Ok(());
                }
                Some(b'"') if self.byte(1) == Some(b'"') && self.byte(2) == Some(b'"') => {
                    self.at += 3;
                    return Ok(());
                }
                Some(b'\\') if !block && self.byte(1) == Some(b'u') => self.escape()?,
                Some(b'\\') if !block => self.at += 2,
                Some(b'\\') if self.text.as_bytes().get(self.at + 1..self.at + 4) == Some(b"\"\"\"") => self.at += 4,
                Some(b'\n' | b'\r') if !block => break,
                Some(_) => self.at += 1,
                None => break,
            }
        }
        self.at = start;
        Err(self.syntax("a string that does not end"))
    }

    /// `\u` and what belongs to it.
    fn escape(&mut self) -> Result<(), RequestError> {
        let Some(escape) = escape::read(self.text.get(self.at..).unwrap_or_default()) else {
            return Err(self.syntax("an escape that is no character: write \\uD83C\\uDF89 or \\u{1F389}"));
        };
        let end = self.at + escape.length;
        if !escape.is_plain {
            self.rewritten.replace(self.at..end, escape.character);
        }
        self.at = end;
        Ok(())
    }

    fn location(&self) -> Location {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = before.get(start..).map_or(0, |line| String::from_utf8_lossy(line).chars().count()) + 1;
        Location { line, column }
    }

    fn syntax(&self, what: &str) -> RequestError {
        let message = format!("the document cannot be parsed: {what}");
        RequestError::at(ErrorCode::GraphqlParseFailed, message, self.location())
    }

    fn too_much(&self, what: &str, limit: usize) -> RequestError {
        let message = format!("the document has more than {limit} {what}");
        RequestError::at(ErrorCode::OperationTooComplex, message, self.location())
    }
}

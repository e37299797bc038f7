//! An error with its causes, as the log shows it: `Display` of our errors does not repeat the source, so that alone it says only
//! where something failed, and not why.

use std::{error::Error, fmt};

/// An error that displays itself and all its causes: `the database failed: no such table: nodes`.
pub struct ErrorChain<'a>(&'a (dyn Error + 'a));

/// The error with its causes, for a field of a log line: `error = %chain(&error)`.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> ErrorChain<'a> {
    ErrorChain(error)
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Libraries repeat their source: each text is said once.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failure {
        text: &'static str,
        source: Option<Box<Failure>>,
    }

    fn failure(texts: &[&'static str]) -> Failure {
        let source = (texts.len() > 1).then(|| Box::new(failure(&texts[1..])));
        Failure { text: texts[0], source }
    }

    #[test]
    fn an_error_is_said_with_all_its_causes_and_none_twice() {
        for (texts, expected) in [
            (&["it failed"][..], "it failed"),
            (&["it failed", "no connection", "refused"], "it failed: no connection: refused"),
            (&["it failed: no connection", "no connection", "refused"], "it failed: no connection: refused"),
        ] {
            assert_eq!(chain(&failure(texts)).to_string(), expected);
        }
    }
}

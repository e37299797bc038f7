//! Slack's markup of mentions and links, as people see it: <https://docs.slack.dev/messaging/formatting-message-text>.

/// A text without the markup of mentions and links, and never with an id.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        let Some((inside, after)) = after.split_once('>') else {
            rest = after;
            continue;
        };
        plain.push_str(&unwrapped(inside));
        rest = after;
    }
    plain.push_str(rest);
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The text that people see in the place of `<…>`.
fn unwrapped(inside: &str) -> String {
    let (target, label) = match inside.split_once('|') {
        Some((target, label)) => (target, Some(label).filter(|label| !label.is_empty())),
        None => (inside, None),
    };
    let mut letters = target.chars();
    match (letters.next(), label) {
        (Some('@'), label) => format!("@{}", label.unwrap_or("someone").trim_start_matches('@')),
        (Some('#'), label) => format!("#{}", label.unwrap_or("channel").trim_start_matches('#')),
        (Some('!'), None) => format!("@{}", letters.as_str().split('^').next().unwrap_or_default()),
        (_, Some(label)) => label.to_owned(),
        (_, None) => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn mentions_are_names_and_never_ids() {
        for (text, seen) in [
            ("<@U08ABC> and <@U2|ada>", "@someone and @ada"),
            ("<#C0ABC|watercooler> <#C2>", "#watercooler #channel"),
            ("<!here> <!subteam^S1|@team>", "@here @team"),
            ("<https://a.example/x|the page>", "the page"),
            ("1 &lt; 2\nnext", "1 < 2\nnext"),
        ] {
            assert_eq!(plain(text), seen, "{text}");
        }
    }
}

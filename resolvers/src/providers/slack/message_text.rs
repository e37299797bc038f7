//! The text of a message as people read it, in Slack's markup.
//!
//! Most messages say it in `text`. Apps often leave that empty, or let Slack fill it with a placeholder, and say everything in
//! blocks or attachments: <https://docs.slack.dev/reference/block-kit/blocks>,
//! <https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments>.

use serde_json::Value;

use super::values::{list, object, text};

/// Texts that Slack puts where an app gave none: they are about the message, not in it.
const PLACEHOLDERS: [&str; 3] =
    ["[no preview available]", "This content can't be displayed.", "This message contains interactive elements."];

/// The message's own text, else its blocks, else its attachments and the names of its files. Empty where it says nothing in words.
///
/// Previews of links are attachments too. They are never the text of a message that has words of its own.
pub(super) fn message_text(message: &Value) -> String {
    if let Some(text) = words(message, "text") {
        return text.to_owned();
    }
    let blocks = lines(list(message, "blocks").iter().map(block));
    if !blocks.is_empty() {
        return blocks;
    }
    let attachments = list(message, "attachments").iter().map(attachment);
    let files = list(message, "files").iter().map(file);
    lines(attachments.chain(files))
}

/// A text that is not empty and no placeholder.
fn words<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    text(value, key).filter(|text| !text.trim().is_empty() && !PLACEHOLDERS.contains(&text.trim()))
}

fn lines(parts: impl Iterator<Item = String>) -> String {
    parts.filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

fn attachment(attachment: &Value) -> String {
    let blocks = lines(list(attachment, "blocks").iter().map(block));
    if !blocks.is_empty() {
        return blocks;
    }
    let own = ["pretext", "author_name", "title", "text"].into_iter();
    let own = own.filter_map(|key| words(attachment, key).map(str::to_owned));
    let fields = list(attachment, "fields").iter().map(|field| {
        let pair = ["title", "value"].into_iter().filter_map(|key| words(field, key));
        pair.collect::<Vec<_>>().join(": ")
    });
    let said = lines(own.chain(fields));
    if !said.is_empty() {
        return said;
    }
    words(attachment, "fallback").or_else(|| words(attachment, "footer")).unwrap_or_default().to_owned()
}

fn file(file: &Value) -> String {
    words(file, "title").or_else(|| words(file, "name")).unwrap_or_default().to_owned()
}

/// A block of any type. Buttons, menus and inputs say nothing.
fn block(block: &Value) -> String {
    let elements = || list(block, "elements").iter();
    match text(block, "type") {
        Some("rich_text") => lines(elements().map(rich_text_part)),
        Some("context") => spaced(elements().map(text_object)),
        Some("image" | "video") => {
            let title = block.get("title").map(text_object).unwrap_or_default();
            if title.is_empty() { escaped(words(block, "alt_text").unwrap_or_default()) } else { title }
        }
        Some("table") => {
            let rows = list(block, "rows").iter().filter_map(Value::as_array);
            lines(rows.map(|cells| spaced(cells.iter().map(table_cell))))
        }
        _ => {
            let own = block.get("text").map(text_object).into_iter();
            lines(own.chain(list(block, "fields").iter().map(text_object)))
        }
    }
}

fn spaced(parts: impl Iterator<Item = String>) -> String {
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A text object, an image that stands between texts, or, in `markdown` blocks, the text itself.
fn text_object(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    match text(value, "type") {
        Some("plain_text") => escaped(words(value, "text").unwrap_or_default()),
        Some("image") => escaped(words(value, "alt_text").unwrap_or_default()),
        _ => words(value, "text").unwrap_or_default().to_owned(),
    }
}

fn table_cell(cell: &Value) -> String {
    match text(cell, "type") {
        Some("rich_text") => spaced(list(cell, "elements").iter().map(rich_text_part)),
        _ => escaped(words(cell, "text").unwrap_or_default()),
    }
}

/// A section, quote, code block or list of rich text. Lists hold sections; nothing goes deeper.
fn rich_text_part(part: &Value) -> String {
    let elements = || list(part, "elements").iter();
    match text(part, "type") {
        Some("rich_text_list") => {
            let items = elements().map(|item| list(item, "elements").iter().map(rich_text_element).collect::<String>());
            lines(items.map(|item| format!("• {item}")))
        }
        _ => elements().map(rich_text_element).collect(),
    }
}

/// An element of rich text, as Slack writes it in `text`: <https://docs.slack.dev/messaging/formatting-message-text>.
fn rich_text_element(element: &Value) -> String {
    let named = |key: &str| text(element, key).unwrap_or_default();
    match text(element, "type") {
        Some("user") => format!("<@{}>", named("user_id")),
        Some("channel") => format!("<#{}>", named("channel_id")),
        Some("usergroup") => format!("<!subteam^{}>", named("usergroup_id")),
        Some("broadcast") => format!("<!{}>", named("range")),
        Some("emoji") => format!(":{}:", named("name")),
        Some("link") => match text(element, "text") {
            Some(label) => format!("<{}|{}>", named("url"), escaped(label)),
            None => format!("<{}>", named("url")),
        },
        Some("date") => escaped(named("fallback")),
        Some("color") => named("value").to_owned(),
        // An element that Slack may invent tomorrow says at least what it has as its text.
        _ => escaped(named("text")),
    }
}

/// Plain text with what would be markup escaped, as in `text`.
fn escaped(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether an event that says `message_changed` is about another text or a deliberate edit. Slack sends one too when it attached the
/// preview of a link, when a thread grew, or when a message was pinned.
pub(super) fn is_edit(message: &Value, before: Option<&Value>) -> bool {
    let edited = |message: &Value| object(message, "edited").and_then(|edited| text(edited, "ts")).map(str::to_owned);
    match before {
        Some(before) => edited(message) != edited(before) || message_text(message) != message_text(before),
        None => edited(message).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_edit, message_text};

    fn section(text: &str) -> Value {
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
    }

    fn rich(elements: &Value) -> Value {
        json!({ "blocks": [{ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": elements }] }] })
    }

    #[test]
    fn a_message_says_what_people_read_in_slack() {
        let placeholder = "[no preview available]";
        for (message, said) in [
            (json!({ "text": "plain *words*" }), "plain *words*"),
            (json!({ "text": "own", "attachments": [{ "fallback": "preview" }] }), "own"),
            (json!({ "text": "This content can't be displayed.", "blocks": [section("Deployed")] }), "Deployed"),
            (
                json!({ "text": "", "blocks": [section("*Deploy* finished"), section("in 3 min")] }),
                "*Deploy* finished\nin 3 min",
            ),
            (
                json!({ "attachments": [{ "fallback": placeholder, "blocks": [
                    { "type": "header", "text": { "type": "plain_text", "text": "Disk > 90 %" } }, section("on db-7"),
                ] }] }),
                "Disk &gt; 90 %\non db-7",
            ),
            (json!({ "attachments": [{ "fallback": placeholder }] }), ""),
            (json!({ "attachments": [{ "fallback": "Deploy failed" }] }), "Deploy failed"),
            (
                json!({ "attachments": [{ "fallback": "x", "pretext": "New ticket", "title": "Printer", "text": "third floor",
                    "fields": [{ "title": "Priority", "value": "urgent" }, { "value": "now" }] }] }),
                "New ticket\nPrinter\nthird floor\nPriority: urgent\nnow",
            ),
            (
                json!({ "blocks": [{ "type": "context", "elements": [
                { "type": "image", "image_url": "https://x.example/a.png", "alt_text": "logo" },
                { "type": "mrkdwn", "text": "build 812" }] }] }),
                "logo build 812",
            ),
            (
                json!({ "blocks": [{ "type": "section", "fields": [
                { "type": "mrkdwn", "text": "*Service*" }, { "type": "plain_text", "text": "checkout" }] }] }),
                "*Service*\ncheckout",
            ),
            (
                json!({ "blocks": [{ "type": "image", "image_url": "https://x.example/a.png", "alt_text": "a chart" }] }),
                "a chart",
            ),
            (json!({ "blocks": [{ "type": "markdown", "text": "**bold**" }] }), "**bold**"),
            (
                json!({ "blocks": [{ "type": "actions", "elements": [{ "type": "button", "text": { "type": "plain_text", "text": "OK" } }] }] }),
                "",
            ),
            (
                json!({ "blocks": [{ "type": "table", "rows": [[{ "type": "raw_text", "text": "a" }, { "type": "raw_text", "text": "b" }]] }] }),
                "a b",
            ),
            (json!({ "files": [{ "title": "Plan" }, { "name": "notes.txt" }, {}] }), "Plan\nnotes.txt"),
            (json!({}), ""),
            (json!({ "text": 7, "blocks": 7, "attachments": [7, null], "files": "x" }), ""),
        ] {
            assert_eq!(message_text(&message), said, "{message}");
        }
    }

    #[test]
    fn rich_text_is_written_in_slack_s_markup() {
        for (elements, said) in [
            (
                json!([{ "type": "text", "text": "typed by " }, { "type": "text", "text": "a <workflow>" }]),
                "typed by a &lt;workflow&gt;",
            ),
            (
                json!([{ "type": "user", "user_id": "U1" }, { "type": "text", "text": " in " }, { "type": "channel", "channel_id": "C1" }]),
                "<@U1> in <#C1>",
            ),
            (
                json!([{ "type": "link", "url": "https://a.example", "text": "here" }, { "type": "link", "url": "https://b.example" }]),
                "<https://a.example|here><https://b.example>",
            ),
            (
                json!([{ "type": "broadcast", "range": "here" }, { "type": "emoji", "name": "tada" }, { "type": "usergroup", "usergroup_id": "S1" }]),
                "<!here>:tada:<!subteam^S1>",
            ),
            (
                json!([{ "type": "date", "timestamp": 1, "fallback": "today" }, { "type": "invented", "text": "!" }]),
                "today!",
            ),
        ] {
            assert_eq!(message_text(&rich(&elements)), said, "{elements}");
        }
        let item = |text: &str| json!({ "type": "rich_text_section", "elements": [{ "type": "text", "text": text }] });
        let listed = json!({ "blocks": [{ "type": "rich_text", "elements": [
            item("Today:"), { "type": "rich_text_list", "style": "bullet", "elements": [item("one"), item("two")] },
            { "type": "rich_text_preformatted", "elements": [{ "type": "text", "text": "x = 1" }] },
        ] }] });
        assert_eq!(message_text(&listed), "Today:\n• one\n• two\nx = 1");
    }

    #[test]
    fn a_preview_or_a_longer_thread_is_no_edit() {
        let said = json!({ "text": "see <https://news.example/7>" });
        let previewed = json!({ "text": "see <https://news.example/7>", "attachments": [{ "text": "All quiet" }], "reply_count": 2 });
        let edited = json!({ "text": "see <https://news.example/7>", "edited": { "ts": "7.000000" } });
        let other = json!({ "text": "see the other" });
        for (message, before, expected) in [
            (&previewed, Some(&said), false),
            (&said, Some(&previewed), false),
            (&previewed, None, false),
            (&edited, Some(&said), true),
            (&edited, Some(&edited), false),
            (&edited, None, true),
            (&other, Some(&said), true),
        ] {
            assert_eq!(is_edit(message, before), expected, "{message} {before:?}");
        }
    }
}

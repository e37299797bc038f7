//! Comments.

use crate::{
    interfaces::{MESSAGE_TEXT, WorkItem, message, node, provider_node},
    providers::first_line,
    table::{Derive, Field, table},
};

table! {
    /// A comment.
    GithubComment = GITHUB_COMMENT {
        provider: "github",
        doc: "A comment on an issue or a pull request on GitHub.",
        interfaces: &["Node", "ProviderNode", "Message"],
        always: &["text", "sentAt", "updatedAt"],
        fields: &[
            &node(),
            &provider_node(Derive::new(first_line, &["text"])),
            &message(MESSAGE_TEXT),
            &[Field::node::<WorkItem>("subject", "The issue or pull request it was made on.")],
        ],
    }
}

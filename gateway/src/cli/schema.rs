//! `mullion schema`

use clap::Args;

use crate::boot;

/// Prints the graph's schema (SDL).
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mullion schema > schema.graphql\n  mullion schema --federation | rover subgraph check …"
)]
pub(super) struct Schema {
    /// As an Apollo Federation v2 subgraph
    #[arg(long)]
    federation: bool,
}

impl Schema {
    pub(super) fn run(&self) {
        crate::terminal::print(boot::schema(self.federation).trim_end());
    }
}

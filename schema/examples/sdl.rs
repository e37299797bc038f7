//! Writes the graph in the schema language to standard output: `cargo run -p mullion-schema --example sdl > schema/schema.graphql`;
//! with the argument `--federation` as a subgraph.

use std::io::{self, Write};

use mullion_schema::build::{federation_sdl, sdl};

fn main() -> io::Result<()> {
    let federation = std::env::args().any(|argument| argument == "--federation");
    io::stdout().write_all(if federation { federation_sdl() } else { sdl() }.as_bytes())
}

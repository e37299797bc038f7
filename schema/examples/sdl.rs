//! Writes the graph in the schema language to standard output: `cargo run -p mullion-schema --example sdl > schema/schema.graphql`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(mullion_schema::build::sdl().as_bytes())
}

//! The binary: the allocator, and the command line's exit code. Everything else is in the library.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mullion_gateway::cli::main()
}

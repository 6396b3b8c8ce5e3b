//! Arguments in, exit code out; nothing else.
//!
//! Everything that the program does stands in the library, so that the tests reach it too.

fn main() -> std::process::ExitCode {
    pipeline::cli::main(std::env::args_os())
}

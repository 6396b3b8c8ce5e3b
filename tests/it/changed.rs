//! `--changed`: what a run over changes reads, what it leaves alone, and that nothing is lost by it.

mod chance;
mod rules;

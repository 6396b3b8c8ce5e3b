//! What a shell and an editor are told: `completions` and `schema`, as a process.

use std::io::Write;
use std::process::{Command, Stdio};

use pipeline::cli::args::Arguments;
use serde_json::Value;

use super::World;

/// Names of the verbs, as the help lists them.
fn verbs() -> Vec<String> {
    let command = <Arguments as clap::CommandFactory>::command();
    command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

#[test]
fn each_shell_is_told_every_verb() {
    let world = World::start();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = world.run(&format!("completions {shell}")).code(0).stdout;
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell} has no `{verb}`");
        }
        // Words of an option are known to those that can complete them.
        let words: &[&str] = match shell {
            "powershell" | "elvish" => &["--only", "resolve"],
            _ => &["--only", "resolve", "to_crm"],
        };
        for word in words {
            assert!(script.contains(word), "{shell} has no `{word}`");
        }
        let document = world.run(&format!("completions {shell} --format json")).code(0).json();
        assert_eq!((document["shell"].as_str(), document["script"].as_str()), (Some(shell), Some(script.as_str())));
        // Its help says where to put it.
        let help = world.run("completions --help").code(0).stdout;
        assert!(help.contains(&format!("pipeline completions {shell} >")), "{help}");
    }
    let refused = world.run("completions tcsh").code(2);
    assert!(refused.stderr.contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{refused:#?}");
}

#[test]
fn bash_takes_its_completions() {
    let script = World::start().run("completions bash").code(0).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let answer = bash.wait_with_output().unwrap();
    assert!(answer.status.success() && answer.stderr.is_empty(), "{}", String::from_utf8_lossy(&answer.stderr));
}

#[test]
fn the_schema_is_one_document() {
    let world = World::start();
    let schema: Value = world.run("schema").code(0).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["version", "name", "connections", "state", "tables"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(world.run("schema --format json").code(0).json(), schema);
}

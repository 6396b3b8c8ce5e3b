//! A question before something that cannot be taken back. It is asked on a terminal only; `--yes` answers it elsewhere.

use std::io::{BufRead, IsTerminal};

use crate::cli::exit::Failure;
use crate::cli::progress;

/// Tells whether a person agrees; `yes` is `--yes`, and no question is asked then.
///
/// The question is one sentence without question mark, as in `delete customers:10000 in the CRM`; what it leads to, and
/// how many records it is about, stands before. Where stdin or stderr is no terminal nobody could answer, and that is a
/// failure: a script has to say what it wants.
pub fn confirm(question: &str, yes: bool) -> Result<bool, Failure> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    agreed(question, yes, terminal, &mut std::io::stdin().lock(), &mut progress::say)
}

/// Does the same with any terminal.
fn agreed(
    question: &str,
    yes: bool,
    terminal: bool,
    answers: &mut dyn BufRead,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !terminal {
        return Err(Failure::Arguments {
            message: format!("whether to {question} has to be asked, and there is no terminal to ask on"),
            hint: "`--yes` answers it; nothing was done".to_owned(),
        });
    }
    say(&format!("{question}? [y/N]"));
    let mut answer = String::new();
    // What cannot be read is no agreement.
    let _ = answers.read_line(&mut answer);
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_agreement() {
        for (yes, answer, agrees) in [
            (true, "", true),
            (false, "y\n", true),
            (false, " Yes \n", true),
            (false, "n\n", false),
            (false, "yesterday\n", false),
            (false, "\n", false),
            (false, "", false),
        ] {
            let mut said = Vec::new();
            let question = "delete customers:10000 in the CRM";
            let got = agreed(question, yes, true, &mut answer.as_bytes(), &mut |line| said.push(line.to_owned()));
            assert_eq!(got.unwrap(), agrees, "{yes} {answer:?}");
            let expected: &[&str] = if yes { &[] } else { &["delete customers:10000 in the CRM? [y/N]"] };
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_asked() {
        let ask = |yes| agreed("delete it", yes, false, &mut "y\n".as_bytes(), &mut |_| panic!("nobody sees it"));
        assert!(ask(true).unwrap());
        let failure = ask(false).unwrap_err();
        assert_eq!(failure.to_string(), "whether to delete it has to be asked, and there is no terminal to ask on");
        assert!(failure.hint().starts_with("`--yes` answers it"), "{}", failure.hint());
    }
}

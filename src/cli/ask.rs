//! A question before something that cannot be taken back. It is asked on a terminal only; `--yes` answers it elsewhere.

use std::io::{BufRead, IsTerminal};

use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::signals::asking;
use crate::report::asked::Ask;

/// What a person has to agree to.
pub struct Question {
    /// One sentence without question mark, as in `delete customers:10000 in the CRM`; what it leads to stands before it.
    pub what: String,
    /// All that it is about, for programs.
    pub asks: Vec<Ask>,
    /// What else can be done, for whoever does not agree.
    pub otherwise: &'static str,
}

/// Lets a person agree; `yes` is `--yes`, and no question is asked then.
///
/// Where stdin or stderr is no terminal nobody could answer, and that is a failure as well: a script has to say what it
/// wants.
pub fn agree(question: Question, yes: bool) -> Result<(), Failure> {
    answered(question, yes, is_possible(), &mut std::io::stdin().lock(), &mut progress::say)
}

/// Tells whether somebody is there to read a question and to answer it.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Does the same with any terminal.
fn answered(
    question: Question,
    yes: bool,
    terminal: bool,
    answers: &mut dyn BufRead,
    say: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let Question { what, asks, otherwise } = question;
    if yes {
        return Ok(());
    }
    if !terminal {
        return Err(Failure::NotAgreed {
            message: format!("whether to {what} has to be asked, and there is no terminal to ask on"),
            hint: "`--yes` answers it; nothing was done".to_owned(),
            asks,
        });
    }
    say(&format!("{what}? [y/N]"));
    let mut answer = String::new();
    // What cannot be read is no agreement.
    let _ = asking(|| answers.read_line(&mut answer));
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::NotAgreed {
            message: "not agreed to, so nothing was done".to_owned(),
            hint: otherwise.to_owned(),
            asks,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        let asks = vec![Ask { action: "delete", record: "customers:10000".into(), ..Ask::default() }];
        Question { what: "delete customers:10000 in the CRM".into(), asks, otherwise: "leave it" }
    }

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
            let got = answered(question(), yes, true, &mut answer.as_bytes(), &mut |line| said.push(line.to_owned()));
            let expected: &[&str] = if yes { &[] } else { &["delete customers:10000 in the CRM? [y/N]"] };
            assert_eq!(said, expected);
            let told = got.as_ref().map_err(|failure| (failure.to_string(), failure.hint(), failure.asks().len()));
            let refused = ("not agreed to, so nothing was done".to_owned(), "leave it".to_owned(), 1);
            assert_eq!(told, if agrees { Ok(&()) } else { Err(refused) }, "{yes} {answer:?}");
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_asked() {
        let ask = |yes| answered(question(), yes, false, &mut "y\n".as_bytes(), &mut |_| panic!("nobody sees it"));
        assert!(ask(true).is_ok());
        let failure = ask(false).unwrap_err();
        let told = "whether to delete customers:10000 in the CRM has to be asked, and there is no terminal to ask on";
        assert_eq!((failure.to_string().as_str(), failure.asks()), (told, question().asks.as_slice()));
        assert!(failure.hint().starts_with("`--yes` answers it"), "{}", failure.hint());
    }
}

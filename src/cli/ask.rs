//! A question before something that cannot be taken back. It is asked on a terminal only; `--yes` answers it elsewhere.

use std::io::{BufRead, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::signals::asking;
use crate::report::asked::Ask;

/// How long people took to answer; one for the program, as there is one terminal.
static ANSWERED_MS: AtomicU64 = AtomicU64::new(0);

/// Time that passes, but for what people take to answer.
pub struct Watch {
    began: Instant,
    answered_ms: u64,
}

impl Watch {
    /// Begins to count.
    pub fn start() -> Watch {
        Watch { began: Instant::now(), answered_ms: ANSWERED_MS.load(Ordering::Relaxed) }
    }

    /// Returns what has passed so far.
    pub fn elapsed(&self) -> Duration {
        let answered_ms = ANSWERED_MS.load(Ordering::Relaxed) - self.answered_ms;
        self.began.elapsed().saturating_sub(Duration::from_millis(answered_ms))
    }
}

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
    let began = Instant::now();
    // What cannot be read is no agreement.
    let _ = asking(|| answers.read_line(&mut answer));
    let answered_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    ANSWERED_MS.fetch_add(answered_ms, Ordering::Relaxed);
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
    use std::io::Read;

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

    /// Somebody who answers late.
    struct Late;

    impl Read for Late {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Ok(0)
        }
    }

    impl BufRead for Late {
        fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
            let began = Instant::now();
            while began.elapsed() < THOUGHT {
                std::thread::yield_now();
            }
            Ok(b"y\n")
        }

        fn consume(&mut self, _: usize) {}
    }

    const THOUGHT: Duration = Duration::from_millis(50);

    #[test]
    fn what_a_person_takes_to_answer_is_not_the_programs_time() {
        let began = Instant::now();
        let watch = Watch::start();
        answered(question(), false, true, &mut Late, &mut |_| {}).unwrap();
        let without = watch.elapsed();
        // A millisecond may be lost where it is counted in whole ones.
        assert!(
            without + THOUGHT <= began.elapsed() + Duration::from_millis(1),
            "{without:?} of {:?}",
            began.elapsed()
        );
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

//! Asks a person before something is deleted.

use std::io::{self, IsTerminal, Write};

use pgrecall_record::visible;

use super::failure::Failure;

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// The person agreed.
    Given,
    /// The person did not agree.
    Refused,
    /// Stdin is no terminal.
    NobodyToAsk,
}

/// Whether a person can be asked: the answer is read from stdin, and the question goes to stderr.
pub(super) fn may_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a person whether to do something, such as "delete 3 records". Only `y` and `yes` agree.
pub(super) async fn ask(what: &str) -> Consent {
    if !may_ask() {
        return Consent::NobodyToAsk;
    }
    eprint!("This will {}. Continue? [y/N] ", visible::text(what));
    // The read runs on a thread of its own, so that Ctrl-C ends the command while it waits.
    let answer = tokio::task::spawn_blocking(|| {
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    match answer.await {
        Ok(Ok(answer)) if agrees(&answer) => Consent::Given,
        _ => Consent::Refused,
    }
}

/// Makes the failure of a command that may not do something because nobody can be asked.
pub(super) fn nobody(what: &str) -> Failure {
    Failure::Misused(format!(
        "nothing was deleted: this would {what}, and stdin is no terminal, so nobody can be asked; add `--yes` to delete"
    ))
}

fn agrees(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_agrees() {
        assert!(["y", "Y\n", " yes ", "YES\r\n"].into_iter().all(agrees));
        assert!(["", "\n", "n", "no", "yeah", "y y", "ye", "j"].into_iter().all(|answer| !agrees(answer)));
    }
}

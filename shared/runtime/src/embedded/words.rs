//! Converts the output of a Postgres that exited to a part of a sentence, and gives advice.
//!
//! The server's log lines begin with the SQLSTATE, so that the advice never depends on a message's
//! text. The text only decides which lines are shown.

/// Postgres' prefix of a log line: time, process and SQLSTATE.
pub(super) const LOG_LINE_PREFIX: &str = "%m [%p] %e ";
/// The SQLSTATE of a line that reports no failure.
const SUCCESS: &str = "00000";
/// The levels of the lines that are shown. HINT is left out, because hints address people who
/// installed a server by hand.
const TOLD: [&str; 7] = ["LOG", "WARNING", "ERROR", "FATAL", "PANIC", "DETAIL", "CONTEXT"];
/// The most bytes of a reason.
const REASON_BYTES: usize = 600;

/// A line of the log.
struct Line<'a> {
    code: &'a str,
    level: &'a str,
    message: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once("] ")?;
        let (code, rest) = rest.split_once(' ').filter(|(code, _)| code.len() == SUCCESS.len())?;
        let (level, message) = rest.split_once(":  ")?;
        TOLD.contains(&level).then_some(Self { code, level, message })
    }
}

fn failures(said: &str) -> Vec<Line<'_>> {
    said.lines().filter_map(Line::parse).filter(|line| line.code != SUCCESS).collect()
}

/// Returns the failures that a server logged before it exited, in Postgres' own words.
pub(super) fn reason(said: &str) -> String {
    let failures = failures(said);
    let lines: Vec<&str> = if failures.is_empty() {
        // A server that has not read its settings, and initdb, write lines without a SQLSTATE.
        let is_failure =
            |line: &&str| ["FATAL:  ", "PANIC:  ", "ERROR:  ", "error: "].iter().any(|word| line.contains(word));
        let last = said.lines().rfind(is_failure).or_else(|| said.lines().rfind(|line| !line.trim().is_empty()));
        last.map(|line| line.split_once(":  ").map_or(line, |(_, message)| message).trim()).into_iter().collect()
    } else {
        failures.iter().map(|line| line.message.trim()).collect()
    };
    let mut reason = lines.join("; ");
    if reason.len() > REASON_BYTES {
        // The end is kept, because the last message matters most.
        let from = reason.ceil_char_boundary(reason.len() - REASON_BYTES);
        reason = format!("…{}", &reason[from..]);
    }
    if reason.is_empty() { "it said nothing".to_owned() } else { reason }
}

/// Returns the advice for the failures in the log.
pub(super) fn advice(said: &str) -> &'static str {
    let failures = failures(said);
    let has = |fits: &dyn Fn(&Line<'_>) -> bool| failures.iter().any(fits);
    if has(&|line| line.code == "53100") {
        "free some space on the disk that holds it, and start again"
    } else if has(&|line| line.code.starts_with("F0")) {
        "correct or restore that file, and start again"
    } else if has(&|line| line.code == "55000") {
        "give the folder back its owner and its mode, and start again"
    } else if has(&|line| line.level == "PANIC" || line.code.starts_with("XX") || line.code.starts_with("58")) {
        "its files are damaged or missing: restore the folder from a backup, or move it away to begin with an empty database"
    } else {
        "correct that, and start again"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_postgres_own_words_and_its_sqlstate_decides_what_to_do() {
        let said = "2026-11-29 12:08:47.794 UTC [7] 22023 LOG:  invalid value for parameter \"shared_buffers\": \"lots\"\n\
                    2026-11-29 12:08:47.794 UTC [7] F0000 FATAL:  configuration file \"/x\" contains errors\n";
        assert_eq!(
            reason(said),
            "invalid value for parameter \"shared_buffers\": \"lots\"; configuration file \"/x\" contains errors"
        );
        assert!(advice(said).contains("that file"));
        let said = "2026 [7] 00000 LOG:  starting\n2026 [7] 55000 FATAL:  data directory \"/x\" has invalid permissions\n\
                    2026 [7] 55000 DETAIL:  Permissions should be u=rwx (0700).\n2026 [7] 55000 HINT:  none\n";
        assert_eq!(reason(said), "data directory \"/x\" has invalid permissions; Permissions should be u=rwx (0700).");
        assert!(advice(said).contains("mode"));
        assert!(advice("2026 [7] XX000 PANIC:  could not locate a valid checkpoint record").contains("backup"));
        assert!(advice("2026 [7] 53100 FATAL:  could not write").contains("space"));
    }

    #[test]
    fn words_without_a_sqlstate_are_told_too() {
        let initdb = "2026-11-29 12:18:48.058 UTC [8942] FATAL:  could not write to file \"x\": No space left on device\n\
                      child process exited with exit code 1\ninitdb: removing data directory \"/x\"";
        assert_eq!(reason(initdb), "could not write to file \"x\": No space left on device");
        assert_eq!(reason("postgres: could not access the file\n"), "postgres: could not access the file");
        assert_eq!(reason(""), "it said nothing");
        let long = reason(&format!("2026 [7] XX000 FATAL:  {}ü", "ü".repeat(2 * REASON_BYTES)));
        assert!(long.len() <= REASON_BYTES + "…".len());
    }
}

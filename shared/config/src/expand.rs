//! Replaces `${VAR}` and `${VAR:-default}` inside a value.
//!
//! Replacement happens after the YAML is parsed, so the text of a variable can hold quotes, colons
//! and line ends without changing the file's structure. As in a shell, an empty variable takes the
//! default; `$${` writes a plain `${`.

/// Why a replacement failed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum ExpandError {
    /// The variable is not set, and the text gives no default.
    #[error("uses ${{{0}}}, which is not set; set the variable, or write ${{{0}:-default}}")]
    Undefined(String),
    /// `${` without `}`.
    #[error("has a ${{ without its closing brace; close it, or write $${{ for a plain one")]
    Unclosed,
    /// The text between the braces is not the name of a variable.
    #[error("has ${{{0}}}, which names no variable; use letters, digits and _, or write $${{ for a plain one")]
    BadName(String),
}

/// A text with its variables replaced.
#[derive(Debug, PartialEq)]
pub(super) struct Expanded {
    /// The text after replacement.
    pub(super) text: String,
    /// The names of the variables, in order of use.
    pub(super) variables: Vec<String>,
}

/// Replaces the variables in a text.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, ExpandError> {
    let mut out = Expanded { text: String::with_capacity(text.len()), variables: Vec::new() };
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.text.push_str(&rest[..at - 1]);
            out.text.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.text.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or(ExpandError::Unclosed)?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        if !is_name(name) {
            return Err(ExpandError::BadName(inside[..end].to_owned()));
        }
        match (env(name), default) {
            (Some(value), None) => out.text.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.text.push_str(&value),
            (_, Some(default)) => out.text.push_str(default),
            (None, None) => return Err(ExpandError::Undefined(name.to_owned())),
        }
        out.variables.push(name.to_owned());
        rest = &inside[end + 1..];
    }
    out.text.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("db".to_owned()),
            "EMPTY" => Some(String::new()),
            "QUOTED" => Some("a\": {b}\n${HOST}".to_owned()),
            _ => None,
        }
    }

    fn text(from: &str) -> Result<String, ExpandError> {
        expand(from, &env).map(|expanded| expanded.text)
    }

    #[test]
    fn variables_are_replaced_where_they_stand() {
        assert_eq!(text("http://${HOST}:80/${HOST}").unwrap(), "http://db:80/db");
        assert_eq!(text("plain $HOST $5 {x}").unwrap(), "plain $HOST $5 {x}");
        assert_eq!(expand("${HOST}", &env).unwrap().variables, ["HOST"]);
    }

    #[test]
    fn a_default_stands_in_for_an_unset_or_empty_variable() {
        assert_eq!(text("${NONE:-a:-b}").unwrap(), "a:-b");
        assert_eq!(text("${EMPTY:-x}").unwrap(), "x");
        assert_eq!(text("${EMPTY}").unwrap(), "");
        assert_eq!(text("${HOST:-x}").unwrap(), "db");
    }

    #[test]
    fn a_variables_own_text_is_not_read_again() {
        assert_eq!(text("${QUOTED}").unwrap(), "a\": {b}\n${HOST}");
    }

    #[test]
    fn a_doubled_dollar_is_a_plain_one() {
        assert_eq!(text("pa$${HOST}").unwrap(), "pa${HOST}");
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        assert_eq!(text("${NONE}"), Err(ExpandError::Undefined("NONE".to_owned())));
        assert_eq!(text("${HOST"), Err(ExpandError::Unclosed));
        assert_eq!(text("${A B}"), Err(ExpandError::BadName("A B".to_owned())));
        assert_eq!(
            text("${NONE}").unwrap_err().to_string(),
            "uses ${NONE}, which is not set; set the variable, or write ${NONE:-default}"
        );
    }
}

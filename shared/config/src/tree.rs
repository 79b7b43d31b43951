//! Flattens YAML text to a list of values, each with its path and line.
//!
//! Values stay texts here: the table of keys says what type each value must have, so YAML's guess
//! (is `0x10` a number, is `no` a boolean?) has no use. A key that is not in the table is refused
//! here, and the finding names the closest correct place.

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::{Parser, ScanError};

use super::keys::{self, Kind, Place};

/// One value of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Leaf {
    /// The path of the key in the table.
    pub(super) path: &'static str,
    /// The name of the header, if the key holds headers.
    pub(super) header: Option<String>,
    /// The text as written, before `${…}` is replaced.
    pub(super) text: String,
    /// The line, from 1.
    pub(super) line: usize,
}

/// A mistake in the file, and how to fix it.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    /// The line, from 1.
    pub(super) line: usize,
    /// One sentence, without the name of the file.
    pub(super) what: String,
}

/// Reads a file's values, and all findings about unknown keys and wrong shapes.
///
/// The error is text that is not YAML, or a second document.
pub(super) fn read(yaml: &str) -> Result<(Vec<Leaf>, Vec<Finding>), Finding> {
    let root = match documents(yaml) {
        Err(error) => {
            return Err(Finding { line: error.marker().line(), what: format!("this is not YAML: {}.", error.info()) });
        }
        Ok(mut documents) if documents.len() <= 1 => documents.pop(),
        Ok(documents) => {
            let line = documents[1].span.start.line();
            return Err(Finding { line, what: "a second document starts here; write one document only.".to_owned() });
        }
    };
    let mut walk = Walk::default();
    if let Some(root) = root {
        walk.section("", &root);
    }
    Ok((walk.leaves, walk.findings))
}

fn documents(yaml: &str) -> Result<Vec<MarkedYaml<'_>>, ScanError> {
    let mut loader = YamlLoader::default();
    loader.early_parse(false);
    Parser::new_from_str(yaml).load(&mut loader, true)?;
    match loader.error() {
        Some(error) => Err(error.clone()),
        None => Ok(loader.into_documents()),
    }
}

#[derive(Default)]
struct Walk {
    leaves: Vec<Leaf>,
    findings: Vec<Finding>,
}

impl Walk {
    fn section(&mut self, path: &str, node: &MarkedYaml<'_>) {
        let mapping = match &node.data {
            YamlData::Mapping(mapping) => mapping,
            YamlData::Tagged(_, inner) => return self.section(path, inner),
            other if scalar(other).is_some_and(|text| text.is_none()) => return,
            _ => {
                let names = keys::names_in(path).join(", ");
                let what = match path {
                    "" => format!("the file must be a mapping with the keys {names}."),
                    _ => format!("`{path}` must be a mapping with the keys {names}."),
                };
                return self.find(node, what);
            }
        };
        for (name, value) in mapping {
            let Some(Some(name_text)) = scalar(&name.data) else {
                self.find(name, format!("{} holds a key that is not a text.", place_name(path)));
                continue;
            };
            let full = if path.is_empty() { name_text.to_owned() } else { format!("{path}.{name_text}") };
            match keys::place(&full) {
                // Without the condition on the dot, `database.dsn: …` would be accepted like the
                // nested form.
                Place::Key(key) if !name_text.contains('.') => self.value(key, value),
                Place::Section if !name_text.contains('.') => self.section(&full, value),
                _ => self.find(name, unknown(path, name_text)),
            }
        }
    }

    fn value(&mut self, key: &'static keys::Key, node: &MarkedYaml<'_>) {
        if let YamlData::Tagged(_, inner) = &node.data {
            return self.value(key, inner);
        }
        let line = node.span.start.line();
        match (&node.data, scalar(&node.data)) {
            (_, Some(None)) => {}
            (_, Some(Some(text))) if key.kind != Kind::Headers => {
                self.leaves.push(Leaf { path: key.path, header: None, text: text.to_owned(), line });
            }
            (YamlData::Sequence(items), None) if key.kind == Kind::List => {
                match items.iter().map(|item| scalar(&item.data).flatten()).collect::<Option<Vec<_>>>() {
                    Some(texts) => {
                        self.leaves.push(Leaf { path: key.path, header: None, text: texts.join(","), line });
                    }
                    None => self.find(node, format!("`{}` must hold texts only.", key.path)),
                }
            }
            (YamlData::Mapping(headers), None) if key.kind == Kind::Headers => {
                for (name, value) in headers {
                    match (scalar(&name.data), scalar(&value.data)) {
                        (Some(Some(header)), Some(text)) => self.leaves.push(Leaf {
                            path: key.path,
                            header: Some(header.to_owned()),
                            text: text.unwrap_or_default().to_owned(),
                            line: value.span.start.line(),
                        }),
                        _ => self.find(name, format!("`{}` must hold texts only, one for each header.", key.path)),
                    }
                }
            }
            _ => self.find(node, format!("`{}` must be {}.", key.path, key.kind.expected())),
        }
    }

    fn find(&mut self, node: &MarkedYaml<'_>, what: String) {
        self.findings.push(Finding { line: node.span.start.line(), what });
    }
}

/// Returns the text of a scalar. `Some(None)` is YAML's null; `None` is not a scalar.
fn scalar<'a, 'yaml>(data: &'a YamlData<'yaml, MarkedYaml<'yaml>>) -> Option<Option<&'a str>> {
    match data {
        YamlData::Representation(text, ScalarStyle::Plain, _) => {
            Some(if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") { None } else { Some(text) })
        }
        YamlData::Representation(text, ..) => Some(Some(text)),
        // An empty file and a missing value have no representation.
        YamlData::Value(_) => Some(None),
        _ => None,
    }
}

fn place_name(section: &str) -> String {
    if section.is_empty() { "the top level".to_owned() } else { format!("`{section}`") }
}

/// The least similarity (Jaro-Winkler, 0 to 1) at which a name counts as a misspelling.
///
/// `embeding` has 0.98 with `embedding`, `api_token` 0.81 with `api_key`; `url` and `model` share
/// nothing.
const MIN_NAME_SIMILARITY: f64 = 0.8;

/// Returns the name in `names` that is most similar to `wrong`, if it is similar enough.
pub(super) fn closest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase().replace('-', "_");
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, name), name))
        .filter(|(score, _)| *score >= MIN_NAME_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Returns the sentence about an unknown key: where it belongs, else the closest name, else all
/// names of the section.
fn unknown(section: &str, name: &str) -> String {
    let here = format!("`{name}` is not a key of {}", place_name(section));
    let full = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    if name.contains('.') && !matches!(keys::place(&full), Place::Unknown) {
        return format!("`{name}` is written with dots; write one level of indentation for each part.");
    }
    let all = keys::all_names();
    let homes: Vec<_> = all.iter().filter(|(_, known)| *known == name).map(|(home, _)| *home).collect();
    if !homes.is_empty() {
        // Several sections can have the name (`url`). The likely ones share the longest path with
        // the place where it was found.
        let shared = |home: &str| home.split('.').zip(section.split('.')).take_while(|(a, b)| a == b).count();
        let nearest = homes.iter().map(|home| shared(home)).max().unwrap_or(0);
        let near: Vec<_> = homes.into_iter().filter(|home| shared(home) == nearest).map(place_name).collect();
        return format!("{here}: it belongs under {}.", near.join(" or "));
    }
    if let Some(meant) = closest(name, keys::names_in(section)) {
        return format!("{here}; did you mean `{meant}`?");
    }
    if let Some(meant) = closest(name, all.iter().map(|(_, known)| *known)) {
        let home = all.iter().find(|(_, known)| *known == meant).map_or("", |(home, _)| home);
        return format!("{here}; did you mean `{meant}`, which belongs under {}?", place_name(home));
    }
    format!("{here}, which has {}.", keys::names_in(section).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(yaml: &str) -> Vec<String> {
        let (_, findings) = read(yaml).unwrap();
        findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn values_come_with_their_path_and_line() {
        let (leaves, findings) = read("# note\nserver:\n  transport: http\n  address: \"0.0.0.0:80\"\n").unwrap();
        assert!(findings.is_empty());
        assert_eq!(leaves.len(), 2);
        assert_eq!((leaves[0].path, leaves[0].text.as_str(), leaves[0].line), ("server.transport", "http", 3));
        assert_eq!((leaves[1].path, leaves[1].text.as_str(), leaves[1].line), ("server.address", "0.0.0.0:80", 4));
    }

    #[test]
    fn nothing_written_is_nothing_said() {
        for yaml in ["", "\n# only a comment\n", "memory:\n", "memory: ~\n", "server: { transport: }\n", "{}", "---\n"]
        {
            let (leaves, findings) = read(yaml).unwrap();
            assert!(leaves.is_empty() && findings.is_empty(), "{yaml:?}: {leaves:?} {findings:?}");
        }
    }

    #[test]
    fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
        assert_eq!(
            findings("embedding:\n  provider: ollama\n"),
            ["1: `embedding` is not a key of the top level: it belongs under `memory`."]
        );
        assert_eq!(
            findings("memory:\n  embedding:\n    url: x\n"),
            ["3: `url` is not a key of `memory.embedding`: it belongs under `memory.embedding.ollama` or \
              `memory.embedding.openai` or `memory.embedding.tei`."]
        );
        assert_eq!(
            findings("workers: 2\n"),
            ["1: `workers` is not a key of the top level: it belongs under `apigateway.embed_jobs`."]
        );
    }

    #[test]
    fn a_misspelt_key_is_told_what_was_meant() {
        assert_eq!(
            findings("memory:\n  embeding: {}\n"),
            ["2: `embeding` is not a key of `memory`; did you mean `embedding`?"]
        );
        assert_eq!(
            findings("embeddings: {}\n"),
            ["1: `embeddings` is not a key of the top level; did you mean `embedding`, which belongs under `memory`?"]
        );
        assert_eq!(
            findings("database: { zebra: 1 }\n"),
            ["1: `zebra` is not a key of `database`, which has dsn, session_dsn, connections."]
        );
    }

    #[test]
    fn a_dotted_key_is_told_to_nest() {
        assert_eq!(
            findings("database.dsn: x\n"),
            ["1: `database.dsn` is written with dots; write one level of indentation for each part."]
        );
    }

    #[test]
    fn a_shape_that_does_not_fit_is_named_with_what_fits() {
        assert_eq!(
            findings("memory: yes\nserver: [1]\n"),
            [
                "1: `memory` must be a mapping with the keys embedding, recall, remember, forget, secrets.",
                "2: `server` must be a mapping with the keys transport, address, public_url, allowed_hosts, \
                 allowed_origins, anonymous, rate_limit, failure_limit, trusted_proxies, weights, audit_days, metrics_address, max_requests, shutdown_delay, drain, oauth, tls."
            ]
        );
        assert_eq!(
            findings("memory: { embedding: { timeout: [30s] } }\n"),
            ["1: `memory.embedding.timeout` must be a duration with its unit, such as 250ms, 30s, 5m or 1h."]
        );
        assert_eq!(
            findings("- a\n"),
            [
                "1: the file must be a mapping with the keys database, memory, apigateway, server, audit, tenants, traces."
            ]
        );
    }

    #[test]
    fn broken_yaml_doubled_keys_and_second_documents_are_refused_with_their_line() {
        assert_eq!(read("server:\n\ttransport: http\n").unwrap_err().line, 2);
        assert_eq!(read("server: {}\nserver: {}\n").unwrap_err().line, 2);
        assert_eq!(read("server: {}\n---\nmemory: {}\n").unwrap_err().line, 3);
    }

    #[test]
    fn headers_keep_their_names_as_written() {
        let (leaves, _) = read("memory: { embedding: { tei: { headers: { X-Team: \"a: b\" } } } }").unwrap();
        assert_eq!((leaves[0].header.as_deref(), leaves[0].text.as_str()), (Some("X-Team"), "a: b"));
    }
}

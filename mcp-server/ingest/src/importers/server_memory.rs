//! The knowledge graph of MCP's server-memory: lines of entities with observations, and of
//! relations.
//!
//! Each observation becomes a memory that can be understood alone, since a recall returns it
//! without the others: "Ana: owns billing". The entity becomes a URN and its type the category, so
//! that a filter finds everything about one entity. Keys are derived from the content: importing
//! the same file again changes nothing, and an added observation is new.

use pgrecall_record::source::{MAX_FIELD_BYTES, Record, RecordFields, SourceKind};
use serde::Deserialize;
use serde_json::Value;

use super::{line_error, names, relation};
use crate::{batch::Stop, lines::Emit};

/// A line of the file. Unknown fields, which a later version may have, are ignored.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Entity {
        name: String,
        #[serde(rename = "entityType", default)]
        entity_type: String,
        #[serde(default)]
        observations: Vec<Value>,
    },
    Relation {
        from: String,
        to: String,
        #[serde(rename = "relationType")]
        relation_type: String,
    },
}

/// Makes the memories of a line.
pub(super) fn records(line: &str, emit: &mut Emit<'_>) -> Result<(), Stop> {
    match serde_json::from_str(line) {
        Ok(Line::Entity { name, entity_type, observations }) => entity(&name, &entity_type, &observations, emit),
        Ok(Line::Relation { from, to, .. }) if from.trim().is_empty() || to.trim().is_empty() => {
            emit(Err("one of the entities of the relation has no name".to_owned()))
        }
        Ok(Line::Relation { from, to, relation_type }) => {
            emit(Ok(relation("server-memory", &from, [&from, &relation_type, &to])))
        }
        Err(error) => emit(Err(line_error(&error))),
    }
}

fn entity(name: &str, entity_type: &str, observations: &[Value], emit: &mut Emit<'_>) -> Result<(), Stop> {
    if name.trim().is_empty() {
        return emit(Err("the entity has no name: its observations cannot be understood without one".to_owned()));
    }
    // The record of each observation contains both, so neither may be long.
    if name.len().max(entity_type.len()) > MAX_FIELD_BYTES {
        let shown = names::excerpt(name);
        return emit(Err(format!(
            "the name or the type of the entity `{shown}` is longer than {MAX_FIELD_BYTES} bytes"
        )));
    }
    let about = |text: String, key: String| Record {
        fields: RecordFields {
            key: Some(key),
            dimension: Some("entity".to_owned()),
            category: Some(entity_type.to_owned()).filter(|category| !category.is_empty()),
            entity_urns: vec![names::urn(name)],
            origin: Some("server-memory".to_owned()),
            ..RecordFields::default()
        },
        ..Record::new(SourceKind::Memory, text)
    };
    if observations.is_empty() {
        // An entity without observations is stored too: its existence is all that is known of it.
        let kind = if entity_type.is_empty() { "entity" } else { entity_type };
        return emit(Ok(about(format!("{name} ({kind})"), names::key("entity", &[name]))));
    }
    observations.iter().try_for_each(|observation| {
        emit(match observation {
            Value::String(said) if said.trim().is_empty() => Err(format!("an observation of `{name}` is blank")),
            Value::String(said) => Ok(about(format!("{name}: {said}"), names::key("observation", &[name, said]))),
            other => {
                let other = other.to_string();
                Err(format!("an observation of `{name}` is {}, where a text should be", names::excerpt(&other)))
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(line: &str) -> Vec<Result<Record, String>> {
        let mut all = Vec::new();
        records(line, &mut |made| {
            all.push(made);
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn each_observation_and_each_relation_is_a_memory_that_can_be_read_alone() {
        let found = made(
            r#"{"type":"entity","name":"Ana Lima","entityType":"person","observations":["owns billing",5,"lives in Porto"]}"#,
        );
        let first = found[0].as_ref().unwrap();
        assert_eq!(first.body, "Ana Lima: owns billing");
        assert_eq!(
            (first.fields.dimension.as_deref(), first.fields.category.as_deref()),
            (Some("entity"), Some("person"))
        );
        assert_eq!(first.fields.entity_urns, ["urn:entity:Ana_Lima"]);
        assert!(found[1].as_ref().unwrap_err().contains("`Ana Lima` is 5"));
        assert_ne!(found[2].as_ref().unwrap().fields.key, first.fields.key);
        let found = made(r#"{"type":"relation","from":"Ana Lima","to":"Billing","relationType":"is_owner_of"}"#);
        let relation = found[0].as_ref().unwrap();
        assert_eq!(relation.body, "Ana Lima is owner of Billing");
        assert_eq!(relation.fields.entity_urns.len(), 2);
        assert_eq!(
            made(r#"{"type":"entity","name":"Porto","entityType":"city"}"#)[0].as_ref().unwrap().body,
            "Porto (city)"
        );
    }

    #[test]
    fn blank_names_and_observations_are_told() {
        for name in ["", " ", "\\t"] {
            let line = format!(r#"{{"type":"entity","name":"{name}","entityType":"x","observations":["blank name"]}}"#);
            assert!(made(&line)[0].as_ref().unwrap_err().contains("no name"), "{line}");
            let line = format!(r#"{{"type":"entity","name":"Ana","observations":["{name}","owns billing"]}}"#);
            let found = made(&line);
            assert!(found[0].as_ref().unwrap_err().contains("`Ana` is blank"), "{line}");
            assert_eq!((found.len(), found[1].as_ref().unwrap().body.as_str()), (2, "Ana: owns billing"));
            let line = format!(r#"{{"type":"relation","from":"Ana","to":"{name}","relationType":"knows"}}"#);
            assert!(made(&line)[0].as_ref().unwrap_err().contains("no name"), "{line}");
        }
    }

    #[test]
    fn a_line_of_anything_else_is_told() {
        for line in ["", "{", "[]", r#"{"type":"entity"}"#, r#"{"type":"cat","name":"x"}"#] {
            assert!(made(line)[0].as_ref().unwrap_err().starts_with("the line "), "{line}");
        }
    }
}

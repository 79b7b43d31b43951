//! Property tests: any argument is accepted, or refused with a sentence that a model can act on.

use pgrecall_generators::mutate::{assert_sentence, cases, mutated_text};
use pgrecall_record::time;
use proptest::{collection::vec, prelude::*, sample::select};
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{all, cursor};

const CURSORS: [&str; 3] = ["00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff", "1"];
const TIMES: [&str; 5] =
    ["2026-01-31", "2026-01-31T09:00:00Z", "2026-01-31T09:00:00.123456+02:00", "-009999-01-01", "2026-W05"];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        (1..50_000_usize).prop_map(|bytes| "x".repeat(bytes).into()),
        Just(" ".into()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z$]{0,6}", inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// Names of arguments, and other names.
fn any_name() -> impl Strategy<Value = String> {
    let known: Vec<String> =
        all().iter().flat_map(|tool| tool.properties().keys().cloned().collect::<Vec<_>>()).collect();
    prop_oneof![8 => select(known), 1 => "\\PC{0,8}", 1 => (1..5_000_usize).prop_map(|bytes| "x".repeat(bytes))]
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_arguments_are_taken_or_refused_with_a_sentence(given in vec((any_name(), any_value()), 0..16)) {
        let given: JsonObject = given.into_iter().collect();
        for tool in all() {
            match tool.check(&mut given.clone()) {
                Ok(_) => {}
                Err(refused) => assert_sentence(&refused.to_string()),
            }
        }
    }

    #[test]
    fn any_time_is_a_moment_or_refused_with_a_sentence(text in mutated_text(&TIMES)) {
        if let Err(refused) = time::parse_field("since", &text) {
            assert_sentence(&refused);
        }
    }

    #[test]
    fn a_cursor_leads_to_its_place_and_no_other_text_does(place in any::<i64>(), call in ".{0,20}", other in mutated_text(&CURSORS)) {
        let made = cursor::made(&call, place);
        prop_assert_eq!(cursor::read(&call, &made).unwrap(), place);
        let another = format!("{call}.");
        prop_assert!(cursor::read(&another, &made).is_err());
        if let Err(refused) = cursor::read(&call, &other) {
            assert_sentence(&refused.to_string());
        }
    }
}

#[test]
fn a_call_that_is_wrong_a_thousand_times_is_answered_in_a_few_sentences() {
    let given: JsonObject = (0..1_000).map(|n| (format!("{n}{}", "x".repeat(1_000)), json!(1))).collect();
    for tool in all() {
        let refused = tool.check(&mut given.clone()).unwrap_err().to_string();
        assert_sentence(&refused);
        assert!(refused.contains("more problems"), "{refused}");
    }
}

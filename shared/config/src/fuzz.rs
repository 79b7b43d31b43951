//! Fuzzes the parser: any text is a valid configuration, or is refused with a sentence per mistake.

use pgrecall_generators::mutate::{assert_sentence, cases, mutated_text};
use proptest::prelude::*;

use super::{Config, ConfigError};

const FILES: [&str; 4] = [
    "database:\n  url: postgres://ana@db/pgrecall\nserver:\n  transport: http\n  address: 127.0.0.1:8080\n",
    "embedding:\n  provider: openai\n  url: http://127.0.0.1:1/v1\n  model: m\n  api_key: ${KEY}\n  embed_timeout: 30s\n",
    "server: {transport: http, allowed_hosts: [a, b]}\nworker: {batch_size: 32}\n",
    "a: &a {x: 1}\nserver: *a\nlog: |\n  text\n? [x]\n: y\n",
];

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_file_is_a_configuration_or_refused_with_sentences(text in mutated_text(&FILES)) {
        let environment = |name: &str| (name == "KEY").then(|| "k".to_owned());
        match Config::parse(Some(("c.yaml", &text)), &environment) {
            Ok(_) => {}
            Err(ConfigError::Invalid(sentences)) => {
                prop_assert!(!sentences.is_empty());
                sentences.iter().for_each(|sentence| assert_sentence(sentence));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

//! Property test: every text is either parsed or refused with a readable error.

use pgrecall_generators::mutate::{assert_sentence, cases, mutated_text};
use proptest::prelude::*;

use super::Dsn;

const STRINGS: [&str; 8] = [
    "postgres://ana:secret@db.example:5432/pgrecall?sslmode=verify-full&application_name=x",
    "postgresql://%2Fvar%2Frun/db?user=ana&password=a%20b",
    "postgres://[::1]:5433,b:5434/db?target_session_attrs=read-write&connect_timeout=5",
    "host=localhost port=5432 user=ana password='a b\\'c' dbname=db sslmode=disable",
    "host=/run/postgresql,/tmp dbname=db options='-c search_path=a' keepalives=1",
    "service=x sslrootcert=system channel_binding=require",
    "postgres:///db",
    "",
];

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_string_is_a_dsn_or_refused_with_a_sentence(text in mutated_text(&STRINGS)) {
        match Dsn::parse(&text) {
            Ok(dsn) => {
                let shown = Dsn::parse(&dsn.redacted());
                prop_assert!(shown.is_ok(), "{text:?} is shown as {:?}: {}", dsn.redacted(), shown.unwrap_err());
                let shown = shown.unwrap();
                prop_assert_eq!((shown.user(), shown.database()), (dsn.user(), dsn.database()));
            }
            Err(refused) => assert_sentence(&refused.to_string()),
        }
    }
}

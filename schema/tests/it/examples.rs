//! The operations that the console offers are valid in the graph.

use std::{fs, path::Path, sync::Arc};

use async_graphql::parser::parse_query;
use mullion_schema::validate::Validator;

#[test]
fn the_examples_of_the_console_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/src/examples");
    let validator = Validator::default();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder of the examples") {
        let path = entry.expect("a file").path();
        let document = parse_query(fs::read_to_string(&path).expect("a text")).expect("a document");
        let checked = validator.check(&Arc::new(document));
        assert!(checked.is_ok(), "{}: {checked:?}", path.display());
        count += 1;
    }
    assert!(count >= 9, "{count}");
}

use std::collections::BTreeSet;

use utoipa::PartialSchema as _;

use super::super::parse;
use super::*;

fn names_of(schema: &serde_json::Value) -> BTreeSet<String> {
    let properties = schema["properties"]
        .as_object()
        .expect("an object's schema");
    properties.keys().cloned().collect()
}

fn names(fields: &[&str]) -> BTreeSet<String> {
    fields.iter().map(|&field| field.to_owned()).collect()
}

#[test]
fn the_document_names_the_fields_that_are_read() {
    let schema = serde_json::to_value(MessageRequest::schema()).expect("JSON");
    assert_eq!(names_of(&schema), names(&parse::FIELDS));
    let schema = serde_json::to_value(request::PropertiesRequest::schema()).expect("JSON");
    assert_eq!(names_of(&schema), names(&parse::properties::FIELDS));
}

#[test]
fn the_file_at_the_root_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let generated = yaml().expect("YAML");
    assert!(
        kept == generated,
        "write it anew: cargo run -- openapi > openapi.yaml"
    );
}

use std::collections::BTreeSet;

use utoipa::PartialSchema as _;

use super::super::{filter, parse};
use super::*;
use crate::domain::ReasonCode;

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
    let schema = serde_json::to_value(ReplayRequest::schema()).expect("JSON");
    assert_eq!(names_of(&schema), names(&parse::replay_filter::FIELDS));
    for schema in [WebhookRequest::schema(), WebhookPatchRequest::schema()] {
        let schema = serde_json::to_value(schema).expect("JSON");
        assert_eq!(names_of(&schema), names(&parse::webhook::FIELDS));
    }
    let schema = serde_json::to_value(webhooks::WebhookFilterRequest::schema()).expect("JSON");
    assert_eq!(names_of(&schema), names(&parse::webhook::FILTER_FIELDS));
}

#[test]
fn the_document_names_the_query_parameters_that_are_read() {
    let document = serde_json::to_value(Document::openapi()).expect("JSON");
    for (path, method, read) in [
        (
            "/v1/exchanges/{exchange}/messages",
            "post",
            &parse::raw::OPTIONS[..],
        ),
        ("/v1/messages", "get", &filter::PARAMETERS),
        ("/v1/groups/{group}", "get", &get_group::PARAMETERS),
        (
            "/v1/webhooks/{id}/deliveries",
            "get",
            &hooks::deliveries::PARAMETERS,
        ),
    ] {
        let parameters = document["paths"][path][method]["parameters"].as_array();
        let parameters = parameters.expect("parameters").iter();
        let told = parameters
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned());
        assert_eq!(told.collect::<BTreeSet<_>>(), names(read), "{path}");
    }
}

#[test]
fn the_document_names_every_reason() {
    let codes: Vec<_> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
    let pattern = format!("^({})$", codes.join("|"));
    let schema = serde_json::to_value(ReplayRequest::schema()).expect("JSON");
    assert_eq!(schema["properties"]["reason"]["pattern"], pattern);
    let document = serde_json::to_string(&Document::openapi()).expect("JSON");
    // Of lists, streams and replays.
    assert_eq!(document.matches(&pattern).count(), 3);
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

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::headers::HeaderValue;

fn read(json: &Value) -> Topology {
    parse(&json.to_string(), "/").expect("a good file")
}

fn faults(json: &Value) -> Vec<String> {
    parse(&json.to_string(), "/").expect_err("a bad file").0
}

fn queue(more: Value) -> Value {
    let mut queue = json!({"name": "q"});
    let (Value::Object(queue), Value::Object(more)) = (&mut queue, more) else {
        panic!("objects");
    };
    queue.extend(more);
    json!({"queues": [queue]})
}

/// As `rabbitmqctl export_definitions` of 3.10 writes it.
fn export() -> Value {
    json!({
        "rabbit_version": "3.10.8", "rabbitmq_version": "3.10.8", "product_name": "RabbitMQ",
        "users": [{"name": "guest", "password_hash": "secret", "tags": ["administrator"]}],
        "vhosts": [{"name": "/"}], "permissions": [], "topic_permissions": [], "parameters": [],
        "policies": [{"vhost": "/", "name": "p", "pattern": "^a", "definition": {}}],
        "global_parameters": [{"name": "cluster_name", "value": "rabbit@x"}],
        "exchanges": [{"arguments": {"alternate-exchange": "rest"}, "auto_delete": false,
                       "durable": true, "name": "log.exchange", "type": "direct", "vhost": "/"}],
        "queues": [{"arguments": {"x-queue-type": "quorum", "x-max-length": 10}, "type": "quorum",
                    "auto_delete": false, "durable": true, "name": "info", "vhost": "/"}],
        "bindings": [{"arguments": {}, "destination": "info", "destination_type": "queue",
                      "routing_key": "key", "source": "log.exchange", "vhost": "/"}]
    })
}

#[test]
fn an_export_is_read_in_the_order_of_declaring() {
    let topology = read(&export());
    let text = |text: &str| HeaderValue::Text(text.into());
    let expected = [
        Entry::Exchange(Exchange {
            name: "log.exchange".into(),
            kind: "direct".into(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: vec![("alternate-exchange".into(), text("rest"))],
        }),
        Entry::Queue(Queue {
            name: "info".into(),
            durable: true,
            auto_delete: false,
            arguments: vec![
                ("x-max-length".into(), HeaderValue::Int(10)),
                ("x-queue-type".into(), text("quorum")),
            ],
        }),
        Entry::Binding(Binding {
            source: "log.exchange".into(),
            destination: Destination::Queue("info".into()),
            routing_key: "key".into(),
            arguments: vec![],
        }),
    ];
    assert_eq!(topology.entries, expected);
    let one_of_each = Counts {
        exchanges: 1,
        queues: 1,
        bindings: 1,
    };
    assert_eq!(topology.counts(), one_of_each);
}

#[test]
fn what_is_not_applied_is_told_without_its_secrets() {
    let notes = read(&export()).notes;
    assert_eq!(notes.len(), 3, "{notes:?}");
    for section in ["users (1)", "policies (1)", "global_parameters (1)"] {
        assert!(
            notes.iter().any(|note| note.starts_with(section)),
            "{notes:?}"
        );
    }
    assert!(!notes.concat().contains("secret"));
}

#[test]
fn a_misspelt_section_is_told() {
    let mut json = export();
    json["queue"] = json!([{"name": "q"}]);
    let notes = read(&json).notes;
    assert!(
        notes.iter().any(|note| note.starts_with("queue (1)")),
        "{notes:?}"
    );
}

#[test]
fn entries_of_other_vhosts_are_left_out_and_counted() {
    let mut json = export();
    json["queues"][0]["vhost"] = "other".into();
    json["bindings"][0]["vhost"] = "other".into();
    let topology = read(&json);
    assert_eq!(topology.entries.len(), 1);
    let told = "serves \"/\": \"other\" (2)";
    assert!(
        topology.notes.iter().any(|note| note.contains(told)),
        "{:?}",
        topology.notes
    );

    json["exchanges"][0]["vhost"] = "third".into();
    assert!(faults(&json)[0].contains("\"other\" (2), \"third\" (1)"));
}

#[test]
fn the_export_of_a_single_vhost_names_none() {
    let json = json!({"exchanges": [{"name": "e", "type": "fanout"}]});
    let topology = parse(&json.to_string(), "any").expect("good");
    let Entry::Exchange(exchange) = &topology.entries[0] else {
        panic!("an exchange");
    };
    assert!(exchange.durable && !exchange.auto_delete && !exchange.internal);
}

#[test]
fn what_the_import_skips_is_skipped_with_a_note() {
    let json = json!({
        "exchanges": [{"name": "", "type": "direct"}, {"name": "amq.x", "type": "direct"}],
        "queues": [{"name": "amq.gen-1"}, {"name": "q", "arguments": []}],
        "bindings": [{"source": "amq.topic", "destination": "q", "destination_type": "queue",
                      "routing_key": "#"}]
    });
    let topology = read(&json);
    assert_eq!(topology.entries.len(), 2);
    assert_eq!(topology.notes.len(), 3, "{:?}", topology.notes);
}

#[test]
fn a_binding_of_what_the_file_does_not_declare_is_noted() {
    let json = json!({
        "bindings": [{"source": "theirs", "destination": "ours", "destination_type": "exchange",
                      "routing_key": ""}]
    });
    let notes = read(&json).notes;
    assert!(
        notes[0].contains("exchange \"theirs\" and exchange \"ours\" must be there"),
        "{notes:?}"
    );
}

#[test]
fn what_is_not_durable_is_noted_and_declared_as_it_is() {
    let topology = read(&queue(json!({"durable": false, "auto_delete": true})));
    assert!(topology.notes[0].contains("not durable"));
    assert!(
        matches!(&topology.entries[0], Entry::Queue(queue) if !queue.durable && queue.auto_delete)
    );
}

#[test]
fn the_type_of_a_queue_is_its_argument() {
    let arguments = |json: Value| match read(&queue(json)).entries.remove(0) {
        Entry::Queue(queue) => queue.arguments,
        other => panic!("{other}"),
    };
    let quorum = vec![("x-queue-type".into(), HeaderValue::Text("quorum".into()))];
    assert_eq!(arguments(json!({"type": "quorum"})), quorum);
    assert_eq!(arguments(json!({"type": "classic"})), vec![]);
    let differing = json!({"type": "quorum", "arguments": {"x-queue-type": "classic"}});
    assert!(faults(&queue(differing))[0].contains("says otherwise"));
}

#[test]
fn mistakes_of_the_json_are_told_with_their_line() {
    for (text, words) in [
        (
            "{\n  \"queues\": [\n    {\"name\": \"q\", \"durabel\": true}\n]}",
            "durabel",
        ),
        ("{\n\n\"queues\": [{\"name\": 7}]}", "integer `7`"),
        (
            "{\n\n\"exchanges\": [{\"name\": \"e\"}]}",
            "missing field `type`",
        ),
        ("{\n\n\"queues\": [{\"name\": \"q\"}]", "EOF"),
        ("{\n\n\"queues\": {\"name\": \"q\"}}", "expected a sequence"),
        ("{\n\n\"queues\": [], \"queues\": []}", "duplicate field"),
    ] {
        let mistake = parse(text, "/").expect_err(text).0.concat();
        assert!(
            mistake.contains(words) && mistake.contains("line 3"),
            "{mistake}"
        );
    }
}

#[test]
fn all_faults_of_the_entries_are_told_at_once_with_their_places() {
    let long = "x".repeat(256);
    let json = json!({
        "exchanges": [{"name": "e", "type": "direct"}, {"name": "e", "type": "fanout"},
                      {"name": long, "type": ""}, {"name": "f", "type": long}],
        "queues": [{"name": "", "arguments": {"a": null}}, {"name": "x", "exclusive": true},
                   {"name": "y", "arguments": {"b": [1, {"c": 9_223_372_036_854_775_808_u64}]}},
                   {"name": "z", "arguments": 7},
                   {"name": "v", "arguments": {long.as_str(): 1, "big": "x".repeat(70_000)}}],
        "bindings": [{"source": "", "destination": "", "destination_type": "queue", "routing_key": long},
                     {"source": "e", "destination": "f", "destination_type": "pipe", "routing_key": ""}]
    });
    let faults = faults(&json);
    for words in [
        "exchanges[1] \"e\" is there twice",
        "name has 256 bytes",
        "type is empty",
        "exchanges[3] \"f\": type has 256 bytes",
        "queues[0] \"\": name is empty",
        "queues[0] \"\": arguments.a is null",
        "queues[1] \"x\" is exclusive",
        "queues[2] \"y\": arguments.b[1].c does not fit",
        "queues[3] \"z\": arguments must be an object",
        "queues[4] \"v\": the name of arguments.xxx",
        "queues[4] \"v\": arguments have 70",
        "bindings[0] from \"\" to \"\": the default exchange",
        "bindings[0] from \"\" to \"\": destination is empty",
        "bindings[0] from \"\" to \"\": routing_key has 256",
        "bindings[1] from \"e\" to \"f\": destination_type must be",
    ] {
        assert!(
            faults.iter().any(|fault| fault.contains(words)),
            "{words}: {faults:#?}"
        );
    }
    assert!(
        faults.iter().all(|fault| fault.len() < 300),
        "faults quote whole texts"
    );
}

#[test]
fn a_file_that_declares_nothing_is_a_mistake() {
    assert!(
        faults(&json!({}))[0].contains("nothing") || faults(&json!({}))[0].contains("no exchange")
    );
    assert!(faults(&json!({"exchange": [{"name": "e"}]}))[0].contains("no exchange"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1.0e15..1.0e15).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

/// What `rabbit_misc:amqp_table/1` makes of arguments when a broker exports them.
fn exported(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Bool(value) => json!(value),
        HeaderValue::Int(value) => json!(value),
        HeaderValue::Double(value) => json!(value),
        HeaderValue::Text(text) => json!(text),
        HeaderValue::Null => Value::Null,
        HeaderValue::Array(items) => items.iter().map(exported).collect(),
        HeaderValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(name, value)| (name.to_string(), exported(value)))
                .collect(),
        ),
    }
}

proptest! {
    #[test]
    fn arguments_come_out_of_an_export_as_they_went_in(
        arguments in prop::collection::btree_map("[a-z-]{1,8}", any_json(), 0..5),
    ) {
        let json = Value::Object(Map::from_iter(arguments));
        let mut topology = read(&queue(json!({"arguments": json})));
        let Entry::Queue(queue) = topology.entries.remove(0) else { panic!("a queue") };
        prop_assert_eq!(exported(&HeaderValue::Table(queue.arguments)), json);
    }

    #[test]
    fn no_text_is_too_odd(text in ".{0,200}") {
        let _ = parse(&text, "/");
    }

    #[test]
    fn no_json_is_too_odd(json in any_json(), other in any_json()) {
        let _ = parse(&json!({"queues": [json], "bindings": other}).to_string(), "/");
    }
}

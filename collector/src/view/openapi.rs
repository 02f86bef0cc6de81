//! The description of the API, as `OpenAPI` 3.1: made of the table of questions, and of the schemas of answers in
//! `schemas.json`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::params::{LONGEST, MOST, Param, Takes};
use super::question::{QUESTIONS, Question};

/// What answers look like.
const SCHEMAS: &str = include_str!("schemas.json");

const ABOUT: &str = "What is different in a fleet, since when and because of whom. Each question is that of the \
    command of the same name, and its answer is what `--json` prints; a listing is a page of such. Fields only grow. \
    Tokens are made by `tracer-collector token make`.";

/// What can go wrong with any question: status, and what it means.
const PROBLEMS: [(&str, &str); 9] = [
    ("400", "A parameter cannot be used, is missing or unknown"),
    ("401", "The token is missing or not good"),
    ("403", "The token has not the scope"),
    (
        "404",
        "There is no such host or group, or nothing is known of that time",
    ),
    ("405", "Only GET and HEAD are taken"),
    (
        "409",
        "The name is that of several hosts, or there are too few to answer",
    ),
    ("422", "The answer would be too long"),
    ("429", "Too many questions with this token are under way"),
    ("503", "There is no turn for it, or it took too long"),
];

/// The description, as JSON.
pub fn document() -> String {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", describe()));
    DOCUMENT.clone()
}

fn describe() -> Value {
    let mut paths = Map::new();
    for question in &QUESTIONS {
        let operation = json!({ "get": operation(question) });
        paths.insert(question.path(), operation);
    }
    paths.insert("/metrics".to_owned(), json!({ "get": metrics() }));
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tracer-collector",
            "version": "1",
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
        },
    })
}

fn operation(question: &Question) -> Value {
    let Question {
        name,
        summary,
        about,
        params,
        schema,
        ask: _,
    } = question;
    let mut operation = json!({
        "operationId": name,
        "summary": summary,
        "parameters": params.iter().map(|param| parameter(param)).collect::<Vec<_>>(),
        "responses": responses(&json!({
            "description": "The answer",
            "content": { "application/json": { "schema": reference(schema) } },
        })),
    });
    if !about.is_empty() {
        operation["description"] = json!(about);
    }
    operation
}

fn parameter(param: &Param) -> Value {
    let Param {
        name,
        takes,
        is_required,
        about,
        example,
    } = param;
    let mut parameter = json!({
        "name": name,
        "in": "query",
        "required": is_required,
        "description": about,
        "schema": schema(*takes),
    });
    if let Some(example) = example {
        parameter["example"] = match takes {
            Takes::Texts => json!([example]),
            _ => json!(example),
        };
    }
    parameter
}

fn schema(takes: Takes) -> Value {
    match takes {
        Takes::Text => json!({ "type": "string", "minLength": 1, "maxLength": LONGEST }),
        Takes::Texts => json!({
            "type": "array",
            "items": { "type": "string", "minLength": 1, "maxLength": LONGEST },
            "maxItems": MOST,
        }),
        Takes::Time => json!({ "type": "string", "format": "date-time" }),
        Takes::Number { from, to, usual } => {
            json!({ "type": "integer", "minimum": from, "maximum": to, "default": usual })
        }
        Takes::Id => json!({ "type": "integer", "minimum": 0 }),
        Takes::Hours { to, usual } => {
            json!({ "type": "number", "minimum": 0, "maximum": to, "default": usual })
        }
        Takes::Word(words) => json!({ "type": "string", "enum": words() }),
        Takes::Flag => json!({ "type": "boolean", "default": false }),
    }
}

fn metrics() -> Value {
    json!({
        "operationId": "metrics",
        "summary": "What the collector counts, as Prometheus reads it",
        "description": "Takes a token with the scope `metrics`.",
        "responses": responses(&json!({
            "description": "OpenMetrics text",
            "content": { "application/openmetrics-text": { "schema": { "type": "string" } } },
        })),
    })
}

fn responses(answer: &Value) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer.clone());
    for (status, what) in PROBLEMS {
        let problem = json!({
            "description": what,
            "content": { "application/problem+json": { "schema": reference("Problem") } },
        });
        responses.insert(status.to_owned(), problem);
    }
    // Before anybody could tell what was asked.
    for status in ["414", "431"] {
        let refused = json!({ "description": "The request's head has more than 64 KiB" });
        responses.insert(status.to_owned(), refused);
    }
    Value::Object(responses)
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::{env, fs};

    use super::*;

    /// Every schema that a part of the description refers to.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    found.insert(to.clone());
                }
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_page_is_the_description() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/collector-api.json");
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(page, document()).unwrap();
        }
        let kept = fs::read_to_string(page).unwrap_or_default();
        assert!(
            kept == document(),
            "docs/collector-api.json is old: UPDATE_DOCS=1 cargo test -p tracer-collector openapi"
        );
    }

    #[test]
    fn every_schema_is_there_and_used() {
        let described = describe();
        let mut found = BTreeSet::new();
        references(&described, &mut found);
        let schemas = described["components"]["schemas"].as_object().unwrap();
        let names = schemas.keys();
        let there: BTreeSet<_> = names
            .map(|name| format!("#/components/schemas/{name}"))
            .collect();
        assert_eq!(found, there);
    }

    #[test]
    fn every_question_has_its_route_and_no_parameter_twice() {
        for question in &QUESTIONS {
            let names: BTreeSet<_> = question.params.iter().map(|param| param.name).collect();
            assert_eq!(names.len(), question.params.len(), "{}", question.name);
        }
        let described = describe();
        let paths = described["paths"].as_object().unwrap();
        assert_eq!(paths.len(), QUESTIONS.len() + 1);
    }
}

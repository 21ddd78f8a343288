//! The API's description, OpenAPI 3.1, written from the table of routes and the shapes of its documents; served at
//! `/v1/openapi.json`, printed by `proofmesh api describe`, kept in `docs/openapi.json`.

use super::routes::{Gives, ROUTES, Route, ShapeOf, Takes};
use super::shape::{Form, Named, Shape, Types};
use super::{Shared, answer};
use crate::fault::{Fault, Result};
use crate::keys::SCOPES;
use crate::wire::PAGE;
use axum::extract::State;
use axum::response::Response;
use proofmesh_market::order::{Bind, Certify, Dispute, Enroll, Limit, Offer, Pledge, Thaw, Withdraw};
use proofmesh_market::{DeviceSignature, Job, Signed};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Segments of paths: name, form of the text, what it is.
pub const PARAMETERS: [(&str, &str, &str); 12] = [
    ("account", ACCOUNT, "An account"),
    ("node", ACCOUNT, "A node's account"),
    ("job", HASH, "A job's id"),
    ("receipt", HASH, "A receipt's digest"),
    ("model", HASH, "A model's id"),
    ("blob", HASH, "Keccak-256 of the bytes"),
    ("feed", HASH, "A feed's commitment"),
    ("epoch", NUMBER, "An epoch's number, from 1"),
    ("record", NUMBER, "Number of the first record, from 0"),
    ("second", NUMBER, "A Unix second"),
    ("grant", NUMBER, "A grant's number, from 1"),
    ("name", "^[a-z0-9-]{1,32}$", "An own node's name"),
];

const ACCOUNT: &str = "^0x[0-9a-fA-F]{40}$";
const HASH: &str = "^0x[0-9a-fA-F]{64}$";
const NUMBER: &str = "^[0-9]{1,19}$";

/// Orders that may come from outside: name, and shape of what stands under it.
pub const ORDERS: [(&str, ShapeOf); 10] = [
    ("NodeEnrolled", Types::add::<Signed<Enroll>>),
    ("DeviceBound", Types::add::<Signed<Bind>>),
    ("JobPosted", Types::add::<Signed<Job>>),
    ("WithdrawalAsked", Types::add::<Signed<Withdraw>>),
    ("DisputeOpened", Types::add::<Signed<Dispute>>),
    ("NodeThawed", Types::add::<Signed<Thaw>>),
    ("Pledged", Types::add::<Signed<Pledge>>),
    ("Offered", Types::add::<Signed<Offer>>),
    ("Limited", Types::add::<Signed<Limit>>),
    ("DeviceCertified", Types::add::<Signed<Certify>>),
];

const READINGS: [&str; 3] = ["application/senml+json", "application/senml+cbor", "application/cose"];

/// Serves it.
pub(super) async fn serve(State(it): Shared) -> Response {
    answer(Ok(&*it.description))
}

/// The description.
///
/// # Errors
/// `api.description` if a document has no shape.
pub fn describe() -> Result<Value> {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = schemas.operation(route);
        let operation =
            operation.map_err(|error| Fault::trouble("api.description", "documents with a shape", error))?;
        let method = if route.is_post() { "post" } else { "get" };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method] = operation;
    }
    let fault = schemas.types.add::<Fault>();
    fault.map_err(|error| Fault::trouble("api.description", "a fault with a shape", error))?;
    let scopes = SCOPES.map(|scope| format!("`{}`: {}", scope.name(), scope.about())).join("; ");
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Proofmesh coordinator",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" },
            "description": "Hashes, accounts and bytes are 0x text, devices did:key:, money is micro-USD, times are Unix seconds. \
                Every answer that is no document is a Fault; its name is stable. Whatever the log says is public; everything else \
                asks for a key.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.written(),
            "securitySchemes": { "key": {
                "type": "http",
                "scheme": "bearer",
                "description": format!("The owner's key (keys/owner.seed) or one of `proofmesh api key new`. Scopes: {scopes}."),
            }},
        },
    }))
}

/// Named types, and which of them requests hold.
#[derive(Default)]
struct Schemas {
    types: Types,
    asked: BTreeSet<&'static str>,
}

impl Schemas {
    fn operation(&mut self, route: &Route) -> std::result::Result<Value, String> {
        let content = match route.gives {
            Gives::Json(of) => json!({ "application/json": { "schema": schema(&of(&mut self.types)?) } }),
            Gives::Bytes => json!({ "application/octet-stream": {} }),
            Gives::Metrics => json!({ "text/plain": {} }),
            Gives::Events => json!({ "text/event-stream": {} }),
            Gives::Description => json!({ "application/json": { "schema": { "type": "object" } } }),
        };
        let fault = json!({ "schema": { "$ref": "#/components/schemas/Fault" } });
        let fault = json!({ "description": "Why not", "content": { "application/json": fault } });
        let mut operation = json!({
            "summary": route.about,
            "operationId": id(route),
            "responses": {
                "200": { "description": "Done", "content": content },
                "default": fault,
            },
        });
        let mut parameters: Vec<Value> = PARAMETERS
            .into_iter()
            .filter(|(name, ..)| route.path.contains(&format!("{{{name}}}")))
            .map(|(name, pattern, about)| {
                let schema = json!({ "type": "string", "pattern": pattern });
                json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
            })
            .collect();
        if route.paged {
            parameters.push(json!({
                "name": "after", "in": "query", "required": false,
                "description": "The last one of the page before; fewer than `limit` are the last page",
                "schema": { "type": "string", "pattern": HASH },
            }));
            parameters.push(json!({
                "name": "limit", "in": "query", "required": false, "description": "At most so many",
                "schema": { "type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE },
            }));
        }
        if route.once {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same call with the same key is done once within a day and answered the same",
                "schema": { "type": "string", "pattern": "^[!-~]{1,64}$" },
            }));
        }
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = self.body(route)? {
            operation["requestBody"] = body;
        }
        if let Some(scope) = route.scope {
            operation["security"] = json!([{ "key": [scope.name()] }]);
        }
        Ok(operation)
    }

    fn body(&mut self, route: &Route) -> std::result::Result<Option<Value>, String> {
        let content = match route.takes {
            Takes::Nothing => return Ok(None),
            Takes::Anything => json!({ "application/json": {} }),
            Takes::Json(of) => {
                let shape = of(&mut self.types)?;
                self.ask(&shape);
                json!({ "application/json": { "schema": schema(&shape) } })
            }
            Takes::Order => json!({ "application/json": { "schema": self.orders()? } }),
            Takes::Readings => {
                READINGS.into_iter().map(|kind| (kind.to_owned(), json!({}))).collect::<Map<_, _>>().into()
            }
        };
        let most = route.body_bytes_max;
        let description = format!("At most {most} bytes");
        let required = !matches!(route.takes, Takes::Anything);
        Ok(Some(json!({ "required": required, "description": description, "content": content })))
    }

    /// One object for each kind of order, its name the only field.
    fn orders(&mut self) -> std::result::Result<Value, String> {
        let mut kinds = Vec::new();
        for (name, of) in ORDERS {
            let mut types = Types::default();
            let shape = of(&mut types)?;
            let Shape::Named(signed) = shape else { return Err(format!("{name} is no signed order")) };
            let Some(Named::Fields(fields)) = types.0.remove(signed) else {
                return Err(format!("{name} has no fields"));
            };
            self.types.0.append(&mut types.0);
            for (_, of) in &fields {
                self.ask(of);
            }
            let mut under = object(&fields, true);
            if name == "DeviceBound" {
                let consent = self.types.add::<DeviceSignature>()?;
                under = json!({
                    "type": "object", "additionalProperties": false, "required": ["bind", "consent"],
                    "properties": { "bind": under, "consent": schema(&consent) },
                });
            }
            kinds.push(json!({
                "type": "object", "additionalProperties": false, "required": [name], "properties": { name: under },
            }));
        }
        Ok(json!({ "oneOf": kinds }))
    }

    /// Notes that a request holds the shape.
    fn ask(&mut self, shape: &Shape) {
        match shape {
            Shape::Optional(of) | Shape::List(of) | Shape::Map(of) => self.ask(of),
            Shape::Tuple(all) => all.iter().for_each(|of| self.ask(of)),
            Shape::Named(name) => {
                if self.asked.insert(name)
                    && let Some(Named::Fields(fields)) = self.types.0.get(name).cloned()
                {
                    fields.iter().for_each(|(_, of)| self.ask(of));
                }
            }
            Shape::Flag | Shape::Whole { .. } | Shape::Number | Shape::Text(_) => {}
        }
    }

    fn written(&self) -> Value {
        let write = |(name, of): (&&'static str, &Named)| {
            let schema = match of {
                Named::Fields(fields) => object(fields, self.asked.contains(name)),
                Named::OneOf(texts) => json!({ "type": "string", "enum": texts }),
            };
            ((*name).to_owned(), schema)
        };
        self.types.0.iter().map(write).collect::<Map<_, _>>().into()
    }
}

/// `GET /v1/jobs/{job}` as `get_jobs_job`.
fn id(route: &Route) -> String {
    let words = route.path.split('/').filter(|word| !word.is_empty() && *word != "v1");
    let words: Vec<String> =
        words.map(|word| word.replace(['{', '}'], "").replace(['-', '.'], "_")).collect();
    format!("{}_{}", if route.is_post() { "post" } else { "get" }, words.join("_"))
}

/// Fields as a schema. A request may leave out what is optional, and may hold nothing else; an answer has every field.
fn object(fields: &[(&'static str, Shape)], asked: bool) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, of)| ((*name).to_owned(), schema(of))).collect();
    let needed = |of: &Shape| !asked || !matches!(of, Shape::Optional(_));
    let required: Vec<&str> = fields.iter().filter(|(_, of)| needed(of)).map(|(name, _)| *name).collect();
    let mut schema = json!({ "type": "object", "required": required, "properties": properties });
    if asked {
        schema["additionalProperties"] = false.into();
    }
    schema
}

fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Text(Form::Any) => json!({ "type": "string" }),
        Shape::Text(Form::Bytes) => json!({ "type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$" }),
        Shape::Text(Form::Digits(count)) => {
            json!({ "type": "string", "pattern": format!("^0x[0-9a-fA-F]{{{count}}}$") })
        }
        Shape::Text(Form::Device) => {
            json!({ "type": "string", "pattern": "^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$" })
        }
        Shape::Optional(of) => json!({ "anyOf": [schema(of), { "type": "null" }] }),
        Shape::List(of) => json!({ "type": "array", "items": schema(of) }),
        Shape::Map(of) => json!({ "type": "object", "additionalProperties": schema(of) }),
        Shape::Tuple(all) => {
            let items: Vec<Value> = all.iter().map(schema).collect();
            json!({ "type": "array", "prefixItems": items, "minItems": all.len(), "maxItems": all.len() })
        }
        Shape::Named(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

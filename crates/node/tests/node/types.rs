//! The page's types, written from the documents' own `Deserialize`: what the API says, said once.
//!
//! `BLESS=1 cargo test -p proofmesh types_vectors` (or `cargo xtask bless`) rewrites `dashboard/src/api.ts`.

use proofmesh::api::routes::ShapeOf;
use proofmesh::api::shape::{Named, Shape, Types};
use std::path::Path;

/// A shape in TypeScript.
fn typescript(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "boolean".to_owned(),
        Shape::Whole { .. } | Shape::Number => "number".to_owned(),
        Shape::Text(_) => "string".to_owned(),
        Shape::Optional(of) => format!("{} | null", typescript(of)),
        Shape::List(of) => {
            let of = typescript(of);
            if of.contains(' ') && !of.starts_with('[') { format!("({of})[]") } else { format!("{of}[]") }
        }
        Shape::Map(of) => format!("Record<string, {}>", typescript(of)),
        Shape::Tuple(all) => format!("[{}]", all.iter().map(typescript).collect::<Vec<_>>().join(", ")),
        Shape::Named(name) => (*name).to_owned(),
    }
}

/// A named type in TypeScript.
fn declared(name: &str, of: &Named) -> String {
    match of {
        Named::Fields(fields) => {
            let field = |(field, of): &(&str, Shape)| format!("  {field}: {};\n", typescript(of));
            format!("export interface {name} {{\n{}}}\n", fields.iter().map(field).collect::<String>())
        }
        Named::OneOf(variants) => {
            let union = variants.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" | ");
            format!("export type {name} = {union};\n")
        }
    }
}

#[test]
fn types_vectors_of_the_page_are_what_the_api_says() {
    use proofmesh::wire::overview::{ChainEpochDoc, EconomicsDoc, EpochsDoc, MemberDoc, ModelDoc, NewsDoc};
    use proofmesh::{audit, buyer, fault, out, own, owner, wire};
    let mut types = Types::default();
    let all: [ShapeOf; 29] = [
        Types::add::<wire::StatusDoc>,
        Types::add::<wire::AccountDoc>,
        Types::add::<wire::NodeDoc>,
        Types::add::<wire::JobDoc>,
        Types::add::<wire::ReceiptDoc>,
        Types::add::<wire::ReceiptProofDoc>,
        Types::add::<wire::EpochDoc>,
        Types::add::<wire::BalanceDoc>,
        Types::add::<wire::ClosedDoc>,
        Types::add::<wire::FeedDoc>,
        Types::add::<wire::IdDoc>,
        Types::add::<wire::DoneDoc>,
        Types::add::<wire::PassTimeDoc>,
        Types::add::<MemberDoc>,
        Types::add::<ModelDoc>,
        Types::add::<ChainEpochDoc>,
        Types::add::<EconomicsDoc>,
        Types::add::<EpochsDoc>,
        Types::add::<NewsDoc>,
        Types::add::<own::OwnDoc>,
        Types::add::<own::WantedDoc>,
        Types::add::<own::QuoteDoc>,
        Types::add::<own::BudgetDoc>,
        Types::add::<owner::GrantDoc>,
        Types::add::<buyer::ClaimDoc>,
        Types::add::<fault::Fault>,
        Types::add::<proofmesh_verifier::StatementDoc>,
        Types::add::<audit::AuditDoc>,
        Types::add::<out::UpDoc>,
    ];
    for add in all {
        add(&mut types).expect("a shape");
    }
    let head = "// The API's documents, generated from crates/node by `cargo xtask bless`. Hashes, accounts and bytes are\n\
                // 0x text, devices did:key:, money is micro-USD, times are Unix seconds.\n\n";
    let types: Vec<String> = types.0.iter().map(|(name, of)| declared(name, of)).collect();
    let text = format!("{head}{}", types.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboard/src/api.ts");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let found = std::fs::read_to_string(&path).expect("dashboard/src/api.ts");
    assert_eq!(found, text, "the API changed: `cargo xtask bless`, and read the diff");
}
